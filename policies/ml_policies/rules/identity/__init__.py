"""Identity: few rights, on named resources, for named identities, without keys that last."""

from ml_policies.rules.identity import grants, keys, public, trust

RULES = tuple(sorted((*grants.RULES, *trust.RULES, *public.RULES, *keys.RULES), key=lambda rule: rule.id))
