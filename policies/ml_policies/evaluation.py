"""Runs rules on resources and stacks: each rule only on the types that it guards."""

import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_policies.checks import Crashed, Result, Scope, Undecided
from ml_policies.resource import Resource, Stack
from ml_policies.rule import Rule

# By rule id, the parameters of the rules as they are set; what isn't named has its defaults.
Parameters = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found on a resource."""

    rule: Rule
    resource: Resource
    result: Result

    @property
    def undecided(self) -> bool:
        """Whether only a deployment will show it."""
        return isinstance(self.result, Undecided)

    @property
    def message(self) -> str:
        """What is told of it, without the rule's sentence."""
        return str(self.result)


class Evaluator:
    """A set of rules with their parameters, ready to run. It keeps nothing of what it has seen."""

    def __init__(self, rules: Iterable[Rule], parameters: Parameters | None = None):
        self.rules = tuple(rules)
        given = parameters or {}
        self._parameters = {rule.id: {**rule.defaults(), **given.get(rule.id, {})} for rule in self.rules}
        self._checks: dict[str, list[Rule]] = defaultdict(list)
        self._relations: dict[str, list[Rule]] = defaultdict(list)
        for rule in self.rules:
            for type_ in rule.checks:
                self._checks[type_].append(rule)
            for type_ in rule.relations:
                self._relations[type_].append(rule)

    def resource(self, resource: Resource) -> Iterator[Finding]:
        """What the rules find on one resource by itself."""
        for rule in self._checks.get(resource.type, ()):
            scope = Scope(resource, resource.properties, parameters=self._parameters[rule.id])
            yield from _found(rule, resource, rule.checks[resource.type], scope)

    def stack(self, stack: Stack) -> Iterator[Finding]:
        """What the rules find between the resources of a stack."""
        for type_, rules in self._relations.items():
            for resource in stack.of_type(type_):
                for rule in rules:
                    relation, parameters = rule.relations[type_], self._parameters[rule.id]
                    yield from _found(rule, resource, relation, resource, stack, parameters)

    def everything(self, stack: Stack) -> Iterator[Finding]:
        """What the rules find on each resource and between them."""
        for resource in stack.resources:
            yield from self.resource(resource)
        yield from self.stack(stack)


def _found(rule: Rule, resource: Resource, judge: Callable[..., Iterator[Result]], *arguments: Any) -> list[Finding]:
    """What one rule finds on one resource. A rule that fails itself is told of, and stops no other."""
    findings = []
    try:
        for result in judge(*arguments):
            findings.append(Finding(rule, resource, result))
    except Exception as error:
        findings.append(Finding(rule, resource, Crashed(describe(error))))
    return findings


def describe(error: Exception) -> str:
    """An error in one line, with its place."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
