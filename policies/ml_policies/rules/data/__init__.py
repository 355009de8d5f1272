"""Data governance: classification, residency, retention, versions, protection from deletion, backups, experiments."""

from ml_policies.rules.data import experiments, governance, keeping

RULES = governance.RULES + keeping.RULES + experiments.RULES
