"""The feature layer on Azure: a feature store workspace on the lake, Azure Managed Redis where online."""

from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices, redisenterprise

from ml_blueprints import layers
from ml_blueprints.azure import facts
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.workspace import Workspace
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

# Version of the entity. Its key comes from the contract, whose compatibility rules keep it.
ENTITY_VERSION = "1"


def index_type(record: dict[str, Any], column: str) -> str:
    """The type of an entity's column in a feature store, from the column's Avro type; text for what has no other."""
    avro = next(field["type"] for field in record["fields"] if field["name"] == column)
    if isinstance(avro, list):
        avro = next(branch for branch in avro if branch != "null")
    return facts.INDEX_TYPES.get(avro["type"] if isinstance(avro, dict) else avro, "String")


class Features(AzureLayer, layers.Features):
    """The feature store on Azure.

    Native resources: `workspace_component` with its `workspace`, `materialization_identity`, `offline_connection`,
    `entity`, `entity_version`, `feature_set`, and online `cluster`, `database`, `readers` by purpose.

    A version of the feature set is code: its specification lies in the lake with the transformation, so that pipelines
    publish it there, as they publish schemas.
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
        self._feature_store()
        self._offline()
        self._feature_group()
        if online:
            self._online()
        self.give(
            offline=self.feature_set.id,
            online=pulumi.Output.concat(self.cluster.host_name, f":{facts.REDIS_PORT}") if online else None,
        )

    def _feature_store(self) -> None:
        context = self.context
        component = Workspace(
            context,
            self.foundation,
            self.data.dependencies,
            "features",
            "FeatureStore",
            machinelearningservices.FeatureStoreSettingsArgs(
                compute_runtime=machinelearningservices.ComputeRuntimeDtoArgs(
                    spark_runtime_version=facts.MONITOR_SPARK_VERSION
                ),
                offline_store_connection_name="offline",
            ),
            opts=self.child(),
        )
        component.reach("lake-dfs", self.data.account.id, "dfs", spark=True)
        component.reach("lake-blob", self.data.account.id, "blob", spark=True)
        self.workspace_component, self.workspace = component, component.workspace

    def _offline(self) -> None:
        """Features are materialized in the features zone, under an identity that does nothing else.

        Its roles: https://learn.microsoft.com/azure/machine-learning/how-to-setup-access-control-feature-store
        """
        context, foundation = self.context, self.foundation
        containers = self.data.containers
        self.materialization_identity = foundation.identity("materialization")
        scopes = {
            "raw": (containers[Zone.RAW].id, facts.ROLE_BLOB_READER),
            "features": (containers[Zone.FEATURES].id, facts.ROLE_BLOB_WRITER),
            "store": (self.workspace.id, facts.ROLE_DATA_SCIENTIST),
        }
        for part, (scope, role) in scopes.items():
            foundation.assign(
                f"materialization-{part}", self.materialization_identity.principal_id, role, scope, self.child()
            )
        self.offline_connection = machinelearningservices.WorkspaceConnection(
            context.logical("offline"),
            resource_group_name=foundation.group,
            workspace_name=self.workspace.name,
            connection_name="offline",
            properties=machinelearningservices.ManagedIdentityAuthTypeWorkspaceConnectionPropertiesArgs(
                auth_type="ManagedIdentity",
                category=machinelearningservices.ConnectionCategory.ADLS_GEN2,
                target=containers[Zone.FEATURES].id,
                credentials=machinelearningservices.WorkspaceConnectionManagedIdentityArgs(
                    client_id=self.materialization_identity.client_id,
                    resource_id=self.materialization_identity.id,
                ),
            ),
            opts=self.child(),
        )

    def _feature_group(self) -> None:
        context, workload = self.context, self.context.workload
        place = {"resource_group_name": self.foundation.group, "workspace_name": self.workspace.name}
        entity = workload.data.entity
        self.entity = machinelearningservices.FeaturestoreEntityContainerEntity(
            context.logical("entity"),
            name=entity,
            properties=machinelearningservices.FeaturestoreEntityContainerPropertiesArgs(
                description=f"Whom predictions of {workload.name} are about", tags=context.tags
            ),
            opts=self.child(),
            **place,
        )
        self.entity_version = machinelearningservices.FeaturestoreEntityVersion(
            context.logical("entity"),
            name=self.entity.name,
            version=ENTITY_VERSION,
            properties=machinelearningservices.FeaturestoreEntityVersionPropertiesArgs(
                description=f"Whom predictions of {workload.name} are about",
                index_columns=[
                    machinelearningservices.IndexColumnArgs(
                        column_name=entity, data_type=index_type(workload.data.contract.record, entity)
                    )
                ],
                stage="Production",
                tags=context.tags,
            ),
            opts=self.child(),
            **place,
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
            **place,
        )
        self.realise("offline-features", self.entity_version)

    def _online(self) -> None:
        """Redis with the latest features, kept by the event processor; who reads and writes shows an identity.

        Azure Managed Redis, since Azure Cache for Redis is retired and takes no customer-managed key
        (https://learn.microsoft.com/azure/azure-cache-for-redis/retirement-faq,
        https://learn.microsoft.com/azure/redis/how-to-encryption).
        """
        context, foundation, encryption = self.context, self.foundation, self.foundation.encryption
        self.cluster = redisenterprise.RedisEnterprise(
            context.logical("online"),
            resource_group_name=foundation.group,
            location=foundation.location,
            sku=redisenterprise.SkuArgs(name=facts.REDIS_SKU),
            high_availability=redisenterprise.HighAvailability.ENABLED,
            minimum_tls_version="1.2",
            public_network_access=redisenterprise.PublicNetworkAccess.DISABLED,
            identity=redisenterprise.ManagedServiceIdentityArgs(
                type=redisenterprise.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[encryption.identity],
            ),
            encryption=redisenterprise.ClusterPropertiesEncryptionArgs(
                customer_managed_key_encryption=redisenterprise.ClusterPropertiesCustomerManagedKeyEncryptionArgs(
                    key_encryption_key_url=encryption.versioned_url,
                    key_encryption_key_identity=redisenterprise.ClusterPropertiesKeyEncryptionKeyIdentityArgs(
                        identity_type=redisenterprise.CmkIdentityType.USER_ASSIGNED_IDENTITY,
                        user_assigned_identity_resource_id=encryption.identity,
                    ),
                )
            ),
            tags=context.tags,
            opts=self.child(depends_on=foundation.ready),
        )
        self.database = redisenterprise.Database(
            context.logical("online"),
            resource_group_name=foundation.group,
            cluster_name=self.cluster.name,
            database_name="default",
            port=facts.REDIS_PORT,
            client_protocol=redisenterprise.Protocol.ENCRYPTED,
            clustering_policy=redisenterprise.ClusteringPolicy.OSS_CLUSTER,
            # Values that are too old go first where memory ends.
            eviction_policy=redisenterprise.EvictionPolicy.VOLATILE_TTL,
            access_keys_authentication=redisenterprise.AccessKeysAuthentication.DISABLED,
            opts=pulumi.ResourceOptions(parent=self.cluster),
        )
        foundation.private_endpoint("online", self.cluster.id, "redisEnterprise")
        self.data.workspace_component.reach("online-features", self.cluster.id, "redisEnterprise")
        self._readers()
        self.realise("online-features", self.database)

    def _readers(self) -> None:
        """Only ingest and serving come to the online store; Azure has one access policy for it.

        https://learn.microsoft.com/azure/redis/entra-for-authentication
        """
        self.readers = {
            purpose: redisenterprise.AccessPolicyAssignment(
                self.context.logical(f"{purpose}-online"),
                resource_group_name=self.foundation.group,
                cluster_name=self.cluster.name,
                database_name=self.database.name,
                access_policy_assignment_name=purpose.value,
                access_policy_name=facts.REDIS_ACCESS_POLICY,
                user=redisenterprise.AccessPolicyAssignmentPropertiesUserArgs(object_id=identity.principal_id),
                opts=pulumi.ResourceOptions(parent=self.database),
            )
            for purpose, identity in self.foundation.user_identities.items()
            if purpose in (Purpose.INGEST, Purpose.SERVING)
        }
