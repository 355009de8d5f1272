"""Network: no public access, private endpoints, isolation, narrow ways in and out."""

from ml_policies.rules.network import firewalls

RULES = (*firewalls.RULES,)
