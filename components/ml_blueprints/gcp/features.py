"""The feature layer on Google Cloud: a Vertex AI feature group on a BigQuery table, a feature view where online."""

import json

import pulumi
from pulumi_gcp import bigquery, vertex

from ml_blueprints import layers
from ml_blueprints.gcp import facts, table_schema
from ml_blueprints.gcp.data import DAY_SECONDS, Data
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class Features(layers.Features):
    """The feature store on Google Cloud.

    Native resources: `table` (the values and their history), `feature_group`, `features` by name, and online
    `online_store` and `feature_view`.
    """

    cloud = "gcp"

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
        self.online_store: vertex.AiFeatureOnlineStore | None = None
        self.feature_view: vertex.AiFeatureOnlineStoreFeatureview | None = None
        self._table()
        self._feature_group()
        if online:
            self._online_store()
        self._rights()
        self.give(
            offline=self.feature_group.id,
            online=self.feature_view.id if self.feature_view else None,
        )

    def _table(self) -> None:
        context, workload = self.context, self.context.workload
        self.table = bigquery.Table(
            context.logical("features"),
            dataset_id=self.data.dataset.dataset_id,
            table_id=workload.features.group,
            description=f"Features of {workload.name} with their history",
            schema=json.dumps(table_schema.of_features(workload)),
            time_partitioning=bigquery.TableTimePartitioningArgs(
                type="DAY",
                field=facts.FEATURE_TIME,
                expiration_ms=workload.data.retention_days * DAY_SECONDS * 1000,
            ),
            clusterings=[workload.data.entity],
            encryption_configuration=bigquery.TableEncryptionConfigurationArgs(kms_key_name=self.foundation.key),
            # Pulumi's own `protect` guards what must stay; this guard would only break `pulumi destroy`.
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(),
        )

    def _feature_group(self) -> None:
        context, workload = self.context, self.context.workload
        self.feature_group = vertex.AiFeatureGroup(
            context.logical("features"),
            # Lower case letters, digits and `_`, as a feature view's (60 characters).
            name=f"{workload.features.group[:51]}_{context.token}",
            description=workload.description,
            region=self.foundation.region,
            big_query=vertex.AiFeatureGroupBigQueryArgs(
                big_query_source=vertex.AiFeatureGroupBigQueryBigQuerySourceArgs(input_uri=self._source()),
                entity_id_columns=[workload.data.entity],
            ),
            labels=context.tags,
            opts=self.child(),
        )
        self.features = {
            feature.name: vertex.AiFeatureGroupFeature(
                context.logical(feature.name.replace("_", "-")),
                name=feature.name,
                feature_group=self.feature_group.name,
                region=self.foundation.region,
                description=feature.description,
                version_column_name=feature.name,
                labels=context.tags,
                opts=pulumi.ResourceOptions(parent=self.feature_group),
            )
            for feature in workload.features.definitions
        }
        self.realise("offline-features", self.feature_group)

    def _source(self) -> pulumi.Output[str]:
        path = pulumi.Output.all(self.foundation.project, self.table.dataset_id, self.table.table_id).apply(".".join)
        return pulumi.Output.concat("bq://", path)

    def _online_store(self) -> None:
        """Bigtable serving, since it is what takes a customer-managed key; its reads go through the API's endpoint.

        https://cloud.google.com/vertex-ai/docs/featurestore/latest/online-serving-types
        """
        context, workload = self.context, self.context.workload
        self.online_store = vertex.AiFeatureOnlineStore(
            context.logical("online"),
            # At most 60 lower case letters, digits and `_`.
            name=f"{context.name.replace('-', '_')}_{context.token}",
            region=self.foundation.region,
            bigtable=vertex.AiFeatureOnlineStoreBigtableArgs(
                auto_scaling=vertex.AiFeatureOnlineStoreBigtableAutoScalingArgs(
                    min_node_count=1, max_node_count=3, cpu_utilization_target=60
                )
            ),
            encryption_spec=vertex.AiFeatureOnlineStoreEncryptionSpecArgs(kms_key_name=self.foundation.key),
            labels=context.tags,
            opts=self.child(depends_on=self.foundation.ready),
        )
        self.feature_view = vertex.AiFeatureOnlineStoreFeatureview(
            context.logical("online"),
            name=workload.features.group,
            feature_online_store=self.online_store.name,
            region=self.foundation.region,
            feature_registry_source=vertex.AiFeatureOnlineStoreFeatureviewFeatureRegistrySourceArgs(
                feature_groups=[
                    vertex.AiFeatureOnlineStoreFeatureviewFeatureRegistrySourceFeatureGroupArgs(
                        feature_group_id=self.feature_group.name,
                        feature_ids=[feature.name for feature in self.features.values()],
                    )
                ]
            ),
            sync_config=vertex.AiFeatureOnlineStoreFeatureviewSyncConfigArgs(cron=facts.FEATURE_SYNC),
            labels=context.tags,
            opts=self.child(),
        )
        self.realise("online-features", self.feature_view)

    def _rights(self) -> None:
        """Ingest writes features, training and serving read their history; only ingest and serving read them online."""
        roles = {
            Purpose.INGEST: facts.ROLE_TABLE_WRITER,
            Purpose.TRAINING: facts.ROLE_TABLE_READER,
            Purpose.SERVING: facts.ROLE_TABLE_READER,
        }
        for purpose, role in roles.items():
            bigquery.IamMember(
                self.context.logical(f"{purpose}-features-table"),
                dataset_id=self.table.dataset_id,
                table_id=self.table.table_id,
                role=role,
                member=self.foundation.member(purpose),
                opts=self.child(),
            )
        if self.feature_view is None:
            return
        reader = self.foundation.role("read-features", "read online features", facts.FEATURE_PERMISSIONS)
        for purpose in (Purpose.INGEST, Purpose.SERVING):
            vertex.AiFeatureOnlineStoreFeatureviewIamMember(
                self.context.logical(f"{purpose}-online"),
                region=self.foundation.region,
                feature_online_store=self.feature_view.feature_online_store,
                feature_view=self.feature_view.name,
                role=reader.name,
                member=self.foundation.member(purpose),
                opts=self.child(),
            )
