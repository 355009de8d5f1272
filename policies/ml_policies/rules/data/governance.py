"""What data is, whose it is, where it may be, what shape it has, and that neither the public nor time gets at it."""

from collections.abc import Mapping
from typing import Any

from ml_policies.checks import (
    Check,
    all_of,
    any_of,
    at_least,
    equals,
    judged,
    none_of,
    number,
    one_of,
    outside_experiments,
    present,
    when,
)
from ml_policies.relations import anywhere, belonging, itself, one_relation, related, where
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.rules.data.stores import (
    ACCOUNT,
    BUCKET,
    COSMOS,
    DATASET,
    DYNAMODB,
    EVENT_HUBS,
    GCS,
    KINESIS,
    LABELS,
    PLACES,
    TOPIC,
    labelled,
    placed,
    within_regions,
)

_TEXTS = {"type": "array", "items": {"type": "string"}}
_REGIONS = Parameter([], _TEXTS, "The regions in which data may be; all, if empty.")

_REDUNDANT = ("GRS", "RAGRS", "GZRS", "RAGZRS")

_labelled: dict[str, Check] = {type_: labelled(path) for type_, path in LABELS.items()}


def _near(sku: Any, parameters: Mapping[str, Any]) -> str | None:
    """Azure's redundancy over two regions, whose second region can't be chosen, where regions are limited."""
    far = str(sku).upper().rpartition("_")[2] in _REDUNDANT
    return "redundancy within the region, such as Standard_ZRS" if far and parameters["allowed_regions"] else None


def _zoned(path: str) -> Check:
    """Holds for what is in one of the `zones`."""
    return judged(path, lambda zone, parameters: None if zone in parameters["zones"] else "a zone that is written once")


def _some_seconds(value: Any, _: Mapping[str, Any]) -> str | None:
    return None if number(value, 0) > 0 else "a number of seconds"


