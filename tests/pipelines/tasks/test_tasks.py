"""Each task makes examples of its data set, in which nothing is known before it is."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from ml_pipelines import datasets
from ml_pipelines.contracts import catalog
from ml_pipelines.datasets import Request
from ml_pipelines.steps.prepare import examples, split
from ml_pipelines.tasks import TASKS, find
from ml_pipelines.tasks.history import features_before, own_features
from ml_pipelines.tasks.task import Candidate, Family, Immature, Real
from sandbox import home

WORKLOADS = [yaml.safe_load(file.read_text()) for file in (home.REPOSITORY / "stacks" / "workloads").glob("*.yaml")]


@pytest.fixture(scope="module", params=TASKS)
def made(request):
    """A task, its log and its examples."""
    task = TASKS[request.param]
    if task.contract is None:
        log, labels = datasets.raw(task.data_set), None
    else:
        found = datasets.load(task.data_set, Request(events=20_000 if task.events else None))
        log, labels = found.log, found.labels
    return task, log, examples(log, labels, task)


def test_each_workload_has_a_task_of_its_name():
    assert {task.workload for task in TASKS.values() if task.workload} == {workload["name"] for workload in WORKLOADS}


def test_each_example_is_there_once_and_has_an_outcome(made):
    task, _, table = made
    assert len(pc.unique(table["example_id"])) == len(table) >= task.bounds.rows
    assert np.isfinite(table["target"].to_numpy()).all()


def test_an_outcome_is_known_no_earlier_than_the_decision(made):
    _, _, table = made
    assert (table["known_at"].to_numpy() >= table["decided_at"].to_numpy()).all()


def test_the_outcome_is_no_input(made):
    task, _, table = made
    for item in task.inputs:
        if pa.types.is_floating(table[item.name].type):
            assert not np.array_equal(table[item.name].to_numpy(zero_copy_only=False), table["target"].to_numpy())


def test_the_split_leaves_enough_on_both_sides(made):
    task, _, table = made
    train, test, _ = split(table, task.split, 1)
    assert len(train) > len(test) > 100
    unripe = train["known_at"].to_numpy() > test["decided_at"].to_numpy().min()
    if task.split.by == "time" and task.split.immature is Immature.LEFT_OUT:
        assert not unripe.any()
    elif task.split.by == "time":
        assert not train["target"].to_numpy()[unripe].any()


def test_features_of_before_are_those_of_the_last_arrival():
    log = datasets.load("personalization", Request(events=3000)).log
    found = features_before("personalization", log)
    own = own_features("personalization", log)
    assert found["event_id"].to_pylist() == own["event_id"].to_pylist()
    last: dict[str, list[tuple[int, dict]]] = {}
    names = ("ratings_30d", "mean_rating_30d", "favourite_genre")
    for before, after in zip(found.to_pylist(), own.to_pylist(), strict=True):
        known = [row for arrived, row in last.get(before["user_id"], []) if arrived < before["event_time"]]
        expected = {name: known[-1][name] if known else None for name in names}
        assert {name: before[name] for name in names} == expected
        last.setdefault(before["user_id"], []).append((after["arrived_at"], after))


def test_a_delivery_knows_nothing_of_those_that_are_still_on_their_way():
    log = datasets.load("delivery-eta", Request(events=500)).log
    found = features_before("delivery-eta", log)
    own = own_features("delivery-eta", log)
    arrived, pace = own["arrived_at"].to_numpy(), own["mean_minutes_2h"].to_pylist()
    for row in found.slice(100, 50).to_pylist():
        before = np.flatnonzero(arrived < row["event_time"])
        assert row["mean_minutes_2h"] == (pace[before[-1]] if len(before) else None)


def test_what_arrives_twice_is_one_example():
    log = datasets.load("delivery-eta", Request(events=300)).log
    twice = pa.concat_tables([log, log.slice(0, 20)])
    assert len(features_before("delivery-eta", twice)) == 300


def test_the_contract_is_one_of_the_catalog(made):
    task, log, _ = made
    if task.contract:
        contract = catalog.contract(task.contract)
        assert {field["name"] for field in contract.versions[contract.newest]["fields"]} <= set(log.column_names)


def test_a_name_that_is_none_is_told():
    with pytest.raises(LookupError, match="there is no task `fraud`; there are churn, credit-scoring"):
        find("fraud")


def test_what_is_searched_has_a_default():
    with pytest.raises(ValueError, match="candidate `a`: `b` is searched and has no default"):
        Candidate("a", Family.LINEAR, "", space={"b": Real(0, 1)})
