"""Storage accounts as this platform makes them: private, without shared keys, encrypted with the customer's key."""

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import monitor, storage

from ml_blueprints.azure.encryption import Encryption
from ml_blueprints.layers import Context


def account_name(context: Context, part: str) -> str:
    """At most 24 lower case letters and digits, unique in the world, so that `part` must be short."""
    return f"{part}{context.token}"


def private_account(
    context: Context,
    part: str,
    group: pulumi.Input[str],
    location: str,
    encryption: Encryption,
    logs: pulumi.Input[str],
    hierarchical: bool,
    opts: pulumi.ResourceOptions,
    versions: bool = False,
) -> tuple[storage.StorageAccount, monitor.DiagnosticSetting]:
    """A storage account that is reached by private endpoints only, and its log; `hierarchical` makes it a data lake.

    Who reads, writes and deletes blobs is logged in a workspace (its id). What is deleted is kept for a month; what is
    written over only with `versions`, which accounts with a hierarchical namespace don't have.
    https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues and
    https://learn.microsoft.com/azure/storage/blobs/soft-delete-blob-overview
    """
    account = storage.StorageAccount(
        context.logical(part),
        account_name=account_name(context, part),
        resource_group_name=group,
        location=location,
        kind=storage.Kind.STORAGE_V2,
        sku=storage.SkuArgs(name=storage.SkuName.STANDARD_ZRS),
        is_hns_enabled=hierarchical,
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        allow_cross_tenant_replication=False,
        default_to_o_auth_authentication=True,
        is_local_user_enabled=False,
        enable_https_traffic_only=True,
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        public_network_access=storage.PublicNetworkAccess.DISABLED,
        network_rule_set=storage.NetworkRuleSetArgs(
            default_action=storage.DefaultAction.DENY, bypass=storage.Bypass.AZURE_SERVICES
        ),
        identity=storage.IdentityArgs(
            type=storage.IdentityType.USER_ASSIGNED, user_assigned_identities=[encryption.identity]
        ),
        encryption=storage.EncryptionArgs(
            key_source=storage.KeySource.MICROSOFT_KEYVAULT,
            key_vault_properties=storage.KeyVaultPropertiesArgs(
                key_name=encryption.name, key_vault_uri=encryption.vault_url
            ),
            encryption_identity=storage.EncryptionIdentityArgs(encryption_user_assigned_identity=encryption.identity),
            require_infrastructure_encryption=True,
        ),
        tags=context.tags,
        opts=opts,
    )
    kept = storage.DeleteRetentionPolicyArgs(enabled=True, days=30)
    service = storage.BlobServiceProperties(
        context.logical(part),
        resource_group_name=group,
        account_name=account.name,
        blob_services_name="default",
        delete_retention_policy=kept,
        container_delete_retention_policy=kept,
        is_versioning_enabled=True if versions else None,
        opts=pulumi.ResourceOptions(parent=account),
    )
    log = monitor.DiagnosticSetting(
        context.logical(f"{part}-blob-logs"),
        resource_uri=service.id,
        workspace_id=logs,
        logs=[monitor.DiagnosticsLogSettingsArgs(category_group="allLogs", enabled=True)],
        # The account's ids aren't known in a preview; by this a policy sees even there whose logs they are.
        opts=pulumi.ResourceOptions(parent=service, depends_on=[account]),
    )
    return account, log


def delete_after(
    context: Context,
    part: str,
    group: pulumi.Input[str],
    account: storage.StorageAccount,
    days: int,
    prefixes: Sequence[str],
) -> storage.ManagementPolicy:
    """Delete what lies under some prefixes of an account (container and path) so many days after it was written."""
    deleted = storage.DateAfterModificationArgs(days_after_modification_greater_than=days)
    actions = storage.ManagementPolicyActionArgs(base_blob=storage.ManagementPolicyBaseBlobArgs(delete=deleted))
    return _policy(context, part, group, account, actions, list(prefixes))


def delete_versions_after(
    context: Context, part: str, group: pulumi.Input[str], account: storage.StorageAccount, days: int
) -> storage.ManagementPolicy:
    """Delete what was written over so many days after that version was made."""
    deleted = storage.DateAfterCreationArgs(days_after_creation_greater_than=days)
    actions = storage.ManagementPolicyActionArgs(version=storage.ManagementPolicyVersionArgs(delete=deleted))
    return _policy(context, part, group, account, actions, None)


def _policy(
    context: Context,
    part: str,
    group: pulumi.Input[str],
    account: storage.StorageAccount,
    actions: storage.ManagementPolicyActionArgs,
    prefixes: list[str] | None,
) -> storage.ManagementPolicy:
    return storage.ManagementPolicy(
        context.logical(part),
        resource_group_name=group,
        account_name=account.name,
        management_policy_name="default",
        policy=storage.ManagementPolicySchemaArgs(
            rules=[
                storage.ManagementPolicyRuleArgs(
                    name="retention",
                    enabled=True,
                    type=storage.RuleType.LIFECYCLE,
                    definition=storage.ManagementPolicyDefinitionArgs(
                        filters=storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"], prefix_match=prefixes),
                        actions=actions,
                    ),
                )
            ]
        ),
        opts=pulumi.ResourceOptions(parent=account),
    )
