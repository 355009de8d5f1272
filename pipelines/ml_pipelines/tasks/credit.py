"""Who won't pay back: applicants of the workload's bank, and the borrowers of a lending platform."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.tasks.candidates import BASE_RATE, BOOSTING, LINEAR, SCORECARD
from ml_pipelines.tasks.history import OUTCOME_AT, arrived_since, derived, with_outcome
from ml_pipelines.tasks.task import Bounds, By, Input, Kind, Predicts, Split, Task

DAY_MS = 86_400_000
_AGES = {25: "up to 25", 40: "26 to 40", 60: "41 to 60"}


def _applications(log: pa.Table, labels: pa.Table | None) -> pa.Table:
    applications = with_outcome("credit-scoring", log, "status")
    applications = applications.filter(pc.is_valid(applications["status"]))
    if other := set(pc.unique(applications["status"]).to_pylist()) - {"good", "bad"}:
        raise ValueError(f"column `status` is `{min(other)}` where good or bad is right")
    bad = pc.equal(applications["status"], "bad").cast("float64")
    return pa.table({**_described(applications), "known_at": applications[OUTCOME_AT], "target": bad})


def _due(log: pa.Table, as_of: int) -> pa.Table:
    applications = arrived_since(with_outcome("credit-scoring", log, "status"), as_of - DAY_MS)
    return pa.table(_described(applications.filter(pc.is_null(applications["status"]))))


def _described(applications: pa.Table) -> dict[str, Any]:
    """All but the outcome."""
    return {
        "example_id": applications["application_id"],
        "entity": applications["application_id"],
        "decided_at": applications["event_time"],
        **{item.name: applications[item.name] for item in CREDIT.inputs if item.name in applications.column_names},
        **derived(CREDIT, applications),
        "age_group": _age_groups(applications["age"].to_numpy()),
        "marital": applications["marital"],
    }


def _age_groups(ages: np.ndarray) -> pa.Array:
    places = np.searchsorted(list(_AGES), ages, side="left")
    return pa.array([*_AGES.values(), "over 60"]).take(pa.array(places))


CREDIT = Task(
    name="credit-scoring",
    workload="credit-scoring",
    contract="credit_application",
    sentence="Whether an applicant won't pay back.",
    data_set="credit",
    predicts=Predicts.CLASS,
    outcome="didn't pay back",
    inputs=(
        Input("seniority", low=0, high=70),
        Input("home", Kind.CATEGORY),
        Input("months", low=1, high=600),
        Input("age", low=16, high=110),
        Input("records", Kind.FLAG),
        Input("job", Kind.CATEGORY),
        Input("expenses", skewed=True, low=0),
        Input("income", skewed=True, low=0),
        Input("assets", skewed=True, low=0),
        Input("debt", skewed=True, low=0),
        Input("amount", skewed=True, low=0),
        Input("price", skewed=True, low=0),
        Input("instalment", skewed=True, low=0, derived=True),
        Input("debt_to_income", skewed=True, low=0),
        Input("amount_to_price", low=0, high=10),
    ),
    examples=_applications,
    due=_due,
    due_sentence="The applications that arrived in the last day and have no outcome",
    split=Split(
        By.ENTITY,
        "The dates are made up, as the source has none, so a split by time would only be one by row. Each applicant "
        "applies once, and is held back by a hash of the id.",
    ),
    candidates=(SCORECARD, BOOSTING, LINEAR),
    baseline=BASE_RATE,
    metric="roc_auc",
    goal=0.838,
    bounds=Bounds(floor=0.78, parity=0.45, odds=0.5),
    groups=("age_group", "marital"),
    selected=0.3,
    notes=(
        "Marital status is no input; it is looked at to see whether the model treats people alike. Age is one: where "
        "the law forbids it, take it from the inputs of the task.",
    ),
)


def _loans(table: pa.Table, labels: pa.Table | None) -> pa.Table:
    nothing = pa.array(np.zeros(len(table), dtype=np.int64))
    columns = {item.name: table[item.name] for item in LOANS.inputs if item.name in table.column_names}
    return pa.table(
        {
            "example_id": table["loan_id"],
            "entity": table["loan_id"],
            "decided_at": nothing,
            "known_at": nothing,
            "target": pc.equal(table["Class"], "bad").cast("float64"),
            **columns,
            "grade": _grades(table["sub_grade"]),
        }
    )


def _grades(names: pa.ChunkedArray) -> np.ndarray:
    """A1, A2, ... G5 as 0, 1, ... 34."""
    return np.array(["ABCDEFG".index(name[0]) * 5 + int(name[1]) - 1.0 for name in names.to_pylist()])


LOANS = Task(
    name="lending_club",
    sentence="Whether a loan turns out bad: borrowers of a lending platform.",
    data_set="loans",
    predicts=Predicts.CLASS,
    outcome="turned bad",
    inputs=(
        Input("int_rate", low=0, high=100),
        Input("grade", low=0, high=34),
        Input("term", Kind.CATEGORY),
        Input("verification_status", Kind.CATEGORY),
        Input("emp_length", Kind.CATEGORY),
        Input("addr_state", Kind.CATEGORY),
        *(
            Input(name, skewed=True, low=0)
            for name in (
                *("funded_amnt", "annual_inc", "delinq_2yrs", "inq_last_6mths", "acc_now_delinq", "open_il_6m"),
                *("open_il_12m", "open_il_24m", "total_bal_il", "inq_fi", "inq_last_12m", "delinq_amnt", "num_il_tl"),
                "total_il_high_credit_limit",
            )
        ),
        Input("revol_util", low=0, high=500),
        Input("all_util", low=0, high=500),
    ),
    examples=_loans,
    split=Split(By.ENTITY, "The source has no dates, and each loan once: held back by a hash of the id."),
    candidates=(BOOSTING, LINEAR, SCORECARD),
    baseline=BASE_RATE,
    metric="roc_auc",
    goal=0.756,
    bounds=Bounds(floor=0.65, parity=0.4, odds=0.4),
    selected=0.1,
)
