"""The feature layer on Azure: a feature store workspace on the lake, the job that fills it, and Redis where online."""

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints import layers
from ml_blueprints.azure import facts, feature_job, feature_set, pipeline_definition
from ml_blueprints.azure.code_store import CodeStore, version
from ml_blueprints.azure.data import EVENTS, Data
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.online_store import OnlineStore
from ml_blueprints.azure.workspace import Workspace
from ml_blueprints.layers import Context, Zone

# Version of the entity. Its key comes from the contract, whose compatibility rules keep it.
ENTITY_VERSION = "1"

# Version of the catalogued features. It names a place, not a state of it, so that it doesn't change with the data.
DATA_VERSION = "1"

# Where in the features zone the features with their history lie.
OFFLINE = "offline/"


class Features(AzureLayer, layers.Features):
    """The feature store on Azure.

    Native resources: `workspace_component` with its `workspace`, `offline_connection`, `code_store` with what it holds
    as `published`, `entity`, `entity_version`, `feature_set`, `feature_set_version`, `data_asset`, `data_version`,
    `job_schedule`; and online `online_store` with its `cluster`, `database` and `users` by purpose.
    """

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
        self.online_store: OnlineStore | None = None
        self._workspace()
        self._code()
        self._rights()
        self._offline_store()
        self._feature_set()
        if online:
            self.online_store = self._online_store()
            self._window_state(self.online_store)
        self._feature_job()
        self.give(
            offline=self.feature_set_version.id,
            online=self.online_store.url if self.online_store else None,
        )

    def _workspace(self) -> None:
        """Its Spark, which materializes features, acts under the identity of the feature job."""
        component = Workspace(
            self.context,
            self.foundation,
            self.data.dependencies,
            "features",
            "FeatureStore",
            [self.data.feature_identity.id],
            machinelearningservices.FeatureStoreSettingsArgs(
                compute_runtime=machinelearningservices.ComputeRuntimeDtoArgs(
                    spark_runtime_version=facts.SPARK_VERSION
                ),
                offline_store_connection_name="offline",
            ),
            opts=self.child(),
        )
        component.reach("lake-dfs", self.data.account.id, "dfs", spark=True)
        component.reach("lake-blob", self.data.account.id, "blob", spark=True)
        self.workspace_component, self.workspace = component, component.workspace
        self.place = {"resource_group_name": self.foundation.group, "workspace_name": self.workspace.name}

    def _code(self) -> None:
        """The feature job and the specification of the feature set, where jobs and the store can name them."""
        workload, data = self.context.workload, self.data
        self.code_store = CodeStore(data.publisher, opts=self.child())
        self.code_store.known_in(self.workspace_component)
        self.specification = feature_set.specification(workload, data.uri(Zone.FEATURES, OFFLINE))
        self.files = {
            feature_job.FILE: workload.features.job_source,
            **feature_set.files(self.specification),
        }
        self.published = self.code_store.publish("features", "features.job", self.files)

    def _rights(self) -> None:
        """One identity computes and materializes features: it reads events and code, writes features, nothing else.

        https://learn.microsoft.com/azure/machine-learning/how-to-setup-access-control-feature-store
        """
        foundation, data = self.foundation, self.data
        scopes = {
            "raw": (data.containers[Zone.RAW].id, facts.ROLE_BLOB_READER),
            "features": (data.containers[Zone.FEATURES].id, facts.ROLE_BLOB_WRITER),
            "store": (self.workspace.id, facts.ROLE_DATA_SCIENTIST),
            "code": (self.code_store.container.id, facts.ROLE_BLOB_READER),
            "runs": (
                data.workspace.id,
                foundation.role("features", "record feature jobs", facts.FEATURE_JOB_ACTIONS),
            ),
        }
        self.grants = [
            foundation.assign(f"materialization-{part}", data.feature_identity.principal_id, role, scope, self.child())
            for part, (scope, role) in scopes.items()
        ]

    def _offline_store(self) -> None:
        """Features with their history lie in the features zone, and are found in the catalog."""
        context, data, group = self.context, self.data, self.context.workload.features.group
        self.offline_connection = machinelearningservices.WorkspaceConnection(
            context.logical("offline"),
            connection_name="offline",
            properties=machinelearningservices.ManagedIdentityAuthTypeWorkspaceConnectionPropertiesArgs(
                auth_type="ManagedIdentity",
                category=machinelearningservices.ConnectionCategory.ADLS_GEN2,
                target=data.containers[Zone.FEATURES].id,
                credentials=machinelearningservices.WorkspaceConnectionManagedIdentityArgs(
                    client_id=data.feature_identity.client_id, resource_id=data.feature_identity.id
                ),
            ),
            opts=self.child(),
            **self.place,
        )
        self.data_asset, self.data_version = data.catalogued(
            "offline",
            f"{group}_features",
            DATA_VERSION,
            data.path(Zone.FEATURES, OFFLINE),
            f"Features of {context.workload.name} with their history",
            {"columns": ",".join(feature.name for feature in context.workload.features.definitions)},
            self.child(),
        )

    def _feature_set(self) -> None:
        context, workload = self.context, self.context.workload
        entity, whom = workload.data.entity, f"Whom predictions of {workload.name} are about"
        self.entity = machinelearningservices.FeaturestoreEntityContainerEntity(
            context.logical("entity"),
            name=entity,
            properties=machinelearningservices.FeaturestoreEntityContainerPropertiesArgs(
                description=whom, tags=context.tags
            ),
            opts=self.child(),
            **self.place,
        )
        self.entity_version = machinelearningservices.FeaturestoreEntityVersion(
            context.logical("entity"),
            name=self.entity.name,
            version=ENTITY_VERSION,
            properties=machinelearningservices.FeaturestoreEntityVersionPropertiesArgs(
                description=whom,
                index_columns=[
                    machinelearningservices.IndexColumnArgs(
                        column_name=entity,
                        data_type=feature_set.index_type(workload.data.contract.record, entity),
                    )
                ],
                stage="Production",
                tags=context.tags,
            ),
            opts=self.child(),
            **self.place,
        )
        self.feature_set = machinelearningservices.FeaturesetContainerEntity(
            context.logical("features"),
            name=workload.features.group,
            properties=machinelearningservices.FeaturesetContainerPropertiesArgs(
                description=workload.description,
                tags=context.tags,
                properties={feature.name: feature.type for feature in workload.features.definitions},
            ),
            opts=self.child(depends_on=[self.entity_version]),
            **self.place,
        )
        self.feature_set_version = machinelearningservices.FeaturesetVersion(
            context.logical("features"),
            name=self.feature_set.name,
            # A version of a feature set can't be changed: another job or other features are another version.
            version=version(self.files),
            properties=machinelearningservices.FeaturesetVersionPropertiesArgs(
                description=workload.description,
                entities=[pulumi.Output.concat("azureml:", self.entity.name, f":{ENTITY_VERSION}")],
                specification=machinelearningservices.FeaturesetSpecificationArgs(
                    path=self.code_store.uri(self.workspace_component, f"{self.published.path}/")
                ),
                properties=feature_set.properties(self.specification),
                materialization_settings=feature_set.materialization(workload),
                stage="Production",
                tags=context.tags,
            ),
            opts=self.child(
                depends_on=[
                    self.entity_version,
                    self.offline_connection,
                    self.published.run,
                    *self.grants,
                    *self.workspace_component.outbound_rules,
                ]
            ),
            **self.place,
        )
        self.realise("offline-features", self.entity_version)

    def _online_store(self) -> OnlineStore:
        """Redis with the latest features, kept by the event processor."""
        store = OnlineStore(self.context, self.foundation, opts=self.child())
        self.data.workspace_component.reach("online-features", store.cluster.id, "redisEnterprise")
        self.realise("online-features", store.database)
        return store

    def _window_state(self, store: OnlineStore) -> None:
        """The windows of each entity lie in the same Redis as its features, under keys with a prefix of their own."""
        self.realise("window-state", store.database)

    def _feature_job(self) -> None:
        """Serverless Spark computes features from captured events, or in batch from what was put into the raw zone.

        Events are captured as they come, so that what came lately is enough. What is put there in batch may be old.
        """
        context, workload, data = self.context, self.context.workload, self.data
        job = feature_job.spark(
            f"{context.name}-features",
            self.published.code.id,
            {"format": "capture", "since": feature_set.since(workload.features.schedule)}
            if data.hub
            else {"format": "parquet"},
            data.uri(Zone.RAW, EVENTS),
            data.uri(Zone.FEATURES, OFFLINE),
            machinelearningservices.ManagedIdentityArgs(
                identity_type="Managed",
                client_id=data.feature_identity.client_id,
                resource_id=data.feature_identity.id,
            ),
            feature_job.executors(workload.data.events_per_second),
            workload.owner,
            context.tags,
        )
        self.job_schedule = machinelearningservices.Schedule(
            context.logical("features"),
            resource_group_name=self.foundation.group,
            workspace_name=data.workspace.name,
            name="features",
            properties=pipeline_definition.schedule(context, workload.features.schedule, job),
            opts=self.child(depends_on=[*self.grants, *data.workspace_component.outbound_rules]),
        )
        self.realise("feature-engineering", self.job_schedule)
