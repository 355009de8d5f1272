"""How long data is kept, and that it comes back when somebody deletes or overwrites it."""

import re
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
    some,
    when,
)
from ml_policies.relations import belonging, itself, one_relation, related, where
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.rules.data.stores import ACCOUNT, BUCKET, COSMOS, DATASET, DYNAMODB, GCS, KINESIS, TOPIC

BLOB_SERVICE = "azure-native:storage:BlobServiceProperties"
_BLOBS = belonging(BLOB_SERVICE, "accountName", "accountName")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


def _hours(per: float) -> Any:
    """Judges that something lasts as many hours as the parameter `hours` says, by numbers of a unit or by `604800s`."""

    def wrong(value: Any, parameters: Mapping[str, Any]) -> str | None:
        text = _SECONDS.fullmatch(value) if isinstance(value, str) else None
        hours = float(text[1]) / 3600 if text else number(value, 0) * per
        return None if hours >= parameters["hours"] else f"{parameters['hours']} hours or more"

    return wrong


def _kept(path: str) -> Check:
    """Azure's soft delete, which keeps what was deleted for a week at least."""
    return all_of(equals(f"{path}.enabled", True), at_least(f"{path}.days", 7))


def unless_protected(check: Check) -> Check:
    """A check that doesn't count for what Pulumi itself protects from deletion."""
    return lambda scope: iter(()) if scope.resource.protect else check(scope)


