"""Event hubs as this platform makes them: private, without shared keys, captured to the lake; and their sizes."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import eventhub

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context

# How long events can be replayed. https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas
REPLAY_DAYS = 7

# When captured events are written to the lake: after five minutes or 100 MB, what comes first. A task of the feature
# job holds a whole file.
CAPTURE_SECONDS = 300
CAPTURE_BYTES = 100 * 1024 * 1024

# All parts must be in the path; the day comes first, so that who reads some days looks through no others.
# https://learn.microsoft.com/azure/event-hubs/event-hubs-capture-overview
CAPTURE_PATH = "{Year}/{Month}/{Day}/{Namespace}/{EventHub}/{PartitionId}/{Hour}/{Minute}/{Second}"


@dataclass(frozen=True)
class Capture:
    """Where events are kept: a storage account (its id) and container, written to under an identity (its id)."""

    account: pulumi.Input[str]
    container: pulumi.Input[str]
    identity: pulumi.Input[str]


def processing_units(events_per_second: int) -> int:
    """The size of a namespace of the Premium tier for this many events a second; the largest for more than it takes."""
    needed = -(-events_per_second // facts.EVENTS_PER_PROCESSING_UNIT)
    return next((units for units in facts.PROCESSING_UNITS if units >= needed), facts.PROCESSING_UNITS[-1])


def partitions(events_per_second: int, readers: int = 1) -> int:
    """How many partitions a stream of this many events a second needs, of which each has one reader at a time.

    It can't be lowered later.
    """
    needed = max(readers, -(-events_per_second // facts.EVENTS_PER_PARTITION))
    return max(facts.MINIMUM_PARTITIONS, min(facts.MAXIMUM_PARTITIONS, needed))


def private_namespace(
    context: Context,
    foundation: Foundation,
    identities: list[pulumi.Output[str]],
    opts: pulumi.ResourceOptions,
) -> eventhub.Namespace:
    """A namespace that is reached by private endpoints only, and acts under these identities beside that of its key.

    Premium, since the other tiers take no customer-managed key
    (https://learn.microsoft.com/azure/event-hubs/configure-customer-managed-key).
    """
    encryption = foundation.encryption
    return eventhub.Namespace(
        context.logical("events"),
        resource_group_name=foundation.group,
        location=foundation.location,
        sku=eventhub.SkuArgs(
            name=eventhub.SkuName.PREMIUM,
            tier=eventhub.SkuTier.PREMIUM,
            capacity=processing_units(context.workload.data.events_per_second),
        ),
        disable_local_auth=True,
        public_network_access=eventhub.PublicNetworkAccess.DISABLED,
        minimum_tls_version="1.2",
        zone_redundant=True,
        identity=eventhub.IdentityArgs(
            type=eventhub.ManagedServiceIdentityType.USER_ASSIGNED,
            user_assigned_identities=[encryption.identity, *identities],
        ),
        encryption=eventhub.EncryptionArgs(
            key_source=eventhub.KeySource.MICROSOFT_KEY_VAULT,
            key_vault_properties=[
                eventhub.KeyVaultPropertiesArgs(
                    key_name=encryption.name,
                    key_vault_uri=encryption.vault_url,
                    identity=eventhub.UserAssignedIdentityPropertiesArgs(user_assigned_identity=encryption.identity),
                )
            ],
            require_infrastructure_encryption=True,
        ),
        tags=context.tags,
        opts=opts,
    )


def captured_hub(
    context: Context,
    group: pulumi.Input[str],
    namespace: pulumi.Input[str],
    name: str,
    partition_count: int,
    capture: Capture,
    opts: pulumi.ResourceOptions,
) -> eventhub.EventHub:
    """A hub of a namespace (its name) that keeps events for replay, and for good in a folder of the hub's own name."""
    days = min(REPLAY_DAYS, context.workload.data.retention_days)
    return eventhub.EventHub(
        context.logical(name),
        resource_group_name=group,
        namespace_name=namespace,
        event_hub_name=name,
        partition_count=partition_count,
        retention_description=eventhub.RetentionDescriptionArgs(
            cleanup_policy=eventhub.CleanupPolicyRetentionDescription.DELETE, retention_time_in_hours=24 * days
        ),
        capture_description=eventhub.CaptureDescriptionArgs(
            enabled=True,
            encoding=eventhub.EncodingCaptureDescription.AVRO,
            interval_in_seconds=CAPTURE_SECONDS,
            size_limit_in_bytes=CAPTURE_BYTES,
            skip_empty_archives=True,
            destination=eventhub.DestinationArgs(
                name="EventHubArchive.AzureBlockBlob",
                storage_account_resource_id=capture.account,
                blob_container=capture.container,
                archive_name_format=f"{name}/{CAPTURE_PATH}",
                identity=eventhub.CaptureIdentityArgs(
                    type=eventhub.CaptureIdentityType.USER_ASSIGNED, user_assigned_identity=capture.identity
                ),
            ),
        ),
        opts=opts,
    )
