"""Network: no public access, private endpoints, isolation, narrow ways in and out."""

from ml_policies.rules.network import firewalls, public_access

RULES = (*public_access.RULES, *firewalls.RULES)
