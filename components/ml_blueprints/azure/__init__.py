"""The layers on Azure, with Azure Machine Learning at their centre."""

from ml_blueprints.azure.data import Data
from ml_blueprints.azure.facts import LIMITS
from ml_blueprints.azure.features import Features
from ml_blueprints.azure.foundation import Foundation

__all__ = ["LIMITS", "Data", "Features", "Foundation"]
