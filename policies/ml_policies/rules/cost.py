"""Cost: bounds, idle shutdown, budgets, spot capacity."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
