"""Whether a card payment is fraud, told while the customer waits."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.tasks.candidates import BASE_RATE, BOOSTING, LINEAR
from ml_pipelines.tasks.history import arrived_since, derived, own_features
from ml_pipelines.tasks.task import Bounds, By, Immature, Input, Kind, Predicts, Split, Task, Together, Whole

HOUR_MS = 3_600_000


def _payments(log: pa.Table, labels: pa.Table | None) -> pa.Table:
    """Payments with the activity of their card up to and with them. Labels come apart, by the id of the event."""
    payments = own_features("fraud-detection", log)
    if labels is None:
        raise LookupError("labels")
    found = pc.index_in(payments["event_id"], value_set=labels["event_id"].combine_chunks())
    payments = payments.filter(pc.is_valid(found))
    known = labels.take(found.drop_null())
    outcomes = {"known_at": known["labelled_at"], "target": known["outcome"].cast("float64")}
    return pa.table({**_described(payments), **outcomes})


def _due(log: pa.Table, as_of: int) -> pa.Table:
    return pa.table(_described(arrived_since(own_features("fraud-detection", log), as_of - 24 * HOUR_MS)))


def _described(payments: pa.Table) -> dict[str, Any]:
    """All but the outcome."""
    return {
        "example_id": payments["event_id"],
        "entity": payments["card_id"],
        "decided_at": payments["event_time"],
        **{item.name: payments[item.name] for item in FRAUD.inputs if item.name in payments.column_names},
        **derived(FRAUD, payments),
        "currency": payments["currency"],
    }


FRAUD = Task(
    name="fraud-detection",
    workload="fraud-detection",
    contract="card_transaction",
    sentence="Whether a card payment is fraud.",
    data_set="payments",
    predicts=Predicts.CLASS,
    outcome="fraud",
    labels=True,
    inputs=(
        Input("amount", skewed=True, low=0, high=1_000_000),
        Input("merchant_category", Kind.CATEGORY),
        Input("country", Kind.CATEGORY),
        Input("card_present", Kind.FLAG),
        Input("channel", Kind.CATEGORY),
        Input("hour_of_day", low=0, high=23, derived=True),
        Input("transactions_1h", skewed=True, low=0, high=100_000),
        Input("amount_1h", skewed=True, low=0),
        Input("largest_amount_1h", skewed=True, low=0),
        Input("amount_to_mean_1h", skewed=True, low=0, derived=True),
        Input("merchants_24h", skewed=True, low=0, high=100_000),
        Input("seconds_since_last", skewed=True, low=0),
        Input("abroad_share_24h", low=0, high=1),
    ),
    examples=_payments,
    due=_due,
    due_sentence="The payments that arrived in the last day",
    split=Split(
        By.TIME,
        "Fraud changes, so the last two weeks are held back. Fraud is reported after days: what isn't reported when "
        "training ends counts as honest, as it would then, and the week before is left out for that.",
        test_days=14,
        gap_days=7,
        folds=2,
        immature=Immature.NEGATIVE,
    ),
    candidates=(
        BOOSTING.searching(iterations=Whole(40, 200, log=True), samples_per_leaf=Whole(20, 500, log=True)),
        LINEAR,
    ),
    baseline=BASE_RATE,
    metric="precision_lift",
    goal=5.0,
    bounds=Bounds(floor=5.0, calibration=0.01, parity=0.02, odds=0.45, regression=2.0, robustness=0.7, positives=30),
    groups=("currency",),
    together=Together.ENTITY,
    selected=0.003,
    events=300_000,
    trials=3,
)
