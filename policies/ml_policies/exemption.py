"""Exemptions: some resources that needn't follow some rules, for a while, on somebody's responsibility."""

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from ml_policies.resource import Resource
from ml_policies.rule import Rule


@dataclass(frozen=True, slots=True)
class Exemption:
    """rule: id or pattern of ids. urn: pattern of URNs. expires: the last day on which it counts."""

    rule: str
    urn: str
    owner: str
    reason: str
    ticket: str
    expires: date

    def expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.expires

    def covers(self, rule: Rule, resource: Resource) -> bool:
        """Whether it is for a rule and a resource, expired or not."""
        return rule.exemptible and fnmatchcase(rule.id, self.rule) and fnmatchcase(resource.urn, self.urn)

    def __str__(self) -> str:
        return f"exemption of {self.owner} until {self.expires}, {self.ticket}: {self.reason}"
