"""A rule: an intent with an id, a sentence and a severity, and a check for each resource type that it guards."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ml_policies.checks import Check, Result
from ml_policies.resource import Resource, Stack, cloud_of


class Severity(StrEnum):
    """How much harm a violation can do."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Level(StrEnum):
    """What a violation does to a deployment."""

    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    REMEDIATE = "remediate"
    DISABLED = "disabled"


# A check of how a resource stands to others of its stack: what it yields is about the resource.
Relation = Callable[[Resource, Stack, Mapping[str, Any]], Iterator[Result]]

# The safe value of properties, given a resource's own; None where there is nothing to put right.
Remedy = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an organisation can set of a rule. schema: JSON schema of the value."""

    default: Any
    schema: Mapping[str, Any]
    meaning: str


@dataclass(frozen=True)
class Rule:
    """One intent.

    id: `MLB-` and a group and a number. sentence: what must hold, for people. fix: what to do about a violation.
    checks: by type token, what a resource must be. relations: by type token, how it must stand to others in its stack.
    missing: by cloud without any check, the reason. references: ids of other tools' checks that it covers, as
    `checkov:CKV_AWS_98`. differs: by such an id, where we judge otherwise and why. remedies: by type token, safe
    defaults for remediation. exemptible: whether an exemption may switch it off.
    """

    id: str
    sentence: str
    severity: Severity
    fix: str
    checks: Mapping[str, Check] = field(default_factory=dict)
    relations: Mapping[str, Relation] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    differs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    remedies: Mapping[str, Remedy] = field(default_factory=dict)
    exemptible: bool = True

    @property
    def level(self) -> Level:
        """What a violation does unless the configuration says otherwise."""
        return Level.ADVISORY if self.severity is Severity.LOW else Level.MANDATORY

    @property
    def types(self) -> frozenset[str]:
        """The type tokens that the rule guards."""
        return frozenset(self.checks) | frozenset(self.relations)

    @property
    def clouds(self) -> frozenset[str]:
        """The clouds that the rule has a check for."""
        return frozenset(cloud_of(type_) for type_ in self.types)

    def defaults(self) -> dict[str, Any]:
        """The parameters as they are unless the configuration says otherwise."""
        return {name: parameter.default for name, parameter in self.parameters.items()}
