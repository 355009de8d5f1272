"""Cost: machines, bounds, idle shutdown, budgets, spot capacity, and what is left behind."""

from ml_policies.rules.cost import machines, spending

RULES = machines.RULES + spending.RULES
