"""The definitions of features, one module for each workload, of the workload's name."""

from importlib import import_module

from ml_pipelines.features.feature_set import FeatureSet

WORKLOADS = (
    "churn",
    "credit-scoring",
    "delivery-eta",
    "demand-forecasting",
    "fraud-detection",
    "personalization",
)


def load(workload: str) -> FeatureSet:
    """The features of a workload. Raises LookupError for a workload that has none here."""
    if workload not in WORKLOADS:
        raise LookupError(f"workload `{workload}` has no features; those that have are {', '.join(WORKLOADS)}")
    return import_module(f"{__name__}.{workload.replace('-', '_')}").FEATURES
