"""The data layer on Google Cloud: Cloud Storage zones, catalog in BigQuery and Dataplex, Pub/Sub schema and topics."""

import json

import pulumi
from pulumi_gcp import bigquery, pubsub, storage

from ml_blueprints import layers
from ml_blueprints.gcp import facts, table_schema, topics
from ml_blueprints.gcp.data_catalog import DataCatalog
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.lake import Lake
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

DAY_SECONDS = 24 * 3600


class Data(layers.Data):
    """Lake, catalog, contract and event stream on Google Cloud.

    Native resources: `lake` with its `buckets` by zone, `code` and `access_logs`; `dataset`, `table`, `data_catalog`
    with its entry and scans; `contract` and `other_versions` of it by number; and for streams `topic`, `archive` (the
    subscription that writes events to the table), `dead_letter_topic`, `dead_letter_archive`.
    """

    cloud = "gcp"

    def __init__(
        self, context: Context, foundation: Foundation, stream: bool, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__(context, opts)
        self.foundation = foundation
        self.topic: pubsub.Topic | None = None
        self.dead_letter_topic: pubsub.Topic | None = None
        self._lake()
        self._catalog(stream)
        self._contract()
        if stream:
            dead_letters = self._dead_letters()
            self._archive(self._stream(), dead_letters)
        self._rights()
        self.give(
            zones={zone: bucket.url for zone, bucket in self.buckets.items()},
            catalog=self.table.id,
            schema=self.contract.id,
            stream=self.topic.id if self.topic else None,
            dead_letters=self.dead_letter_topic.id if self.dead_letter_topic else None,
        )

    def _lake(self) -> None:
        self.lake = Lake(self.context, self.foundation, opts=self.child())
        self.buckets = self.lake.buckets
        self.realise("data-lake", *self.buckets.values())

    def _catalog(self, stream: bool) -> None:
        """The table of events lies by their arrival where that is told, so that no event can choose its partition."""
        context, data = self.context, self.context.workload.data
        self.dataset = bigquery.Dataset(
            context.logical("catalog"),
            # Letters, digits and `_` (https://cloud.google.com/bigquery/docs/datasets#dataset-naming).
            dataset_id=f"{context.name.replace('-', '_')}_{context.token}",
            description=context.workload.description,
            location=self.foundation.region,
            default_encryption_configuration=bigquery.DatasetDefaultEncryptionConfigurationArgs(
                kms_key_name=self.foundation.key
            ),
            labels=context.tags,
            opts=self.child(depends_on=self.foundation.ready),
        )
        self.table = bigquery.Table(
            context.logical("raw"),
            dataset_id=self.dataset.dataset_id,
            table_id=data.contract.record["name"].lower(),
            description=data.contract.record.get("doc", ""),
            schema=json.dumps(table_schema.of_log(data.contract, arrivals=stream)),
            time_partitioning=bigquery.TableTimePartitioningArgs(
                type="DAY",
                field=facts.PUBLISH_TIME if stream else data.event_time,
                expiration_ms=data.retention_days * DAY_SECONDS * 1000,
            ),
            clusterings=[data.entity],
            encryption_configuration=bigquery.TableEncryptionConfigurationArgs(kms_key_name=self.foundation.key),
            # Pulumi's own `protect` guards what must stay; this guard would only break `pulumi destroy`.
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(),
        )
        self.table_path = self.path(self.table)
        self.data_catalog = DataCatalog(context, self.foundation, self.table, arrivals=stream, opts=self.child())
        self.realise("data-catalog", self.table)

    def path(self, table: bigquery.Table) -> pulumi.Output[str]:
        """A table as queries and jobs name it: `project.dataset.table`."""
        return pulumi.Output.all(self.foundation.project, table.dataset_id, table.table_id).apply(".".join)

    def _contract(self) -> None:
        """The version in use; each change of it is a revision, which a topic goes on to take beside the newest.

        A stack that begins with a later version has no revisions of the others, so they are schemas of their own.
        """
        contract = self.context.workload.data.contract
        self.other_versions = {
            version: self._schema(f"contract-{version}", record)
            for version, record in contract.published.items()
            if version != contract.version
        }
        # The archive has the columns of a new version before the first event may have its fields.
        self.contract = self._schema("contract", contract.record, self.table)
        self.realise("schema-registry", self.contract)

    def _schema(self, part: str, record: object, *before: pulumi.Resource) -> pubsub.Schema:
        return pubsub.Schema(
            self.context.logical(part),
            type="AVRO",
            definition=json.dumps(record),
            opts=self.child(depends_on=[*self.foundation.ready, *before]),
        )

    def _stream(self) -> pubsub.Topic:
        """Pub/Sub grows with what is published, so that there is no size to be chosen."""
        settings = pubsub.TopicSchemaSettingsArgs(schema=self.contract.id, encoding="JSON")
        self.topic = topics.topic("events", self.context, self.foundation, self.child(), settings)
        self.realise("stream-ingest", self.topic)
        return self.topic

    def _archive(self, events: pubsub.Topic, dead_letters: pubsub.Topic) -> None:
        """Every event is written to the table with its arrival; one that doesn't fit becomes a dead letter."""
        context = self.context
        writer = bigquery.IamMember(
            context.logical("archive"),
            dataset_id=self.table.dataset_id,
            table_id=self.table.table_id,
            role=facts.ROLE_TABLE_WRITER,
            member=self.foundation.agents["pubsub"],
            opts=self.child(),
        )
        self.archive = pubsub.Subscription(
            context.logical("archive"),
            topic=events.id,
            bigquery_config=pubsub.SubscriptionBigqueryConfigArgs(
                table=self.table_path, use_topic_schema=True, write_metadata=True
            ),
            retry_policy=pubsub.SubscriptionRetryPolicyArgs(minimum_backoff="10s", maximum_backoff="60s"),
            dead_letter_policy=pubsub.SubscriptionDeadLetterPolicyArgs(
                dead_letter_topic=dead_letters.id, max_delivery_attempts=facts.DELIVERY_ATTEMPTS
            ),
            expiration_policy=pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            labels=context.tags,
            # Pub/Sub tries the table when the subscription is made.
            opts=self.child(depends_on=[writer, self.dead_letter_publisher]),
        )
        topics.let_forward("archive", self.archive, context, self.foundation, self.child())
        self.realise("stream-archive", self.archive)

    def _dead_letters(self) -> pubsub.Topic:
        """A topic keeps nothing that nobody subscribes to, so dead letters go to the raw zone."""
        context, bucket = self.context, self.buckets[Zone.RAW]
        self.dead_letter_topic = dead_letters = topics.topic("dead-letters", context, self.foundation, self.child())
        self.dead_letter_publisher = topics.let_publish(
            "dead-letters", dead_letters, self.foundation.agents["pubsub"], context, self.child()
        )
        roles = {"create": facts.ROLE_OBJECT_CREATOR, "read": facts.ROLE_BUCKET_READER}
        writer = [
            storage.BucketIAMMember(
                context.logical(f"dead-letters-{part}"),
                bucket=bucket.name,
                role=role,
                member=self.foundation.agents["pubsub"],
                opts=self.child(),
            )
            for part, role in roles.items()
        ]
        self.dead_letter_archive = pubsub.Subscription(
            context.logical("dead-letters"),
            topic=dead_letters.id,
            cloud_storage_config=pubsub.SubscriptionCloudStorageConfigArgs(
                bucket=bucket.name,
                filename_prefix="dead-letters/",
                max_duration="300s",
                # Avro keeps the attributes, in which Pub/Sub says why and how often delivery failed.
                avro_config=pubsub.SubscriptionCloudStorageConfigAvroConfigArgs(write_metadata=True),
            ),
            ack_deadline_seconds=300,
            expiration_policy=pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            labels=context.tags,
            opts=self.child(depends_on=writer),
        )
        self.realise("dead-letters", dead_letters)
        return dead_letters

    def _rights(self) -> None:
        """Who may read and write which zone: ingest writes raw and features, training reads them and writes models.

        People explore what was made of events, not the events themselves, and change nothing.
        """
        reads = {
            Purpose.INGEST: (),
            Purpose.TRAINING: (Zone.RAW, Zone.FEATURES),
            Purpose.SERVING: (Zone.MODELS, Zone.FEATURES),
            Purpose.MONITORING: (Zone.MODELS,),
            Purpose.EXPLORATION: (Zone.CURATED, Zone.FEATURES),
        }
        writes = {
            Purpose.INGEST: (Zone.RAW, Zone.FEATURES),
            Purpose.TRAINING: (Zone.CURATED, Zone.MODELS),
            Purpose.SERVING: (Zone.CURATED,),
            Purpose.MONITORING: (Zone.CURATED,),
            Purpose.EXPLORATION: (),
        }
        self.grants: dict[Purpose, list[pulumi.Resource]] = {
            purpose: [
                *(self._grant(purpose, zone, facts.ROLE_OBJECT_READER) for zone in reads[purpose]),
                *(self._grant(purpose, zone, facts.ROLE_OBJECT_WRITER) for zone in writes[purpose]),
            ]
            for purpose in Purpose
        }
        self.grants[Purpose.TRAINING].append(
            bigquery.IamMember(
                self.context.logical("training-raw-table"),
                dataset_id=self.table.dataset_id,
                table_id=self.table.table_id,
                role=facts.ROLE_TABLE_READER,
                member=self.foundation.member(Purpose.TRAINING),
                opts=self.child(),
            )
        )
        self.grants[Purpose.TRAINING].append(self.let_read_code(Purpose.TRAINING))
        if self.dead_letter_topic is None:
            return
        ingest = self.foundation.member(Purpose.INGEST)
        # The processor says itself why an event is a dead letter, and looks up by which version an event was written.
        self.grants[Purpose.INGEST] += [
            topics.let_publish("ingest-dead-letters", self.dead_letter_topic, ingest, self.context, self.child()),
            pubsub.SchemaIamMember(
                self.context.logical("ingest-contract"),
                schema=self.contract.name,
                role=self.foundation.role("read-contract", "read the contract", facts.CONTRACT_PERMISSIONS).name,
                member=ingest,
                opts=self.child(),
            ),
        ]

    def let_read_code(self, purpose: Purpose) -> storage.BucketIAMMember:
        """Let an identity read what its jobs and pipelines run."""
        return storage.BucketIAMMember(
            self.context.logical(f"{purpose}-code"),
            bucket=self.lake.code.name,
            role=facts.ROLE_OBJECT_READER,
            member=self.foundation.member(purpose),
            condition=self.foundation.until(storage.BucketIAMMemberConditionArgs),
            opts=self.child(),
        )

    def _grant(self, purpose: Purpose, zone: Zone, role: str) -> storage.BucketIAMMember:
        return storage.BucketIAMMember(
            self.context.logical(f"{purpose}-{zone}"),
            bucket=self.buckets[zone].name,
            role=role,
            member=self.foundation.member(purpose),
            condition=self.foundation.until(storage.BucketIAMMemberConditionArgs),
            opts=self.child(),
        )
