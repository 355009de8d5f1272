"""Serving: authorisation, throttling, quotas, capacity, health."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
