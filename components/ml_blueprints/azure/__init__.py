"""The layers on Azure, with Azure Machine Learning at their centre."""

from ml_blueprints.azure.data import Data
from ml_blueprints.azure.delivery import Delivery
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.facts import LIMITS, PIPELINES
from ml_blueprints.azure.features import Features
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.monitoring import Monitoring
from ml_blueprints.azure.serving import Serving

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
