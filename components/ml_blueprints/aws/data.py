"""The data layer on AWS: S3 zones, Glue catalog and schema registry, Kinesis for events, SQS for dead letters."""

import json
from typing import Any

import pulumi
from pulumi_aws import glue, kinesis, s3, sqs

from ml_blueprints import layers
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

# Records that one shard takes in a second. https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
RECORDS_PER_SHARD = 1000


def glue_columns(record: dict[str, Any]) -> list[glue.CatalogTableStorageDescriptorColumnArgs]:
    """The columns of a Glue table that holds records of an Avro schema; a nested type is kept as JSON text."""
    return [
        glue.CatalogTableStorageDescriptorColumnArgs(
            name=field["name"], type=glue_type(field["type"]), comment=field.get("doc", "")[:255]
        )
        for field in record["fields"]
    ]


def glue_type(avro: Any) -> str:
    """The Glue type of an Avro type; a union with null is the type itself, since every column may be null."""
    if isinstance(avro, list):
        return glue_type(next(branch for branch in avro if branch != "null"))
    if isinstance(avro, dict):
        if avro.get("logicalType", "").startswith("timestamp"):
            return "timestamp"
        if avro["type"] == "array":
            return f"array<{glue_type(avro['items'])}>"
        avro = avro["type"]
    return facts.GLUE_TYPES.get(avro, "string")


