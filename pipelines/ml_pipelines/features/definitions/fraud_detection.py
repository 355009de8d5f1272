"""How a card was used in the last hour and day."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import ibis
from ibis.expr import types as ir

from ml_pipelines.features.admission import KEYS_PER_MS
from ml_pipelines.features.feature_set import FeatureSet, Windows

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

# https://economy-finance.ec.europa.eu/euro/eu-countries-and-euro_en, as of 2026.
EURO_AREA = (
    *("AT", "BE", "BG", "CY", "DE", "EE", "ES", "FI", "FR", "GR", "HR"),
    *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PT", "SI", "SK"),
)


def define(payments: ir.Table, windows: Windows) -> Mapping[str, ir.Value]:
    """The features of a payment's card, this payment included.

    Home is where the account's currency is that of the country: codes of currencies begin with that of their country
    (ISO 4217), the euro apart.
    """
    hour, day = windows.last(HOUR), windows.last(DAY)
    abroad: Any = ibis.ifelse(
        payments.currency == "EUR",
        payments.country.notin(EURO_AREA),
        payments.country != payments.currency.substr(0, 2),
    )
    clock_before = payments.key.max().over(windows.before(DAY)) // KEYS_PER_MS
    return {
        "transactions_1h": payments.count().over(hour),
        "amount_1h": payments.amount.sum().over(hour),
        "largest_amount_1h": payments.amount.max().over(hour),
        "merchants_24h": payments.merchant_id.nunique().over(day),
        "seconds_since_last": (payments.clock - clock_before) / 1000.0,
        "abroad_share_24h": abroad.cast("int64").mean().over(day),
    }


FEATURES = FeatureSet(
    workload="fraud-detection",
    contract="card_transaction",
    version=2,
    entity="card_id",
    event_id=("event_id",),
    allowed_lateness=HOUR,
    define=define,
)
