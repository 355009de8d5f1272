"""Governance of models: monitors, capture, alarms, owners, registered versions, rollout and rollback, experiments."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
