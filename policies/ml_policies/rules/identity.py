"""Identity: least privilege, no shared keys, no long-lived credentials, limited trust."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
