"""How an applicant stands: ratios of what the application says."""

from collections.abc import Mapping
from datetime import timedelta

from ibis.expr import types as ir

from ml_pipelines.features.feature_set import FeatureSet, Windows

MONTHS = 12.0


def define(applications: ir.Table, windows: Windows) -> Mapping[str, ir.Value]:
    """The features of one application. A ratio to nothing is missing."""
    debt = applications.debt.nullif(0.0)
    return {
        "debt_to_income": applications.debt / (applications.income * MONTHS).nullif(0.0),
        "amount_to_price": applications.amount / applications.price.nullif(0.0),
        "assets_to_debt": applications.assets / debt,
        "years_employed": applications.seniority,
        "owns_home": applications.home == "owner",
    }


FEATURES = FeatureSet(
    workload="credit-scoring",
    contract="credit_application",
    version=2,
    entity="application_id",
    event_id=("application_id",),
    allowed_lateness=timedelta(days=1),
    define=define,
)
