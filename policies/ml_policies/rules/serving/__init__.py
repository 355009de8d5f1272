"""Serving: capacity, scaling, throttling, quotas, validation, health, limits, and what becomes of failed events."""

from ml_policies.rules.serving import api, capacity, events

RULES = (*capacity.RULES, *api.RULES, *events.RULES)
