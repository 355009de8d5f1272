"""Data governance: classification, residency, retention, versions, protection from deletion, backups."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