RULES = (
    Rule(
        "MLB-DAT-001",
        "What keeps data says how confidential the data is.",
        Severity.MEDIUM,
        "Set the label of the classification to one of the values that the organisation knows.",
        checks=_labelled,
        parameters={
            "tag": Parameter("classification", {"type": "string"}, "The name of the label or tag."),
            "values": Parameter(["public", "internal", "confidential", "restricted"], _TEXTS, "The classes there are."),
        },
    ),
    Rule(
        "MLB-DAT-002",
        "What keeps data names its owner.",
        Severity.MEDIUM,
        "Set the label of the owner to the team or the address that answers for the data.",
        checks=_labelled,
        parameters={"tag": Parameter("owner", {"type": "string"}, "The name of the label or tag.")},
    ),
    Rule(
        "MLB-DAT-003",
        "Data is kept and used in the regions that the organisation allows.",
        Severity.HIGH,
        "Create the resource in one of the allowed regions; name its region, if the provider's is another.",
        relations={type_: placed(*place) for type_, place in PLACES.items()},
        parameters={"allowed_regions": _REGIONS},
    ),
    Rule(
        "MLB-DAT-004",
        "Copies of data stay in the regions that the organisation allows, and in its own tenant.",
        Severity.HIGH,
        "Name the regions that may hold copies, and choose redundancy within the region.",
        checks={
            DYNAMODB: within_regions("replicas[].regionName"),
            "aws:dynamodb/tableReplica:TableReplica": within_regions("region"),
            "aws:ecr/replicationConfiguration:ReplicationConfiguration": within_regions(
                "replicationConfiguration.rules[].destinations[].region"
            ),
            TOPIC: all_of(
                present("messageStoragePolicy.allowedPersistenceRegions"),
                within_regions("messageStoragePolicy.allowedPersistenceRegions[]"),
            ),
            ACCOUNT: all_of(
                judged("sku.name", _near),
                equals(
                    "allowCrossTenantReplication",
                    False,
                    default=False,
                    source="https://learn.microsoft.com/azure/storage/blobs/object-replication-prevent-cross-tenant-policies",
                ),
            ),
            COSMOS: within_regions("locations[].locationName"),
            "azure-native:containerregistry:Replication": within_regions("location"),
        },
        parameters={"allowed_regions": _REGIONS},
        differs={
            "checkov:CKV_AZURE_206": "Where the allowed regions are named, a copy in a region that Azure chooses is no "
            "gain but a breach.",
        },
    ),
    Rule(
        "MLB-DAT-005",
        "Events have a contract, and its changes are checked for compatibility.",
        Severity.MEDIUM,
        "Register the schema of the events, with a compatibility that refuses what breaks readers.",
        checks={
            "aws:glue/schema:Schema": none_of("compatibility", ("NONE", "DISABLED", "")),
            "gcp:pubsub/schema:Schema": all_of(present("definition"), one_of("type", ("AVRO", "PROTOCOL_BUFFER"))),
            "gcp:pubsub/subscription:Subscription": when(
                present("bigqueryConfig.table"),
                any_of(equals("bigqueryConfig.useTopicSchema", True), equals("bigqueryConfig.useTableSchema", True)),
            ),
            "azure-native:eventhub:SchemaRegistry": one_of("schemaCompatibility", ("Backward", "Forward")),
        },
        relations={
            KINESIS: related(
                anywhere("aws:glue/schema:Schema"), "a schema of the events (aws:glue/schema:Schema) in the stack"
            ),
            EVENT_HUBS: where(
                none_of("sku.name", ("Basic",)),
                related(
                    belonging("azure-native:eventhub:SchemaRegistry", "namespaceName", "namespaceName"),
                    "a schema group (azure-native:eventhub:SchemaRegistry) in the namespace",
                ),
            ),
        },
    ),
    Rule(
        "MLB-DAT-006",
        "Data in a catalogue says what it is.",
        Severity.LOW,
        "Describe the data set, and let feature groups register their tables, or name the one that they have.",
        checks={
            "aws:glue/catalogDatabase:CatalogDatabase": present("description"),
            "aws:glue/catalogTable:CatalogTable": all_of(present("description"), present("storageDescriptor.columns")),
            "aws:sagemaker/featureGroup:FeatureGroup": all_of(
                present("description"),
                # SageMaker makes a table, or the group is told which of the account's own has its history.
                any_of(
                    equals(
                        "offlineStoreConfig.disableGlueTableCreation",
                        False,
                        default=False,
                        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OfflineStoreConfig.html",
                    ),
                    present("offlineStoreConfig.dataCatalogConfig.tableName"),
                ),
            ),
            DATASET: present("description"),
            "gcp:bigquery/table:Table": present("description"),
            "gcp:vertex/aiFeatureGroup:AiFeatureGroup": present("description"),
            "azure-native:machinelearningservices:DataVersion": present("properties.description"),
            "azure-native:machinelearningservices:FeaturesetVersion": present("properties.description"),
            "azure-native:machinelearningservices:FeaturestoreEntityVersion": present("properties.description"),
        },
    ),
    Rule(
        "MLB-DAT-008",
        "Data that must never change is written once: nobody can overwrite or delete it before its time.",
        Severity.MEDIUM,
        "Turn on object lock, a retention policy, or immutable storage of the container.",
        checks={
            BUCKET: when(_zoned("tags.zone"), equals("objectLockEnabled", True)),
            GCS: when(_zoned("labels.zone"), judged("retentionPolicy.retentionPeriod", _some_seconds)),
        },
        relations={
            "azure-native:storage:BlobContainer": where(
                _zoned("containerName"),
                one_relation(
                    related(
                        belonging(
                            "azure-native:storage:BlobContainerImmutabilityPolicy", "containerName", "containerName"
                        ),
                        "a policy of immutability (azure-native:storage:BlobContainerImmutabilityPolicy) of some days",
                        check=at_least("immutabilityPeriodSinceCreationInDays", 1),
                    ),
                    itself(equals("immutableStorageWithVersioning.enabled", True)),
                ),
            )
        },
        parameters={
            "zones": Parameter(
                [], _TEXTS, "Labels `zone` of buckets, or names of containers, that are written once; none, if empty."
            ),
        },
    ),
    Rule(
        "MLB-DAT-007",
        "What a notebook shows can't be downloaded from it.",
        Severity.LOW,
        "Set the metadata `notebook-disable-downloads` of the workbench to `true`.",
        checks={
            "gcp:workbench/instance:Instance": outside_experiments(
                "labels",
                equals(
                    "gceSetup.metadata.notebook-disable-downloads",
                    True,
                    default=False,
                    source="https://cloud.google.com/vertex-ai/docs/workbench/instances/manage-metadata",
                ),
            )
        },
        missing={
            "aws": "Notebooks of SageMaker have no switch for downloads; only what runs in them could refuse them.",
            "azure": "Compute instances have no switch for downloads; only what runs on them could refuse them.",
        },
        references=("google-org-policy:ainotebooks.disableFileDownloads",),
    ),
)
