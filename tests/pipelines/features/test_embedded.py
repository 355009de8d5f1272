"""The embedded execution takes times as timestamps, too, and computes the same of them."""

import pyarrow as pa
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import Request
from ml_pipelines.features.definitions import load
from ml_pipelines.features.embedded import Embedded
from ml_pipelines.features.log import ARRIVED_AT

TYPES = (pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us", "UTC"))


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_times_may_be_timestamps_with_parts_of_a_second(type_):
    features = load("fraud-detection")
    log = datasets.load("payments", Request(events=1000)).log
    assert any(time % 1000 for time in log["event_time"].to_pylist())
    stamped = log
    for name in (features.event_time, ARRIVED_AT):
        stamps = log[name].cast(pa.timestamp("ms")).cast(type_)
        stamped = stamped.set_column(stamped.column_names.index(name), name, stamps)
    keys = [(name, "ascending") for name in features.keys]
    found, wanted = (Embedded().compute(features, each).sort_by(keys) for each in (stamped, log))
    assert found.equals(wanted)
