"""The online store on Azure: one Redis for the latest features and for the windows that they are computed from.

Azure Managed Redis, since Azure Cache for Redis is retired and takes no customer-managed key
(https://learn.microsoft.com/azure/azure-cache-for-redis/retirement-faq,
https://learn.microsoft.com/azure/redis/how-to-encryption).
"""

import pulumi
from pulumi_azure_native import redisenterprise

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose

# Who comes to the store: ingest writes windows and features, serving reads features. Azure has one access policy for
# both, so that serving could write too; keys are told apart by their prefixes.
# https://learn.microsoft.com/azure/redis/entra-for-authentication
USERS = (Purpose.INGEST, Purpose.SERVING)


def sku(events_per_second: int) -> str:
    """The size for this many events a second; the largest of ours for more than it takes."""
    sizes = facts.REDIS_SKUS
    return next((size for events, size in sizes.items() if events >= events_per_second), sizes[max(sizes)])


class OnlineStore(pulumi.ComponentResource):
    """A private Redis with a replica, on disk too, without keys. cluster, database: the resources; users: by purpose.

    host: host name and port. url: the same, as clients write it.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:azure:OnlineStore", context.logical("online"), None, opts)
        self.context, self.foundation = context, foundation
        self._cluster()
        self._database()
        self._users()
        self.host = pulumi.Output.concat(self.cluster.host_name, f":{facts.REDIS_PORT}")
        self.url = pulumi.Output.concat("rediss://", self.host)
        foundation.private_endpoint("online", self.cluster.id, "redisEnterprise")
        foundation.keep_logs("online", self.database)
        self.register_outputs({"databaseId": self.database.id})

    def _cluster(self) -> None:
        context, foundation, encryption = self.context, self.foundation, self.foundation.encryption
        self.cluster = redisenterprise.RedisEnterprise(
            context.logical("online"),
            resource_group_name=foundation.group,
            location=foundation.location,
            sku=redisenterprise.SkuArgs(name=sku(context.workload.data.events_per_second)),
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
            opts=pulumi.ResourceOptions(parent=self, depends_on=foundation.ready),
        )

    def _database(self) -> None:
        """Windows must not be forgotten: a database that is full refuses writes, and events wait in their hub for it.

        An alarm tells before that (monitoring.py). What was written is on disk within a second, so that the windows
        outlive both nodes.
        https://learn.microsoft.com/azure/redis/how-to-persistence
        """
        self.database = redisenterprise.Database(
            self.context.logical("online"),
            resource_group_name=self.foundation.group,
            cluster_name=self.cluster.name,
            database_name="default",
            port=facts.REDIS_PORT,
            client_protocol=redisenterprise.Protocol.ENCRYPTED,
            clustering_policy=redisenterprise.ClusteringPolicy.OSS_CLUSTER,
            eviction_policy=redisenterprise.EvictionPolicy.NO_EVICTION,
            persistence=redisenterprise.PersistenceArgs(
                aof_enabled=True, aof_frequency=redisenterprise.AofFrequency.AOF_FREQUENCY_1S
            ),
            access_keys_authentication=redisenterprise.AccessKeysAuthentication.DISABLED,
            opts=pulumi.ResourceOptions(parent=self.cluster),
        )

    def let_in(self, part: str, principal: pulumi.Input[str]) -> redisenterprise.AccessPolicyAssignment:
        """Let another principal (its object id) come to the store."""
        return redisenterprise.AccessPolicyAssignment(
            self.context.logical(f"{part}-online"),
            resource_group_name=self.foundation.group,
            cluster_name=self.cluster.name,
            database_name=self.database.name,
            access_policy_assignment_name=part,
            access_policy_name=facts.REDIS_ACCESS_POLICY,
            user=redisenterprise.AccessPolicyAssignmentPropertiesUserArgs(object_id=principal),
            opts=pulumi.ResourceOptions(parent=self.database),
        )

    def _users(self) -> None:
        self.users = {
            purpose: self.let_in(purpose, identity.principal_id)
            for purpose, identity in self.foundation.user_identities.items()
            if purpose in USERS
        }
