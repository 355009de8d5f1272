"""The vault of the key that signs models: whoever owns the key puts it there, and training alone reads it."""

import pulumi
from pulumi_azure_native import keyvault

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose

# What is called so in the vault is put there by the key's owner: an Ed25519 key in PEM.
NAME = "model-signing"


class SigningVault(pulumi.ComponentResource):
    """A vault for one secret, which no stack ever holds.

    It isn't the workspaces' own vault, whose secrets their identity manages. `vault`: the resource. `reference`: by
    what steps are told of the key. `readers`: the grant of its reader, which what reads waits for.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:azure:SigningVault", context.logical("signing"), None, opts)
        self.vault = keyvault.Vault(
            foundation.short("signing"),
            resource_group_name=foundation.group,
            location=foundation.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=foundation.tenant,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                # What is left of an experiment doesn't outlive it for long.
                soft_delete_retention_in_days=14 if context.settings.experiment else 90,
                enable_purge_protection=True,
                public_network_access="Disabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    default_action=keyvault.NetworkRuleAction.DENY, bypass=keyvault.NetworkRuleBypassOptions.NONE
                ),
            ),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        foundation.private_endpoint("signing", self.vault.id, "vault")
        foundation.keep_logs("signing", self.vault)
        self.readers = foundation.grant(Purpose.TRAINING, "signing", facts.ROLE_VAULT_READER, self.vault.id)
        # A preview has the properties that were given, and no address among them: the id comes with the address.
        self.reference = pulumi.Output.all(self.vault.id, self.vault.properties.vault_uri).apply(
            lambda made: f"azure-secret:{made[1]}secrets/{NAME}"
        )
        self.register_outputs({"vaultId": self.vault.id})
