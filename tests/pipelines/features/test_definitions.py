"""Definitions, what is compiled of them, and what is refused."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import ibis
import pytest
import yaml
from ml_pipelines.features import compile as compiling
from ml_pipelines.features.definitions import WORKLOADS, load
from ml_pipelines.features.feature_set import DefinitionError
from ml_pipelines.features.incremental import compile_plan

WORKLOAD_FILES = Path(__file__).parents[3] / "stacks" / "workloads"
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_file_and_its_definitions_agree(workload):
    content = yaml.safe_load((WORKLOAD_FILES / f"{workload.replace('-', '_')}.yaml").read_text())
    feature_set, data = load(workload), content["data"]
    assert content["name"] == feature_set.workload
    assert {feature["name"]: feature["type"] for feature in content["features"]["definitions"]} == feature_set.types
    contract = Path(data["contract"]["path"])
    assert (contract.parent.name, contract.stem) == (feature_set.contract, str(feature_set.version))
    assert (data["entity"], data["event_time"]) == (feature_set.entity, feature_set.event_time)
    assert Path(content["features"]["job"]).name == f"{workload.replace('-', '_')}.py"


def test_every_workload_file_has_definitions():
    assert {file.stem.replace("_", "-") for file in WORKLOAD_FILES.glob("*.yaml")} == set(WORKLOADS)


def test_what_is_compiled_is_up_to_date(capsys):
    assert compiling.main(["--check"]) == 0, capsys.readouterr().out


def test_a_workload_without_definitions_is_refused():
    with pytest.raises(LookupError, match="`cooking` has no features; those that have are churn"):
        load("cooking")


def own_window(deliveries):
    return ibis.window(group_by="restaurant_id", order_by="event_time", range=(-10, 0))


REFUSED = {
    "an unknown operation": (lambda d, w: d.day.upper(), "Uppercase has no counterpart in the stream; these have: Abs"),
    "an unknown aggregate": (lambda d, w: d.minutes.std().over(w.last(HOUR)), "StandardDev has no counterpart"),
    "an aggregate without a window": (lambda d, w: d.minutes.sum(), r"Sum is over a window: add"),
    "a function of positions": (lambda d, w: d.minutes.lag(), "Lag"),
    "a window over another time": (lambda d, w: d.minutes.sum().over(own_window(d)), "window of its own making"),
    "a window of all entities": (
        lambda d, w: d.minutes.sum().over(ibis.window(order_by="key", range=(-10, 0))),
        "window of its own making",
    ),
    "a window of rows": (
        lambda d, w: d.minutes.sum().over(ibis.window(group_by="restaurant_id", order_by="key", rows=(-10, 0))),
        "window of its own making",
    ),
    "a window without an end": (
        lambda d, w: d.minutes.sum().over(ibis.window(group_by="restaurant_id", order_by="key", range=(None, 0))),
        "back without an end",
    ),
    "a window into the future": (
        lambda d, w: d.minutes.sum().over(ibis.window(group_by="restaurant_id", order_by="key", range=(-10, 10))),
        "looks ahead",
    ),
    "a condition": (lambda d, w: d.minutes.sum(where=d.minutes > 1).over(w.last(HOUR)), "has a condition"),
    "an aggregate of another": (
        lambda d, w: (d.minutes - d.minutes.mean().over(w.last(HOUR))).max().over(w.last(HOUR)),
        "inside of another one",
    ),
    "a division by what may be nothing": (lambda d, w: d.minutes / d.distance_km, r"divide by `x.nullif\(0\)`"),
    "a division that is guarded by another number": (lambda d, w: d.minutes / d.distance_km.nullif(1.0), "may be 0"),
    "a remainder of a float": (lambda d, w: d.minutes % 2, "by a positive whole number"),
    "a cast that engines round differently": (lambda d, w: d.minutes.cast("int64"), r"use `.floor\(\)`"),
    "the largest of texts": (lambda d, w: d.day.max().over(w.last(HOUR)), "is of numbers, and this is string"),
    "a score that may be equal": (lambda d, w: d.day.argmax(d.minutes).over(w.last(HOUR)), "no two are equal"),
    "a text from the end": (lambda d, w: d.day.substr(-1, 1), "whole numbers from 0 on"),
    "a time": (lambda d, w: d.event_time.as_timestamp("ms"), "a feature is an integer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_computed_alike_is_refused_by_feature_and_operation(case):
    expression, message = REFUSED[case]
    feature_set = replace(load("delivery-eta"), define=lambda d, w: {"mine": expression(d, w)})
    with pytest.raises(DefinitionError, match=message) as refused:
        compile_plan(feature_set)
    assert "feature `mine` of `delivery-eta`" in str(refused.value)


def test_a_feature_may_not_have_the_name_of_a_key():
    feature_set = replace(load("delivery-eta"), define=lambda d, w: {"order_id": d.minutes})
    with pytest.raises(DefinitionError, match="feature `order_id` of `delivery-eta` has the name of a key"):
        compile_plan(feature_set)


def test_a_field_that_the_contract_lacks_is_refused():
    with pytest.raises(DefinitionError, match=r"contract delivery version 1 has no field `rider`; it has day,"):
        replace(load("delivery-eta"), entity="rider")


def test_features_over_something_else_than_the_events_are_refused():
    feature_set = replace(load("delivery-eta"), define=lambda d, w: {"mine": d.mutate(y=d.minutes).y})
    with pytest.raises(DefinitionError, match="isn't of the events themselves"):
        compile_plan(feature_set)