class Data(layers.Data):
    """Lake, catalog, contract and event stream on AWS.

    Native resources: `buckets` by zone, `database`, `table`, `registry`, `contract`, and for streams `event_stream`
    and `dead_letter_queue`.
    """

    cloud = "aws"

    def __init__(
        self, context: Context, foundation: Foundation, stream: bool, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__(context, opts)
        self.foundation = foundation
        self.event_stream: kinesis.Stream | None = None
        self.dead_letter_queue: sqs.Queue | None = None
        self._lake()
        self._catalog()
        self._contract()
        if stream:
            self._stream()
        self._rights()
        self.give(
            zones={zone: pulumi.Output.concat("s3://", bucket.bucket) for zone, bucket in self.buckets.items()},
            catalog=self.table.arn,
            schema=self.contract.arn,
            stream=self.event_stream.arn if self.event_stream else None,
            dead_letters=self.dead_letter_queue.arn if self.dead_letter_queue else None,
        )

    def _lake(self) -> None:
        self.buckets: dict[Zone, s3.Bucket] = {}
        for zone in Zone:
            name = self.context.logical(zone)
            bucket = s3.Bucket(name, tags=self.context.tags | {"zone": zone.value}, opts=self.child())
            inside = pulumi.ResourceOptions(parent=bucket)
            s3.BucketVersioning(
                name,
                bucket=bucket.id,
                versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
                opts=inside,
            )
            s3.BucketServerSideEncryptionConfiguration(
                name,
                bucket=bucket.id,
                rules=[
                    s3.BucketServerSideEncryptionConfigurationRuleArgs(
                        apply_server_side_encryption_by_default=s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                            sse_algorithm="aws:kms", kms_master_key_id=self.foundation.key
                        ),
                        bucket_key_enabled=True,
                    )
                ],
                opts=inside,
            )
            closed = s3.BucketPublicAccessBlock(
                name,
                bucket=bucket.id,
                block_public_acls=True,
                block_public_policy=True,
                ignore_public_acls=True,
                restrict_public_buckets=True,
                opts=inside,
            )
            s3.BucketPolicy(
                name,
                bucket=bucket.id,
                policy=policy.document(policy.deny_insecure_transport("s3:*", bucket.arn)),
                # S3 takes one change of a bucket's access at a time.
                opts=pulumi.ResourceOptions(parent=bucket, depends_on=[closed]),
            )
            self._retention(zone, bucket)
            self.buckets[zone] = bucket
        self.realise("data-lake", *self.buckets.values())

    def _retention(self, zone: Zone, bucket: s3.Bucket) -> None:
        """Old versions go after a month; data of people goes when its retention ends, models are kept."""
        days = self.context.workload.data.retention_days
        s3.BucketLifecycleConfiguration(
            self.context.logical(zone),
            bucket=bucket.id,
            rules=[
                s3.BucketLifecycleConfigurationRuleArgs(
                    id="retention",
                    status="Enabled",
                    filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    expiration=None
                    if zone is Zone.MODELS
                    else s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
                    noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=30
                    ),
                    abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=7
                    ),
                )
            ],
            opts=pulumi.ResourceOptions(parent=bucket),
        )

    def _catalog(self) -> None:
        context, contract = self.context, self.context.workload.data.contract
        self.database = glue.CatalogDatabase(
            context.logical("catalog"),
            name=f"{context.name.replace('-', '_')}_{context.token}",
            description=context.workload.description,
            tags=context.tags,
            opts=self.child(),
        )
        self.table = glue.CatalogTable(
            context.logical("raw"),
            name=contract.record["name"].lower(),
            database_name=self.database.name,
            description=contract.record.get("doc", ""),
            table_type="EXTERNAL_TABLE",
            parameters={"classification": "parquet", "compatibility": contract.compatibility},
            storage_descriptor=glue.CatalogTableStorageDescriptorArgs(
                location=pulumi.Output.concat("s3://", self.buckets[Zone.RAW].bucket, "/events/"),
                input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                ser_de_info=glue.CatalogTableStorageDescriptorSerDeInfoArgs(
                    serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                ),
                columns=glue_columns(contract.record),
            ),
            opts=self.child(),
        )
        self.realise("data-catalog", self.table)

    def _contract(self) -> None:
        context, contract = self.context, self.context.workload.data.contract
        self.registry = glue.Registry(
            context.logical("contracts"),
            registry_name=f"{context.name}-{context.token}",
            description=f"Contracts of {context.workload.name}",
            tags=context.tags,
            opts=self.child(),
        )
        self.contract = glue.Schema(
            context.logical("contract"),
            registry_arn=self.registry.arn,
            schema_name=contract.record["name"],
            data_format="AVRO",
            compatibility=contract.compatibility,
            schema_definition=json.dumps(contract.record),
            tags=context.tags,
            opts=self.child(),
        )
        self.realise("schema-registry", self.contract)

    def _stream(self) -> None:
        context = self.context
        self.event_stream = kinesis.Stream(
            context.logical("events"),
            shard_count=-(-context.workload.data.events_per_second // RECORDS_PER_SHARD),
            stream_mode_details=kinesis.StreamStreamModeDetailsArgs(stream_mode="PROVISIONED"),
            retention_period=7 * 24,
            encryption_type="KMS",
            kms_key_id=self.foundation.key,
            tags=context.tags,
            opts=self.child(),
        )
        self.dead_letter_queue = sqs.Queue(
            context.logical("dead-letters"),
            message_retention_seconds=14 * 24 * 3600,
            kms_master_key_id=self.foundation.key,
            tags=context.tags,
            opts=self.child(),
        )
        sqs.QueuePolicy(
            context.logical("dead-letters"),
            queue_url=self.dead_letter_queue.url,
            policy=policy.document(policy.deny_insecure_transport("sqs:*", self.dead_letter_queue.arn)),
            opts=self.child(),
        )
        self.realise("stream-ingest", self.event_stream)
        self.realise("dead-letters", self.dead_letter_queue)

    def _rights(self) -> None:
        """Who may read and write which zone: ingest writes raw and features, training reads them and writes models."""
        reads = {
            Purpose.INGEST: (Zone.RAW, Zone.FEATURES),
            Purpose.TRAINING: (Zone.RAW, Zone.CURATED, Zone.FEATURES, Zone.MODELS),
            Purpose.SERVING: (Zone.MODELS, Zone.FEATURES),
            Purpose.MONITORING: (Zone.CURATED, Zone.MODELS),
        }
        writes = {
            Purpose.INGEST: (Zone.RAW, Zone.FEATURES),
            Purpose.TRAINING: (Zone.CURATED, Zone.MODELS),
            Purpose.SERVING: (Zone.CURATED,),
            Purpose.MONITORING: (Zone.CURATED,),
        }
        for purpose in Purpose:
            self.foundation.grant(
                purpose,
                "lake",
                policy.allow(
                    ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:ListBucket"],
                    [self.buckets[zone].arn for zone in reads[purpose]],
                ),
                policy.allow(["s3:GetObject"], [self.objects(zone) for zone in reads[purpose]]),
                policy.allow(
                    ["s3:AbortMultipartUpload", "s3:PutObject"], [self.objects(zone) for zone in writes[purpose]]
                ),
            )

    def objects(self, zone: Zone) -> pulumi.Output[str]:
        """The ARN pattern of everything in a zone."""
        return pulumi.Output.concat(self.buckets[zone].arn, "/*")
