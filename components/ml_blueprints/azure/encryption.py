"""The customer-managed key as Azure's services take it: made here or brought along, with the identity that uses it."""

import re
from dataclasses import dataclass

import pulumi

from ml_blueprints.errors import BlueprintError, Problem

_VERSION = re.compile(
    r"(?P<key>(?P<vault>/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.KeyVault/vaults/"
    r"(?P<vault_name>[^/\s]+))/keys/(?P<name>[^/\s]+))/versions/(?P<version>[^/\s]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Encryption:
    """A key and who may use it.

    key: resource id. url: its identifier without a version, so that services follow when it rotates. versioned_url:
    with it, for Redis, which follows at the next deployment. vault, vault_url: resource id of the vault, and where it
    answers. identity, identity_client: resource id and client id of the identity under which services ask for it.
    """

    key: pulumi.Output[str]
    name: pulumi.Output[str]
    url: pulumi.Output[str]
    versioned_url: pulumi.Output[str]
    vault: pulumi.Output[str]
    vault_url: pulumi.Output[str]
    identity: pulumi.Output[str]
    identity_client: pulumi.Output[str]


def existing_key(resource_id: str) -> dict[str, str]:
    """The parts of an Encryption that the resource id of a key's version says.

    A key identifier URL doesn't say where the vault lies, which a workspace must be told, nor on what to grant the use
    of the key. Raises BlueprintError for anything but a resource id.
    """
    match = _VERSION.fullmatch(resource_id)
    if match is None:
        problem = Problem(
            "ml-blueprints:encryption.existing_key",
            f"`{resource_id}`",
            "on Azure the resource id of a key's version is expected: `/subscriptions/.../resourceGroups/.../providers/"
            "Microsoft.KeyVault/vaults/.../keys/.../versions/...`",
        )
        raise BlueprintError(f"Pulumi.{pulumi.get_stack()}.yaml", [problem])
    vault_url = f"https://{match['vault_name'].lower()}.vault.azure.net"
    url = f"{vault_url}/keys/{match['name']}"
    return {
        "key": match["key"],
        "name": match["name"],
        "url": url,
        "versioned_url": f"{url}/{match['version']}",
        "vault": match["vault"],
        "vault_url": vault_url,
    }
