"""The layers on Google Cloud, with Vertex AI at their centre."""

from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.delivery import Delivery
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.facts import LIMITS, PIPELINES
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.monitoring import Monitoring
from ml_blueprints.gcp.serving import Serving

__all__ = [
    "LIMITS",
    "PIPELINES",
    "Data",
    "Delivery",
    "Development",
    "Features",
    "Foundation",
    "Monitoring",
    "Serving",
]
