"""The layers on AWS, with SageMaker at their centre."""

from ml_blueprints.aws.data import Data
from ml_blueprints.aws.delivery import Delivery
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.facts import LIMITS, PIPELINES
from ml_blueprints.aws.features import Features
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.monitoring import Monitoring
from ml_blueprints.aws.serving import Serving

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
