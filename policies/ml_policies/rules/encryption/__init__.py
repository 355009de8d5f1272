"""Encryption: at rest with the customer's own keys, the keys themselves, and in transit."""

from ml_policies.rules.encryption import at_rest, in_transit, keys, services

RULES = (*at_rest.RULES, *services.RULES, *keys.RULES, *in_transit.RULES)
