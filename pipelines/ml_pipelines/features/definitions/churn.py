"""How long a customer has been there, and whether this got dearer."""

from collections.abc import Mapping
from datetime import timedelta

from ibis.expr import types as ir

from ml_pipelines.features.feature_set import FeatureSet, Windows

# Between the ends of three months in a row lie 59 to 62 days, between those of four 89 to 92.
THREE_MONTHS = timedelta(days=75)


def define(months: ir.Table, windows: Windows) -> Mapping[str, ir.Value]:
    """The features of a customer's month, this month included."""
    usual = months.monthly_charges.mean().over(windows.last(THREE_MONTHS))
    return {
        "tenure": months.tenure,
        "charges_trend": months.monthly_charges / usual.nullif(0.0),
        "is_monthly": months.contract == "Month-to-month",
    }


FEATURES = FeatureSet(
    workload="churn",
    contract="subscription_month",
    version=2,
    entity="customer_id",
    event_id=("event_time",),
    allowed_lateness=timedelta(days=7),
    define=define,
)
