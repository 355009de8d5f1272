"""Network: no public access, private endpoints, isolation, narrow ways in and out."""

from ml_policies.rules.network import firewalls, isolation, placement, private_links, public_access

RULES = (
    *public_access.RULES,
    *isolation.RULES,
    *placement.RULES,
    *private_links.RULES,
    *firewalls.RULES,
)
