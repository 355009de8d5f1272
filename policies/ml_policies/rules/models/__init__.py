"""Governance of models: monitors, capture, alarms, owners, registered versions, rollout and rollback, experiments."""

from ml_policies.rules.models import alarms, lifecycle, monitors, registry

RULES = (*monitors.RULES, *alarms.RULES, *registry.RULES, *lifecycle.RULES)
