"""Remedies: safe values where a rule is broken, put in once, in place, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ml_policies.checks import Wrong
from ml_policies.evaluation import Evaluator
from ml_policies.remedies import sets
from ml_policies.resource import UNKNOWN, Resource
from ml_policies.rules import RULES
from sandbox.provider.clouds import CLOUDS
from sandbox.provider.control_plane import ControlPlane
from sandbox.store import Store
from tests.policies.tables import cases

REMEDIES = [(rule.id, type_) for rule in RULES.values() for type_ in rule.remedies]


def test_a_remedy_sets_what_differs_and_keeps_the_rest():
    remedy = sets({"a.b": 1, "a.c": 2, "d": True})
    assert remedy({"a": {"b": 1, "x": 0}, "d": False, "e": 5}) == {"a": {"b": 1, "c": 2, "x": 0}, "d": True}
    assert remedy({"a": {"b": 1, "c": 2}, "d": True}) is None
    assert remedy({"a": None}) == {"a": {"b": 1, "c": 2}, "d": True}


def test_the_given_properties_stay_as_they_are():
    given = {"a": {"b": {"c": 0}}}
    assert sets({"a.b.c": 1})(given) == {"a": {"b": {"c": 1}}}
    assert given == {"a": {"b": {"c": 0}}}


def test_what_is_unknown_is_left_alone():
    assert sets({"a.b": 1})({"a": UNKNOWN}) is None
    assert sets({"a": 1})({"a": UNKNOWN}) is None
    assert sets({"a.b": 1, "c": 2})({"a": {"b": UNKNOWN}}) == {"c": 2}


def test_there_are_remedies_on_every_cloud_for_types_that_their_rules_check():
    assert {type_.partition(":")[0] for _, type_ in REMEDIES} == {"aws", "gcp", "azure-native"}
    for rule, type_ in REMEDIES:
        assert type_ in RULES[rule].checks


@pytest.mark.parametrize(("rule", "type_"), REMEDIES)
def test_a_remedy_puts_a_broken_resource_right_once_and_in_place(rule, type_, replaces):
    evaluator, remedy = Evaluator([RULES[rule]]), RULES[rule].remedies[type_]
    remedied = 0
    for case in cases("fails"):
        if (case.rule.id, case.type) != (rule, type_):
            continue
        broken = case.stack.resources[0]
        right = {**broken.properties, **(remedy(broken.properties) or {})}
        assert remedy(right) is None, "a second time changes nothing"
        if wrong(evaluator, broken, broken.properties) and not wrong(evaluator, broken, right):
            remedied += 1
            assert not replaces(type_, broken.properties, right)
    assert remedied, "no case of the rule is put right by its remedy"


@pytest.mark.parametrize(("rule", "type_"), REMEDIES)
def test_a_remedy_leaves_what_is_right(rule, type_):
    for case in cases("passes"):
        if (case.rule.id, case.type) == (rule, type_):
            (properties,) = (one.properties for one in case.stack.resources[:1])
            right = {**properties, **(RULES[rule].remedies[type_](properties) or {})}
            assert not wrong(Evaluator([RULES[rule]]), case.stack.resources[0], right)


def wrong(evaluator: Evaluator, resource: Resource, properties: dict) -> bool:
    """Whether the rule finds a resource with these properties wrong by itself."""
    one = Resource(resource.type, resource.name, resource.urn, properties)
    return any(isinstance(found.result, Wrong) for found in evaluator.resource(one))


@pytest.fixture
def replaces(tmp_path: Path) -> Callable[[str, dict, dict], bool]:
    """Whether a cloud, as the sandbox knows it from its SDK, would make another resource of such a change."""

    def ask(type_: str, old: dict, new: dict) -> bool:
        package = type_.partition(":")[0]
        plane = ControlPlane(CLOUDS[package](Store(tmp_path / f"{package}.sqlite")))
        difference = plane.diff(f"urn:pulumi:dev::test::{type_}::one", old, new)
        assert difference.changes
        return bool(difference.replacing)

    return ask


def test_a_change_that_would_replace_is_noticed(replaces):
    bucket = "aws:s3/bucket:Bucket"
    assert replaces(bucket, {"bucket": "one"}, {"bucket": "two"})
    assert not replaces(bucket, {"tags": {}}, {"tags": {"a": "b"}})
