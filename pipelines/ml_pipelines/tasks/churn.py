"""Who leaves next month: the subscribers of the workload's telephone company, and those of another one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.tasks.candidates import BASE_RATE, BOOSTING, LINEAR, SCORECARD
from ml_pipelines.tasks.history import OUTCOME_AT, with_outcome
from ml_pipelines.tasks.task import Bounds, By, Input, Kind, Predicts, Split, Task

_ONE_MONTH = (
    "All decisions are of the same month, so time tells nothing apart. Each customer decides once, and is held back "
    "by a hash of the id: the same ones are, however many are added."
)
_BOOKED = (
    *("senior_citizen", "partner", "dependents", "phone_service", "multiple_lines", "online_security"),
    *("online_backup", "device_protection", "tech_support", "streaming_tv", "streaming_movies", "paperless_billing"),
)


# A month may be over 31 days later, and whoever left by then isn't asked about any more.
_MONTH_MS = 31 * 86_400_000


def _months(log: pa.Table, labels: pa.Table | None) -> pa.Table:
    """The newest month of each customer whose outcome is known: before it, everybody stayed (see docs/datasets.md)."""
    months = with_outcome("churn", log, "churned")
    months = _newest(months.filter(pc.is_valid(months["churned"])))
    outcomes = {"known_at": months[OUTCOME_AT], "target": months["churned"].cast("float64")}
    return pa.table({**_described(months), **outcomes})


def _due(log: pa.Table, as_of: int) -> pa.Table:
    months = _newest(with_outcome("churn", log, "churned"))
    running = pc.greater(months["event_time"], as_of - _MONTH_MS)
    return pa.table(_described(months.filter(pc.and_(pc.is_null(months["churned"]), running))))


def _newest(months: pa.Table) -> pa.Table:
    """The newest month of each customer."""
    newest = months.group_by("customer_id").aggregate([("event_time", "max")])
    rows = pa.array(np.arange(len(months)))
    keyed = months.select(["customer_id", "event_time"]).append_column("row", rows)
    found = keyed.join(newest, ["customer_id", "event_time"], ["customer_id", "event_time_max"], "inner").sort_by("row")
    return months.take(found["row"])


def _described(months: pa.Table) -> dict[str, Any]:
    """All but the outcome."""
    return {
        "example_id": months["customer_id"],
        "entity": months["customer_id"],
        "decided_at": months["event_time"],
        **{item.name: months[item.name] for item in CHURN.inputs},
        "gender": months["gender"],
        "age": pc.if_else(months["senior_citizen"], "65 and older", "younger"),
    }


CHURN = Task(
    name="churn",
    workload="churn",
    contract="subscription_month",
    sentence="Whether a customer leaves in the next month.",
    data_set="churn",
    predicts=Predicts.CLASS,
    outcome="left",
    inputs=(
        Input("tenure", low=0, high=600),
        Input("contract", Kind.CATEGORY),
        Input("internet_service", Kind.CATEGORY),
        Input("payment_method", Kind.CATEGORY),
        Input("monthly_charges", low=0, high=1000),
        Input("total_charges", skewed=True, low=0, high=100_000),
        Input("charges_trend", low=0, high=100),
        *(Input(name, Kind.FLAG) for name in _BOOKED),
    ),
    examples=_months,
    due=_due,
    due_sentence="The newest month of each customer, until it is known who stayed, or a month has passed",
    split=Split(By.ENTITY, _ONE_MONTH),
    candidates=(BOOSTING, LINEAR, SCORECARD),
    baseline=BASE_RATE,
    metric="roc_auc",
    goal=0.847,
    # Customers in their first month with a telephone alone are alike: some 1% of all are.
    bounds=Bounds(floor=0.80, parity=0.5, odds=0.4, copies=0.03),
    groups=("gender", "age"),
    selected=0.2,
    notes=(
        "Gender is no input; it is looked at to see whether the model treats people alike.",
        "Customers of 65 and older leave about twice as often: the share that is selected differs with the outcome.",
    ),
)


def _customers(table: pa.Table, labels: pa.Table | None) -> pa.Table:
    day, evening, night, abroad = (
        table[f"total_{name}_charge"].cast("float64").to_numpy() for name in ("day", "eve", "night", "intl")
    )
    nothing = pa.array(np.zeros(len(table), dtype=np.int64))
    return pa.table(
        {
            "example_id": table["customer_id"],
            "entity": table["customer_id"],
            "decided_at": nothing,
            "known_at": nothing,
            "target": pc.equal(table["churn"], "yes").cast("float64"),
            "total_charge": day + evening + night + abroad,
            **{item.name: table[item.name] for item in CALLS.inputs if item.name in table.column_names},
            "plan": pc.equal(table["international_plan"], "yes").cast("float64"),
            "mailbox": pc.equal(table["voice_mail_plan"], "yes").cast("float64"),
        }
    )


CALLS = Task(
    name="mlc_churn",
    sentence="Whether a customer leaves, from what was called: a second telephone company.",
    data_set="calls",
    predicts=Predicts.CLASS,
    outcome="left",
    inputs=(
        Input("total_charge", low=0, high=1000),
        Input("account_length", low=0, high=1000),
        Input("area_code", Kind.CATEGORY),
        Input("plan", Kind.FLAG),
        Input("mailbox", Kind.FLAG),
        Input("number_vmail_messages", low=0, high=1000),
        *(
            Input(f"total_{name}_{what}", low=0, high=10_000)
            for name in ("day", "eve", "night", "intl")
            for what in ("minutes", "calls")
        ),
        Input("number_customer_service_calls", low=0, high=100),
    ),
    examples=_customers,
    split=Split(By.ENTITY, "The source has no dates, and each customer once: held back by a hash of the id."),
    candidates=(
        # Few rules with sharp edges make people leave here, such as many calls for help: deeper trees find them.
        replace(
            BOOSTING,
            defaults={"iterations": 300, "learning_rate": 0.04, "leaves": 12, "samples_per_leaf": 20, "l2": 1.0},
        ),
        LINEAR,
        SCORECARD,
    ),
    baseline=BASE_RATE,
    metric="roc_auc",
    goal=0.924,
    bounds=Bounds(floor=0.86),
    selected=0.12,
)
