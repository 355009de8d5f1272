"""Runs rules on resources and stacks: each rule only on the types that it guards."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Result, Scope, Undecided
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
            for result in rule.checks[resource.type](scope):
                yield Finding(rule, resource, result)

    def stack(self, stack: Stack) -> Iterator[Finding]:
        """What the rules find between the resources of a stack."""
        for type_, rules in self._relations.items():
            for resource in stack.of_type(type_):
                for rule in rules:
                    for result in rule.relations[type_](resource, stack, self._parameters[rule.id]):
                        yield Finding(rule, resource, result)

    def everything(self, stack: Stack) -> Iterator[Finding]:
        """What the rules find on each resource and between them."""
        for resource in stack.resources:
            yield from self.resource(resource)
        yield from self.stack(stack)
