"""Breaks real stacks: the changes that make a rule's cases fail, made to a resource that was really deployed.

For each rule and type there are changes, most like its table first. One that turns a resource on which the rule found
nothing into one that it finds wrong proves that the rule can fail on what we deploy.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ml_policies.checks import Wrong
from ml_policies.evaluation import Evaluator
from ml_policies.resource import Resource, Stack
from ml_policies.rule import Rule
from tests.policies.tables import Case, cases, changed, tables

# By name of a resource in a table, what is changed of it; None takes it away.
Change = Mapping[str, Mapping[str, Any] | None]


def unproved(stacks: Mapping[str, Stack]) -> tuple[list[str], list[str]]:
    """The rules and types that occur in the stacks: those that no change could make fail, and those that one could."""
    passing = {(case.rule.id, case.type): case for case in cases("passes")}
    failing: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases("fails"):
        failing[case.rule.id, case.type].append(case)
    open_, proved = [], []
    for rule, type_, table in tables():
        real = [(stack, one) for stack in stacks.values() for one in stack.of_type(type_)]
        if real:
            right, wrong = passing[rule.id, type_], failing[rule.id, type_]
            found = any(_proves(rule, table, right, wrong, *place) for place in real)
            (proved if found else open_).append(f"{rule.id} {type_}")
    return open_, proved


def _proves(
    rule: Rule, table: Mapping[str, Any], right: Case, wrong: list[Case], stack: Stack, subject: Resource
) -> bool:
    told = [(stack, broken) for broken in _broken(table, stack, subject)]
    # Where a condition of the rule doesn't hold on ours, the cases as a whole: our resource with their properties.
    whole = [(_as_in(right, subject), _as_in(case, subject)) for case in wrong]
    for parameters in ({}, table.get("parameters", {})):
        evaluator = Evaluator([rule], {rule.id: parameters})
        for before, after in (*told, *whole):
            if not _wrong(evaluator, before, subject) and _wrong(evaluator, after, subject):
                return True
    return False


def _wrong(evaluator: Evaluator, stack: Stack, subject: Resource) -> bool:
    one = stack.by_urn[subject.urn]
    findings = [*evaluator.resource(one), *(found for found in evaluator.stack(stack) if found.resource is one)]
    return any(isinstance(found.result, Wrong) for found in findings)


def _broken(table: Mapping[str, Any], stack: Stack, subject: Resource) -> Iterator[Stack]:
    if isinstance(table["passes"], Mapping):
        for change in table["fails"]:
            yield _with(stack, {subject.urn: changed(subject.properties, change)})
        return
    types = {one.get("name", "subject"): one.get("type", subject.type) for one in table["passes"]}
    for change in table["fails"]:
        yield _with(stack, _as_told(change, types, stack, subject))
    yield Stack((subject,))


def _as_in(case: Case, subject: Resource) -> Stack:
    own, *others = case.stack.resources
    ours = replace(
        subject,
        properties=changed(subject.properties, own.properties),
        depends_on=own.depends_on,
        protect=own.protect,
    )
    return Stack((ours, *(_pointing(one, own.urn, subject.urn) for one in others)))


def _as_told(
    change: Change, types: Mapping[str, str], stack: Stack, subject: Resource
) -> dict[str, dict[str, Any] | None]:
    """A table's change, made to the real resources of the types that it names."""
    first = next(iter(types))
    told: dict[str, dict[str, Any] | None] = {}
    for name, properties in change.items():
        others = (one for one in stack.of_type(types[name]) if one is not subject)
        for one in [subject] if name == first else others:
            told[one.urn] = None if properties is None else changed(one.properties, properties)
    return told


def _with(stack: Stack, properties: Mapping[str, Mapping[str, Any] | None]) -> Stack:
    """A stack with other properties of some resources, and without those that have None."""
    gone = {urn for urn, new in properties.items() if new is None}
    return Stack(
        tuple(
            replace(one, properties=properties.get(one.urn, one.properties), depends_on=one.depends_on - gone)
            for one in stack.resources
            if one.urn not in gone
        )
    )


def _pointing(one: Resource, old: str, new: str) -> Resource:
    return replace(one, depends_on=frozenset(new if urn == old else urn for urn in one.depends_on))
