"""Network: no public access, private endpoints, isolation, narrow ways in and out."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
