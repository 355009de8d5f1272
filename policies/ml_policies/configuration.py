"""The configuration of the pack: levels, parameters and exemptions, from the JSON file of `--policy-pack-config`.

    {
      "all": "advisory",
      "MLB-ENC-001": "mandatory",
      "MLB-CST-003": {"enforcementLevel": "mandatory", "instanceTypes": ["ml.m5.large"]},
      "settings": {
        "environment": "production",
        "levels": {"experiment": {"MLB-NET-*": "advisory"}, "production": {"MLB-CST-003": {"instanceTypes": []}}},
        "frameworks": ["nist-ai-rmf"],
        "exemptions": [{"rule": "MLB-NET-*", "urn": "*::legacy-*", "owner": "ml-platform@example.com",
                        "reason": "Moves to the new network in May.", "ticket": "ML-123", "expires": "2027-05-31"}]
      }
    }

The engine knows no more than levels and parameters by policy, so all else is in the parameters of `settings`, which is
shown to the engine as one more policy. What counts, first to last: the environment's own word for a rule, its
longest pattern, its `all`; the rule's own level or parameter; `all`; the rule's default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ml_policies.configuration_file import ALL, LEVEL, SETTINGS, read
from ml_policies.evaluation import Parameters
from ml_policies.exemption import Exemption
from ml_policies.resource import Resource
from ml_policies.rule import Level, Rule
from ml_policies.rules import RULES


@dataclass(frozen=True)
class Configuration:
    """A configuration without mistakes; Configuration.load makes it.

    policies: by rule id or `all`, the level and parameters for all environments. levels: the same by environment, by
    rule id, pattern or `all`. selected: ids of the rules of the frameworks that were chosen; None chooses all rules.
    """

    environment: str = ""
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    levels: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    frameworks: tuple[str, ...] = ()
    selected: frozenset[str] | None = None
    exemptions: tuple[Exemption, ...] = ()
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULES)

    @classmethod
    def load(
        cls,
        source: Mapping[str, Any] | Path,
        environment: str = "",
        frameworks: tuple[str, ...] = (),
        rules: Mapping[str, Rule] = RULES,
    ) -> "Configuration":
        """The configuration that a file or its content holds; environment and frameworks count before its own.

        Raises ConfigurationError with everything that is wrong.
        """
        return cls(**read(source, environment, frameworks, rules), rules=rules)

    def level(self, rule: Rule, environment: str = "") -> Level:
        """What a violation of a rule does in an environment, by default the configuration's own."""
        if self.selected is not None and rule.id not in self.selected:
            return Level.DISABLED
        return self._level(rule.id, environment) or rule.level

    @property
    def expired_level(self) -> Level:
        """What an exemption past its date does by itself: the level of `settings`."""
        return self._level(SETTINGS, "") or Level.MANDATORY

    def parameters(self, environment: str = "") -> Parameters:
        """The parameters of all rules in an environment, by default the configuration's own; defaults are left out."""
        return {id_: self._own_parameters(id_, environment) for id_ in self.rules}

    def exemption(self, rule: Rule, resource: Resource, today: date) -> Exemption | None:
        """The exemption that counts for a rule and a resource; where none does, one that has expired, if any."""
        covering = [one for one in self.exemptions if one.covers(rule, resource)]
        return max(covering, key=lambda one: one.expires) if covering else None

    def _own_parameters(self, id_: str, environment: str) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for said in reversed(self._said(id_, environment)):
            merged |= said
        return {name: value for name, value in merged.items() if name != LEVEL}

    def _level(self, id_: str, environment: str) -> Level | None:
        levels = (said[LEVEL] for said in self._said(id_, environment) if LEVEL in said)
        return next((Level(level) for level in levels), None)

    def _said(self, id_: str, environment: str) -> list[Mapping[str, Any]]:
        """What is said of a rule, what counts most first."""
        by_name = self.levels.get(environment or self.environment, {})
        patterns = [name for name in by_name if name != ALL and fnmatchcase(id_, name)]
        patterns.sort(key=lambda name: (name == id_, len(name)), reverse=True)
        said = [by_name[name] for name in (*patterns, ALL) if name in by_name]
        return [*said, *(self.policies[name] for name in (id_, ALL) if name in self.policies)]
