"""Credit applications with their outcome, for credit scoring; and the loans of a lending platform, as they come."""

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets import sources
from ml_pipelines.datasets.history import DataSet, Events, Request

APPLICATIONS_SINCE_MS = 1_672_531_200_000  # 2023-01-01
APPLICATIONS_DAYS = 730
DAY_MS = 86_400_000


def _applications(request: Request) -> Events:
    frame = sources.read("modeldata", "credit_data")
    times = APPLICATIONS_SINCE_MS + np.arange(len(frame)) * (APPLICATIONS_DAYS * DAY_MS) // len(frame)
    columns = {
        column.lower(): pa.array(frame[column], from_pandas=True)
        for column in ("Seniority", "Home", "Age", "Marital", "Income", "Assets", "Debt", "Amount", "Price", "Status")
    }
    columns |= {
        "job": pa.array(frame["Job"], from_pandas=True),
        "records": pa.array(frame["Records"] == "yes"),
        "expenses": pa.array(frame["Expenses"]),
        "months": pa.array(frame["Time"]),
    }
    ids = pa.array("application-" + frame["rownames"].astype(str).str.zfill(5))
    return Events(pa.table({"application_id": ids, "event_time": times, **columns}), times)


def _loans(request: Request) -> Events:
    frame = sources.read("modeldata", "lending_club")
    ids = pa.array("loan-" + frame["rownames"].astype(str).str.zfill(5))
    columns = {name: pa.array(frame[name], from_pandas=True) for name in frame.columns if name != "rownames"}
    return Events(pa.table({"loan_id": ids, **columns}), np.zeros(len(frame), dtype=np.int64))


CREDIT = DataSet(
    name="credit",
    sentence="Credit applications in Spain, 28% of which turned out bad.",
    workload="credit-scoring",
    contract="credit_application",
    event_id=("application_id",),
    source="modeldata.credit_data (L. Belanche, G. Sanchez)",
    license="None is stated for the data; the R package modeldata is under the MIT license.",
    rows=4_454,
    mapping="Fields of the same name; `months` is the time of the source. Income, home, job, marital status, assets "
    "and debt are missing where the source has none.",
    made_up="The id, from the number of the row, and the time: applications are spread evenly over 2023 and 2024, in "
    "the order of the source, which knows no dates.",
    limits="Each applicant applies once, so that nothing can be learned from a history, and drift over time is absent. "
    "Units of money aren't stated.",
    make=_applications,
)

LOANS = DataSet(
    name="loans",
    sentence="Loans of a lending platform in the first quarter of 2016, 5% of which turned out bad.",
    source="modeldata.lending_club (Lending Club statistics)",
    license="None is stated for the data; the R package modeldata is under the MIT license.",
    rows=9_857,
    mapping="A table with the columns of the source: the contract of credit applications asks for an age and a price, "
    "which it lacks, and nobody's age is invented here.",
    made_up="The id, from the number of the row.",
    limits="No dates within the quarter. For training and skewed classes, not for features over time.",
    make=_loans,
)
