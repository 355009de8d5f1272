"""The feature layer on Google Cloud: BigQuery and a Vertex AI feature group, the job that fills it, a view online."""

import hashlib
import json
from collections.abc import Callable

import pulumi
from pulumi_gcp import bigquery, cloudscheduler, serviceaccount, storage, vertex, workflows

from ml_blueprints import layers
from ml_blueprints.gcp import facts, feature_job, feature_queries, pipeline_definition, table_schema
from ml_blueprints.gcp.data import DAY_SECONDS, Data
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.window_state import WindowState
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Workload


class Features(layers.Features):
    """The feature store on Google Cloud.

    Native resources: `table` (the values and their history), `history` (the view of it that has the columns of a
    feature group), `feature_group`, `features` by name; online `latest` (a view of each entity's last row),
    `online_store`, `feature_view` and `window_state` with its instance and table; `feature_account` (as whom features
    are computed), `job_file`, `feature_pipeline`, `feature_schedule`.
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
        self.window_state: WindowState | None = None
        self._offline_store()
        if online:
            self._online_store()
            self._window_state()
        self._rights()
        self._feature_job()
        self.give(
            offline=self.feature_group.id,
            online=self.feature_view.id if self.feature_view else None,
        )

    def _offline_store(self) -> None:
        """The table has a row for each event that counts; Vertex AI knows it by a view with names of its own."""
        context, workload = self.context, self.context.workload
        self.table = bigquery.Table(
            context.logical("features"),
            dataset_id=self.data.dataset.dataset_id,
            table_id=workload.features.group,
            description=f"Features of {workload.name} with their history",
            schema=json.dumps(table_schema.of_features(workload, feature_job.keys(workload))),
            time_partitioning=bigquery.TableTimePartitioningArgs(
                type="DAY",
                field=facts.ARRIVED_AT,
                expiration_ms=workload.data.retention_days * DAY_SECONDS * 1000,
            ),
            clusterings=[workload.data.entity],
            encryption_configuration=bigquery.TableEncryptionConfigurationArgs(kms_key_name=self.foundation.key),
            # Pulumi's own `protect` guards what must stay; this guard would only break `pulumi destroy`.
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(),
        )
        self.table_path = self.data.path(self.table)
        self.history = self._view(
            "history",
            f"Features of {workload.name} and since when they were known",
            feature_queries.history,
        )
        self.feature_group = vertex.AiFeatureGroup(
            context.logical("features"),
            # Lower case letters, digits and `_`, as a feature view's (60 characters).
            name=f"{workload.features.group[:51]}_{context.token}",
            description=workload.description,
            region=self.foundation.region,
            big_query=vertex.AiFeatureGroupBigQueryArgs(
                big_query_source=vertex.AiFeatureGroupBigQueryBigQuerySourceArgs(input_uri=self._uri(self.history)),
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

    def _view(self, part: str, description: str, query: Callable[[Workload, str], str]) -> bigquery.Table:
        workload = self.context.workload
        return bigquery.Table(
            self.context.logical(part),
            dataset_id=self.data.dataset.dataset_id,
            table_id=f"{workload.features.group}_{part}",
            description=description,
            view=bigquery.TableViewArgs(
                query=self.table_path.apply(lambda table: query(workload, table)), use_legacy_sql=False
            ),
            deletion_protection=False,
            labels=self.context.tags,
            opts=self.child(),
        )

    def _uri(self, table: bigquery.Table) -> pulumi.Output[str]:
        return pulumi.Output.concat("bq://", self.data.path(table))

    def _online_store(self) -> None:
        """Bigtable serving, since it is what takes a customer-managed key; its reads go through the API's endpoint.

        A sync reads what arrived within the time that values may be served, not the history.
        https://cloud.google.com/vertex-ai/docs/featurestore/latest/online-serving-types
        """
        context, workload = self.context, self.context.workload
        self.latest = self._view(
            "latest",
            f"The last features of each entity of {workload.name} that may be served",
            feature_queries.latest,
        )
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
            big_query_source=vertex.AiFeatureOnlineStoreFeatureviewBigQuerySourceArgs(
                uri=self._uri(self.latest), entity_id_columns=[workload.data.entity]
            ),
            sync_config=vertex.AiFeatureOnlineStoreFeatureviewSyncConfigArgs(cron=facts.FEATURE_SYNC),
            labels=context.tags,
            opts=self.child(),
        )
        self.realise("online-features", self.feature_view)

    def _window_state(self) -> None:
        self.window_state = WindowState(self.context, self.foundation, opts=self.child())
        self.realise("window-state", self.window_state.table)

    def _feature_job(self) -> None:
        """Serverless Spark reads the table of events and adds the rows that features lack, on the workload's schedule.

        Events are archived as they come, so that what came lately is enough. What is loaded in batch may be old.
        """
        context, foundation, data, workload = self.context, self.foundation, self.data, self.context.workload
        source = workload.features.job_source
        self.job_file = storage.BucketObject(
            context.logical("feature-job"),
            bucket=data.lake.code.name,
            name=f"features/{hashlib.sha256(source.encode()).hexdigest()[:16]}.py",
            content=source,
            content_type="text/x-python",
            opts=self.child(),
        )
        lately = ["--since", feature_job.since(workload.features.schedule)] if data.topic else []
        batch = feature_job.Batch(
            project=foundation.project,
            region=foundation.region,
            file=pulumi.Output.concat("gs://", data.lake.code.name, "/", self.job_file.name),
            arguments=[
                *("--source", data.table_path, "--format", "bigquery"),
                *("--destination", self.table_path),
                *lately,
            ],
            identity=self.feature_account.email,
            subnet=foundation.subnets[-1],
            key=foundation.key,
            staging=data.buckets[Zone.FEATURES].name,
            executors=feature_job.executors(workload.data.events_per_second),
            labels=context.tags,
        )
        self.feature_pipeline = workflows.Workflow(
            context.logical("features"),
            region=foundation.region,
            description=f"Computes the features of {workload.name}",
            service_account=self.feature_account.email,
            source_contents=feature_job.workflow(batch),
            crypto_key_name=foundation.key,
            call_log_level="LOG_ERRORS_ONLY",
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(depends_on=[*foundation.ready, *self.grants]),
        )
        self.feature_schedule = cloudscheduler.Job(
            context.logical("features"),
            region=foundation.region,
            description=f"Starts the computation of the features of {workload.name}",
            schedule=workload.features.schedule,
            time_zone="Etc/UTC",
            http_target=pipeline_definition.start(self.feature_pipeline.id, foundation.identities[Purpose.MONITORING]),
            retry_config=cloudscheduler.JobRetryConfigArgs(retry_count=3),
            opts=self.child(),
        )
        self.realise("feature-engineering", self.feature_schedule)

    def _rights(self) -> None:
        """The job and ingest write features; training, serving and explorers read their history, serving the latest."""
        foundation, data = self.foundation, self.data
        self.feature_account = foundation.account(
            "features", f"Computes the features of {self.context.workload.name}", self.child()
        )
        computes = self.feature_account.member
        self.grants = [
            *self._act_as_itself(),
            self._grant_table("features-features-table", self.table, facts.ROLE_TABLE_WRITER, computes),
            self._grant_table("features-raw-table", data.table, facts.ROLE_TABLE_READER, computes),
            self._grant_bucket("code", data.lake.code, facts.ROLE_OBJECT_READER),
            # Spark stages its output in the features zone, and looks at the bucket for that.
            self._grant_bucket("staging", data.buckets[Zone.FEATURES], facts.ROLE_OBJECT_WRITER),
            self._grant_bucket("staging-bucket", data.buckets[Zone.FEATURES], facts.ROLE_BUCKET_READER),
        ]
        for purpose in (Purpose.TRAINING, Purpose.SERVING, Purpose.EXPLORATION):
            for part, table in (("features", self.table), ("history", self.history)):
                self._grant_table(f"{purpose}-{part}-table", table, facts.ROLE_TABLE_READER, foundation.member(purpose))
        if self.feature_view is None:
            return
        self.feature_writer = self._grant_table(
            "ingest-features-table", self.table, facts.ROLE_TABLE_WRITER, foundation.member(Purpose.INGEST)
        )
        reader = foundation.role("read-features", "read online features", facts.FEATURE_PERMISSIONS)
        vertex.AiFeatureOnlineStoreFeatureviewIamMember(
            self.context.logical(f"{Purpose.SERVING}-online"),
            region=foundation.region,
            feature_online_store=self.feature_view.feature_online_store,
            feature_view=self.feature_view.name,
            role=reader.name,
            member=foundation.member(Purpose.SERVING),
            opts=self.child(),
        )

    def _act_as_itself(self) -> list[pulumi.Resource]:
        """What the job does in the project, and that its workflow may start it under the same account."""
        return [
            self.foundation.grant_on_project(
                "features", "compute features", facts.FEATURE_JOB_PERMISSIONS, self.feature_account.member
            ),
            serviceaccount.IAMMember(
                self.context.logical("features-as-features"),
                service_account_id=self.feature_account.name,
                role=facts.ROLE_ACT_AS,
                member=self.feature_account.member,
                condition=self.foundation.until(serviceaccount.IAMMemberConditionArgs),
                opts=self.child(),
            ),
        ]

    def _grant_table(
        self, part: str, table: bigquery.Table, role: str, member: pulumi.Input[str]
    ) -> bigquery.IamMember:
        return bigquery.IamMember(
            self.context.logical(part),
            dataset_id=table.dataset_id,
            table_id=table.table_id,
            role=role,
            member=member,
            opts=self.child(),
        )

    def _grant_bucket(self, part: str, bucket: storage.Bucket, role: str) -> storage.BucketIAMMember:
        return storage.BucketIAMMember(
            self.context.logical(f"features-{part}"),
            bucket=bucket.name,
            role=role,
            member=self.feature_account.member,
            opts=self.child(),
        )