RULES = (
    Rule(
        "MLB-DAT-009",
        "What is overwritten or deleted in a data lake can be brought back.",
        Severity.HIGH,
        "Turn on versioning of the bucket; on Azure, soft delete of the account's blobs for a week or longer.",
        checks={
            GCS: equals(
                "versioning.enabled",
                True,
                default=False,
                source="https://cloud.google.com/storage/docs/object-versioning",
            ),
        },
        relations={
            BUCKET: one_relation(
                related(
                    belonging("aws:s3/bucketVersioning:BucketVersioning", "bucket", "bucket"),
                    "versioning (aws:s3/bucketVersioning:BucketVersioning) that is enabled",
                    check=equals("versioningConfiguration.status", "Enabled"),
                ),
                itself(equals("versioning.enabled", True)),
            ),
            ACCOUNT: where(
                none_of("kind", ("FileStorage",)),
                related(
                    _BLOBS,
                    f"soft delete of blobs ({BLOB_SERVICE}) for a week or longer",
                    check=_kept("deleteRetentionPolicy"),
                ),
            ),
        },
        references=("checkov:CKV_AWS_21", "checkov:CKV_GCP_78", "checkov:CKV2_AZURE_38"),
    ),
    Rule(
        "MLB-DAT-010",
        "A data lake says when what it holds is deleted or moved.",
        Severity.MEDIUM,
        "Give the bucket or the account lifecycle rules that follow the retention of its data.",
        checks={GCS: some("lifecycleRules[]", present("action.type"), "at least one lifecycle rule")},
        relations={
            BUCKET: one_relation(
                related(
                    belonging("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "bucket", "bucket"),
                    "lifecycle rules (aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration), one of them "
                    "enabled",
                    check=some("rules[]", equals("status", "Enabled"), "at least one enabled rule"),
                ),
                itself(some("lifecycleRules[]", equals("enabled", True), "at least one enabled rule")),
            ),
            ACCOUNT: where(
                equals("isHnsEnabled", True),
                related(
                    belonging("azure-native:storage:ManagementPolicy", "accountName", "accountName"),
                    "lifecycle rules (azure-native:storage:ManagementPolicy), one of them enabled",
                    check=some(
                        "policy.rules[]",
                        equals(
                            "enabled",
                            True,
                            default=True,
                            source="https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-policy-structure",
                        ),
                        "at least one enabled rule",
                    ),
                ),
            ),
        },
        references=("checkov:CKV2_AWS_61", "security-hub:S3.10"),
        differs={
            "checkov:CKV2_AWS_61": "Rules that are disabled don't count.",
        },
    ),
    Rule(
        "MLB-DAT-011",
        "Streams keep events long enough to be read again.",
        Severity.MEDIUM,
        "Raise the retention of the stream to the hours that a repair may take.",
        checks={
            KINESIS: judged(
                "retentionPeriod",
                _hours(1),
                default=24,
                source="https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html",
            ),
            # A topic that has a schema carries events; others carry signals of the platform.
            TOPIC: when(present("schemaSettings.schema"), judged("messageRetentionDuration", _hours(1))),
            "gcp:pubsub/subscription:Subscription": judged(
                "messageRetentionDuration",
                _hours(1),
                default="604800s",
                source="https://cloud.google.com/pubsub/docs/subscription-properties#message_retention_duration",
            ),
            "azure-native:eventhub:EventHub": any_of(
                judged("retentionDescription.retentionTimeInHours", _hours(1)),
                judged("messageRetentionInDays", _hours(24)),
                equals("retentionDescription.cleanupPolicy", "Compact"),
            ),
        },
        parameters={"hours": Parameter(168, {"type": "integer", "minimum": 1}, "The hours that events are kept.")},
        references=("security-hub:Kinesis.3",),
    ),
    Rule(
        "MLB-DAT-012",
        "Taking away a resource doesn't silently delete the data in it.",
        Severity.HIGH,
        "Drop the setting that empties what is deleted, turn on protection from deletion, or use Pulumi's `protect`.",
        checks={
            BUCKET: outside_experiments(
                "tags",
                equals(
                    "forceDestroy",
                    False,
                    default=False,
                    source="https://www.pulumi.com/registry/packages/aws/api-docs/s3/bucket/",
                ),
            ),
            DYNAMODB: outside_experiments(
                "tags",
                unless_protected(
                    equals(
                        "deletionProtectionEnabled",
                        True,
                        default=False,
                        source="https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html",
                    )
                ),
            ),
            GCS: outside_experiments(
                "labels",
                equals(
                    "forceDestroy",
                    False,
                    default=False,
                    source="https://www.pulumi.com/registry/packages/gcp/api-docs/storage/bucket/",
                ),
            ),
            DATASET: equals(
                "deleteContentsOnDestroy",
                False,
                default=False,
                source="https://www.pulumi.com/registry/packages/gcp/api-docs/bigquery/dataset/",
            ),
            "gcp:bigtable/instance:Instance": outside_experiments(
                "labels",
                unless_protected(
                    equals(
                        "deletionProtection",
                        True,
                        default=True,
                        source="https://www.pulumi.com/registry/packages/gcp/api-docs/bigtable/instance/",
                    )
                ),
            ),
            "gcp:bigtable/table:Table": unless_protected(
                equals(
                    "deletionProtection",
                    "PROTECTED",
                    default="UNPROTECTED",
                    source="https://www.pulumi.com/registry/packages/gcp/api-docs/bigtable/table/",
                )
            ),
            "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": equals(
                "forceDestroy",
                False,
                default=False,
                source="https://www.pulumi.com/registry/packages/gcp/api-docs/vertex/aifeatureonlinestore/",
            ),
            BLOB_SERVICE: _kept("containerDeleteRetentionPolicy"),
        },
        references=("checkov:CKV_GCP_122", "security-hub:DynamoDB.6"),
        differs={
            "checkov:CKV_GCP_121": "A deleted BigQuery table comes back within the time travel window (MLB-DAT-013); "
            "the provider's own guard would only make a wanted `pulumi destroy` fail.",
        },
    ),
    Rule(
        "MLB-DAT-013",
        "Databases can be restored to an earlier point in time.",
        Severity.HIGH,
        "Turn on point-in-time recovery, or backups that go back a week.",
        checks={
            DYNAMODB: equals(
                "pointInTimeRecovery.enabled",
                True,
                default=False,
                source="https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html",
            ),
            "aws:rds/instance:Instance": at_least(
                "backupRetentionPeriod",
                7,
                default=0,
                source="https://www.pulumi.com/registry/packages/aws/api-docs/rds/instance/",
            ),
            DATASET: at_least(
                "maxTimeTravelHours",
                168,
                default=168,
                source="https://cloud.google.com/bigquery/docs/time-travel#configure_the_time_travel_window",
            ),
            "gcp:bigtable/table:Table": present("automatedBackupPolicy.frequency"),
            "gcp:firestore/database:Database": equals(
                "pointInTimeRecoveryEnablement",
                "POINT_IN_TIME_RECOVERY_ENABLED",
                default="POINT_IN_TIME_RECOVERY_DISABLED",
                source="https://cloud.google.com/firestore/docs/use-pitr",
            ),
            "gcp:sql/databaseInstance:DatabaseInstance": when(
                none_of("instanceType", ("READ_REPLICA_INSTANCE",)),
                equals(
                    "settings.backupConfiguration.enabled",
                    True,
                    default=False,
                    source="https://www.pulumi.com/registry/packages/gcp/api-docs/sql/databaseinstance/",
                ),
            ),
            COSMOS: equals(
                "backupPolicy.type",
                "Continuous",
                default="Periodic",
                source="https://learn.microsoft.com/azure/cosmos-db/periodic-backup-restore-introduction",
            ),
        },
        references=("checkov:CKV_AWS_28", "checkov:CKV_GCP_14", "security-hub:DynamoDB.2"),
    ),
    Rule(
        "MLB-DAT-014",
        "What a database in memory holds survives its nodes.",
        Severity.MEDIUM,
        "Write it to disk as it changes, or keep snapshots.",
        checks={
            "aws:elasticache/replicationGroup:ReplicationGroup": at_least(
                "snapshotRetentionLimit",
                1,
                default=0,
                source="https://www.pulumi.com/registry/packages/aws/api-docs/elasticache/replicationgroup/",
            ),
            "aws:elasticache/serverlessCache:ServerlessCache": at_least(
                "snapshotRetentionLimit",
                1,
                default=0,
                source="https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups-automatic.html",
            ),
            "gcp:redis/instance:Instance": one_of(
                "persistenceConfig.persistenceMode",
                ("RDB",),
                default="DISABLED",
                source="https://cloud.google.com/memorystore/docs/redis/rdb-snapshots",
            ),
            "gcp:redis/cluster:Cluster": one_of(
                "persistenceConfig.mode",
                ("RDB", "AOF"),
                default="DISABLED",
                source="https://cloud.google.com/memorystore/docs/cluster/persistence-overview",
            ),
            "gcp:memorystore/instance:Instance": one_of(
                "persistenceConfig.mode",
                ("RDB", "AOF"),
                default="DISABLED",
                source="https://cloud.google.com/memorystore/docs/valkey/about-persistence",
            ),
            # https://learn.microsoft.com/azure/redis/how-to-persistence
            "azure-native:redisenterprise:Database": any_of(
                equals("persistence.aofEnabled", True), equals("persistence.rdbEnabled", True)
            ),
        },
    ),
)
