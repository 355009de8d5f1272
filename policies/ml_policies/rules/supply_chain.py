"""Supply chain: images by digest from registries that scan and keep tags immutable."""

from ml_policies.rule import Rule

RULES: tuple[Rule, ...] = ()
