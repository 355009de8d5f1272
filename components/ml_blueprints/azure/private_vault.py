"""Vaults as this platform makes them: private, with access by roles alone, and not to be purged."""

import pulumi
from pulumi_azure_native import keyvault

from ml_blueprints.layers import Context


def private_vault(
    context: Context,
    name: str,
    group: pulumi.Input[str],
    location: str,
    tenant: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    bypass: keyvault.NetworkRuleBypassOptions = keyvault.NetworkRuleBypassOptions.NONE,
) -> keyvault.Vault:
    """A vault that is reached by private endpoints only, and by the services of Azure that `bypass` lets in.

    name: a logical name of which auto-naming makes 3 to 24 characters; the physical one stays taken for as long as a
    deleted vault can be recovered.
    """
    return keyvault.Vault(
        name,
        resource_group_name=group,
        location=location,
        properties=keyvault.VaultPropertiesArgs(
            tenant_id=tenant,
            sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
            enable_rbac_authorization=True,
            enable_soft_delete=True,
            # What is left of an experiment doesn't outlive it for long.
            soft_delete_retention_in_days=14 if context.settings.experiment else 90,
            enable_purge_protection=True,
            public_network_access="Disabled",
            network_acls=keyvault.NetworkRuleSetArgs(default_action=keyvault.NetworkRuleAction.DENY, bypass=bypass),
        ),
        tags=context.tags,
        opts=opts,
    )
