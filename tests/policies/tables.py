"""Tables of cases, cases/*.yaml: for each rule and type what passes, what fails, and what only a deployment shows.

    MLB-ENC-001:
      aws:sagemaker/endpointConfiguration:EndpointConfiguration:
        passes: {kmsKeyArn: "arn:aws:kms:eu-west-1:123456789012:key/1"}   # the properties of what is right
        fails:                                                    # changes, each of which alone makes it wrong
          - {kmsKeyArn: null}
        unknown: [kmsKeyArn]                                      # paths, each of which alone leaves it open

A change of null takes a property away. A path is `a.b` or `a[0].b`. `parameters` may set parameters of the rule.
`passes: null` says that nothing of this type is right.

For a relation, `passes` is a list of resources, the first of which is the rule's own; each has `name`, `type` (the
first may leave it out), `properties` and `needs`, the names of what it depends on. A failing change is then by resource
name: `{monitor: null}` takes the resource away, `{monitor: {enabled: false}}` changes its properties; `unknown` has
paths such as `monitor.enabled`. Where a rule needs no value that a preview may not know, `unknown: []` says so, with
`because`.
"""

import copy
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rule import Rule
from ml_policies.rules import RULES

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """A situation of one rule on one type; the resource in question comes first in the stack."""

    rule: Rule
    type: str
    title: str
    stack: Stack
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.rule.id} {self.type} {self.title}"


def changed(properties: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Properties with a change merged in; null takes away, and what is no mapping is replaced."""
    result = copy.deepcopy(dict(properties))
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            result[name] = changed(result[name], value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def with_unknown(properties: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Properties with an unknown value at a path that exists or whose last part is new."""
    result = copy.deepcopy(dict(properties))
    *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    place: Any = result
    for part in way:
        place = place[part]
    place[last] = UNKNOWN
    return result


@functools.cache
def tables() -> list[tuple[Rule, str, Mapping[str, Any]]]:
    """Every table with its rule and its type."""
    return [
        (RULES[id_], type_, table)
        for file in sorted(CASES.glob("*.yaml"))
        for id_, types in (yaml.load(file.read_text(), yaml.CSafeLoader) or {}).items()
        for type_, table in types.items()
    ]


def cases(kind: str) -> list[Case]:
    """All cases of a kind: `passes`, `fails` or `unknown`."""
    return [case for rule, type_, table in tables() for case in _cases(rule, type_, table, kind)]


def _cases(rule: Rule, type_: str, table: Mapping[str, Any], kind: str) -> list[Case]:
    parameters = table.get("parameters", {})
    relation = isinstance(table["passes"], list)
    right = _stack(table["passes"] if relation else [{"properties": table["passes"] or {}}], type_)
    if kind == "passes":
        situations = {} if table["passes"] is None else {"is right": right}
    elif kind == "fails":
        situations = {
            f"with {change}": _changed(right, change if relation else {right[0].name: change})
            for change in table["fails"]
        }
    else:
        situations = {
            f"with {path} unknown": _opened(right, *(path.split(".", 1) if relation else (right[0].name, path)))
            for path in table["unknown"]
        }
    return [Case(rule, type_, title, Stack(tuple(stack)), parameters) for title, stack in situations.items()]


def _stack(described: list[Mapping[str, Any]], type_: str) -> list[Resource]:
    names = {one.get("name", "subject"): one.get("type", type_) for one in described}
    urns = {name: f"urn:pulumi:cases::ml-policies::{own}::{name}" for name, own in names.items()}
    return [
        Resource(
            type=one.get("type", type_),
            name=(name := one.get("name", "subject")),
            urn=urns[name],
            properties=one.get("properties", {}),
            depends_on=frozenset(urns[needed] for needed in one.get("needs", ())),
            protect=one.get("protect", False),
        )
        for one in described
    ]


def _changed(stack: list[Resource], change: Mapping[str, Mapping[str, Any] | None]) -> list[Resource]:
    gone = {resource.urn for resource in stack if resource.name in change and change[resource.name] is None}
    return [
        _with(resource, changed(resource.properties, change.get(resource.name) or {}), gone)
        for resource in stack
        if resource.urn not in gone
    ]


def _opened(stack: list[Resource], name: str, path: str) -> list[Resource]:
    return [
        _with(resource, with_unknown(resource.properties, path) if resource.name == name else resource.properties)
        for resource in stack
    ]


def _with(resource: Resource, properties: Mapping[str, Any], gone: set[str] = frozenset()) -> Resource:
    return Resource(
        resource.type,
        resource.name,
        resource.urn,
        properties,
        resource.parent,
        resource.depends_on - gone,
        resource.protect,
    )
