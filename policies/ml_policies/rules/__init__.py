"""All rules, by group: a module holds one group of intents. An id stays with its intent for ever."""

import importlib
from collections.abc import Mapping

from ml_policies.rule import Rule

# Module -> the part of the ids that is its own.
GROUPS = {
    "encryption": "ENC",
    "network": "NET",
    "identity": "IAM",
    "data": "DAT",
    "models": "MOD",
    "logging": "LOG",
    "cost": "CST",
    "serving": "SRV",
    "supply_chain": "SUP",
}


def _collected() -> dict[str, Rule]:
    """All rules by id. Raises ValueError for an id that is taken or is not of its group."""
    found: dict[str, Rule] = {}
    for group, part in GROUPS.items():
        for rule in importlib.import_module(f"ml_policies.rules.{group}").RULES:
            if rule.id in found or not rule.id.startswith(f"MLB-{part}-"):
                raise ValueError(f"{rule.id} in rules/{group}.py is taken or doesn't begin with MLB-{part}-")
            found[rule.id] = rule
    return found


RULES: Mapping[str, Rule] = _collected()
