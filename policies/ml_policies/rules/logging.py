"""Logs and audit: what happens is recorded, encrypted, kept, and heard of."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
