"""Logs and audit: what happens is recorded, encrypted, kept, and heard of."""

from ml_policies.rules.logging import alarms, recording

RULES = (*recording.RULES, *alarms.RULES)
