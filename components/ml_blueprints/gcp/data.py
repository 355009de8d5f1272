"""The data layer on Google Cloud: Cloud Storage zones, BigQuery catalog, Pub/Sub schema, topic and dead letters."""

import json

import pulumi
from pulumi_gcp import bigquery, pubsub, storage

from ml_blueprints import layers
from ml_blueprints.gcp import facts, table_schema
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

DAY_SECONDS = 24 * 3600

# How long events can be replayed. Pub/Sub takes up to 31 days: https://cloud.google.com/pubsub/docs/topic-properties
REPLAY_DAYS = 7


class Data(layers.Data):
    """Lake, catalog, contract and event stream on Google Cloud.

    Native resources: `buckets` by zone, `dataset`, `table`, `contract`, and for streams `topic`, `archive` (the
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
        self._catalog()
        self._contract()
        if stream:
            self._stream()
        self._rights()
        self.give(
            zones={zone: bucket.url for zone, bucket in self.buckets.items()},
            catalog=self.table.id,
            schema=self.contract.id,
            stream=self.topic.id if self.topic else None,
            dead_letters=self.dead_letter_topic.id if self.dead_letter_topic else None,
        )

    def _lake(self) -> None:
        context = self.context
        self.buckets: dict[Zone, storage.Bucket] = {
            zone: storage.Bucket(
                context.logical(zone),
                location=self.foundation.region,
                uniform_bucket_level_access=True,
                public_access_prevention="enforced",
                versioning=storage.BucketVersioningArgs(enabled=True),
                encryption=storage.BucketEncryptionArgs(default_kms_key_name=self.foundation.key),
                lifecycle_rules=self._retention(zone),
                labels=context.tags | {"zone": zone.value},
                opts=self.child(depends_on=self.foundation.ready),
            )
            for zone in Zone
        }
        self.realise("data-lake", *self.buckets.values())

    def _retention(self, zone: Zone) -> list[storage.BucketLifecycleRuleArgs]:
        """Old versions go after a month; data of people goes when its retention ends, models are kept."""
        ends = [
            ("Delete", storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=30, with_state="ARCHIVED")),
            ("AbortIncompleteMultipartUpload", storage.BucketLifecycleRuleConditionArgs(age=7)),
        ]
        if zone is not Zone.MODELS:
            days = self.context.workload.data.retention_days
            ends.append(("Delete", storage.BucketLifecycleRuleConditionArgs(age=days, with_state="LIVE")))
        return [
            storage.BucketLifecycleRuleArgs(
                action=storage.BucketLifecycleRuleActionArgs(type=action), condition=condition
            )
            for action, condition in ends
        ]

    def _catalog(self) -> None:
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
            schema=json.dumps(table_schema.of_record(data.contract.record)),
            time_partitioning=bigquery.TableTimePartitioningArgs(
                type="DAY", field=data.event_time, expiration_ms=data.retention_days * DAY_SECONDS * 1000
            ),
            clusterings=[data.entity],
            encryption_configuration=bigquery.TableEncryptionConfigurationArgs(kms_key_name=self.foundation.key),
            # Pulumi's own `protect` guards what must stay; this guard would only break `pulumi destroy`.
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(),
        )
        self.realise("data-catalog", self.table)

    def _contract(self) -> None:
        context, contract = self.context, self.context.workload.data.contract
        self.contract = pubsub.Schema(
            context.logical("contract"),
            type="AVRO",
            definition=json.dumps(contract.record),
            opts=self.child(depends_on=self.foundation.ready),
        )
        self.realise("schema-registry", self.contract)

    def _stream(self) -> None:
        self.dead_letter_topic = dead_letters = self._topic("dead-letters")
        self.topic = events = self._topic(
            "events", schema_settings=pubsub.TopicSchemaSettingsArgs(schema=self.contract.id, encoding="JSON")
        )
        self.realise("stream-ingest", events)
        self.realise("dead-letters", dead_letters)
        self._archive(events, dead_letters)
        self._dead_letter_archive(dead_letters)

    def _topic(self, part: str, schema_settings: pubsub.TopicSchemaSettingsArgs | None = None) -> pubsub.Topic:
        """A topic whose messages are encrypted with the platform's key and stay in the region."""
        context = self.context
        days = min(REPLAY_DAYS, context.workload.data.retention_days)
        return pubsub.Topic(
            context.logical(part),
            kms_key_name=self.foundation.key,
            schema_settings=schema_settings,
            message_retention_duration=f"{days * DAY_SECONDS}s",
            message_storage_policy=pubsub.TopicMessageStoragePolicyArgs(
                allowed_persistence_regions=[self.foundation.region], enforce_in_transit=True
            ),
            labels=context.tags,
            opts=self.child(depends_on=self.foundation.ready),
        )

    def _archive(self, events: pubsub.Topic, dead_letters: pubsub.Topic) -> None:
        """Every event is written to the catalogued table; one that doesn't fit becomes a dead letter."""
        context = self.context
        agent = self.foundation.agents["pubsub"]
        writer = bigquery.IamMember(
            context.logical("archive"),
            dataset_id=self.table.dataset_id,
            table_id=self.table.table_id,
            role=facts.ROLE_TABLE_WRITER,
            member=agent,
            opts=self.child(),
        )
        self.dead_letter_publisher = pubsub.TopicIAMMember(
            context.logical("dead-letters"),
            topic=dead_letters.name,
            role=facts.ROLE_PUBLISHER,
            member=agent,
            opts=self.child(),
        )
        table = [self.foundation.project, self.table.dataset_id, self.table.table_id]
        self.archive = pubsub.Subscription(
            context.logical("archive"),
            topic=events.id,
            bigquery_config=pubsub.SubscriptionBigqueryConfigArgs(
                table=pulumi.Output.all(*table).apply(".".join), use_topic_schema=True
            ),
            dead_letter_policy=pubsub.SubscriptionDeadLetterPolicyArgs(
                dead_letter_topic=dead_letters.id, max_delivery_attempts=5
            ),
            expiration_policy=pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            labels=context.tags,
            # Pub/Sub tries the table when the subscription is made.
            opts=self.child(depends_on=[writer, self.dead_letter_publisher]),
        )
        self.let_forward("archive", self.archive)

    def _dead_letter_archive(self, dead_letters: pubsub.Topic) -> None:
        """A topic keeps nothing that nobody subscribes to, so dead letters go to the raw zone."""
        context, bucket = self.context, self.buckets[Zone.RAW]
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

    def let_forward(self, part: str, subscription: pubsub.Subscription) -> None:
        """Let Pub/Sub move what a subscription can't deliver to the dead letters: it acknowledges it there.

        https://cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions
        """
        pubsub.SubscriptionIAMMember(
            self.context.logical(part),
            subscription=subscription.name,
            role=facts.ROLE_SUBSCRIBER,
            member=self.foundation.agents["pubsub"],
            opts=self.child(),
        )

    def _rights(self) -> None:
        """Who may read and write which zone: ingest writes raw and features, training reads them and writes models."""
        reads = {
            Purpose.INGEST: (),
            Purpose.TRAINING: (Zone.RAW, Zone.FEATURES),
            Purpose.SERVING: (Zone.MODELS, Zone.FEATURES),
            Purpose.MONITORING: (Zone.MODELS,),
        }
        writes = {
            Purpose.INGEST: (Zone.RAW, Zone.FEATURES),
            Purpose.TRAINING: (Zone.CURATED, Zone.MODELS),
            Purpose.SERVING: (Zone.CURATED,),
            Purpose.MONITORING: (Zone.CURATED,),
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

    def _grant(self, purpose: Purpose, zone: Zone, role: str) -> storage.BucketIAMMember:
        return storage.BucketIAMMember(
            self.context.logical(f"{purpose}-{zone}"),
            bucket=self.buckets[zone].name,
            role=role,
            member=self.foundation.member(purpose),
            opts=self.child(),
        )
