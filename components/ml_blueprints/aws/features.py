"""The feature layer on AWS: a SageMaker feature group, the job that computes features, the state of their windows."""

import pulumi
from pulumi_aws import dynamodb, sagemaker

from ml_blueprints import layers
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.feature_job import FeatureJob
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose


class Features(layers.Features):
    """The feature store on AWS.

    Native resources: `feature_group`, which holds both the offline and the online store; `job` with its `schedule`; and
    online `window_state`, the table in which the event processor keeps the windows of each entity.
    """

    cloud = "aws"

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        online: bool,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__(context, opts)
        self.foundation, self.data = foundation, data
        self._rights_of_the_offline_store(online)
        self._feature_job()
        self._feature_group(online)
        self.window_state: dynamodb.Table | None = None
        if online:
            self.window_state = self._window_state()
            self._rights_of_the_online_store(self.window_state)
        self.give(
            offline=self.feature_group.arn,
            online=self.feature_group.feature_group_name if online else None,
        )

    def _feature_group(self, online: bool) -> None:
        context, workload = self.context, self.context.workload
        keys = {workload.data.entity: "String", workload.data.event_time: "Fractional"}
        types = keys | {feature.name: facts.FEATURE_TYPES[feature.type] for feature in workload.features.definitions}
        self.feature_group = sagemaker.FeatureGroup(
            context.logical("features"),
            feature_group_name=f"{workload.features.group.replace('_', '-')[:54]}-{context.token}",
            description=workload.description,
            record_identifier_feature_name=workload.data.entity,
            event_time_feature_name=workload.data.event_time,
            feature_definitions=[
                sagemaker.FeatureGroupFeatureDefinitionArgs(feature_name=name, feature_type=kind)
                for name, kind in types.items()
            ],
            role_arn=self.foundation.identities[Purpose.INGEST],
            offline_store_config=self._offline_store(online),
            online_store_config=self._online_store() if online else None,
            tags=context.tags,
            # SageMaker tries the role on the bucket and the key when the group is made.
            opts=self.child(depends_on=self.foundation.rights(Purpose.INGEST)),
        )
        self.realise("offline-features", self.feature_group)
        if online:
            self.realise("online-features", self.feature_group)

    def _offline_store(self, online: bool) -> sagemaker.FeatureGroupOfflineStoreConfigArgs:
        """The history of the records, as an Iceberg table; without records it is what the feature job computes."""
        storage = sagemaker.FeatureGroupOfflineStoreConfigS3StorageConfigArgs(
            s3_uri=pulumi.Output.concat(self.data.zones[Zone.FEATURES], "/offline"), kms_key_id=self.foundation.key
        )
        if online:
            return sagemaker.FeatureGroupOfflineStoreConfigArgs(s3_storage_config=storage, table_format="Iceberg")
        # A table of one's own is taken in Glue's format only.
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OfflineStoreConfig.html
        return sagemaker.FeatureGroupOfflineStoreConfigArgs(
            s3_storage_config=storage,
            table_format="Glue",
            disable_glue_table_creation=True,
            data_catalog_config=sagemaker.FeatureGroupOfflineStoreConfigDataCatalogConfigArgs(
                catalog="AwsDataCatalog", database=self.job.table.database_name, table_name=self.job.table.name
            ),
        )

    def _online_store(self) -> sagemaker.FeatureGroupOnlineStoreConfigArgs:
        return sagemaker.FeatureGroupOnlineStoreConfigArgs(
            enable_online_store=True,
            security_config=sagemaker.FeatureGroupOnlineStoreConfigSecurityConfigArgs(kms_key_id=self.foundation.key),
            ttl_duration=sagemaker.FeatureGroupOnlineStoreConfigTtlDurationArgs(
                unit="Hours", value=self.context.workload.features.online_ttl_hours
            ),
        )

    def _feature_job(self) -> None:
        self.job = FeatureJob(self.context, self.foundation, self.data, opts=self.child())
        self.realise("feature-engineering", self.job.schedule)

    def _window_state(self) -> dynamodb.Table:
        """An item per entity, which goes once its windows are empty for good."""
        context = self.context
        # An event reads and writes its entity's item once, of a few KiB; twice that for what is tried again.
        units = 2 * facts.STATE_UNITS_PER_EVENT * context.workload.data.events_per_second
        table = dynamodb.Table(
            context.logical("window-state"),
            billing_mode="PAY_PER_REQUEST",
            on_demand_throughput=dynamodb.TableOnDemandThroughputArgs(
                max_read_request_units=units, max_write_request_units=units
            ),
            hash_key=facts.STATE_KEY,
            attributes=[dynamodb.TableAttributeArgs(name=facts.STATE_KEY, type="S")],
            ttl=dynamodb.TableTtlArgs(attribute_name=facts.STATE_EXPIRY, enabled=True),
            point_in_time_recovery=dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=dynamodb.TableServerSideEncryptionArgs(
                enabled=True, kms_key_arn=self.foundation.key
            ),
            deletion_protection_enabled=context.settings.environment == "production",
            tags=context.tags,
            opts=self.child(),
        )
        self.realise("window-state", table)
        return table

    def _rights_of_the_offline_store(self, online: bool) -> None:
        """SageMaker writes records, and with them the Iceberg table, as the ingest identity.

        What AmazonSageMakerFeatureStoreAccess allows beyond the rights on the zone:
        https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSageMakerFeatureStoreAccess.html
        """
        statements = [policy.allow(["s3:PutObjectAcl"], [self.data.objects(Zone.FEATURES)])]
        if online:
            catalog = pulumi.Output.concat("arn:aws:glue:", self.foundation.region, ":", self.foundation.account, ":")
            parts = ("catalog", "database/sagemaker_featurestore", "table/sagemaker_featurestore/*")
            statements.append(
                policy.allow(
                    ["glue:GetTable", "glue:UpdateTable"], [pulumi.Output.concat(catalog, part) for part in parts]
                )
            )
        self.foundation.grant(Purpose.INGEST, "offline-features", *statements)

    def _rights_of_the_online_store(self, window_state: dynamodb.Table) -> None:
        """Ingest writes records and windows, serving reads records; nobody else sees the online store."""
        self.foundation.grant(
            Purpose.INGEST,
            "features",
            policy.allow(["sagemaker:PutRecord"], [self.feature_group.arn]),
            policy.allow(["dynamodb:GetItem", "dynamodb:PutItem"], [window_state.arn]),
        )
        self.foundation.grant(
            Purpose.SERVING,
            "features",
            policy.allow(["sagemaker:BatchGetRecord", "sagemaker:GetRecord"], [self.feature_group.arn]),
        )
