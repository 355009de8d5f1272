"""Declarations that a property names a key of the customer's own."""

from ml_policies.checks import Check, all_of, matches, none_of

REGISTRY = "https://www.pulumi.com/registry/packages/"

# The encryption of an Azure ML workspace: what its endpoints, experiments, models and logs of runs are kept with.
WORKSPACE = "azure-native:machinelearningservices:Workspace"


def own_key(path: str) -> Check:
    """A customer-managed key: not nothing, and none of the keys that AWS manages, `alias/aws/...`."""
    return matches(path, r"(?is)(?!(?:.*:)?alias/aws/)\s*\S.*", "a customer-managed key")


def own_keys(path: str, *types: str) -> dict[str, Check]:
    """The same property of several types as a customer-managed key."""
    return dict.fromkeys(types, own_key(path))


def workspace_key() -> Check:
    """A workspace whose encryption has a key and isn't switched off."""
    return all_of(own_key("encryption.keyVaultProperties.keyIdentifier"), none_of("encryption.status", ("Disabled",)))
