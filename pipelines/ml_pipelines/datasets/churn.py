"""Customers of a telephone company month by month, for churn; and a second company's, as they come."""

import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets import sources
from ml_pipelines.datasets.history import DataSet, Events, Request

if TYPE_CHECKING:
    import pandas

YES_IS_ONE = ("senior_citizen", "partner", "dependents", "phone_service", "paperless_billing")
# "No internet service" and "No phone service" are no answers.
YES_OR_NO = (
    "multiple_lines",
    "online_security",
    "online_backup",
    "device_protection",
    "tech_support",
    "streaming_tv",
    "streaming_movies",
)
# The source was downloaded in September 2018 and tells who left in the last month.
LAST_MONTH = (2018, 8)


def _months(request: Request) -> Events:
    """Every month of every customer: the last one as the source has it, those before at the mean of their charges."""
    frame = sources.read("modeldata", "wa_churn")
    tenures = frame["tenure"].to_numpy()
    months = np.maximum(tenures, 1)
    customer = np.repeat(np.arange(len(frame)), months)
    # 1 for the first month of a customer, up to the tenure; a customer who has just come has a month 0.
    tenure = np.arange(len(customer)) - np.repeat(np.cumsum(months) - months, months) + 1
    is_last = tenure == months[customer]
    tenure[tenures[customer] == 0] = 0
    charges, total = frame["monthly_charges"].to_numpy(), frame["total_charges"].to_numpy()
    before = (total - charges) / np.maximum(tenures - 1, 1)
    month_charges = np.where(is_last, charges[customer], before[customer])
    month_total = np.where(is_last, total[customer], before[customer] * tenure)
    churned = is_last & (frame["churn"].to_numpy() == "Yes")[customer]
    internet = np.array([None if kind == "No" else kind for kind in frame["internet_service"]])
    ends = np.array([_end_of_month(back) for back in range(months.max())])
    times = ends[months[customer] - np.maximum(tenure, 1)]
    ids = ("customer-" + frame["rownames"].astype(str).str.zfill(4)).to_numpy()
    table = pa.table(
        {
            "customer_id": ids[customer],
            "event_time": times,
            "tenure": tenure,
            "contract": frame["contract"].to_numpy()[customer],
            "internet_service": internet[customer],
            "payment_method": frame["payment_method"].to_numpy()[customer],
            "monthly_charges": month_charges,
            "total_charges": pa.array(month_total, from_pandas=True),
            "churned": churned,
            **_customers(frame, customer),
        }
    )
    return Events(table, times)


def _customers(frame: "pandas.DataFrame", customer: np.ndarray) -> dict[str, pa.Array]:
    """What is known of the customers apart from their charges, for each of their months."""
    columns = {name: pa.array(frame[name].to_numpy()[customer] == 1) for name in YES_IS_ONE}
    for name in YES_OR_NO:
        answers = [{"Yes": True, "No": False}.get(answer) for answer in frame[name]]
        columns[name] = pa.array(answers, pa.bool_()).take(pa.array(customer))
    gender = np.where(frame["female"].to_numpy() == 1, "female", "male")
    return {"gender": pa.array(gender[customer]), **columns}


def _end_of_month(back: int) -> int:
    """The last second of the month that is `back` months before the last one, in milliseconds since 1970."""
    month = LAST_MONTH[0] * 12 + LAST_MONTH[1] - back
    after = datetime.datetime(month // 12, month % 12 + 1, 1, tzinfo=datetime.UTC)
    return int(after.timestamp()) * 1000 - 1000


def _calls(request: Request) -> Events:
    frame = sources.read("modeldata", "mlc_churn")
    ids = pa.array("customer-" + frame["rownames"].astype(str).str.zfill(4))
    columns = {name: pa.array(frame[name], from_pandas=True) for name in frame.columns if name != "rownames"}
    return Events(pa.table({"customer_id": ids, **columns}), np.zeros(len(frame), dtype=np.int64))


CHURN = DataSet(
    name="churn",
    sentence="7,043 customers of a telephone company, of whom 1,869 left in the last month.",
    workload="churn",
    contract="subscription_month",
    event_id=("customer_id", "event_time"),
    source="modeldata.wa_churn (IBM Watson Analytics sample)",
    license="None is stated for the data; the R package modeldata is under the MIT license.",
    rows=228_001,
    mapping="One row of the source becomes the months that its customer stayed; the last month is August 2018, since "
    "the source was downloaded in the month after. No internet access is a missing "
    "value, and so is what can't be booked without it.",
    made_up="The months before the last: their charges are what the total leaves, evenly, so that they add up to the "
    "total of the source; all else is taken to have been the same. The id comes from the "
    "number of the row. Nobody left before the last month, as the source has only customers who were there then.",
    limits="The trend of charges shows the last month against the mean of those before and nothing finer. All "
    "customers end in the same month. A sample that IBM made for teaching.",
    make=_months,
)

CALLS = DataSet(
    name="calls",
    sentence="5,000 customers of a telephone company with what they called, 14% of whom left.",
    source="modeldata.mlc_churn (MLC++)",
    license="None is stated for the data; the R package modeldata is under the MIT license.",
    rows=5_000,
    mapping="A table with the columns of the source: the contract of subscription months asks for the kind of contract "
    "and the means of payment, which it lacks.",
    made_up="The id, from the number of the row.",
    limits="A note in the source calls the data artificial. One row per customer, without dates.",
    make=_calls,
)
