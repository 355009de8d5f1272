"""The data layer on AWS: S3 zones, Glue catalog and registry, Athena, Spark, Kinesis for events, SQS dead letters."""

import json
from collections.abc import Iterator
from typing import Any

import pulumi
from pulumi_aws import athena, emrserverless, glue, kinesis, s3, sqs

from ml_blueprints import layers, routing
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.bucket import log_bucket, private_bucket
from ml_blueprints.aws.day_table import day_table
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.lake_formation import GovernedTable
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


def shards(events_per_second: int) -> int:
    """How many shards take this many events a second."""
    return -(-events_per_second // RECORDS_PER_SHARD)


def arrival_columns() -> list[glue.CatalogTableStorageDescriptorColumnArgs]:
    """When an event arrived and in which order, beside what its contract says."""
    columns = {
        "arrived_at": ("bigint", "Milliseconds since 1970 at which the stream took the event"),
        "sequence": ("string", "Sorts by the order of arrival"),
    }
    return [
        glue.CatalogTableStorageDescriptorColumnArgs(name=name, type=kind, comment=comment)
        for name, (kind, comment) in columns.items()
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

    Native resources: `access_logs`, `buckets` by zone, `database`, `table`, `governed` (what Lake Formation knows of
    it), `registry`, `contract`, `workgroup` (Athena), `spark` (an application of EMR Serverless), and for streams
    `event_stream`, `fan_out` (where the latency objective asks for it) and `dead_letter_queue`. What fills the archive
    is a part of serving, since a function of the platform's image decodes the events.
    """

    cloud = "aws"

    def __init__(
        self, context: Context, foundation: Foundation, stream: bool, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__(context, opts)
        self.foundation = foundation
        self.event_stream: kinesis.Stream | None = None
        self.fan_out: kinesis.StreamConsumer | None = None
        self.dead_letter_queue: sqs.Queue | None = None
        self._lake()
        self._catalog(stream)
        self._contract()
        self._queries()
        self._spark()
        if stream:
            self._stream()
            self._dead_letters()
            self._rights_to_schemas()
        self._rights()
        self.give(
            zones={zone: pulumi.Output.concat("s3://", bucket.bucket) for zone, bucket in self.buckets.items()},
            catalog=self.table.arn,
            schema=self.contract.arn,
            stream=self.event_stream.arn if self.event_stream else None,
            dead_letters=self.dead_letter_queue.arn if self.dead_letter_queue else None,
        )

    def _lake(self) -> None:
        """A bucket per zone; data of people goes when its retention ends, that of runs, too; models are kept."""
        context, foundation = self.context, self.foundation
        logs = log_bucket(context, foundation.account, self.child())
        self.access_logs = logs.bucket
        by_own_key = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms", kms_master_key_id=foundation.key
        )
        self.buckets: dict[Zone, s3.Bucket] = {}
        for zone in Zone:
            bucket = private_bucket(
                context,
                zone,
                by_own_key,
                None if zone is Zone.MODELS else context.workload.data.retention_days,
                self.child(),
                *(self._promoted() if zone is Zone.MODELS else ()),
                tags={"zone": zone.value},
                passing={facts.RUNS: context.workload.data.retention_days} if zone is Zone.MODELS else None,
            ).bucket
            s3.BucketLogging(
                context.logical(zone),
                bucket=bucket.id,
                target_bucket=self.access_logs.id,
                target_prefix=f"{zone}/",
                # S3 delivers only to a bucket that encrypts as it asks.
                opts=pulumi.ResourceOptions(parent=bucket, depends_on=[logs.encryption]),
            )
            self.buckets[zone] = bucket
        self.realise("data-lake", *self.buckets.values())

    def _promoted(self) -> Iterator[policy.Statement]:
        """Accounts that take models on read them where they were registered, and not what runs leave of data."""
        if taking := self.context.settings.promotes_to:
            models = [f"/{name}/*" for name in routing.grouped_by_name(self.context.workload.models)]
            yield policy.others(taking, ["s3:GetObject"], *models)

    def _catalog(self, stream: bool) -> None:
        """The events by day of arrival."""
        context, contract = self.context, self.context.workload.data.contract
        location = pulumi.Output.concat("s3://", self.buckets[Zone.RAW].bucket, "/events/")
        self.database = glue.CatalogDatabase(
            context.logical("catalog"),
            name=f"{context.name.replace('-', '_')}_{context.token}",
            description=context.workload.description,
            tags=context.tags,
            opts=self.child(),
        )
        self.table = day_table(
            context.logical("raw"),
            contract.record["name"].lower(),
            self.database.name,
            contract.record.get("doc", ""),
            "day",
            "Day of arrival, UTC",
            location,
            [*glue_columns(contract.record), *(arrival_columns() if stream else ())],
            self.child(),
            parameters={"compatibility": contract.compatibility, "contract_version": str(contract.version or "")},
        )
        self.governed = GovernedTable(
            context,
            self.foundation,
            self.buckets[Zone.RAW],
            self.table,
            (Purpose.INGEST, Purpose.TRAINING),
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

    def _queries(self) -> None:
        """Where people query the lake: results are encrypted, and no query reads more than a stated amount."""
        self.workgroup = athena.Workgroup(
            self.context.logical("queries"),
            description=f"Queries on the lake of {self.context.workload.name}",
            configuration=athena.WorkgroupConfigurationArgs(
                enforce_workgroup_configuration=True,
                publish_cloudwatch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=facts.QUERY_SCAN_BYTES,
                result_configuration=athena.WorkgroupConfigurationResultConfigurationArgs(
                    output_location=pulumi.Output.concat("s3://", self.buckets[Zone.CURATED].bucket, "/queries/"),
                    expected_bucket_owner=self.foundation.account,
                    encryption_configuration=athena.WorkgroupConfigurationResultConfigurationEncryptionConfigurationArgs(
                        encryption_option="SSE_KMS", kms_key_arn=self.foundation.key
                    ),
                ),
            ),
            tags=self.context.tags,
            opts=self.child(),
        )

    def _spark(self) -> None:
        """Spark without servers that wait: it starts with a job, stops when idle, and grows up to a stated size."""
        cpu, memory, disk = facts.SPARK_MAXIMUM
        self.spark = emrserverless.Application(
            self.context.logical("spark"),
            release_label=facts.SPARK_RELEASE,
            type="spark",
            architecture="ARM64",
            auto_start_configuration=emrserverless.ApplicationAutoStartConfigurationArgs(enabled=True),
            auto_stop_configuration=emrserverless.ApplicationAutoStopConfigurationArgs(
                enabled=True, idle_timeout_minutes=15
            ),
            maximum_capacity=emrserverless.ApplicationMaximumCapacityArgs(cpu=cpu, memory=memory, disk=disk),
            network_configuration=emrserverless.ApplicationNetworkConfigurationArgs(
                subnet_ids=self.foundation.subnets, security_group_ids=[self.foundation.security_group.id]
            ),
            tags=self.context.tags,
            opts=self.child(),
        )

    def _stream(self) -> None:
        context, data = self.context, self.context.workload.data
        # The load of an experiment isn't known; where it is, shards of a stated number cost less and can't surprise.
        on_demand = context.settings.environment == "experiment"
        self.event_stream = kinesis.Stream(
            context.logical("events"),
            shard_count=None if on_demand else shards(data.events_per_second),
            stream_mode_details=kinesis.StreamStreamModeDetailsArgs(
                stream_mode="ON_DEMAND" if on_demand else "PROVISIONED"
            ),
            retention_period=facts.REPLAY_HOURS,
            encryption_type="KMS",
            kms_key_id=self.foundation.key,
            tags=context.tags,
            opts=self.child(),
        )
        objective = context.workload.monitoring.latency_objective_ms
        if objective is not None and objective < facts.SHARED_READ_MS:
            self.fan_out = kinesis.StreamConsumer(
                context.logical("processor"), stream_arn=self.event_stream.arn, tags=context.tags, opts=self.child()
            )
        self.realise("stream-ingest", self.event_stream)

    def _dead_letters(self) -> None:
        context = self.context
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
        self.realise("dead-letters", self.dead_letter_queue)

    def _rights(self) -> None:
        """Who may read and write which zone: ingest writes raw and features, training reads them and writes models.

        People with notebooks see what was made of events, not the events; where they write is the workbench's part.
        """
        reads = {
            Purpose.INGEST: (Zone.RAW, Zone.FEATURES),
            Purpose.TRAINING: (Zone.RAW, Zone.CURATED, Zone.FEATURES, Zone.MODELS),
            Purpose.SERVING: (Zone.MODELS, Zone.FEATURES),
            Purpose.MONITORING: (Zone.CURATED, Zone.MODELS),
            Purpose.EXPLORATION: (Zone.CURATED, Zone.FEATURES),
        }
        writes = {
            Purpose.INGEST: (Zone.RAW, Zone.FEATURES),
            Purpose.TRAINING: (Zone.CURATED, Zone.MODELS),
            Purpose.SERVING: (Zone.CURATED,),
            Purpose.MONITORING: (Zone.CURATED,),
        }
        for purpose in Purpose:
            writing = [self.objects(zone) for zone in writes.get(purpose, ())]
            self.foundation.grant(
                purpose,
                "lake",
                policy.allow(
                    ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:ListBucket"],
                    [self.buckets[zone].arn for zone in reads[purpose]],
                ),
                policy.allow(["s3:GetObject"], [self.objects(zone) for zone in reads[purpose]]),
                *([policy.allow(["s3:AbortMultipartUpload", "s3:PutObject"], writing)] if writing else ()),
            )
        # Lake Formation gives out the access, on every resource it was allowed for or on none.
        # https://docs.aws.amazon.com/lake-formation/latest/dg/access-control-underlying-data.html
        for purpose in self.governed.permissions:
            self.foundation.grant(
                purpose,
                "catalog",
                policy.allow(
                    ["glue:GetDatabase", "glue:GetPartitions", "glue:GetTable"],
                    [self._catalog_arn, self.database.arn, self.table.arn],
                ),
                policy.allow(["lakeformation:GetDataAccess"], ["*"]),
            )

    def _rights_to_schemas(self) -> None:
        """Who reads events asks what an unknown version of the contract says; a version's id belongs to no registry.

        https://docs.aws.amazon.com/glue/latest/dg/schema-registry-gs.html
        """
        self.foundation.grant(Purpose.INGEST, "schemas", policy.allow(["glue:GetSchemaVersion"], ["*"]))

    @property
    def _catalog_arn(self) -> pulumi.Output[str]:
        return pulumi.Output.concat("arn:aws:glue:", self.foundation.region, ":", self.foundation.account, ":catalog")

    def objects(self, zone: Zone) -> pulumi.Output[str]:
        """The ARN pattern of everything in a zone."""
        return pulumi.Output.concat(self.buckets[zone].arn, "/*")
