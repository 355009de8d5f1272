"""Data governance: classification, residency, retention, versions, protection from deletion, backups."""

from ml_policies.rules.data import governance, keeping

RULES = governance.RULES + keeping.RULES
