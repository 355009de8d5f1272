"""Vaults that aren't the workspaces' own, whose secrets and keys the workspaces' identity manages."""

import pulumi
from pulumi_azure_native import keyvault

from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context


def private_vault(context: Context, foundation: Foundation, part: str, opts: pulumi.ResourceOptions) -> keyvault.Vault:
    """A vault that is reached by a private endpoint alone, also by services of Azure, and has its logs kept.

    part: at most 7 characters.
    """
    vault = keyvault.Vault(
        foundation.short(part),
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
        opts=opts,
    )
    foundation.private_endpoint(part, vault.id, "vault")
    foundation.keep_logs(part, vault)
    return vault
