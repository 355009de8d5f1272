"""Where Pulumi starts the policy pack: `pulumi preview --policy-pack policies`."""

from ml_policies.analyzer import serve

serve()
