"""Workspaces of Azure Machine Learning, with what they need: storage, images, telemetry, and a managed network."""

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import applicationinsights, containerregistry, machinelearningservices

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.storage_account import private_account
from ml_blueprints.layers import Context


class Dependencies(pulumi.ComponentResource):
    """What the workspaces of a platform share.

    identity: under which workspaces act. account: their own storage, for snapshots and logs of runs; data has the lake.
    registry: images. insights: telemetry. grants: the identity's roles on them, which a workspace waits for.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:azure:Dependencies", context.logical("dependencies"), None, opts)
        self.context, self.foundation = context, foundation
        self.identity = foundation.identity("workspaces")
        self.account, _ = private_account(
            context,
            "mlstore",
            foundation.group,
            foundation.location,
            foundation.encryption,
            foundation.log_workspace.id,
            hierarchical=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=foundation.ready),
        )
        foundation.private_endpoint("mlstore-blob", self.account.id, "blob")
        foundation.private_endpoint("mlstore-file", self.account.id, "file")
        self._registry()
        self._insights()
        self._grants()
        self.register_outputs({"accountId": self.account.id, "registryId": self.registry.id})

    def _registry(self) -> None:
        """Premium, since only this tier has private endpoints and takes a customer-managed key.

        Tags can be moved in it: what is deployed names its image by digest.
        """
        context, foundation = self.context, self.foundation
        self.registry = containerregistry.Registry(
            context.logical("images"),
            # 5 to 50 letters and digits, unique in the world.
            registry_name=f"images{context.token}",
            resource_group_name=foundation.group,
            location=foundation.location,
            sku=containerregistry.SkuArgs(name=containerregistry.SkuName.PREMIUM),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            public_network_access=containerregistry.PublicNetworkAccess.DISABLED,
            network_rule_bypass_options=containerregistry.NetworkRuleBypassOptions.AZURE_SERVICES,
            zone_redundancy=containerregistry.ZoneRedundancy.ENABLED,
            identity=containerregistry.IdentityPropertiesArgs(
                type=containerregistry.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=foundation.encryption.identity.apply(
                    lambda identity: {identity: containerregistry.UserIdentityPropertiesArgs()}
                ),
            ),
            encryption=containerregistry.EncryptionPropertyArgs(
                status=containerregistry.EncryptionStatus.ENABLED,
                key_vault_properties=containerregistry.KeyVaultPropertiesArgs(
                    identity=foundation.encryption.identity_client, key_identifier=foundation.encryption.url
                ),
            ),
            policies=containerregistry.PoliciesArgs(
                export_policy=containerregistry.ExportPolicyArgs(status=containerregistry.ExportPolicyStatus.DISABLED),
                retention_policy=containerregistry.RetentionPolicyArgs(
                    days=30, status=containerregistry.PolicyStatus.ENABLED
                ),
            ),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=foundation.ready),
        )
        foundation.private_endpoint("images", self.registry.id, "registry")
        foundation.keep_logs("images", self.registry)

    def _insights(self) -> None:
        context, foundation = self.context, self.foundation
        self.insights = applicationinsights.Component(
            context.logical("insights"),
            resource_group_name=foundation.group,
            location=foundation.location,
            kind="web",
            application_type=applicationinsights.ApplicationType.WEB,
            ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
            workspace_resource_id=foundation.log_workspace.id,
            disable_local_auth=True,
            public_network_access_for_ingestion=applicationinsights.PublicNetworkAccessType.DISABLED,
            public_network_access_for_query=applicationinsights.PublicNetworkAccessType.ENABLED,
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _grants(self) -> None:
        """The roles that a workspace's identity must have on what belongs to it, and to connect its managed network.

        https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication#workspace and
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network
        """
        scopes = {
            "account": (self.account.id, facts.ROLE_CONTRIBUTOR),
            "account-blobs": (self.account.id, facts.ROLE_BLOB_WRITER),
            "account-files": (self.account.id, facts.ROLE_FILE_WRITER),
            "vault": (self.foundation.vault.id, facts.ROLE_CONTRIBUTOR),
            "vault-secrets": (self.foundation.vault.id, facts.ROLE_VAULT_ADMINISTRATOR),
            "images": (self.registry.id, facts.ROLE_CONTRIBUTOR),
            "insights": (self.insights.id, facts.ROLE_CONTRIBUTOR),
            "connections": (self.foundation.resource_group.id, facts.ROLE_CONNECTION_APPROVER),
        }
        self.grants = [
            self.foundation.assign(
                f"workspaces-{part}", self.identity.principal_id, role, scope, pulumi.ResourceOptions(parent=self)
            )
            for part, (scope, role) in scopes.items()
        ]


class Workspace(pulumi.ComponentResource):
    """A workspace without public access, whose managed network reaches what it is told to by private endpoints.

    Azure itself adds those of what a workspace must have: its storage, its vault, its registry and itself
    (https://learn.microsoft.com/azure/machine-learning/how-to-managed-network#list-of-required-rules).

    kind: `Default` or `FeatureStore`. identities: ids of identities under which its serverless Spark may act, which are
    attached to it (https://learn.microsoft.com/azure/machine-learning/how-to-submit-spark-jobs). workspace: the
    resource; `name` and `id` are its own. outbound_rules: the ways out of its managed network. access_log: who uses its
    models, data and runs.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        dependencies: Dependencies,
        part: str,
        kind: str,
        identities: Sequence[pulumi.Input[str]],
        feature_store: machinelearningservices.FeatureStoreSettingsArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:Workspace", context.logical(part), None, opts)
        self.context, self.foundation, self.part = context, foundation, part
        self.outbound_rules: list[machinelearningservices.ManagedNetworkSettingsRule] = []
        self._workspace(dependencies, kind, identities, feature_store)
        self.name, self.id = self.workspace.name, self.workspace.id
        foundation.private_endpoint(part, self.id, "amlworkspace")
        self.access_log = foundation.keep_logs(part, self.workspace)
        self.register_outputs({"workspaceId": self.id})

    def reach(self, part: str, target: pulumi.Input[str], service: str, spark: bool = False) -> pulumi.Resource:
        """Let the managed network reach a resource (its id) by a private endpoint, by the group id of its service.

        One rule is written at a time, so that each waits for the one before.
        """
        rule = machinelearningservices.ManagedNetworkSettingsRule(
            self.context.logical(f"{self.part}-to-{part}"),
            resource_group_name=self.foundation.group,
            workspace_name=self.name,
            rule_name=part,
            properties=machinelearningservices.PrivateEndpointOutboundRuleArgs(
                type="PrivateEndpoint",
                category=machinelearningservices.RuleCategory.USER_DEFINED,
                destination=machinelearningservices.PrivateEndpointDestinationArgs(
                    service_resource_id=target, subresource_target=service, spark_enabled=spark
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self.workspace, depends_on=self.outbound_rules[-1:]),
        )
        self.outbound_rules.append(rule)
        return rule

    def _workspace(
        self,
        dependencies: Dependencies,
        kind: str,
        identities: Sequence[pulumi.Input[str]],
        feature_store: machinelearningservices.FeatureStoreSettingsArgs | None,
    ) -> None:
        context, foundation, encryption = self.context, self.foundation, self.foundation.encryption
        egress = context.settings.network.internet_egress
        self.workspace = machinelearningservices.Workspace(
            # A workspace's name has 3 to 33 characters.
            foundation.short(self.part),
            resource_group_name=foundation.group,
            location=foundation.location,
            kind=kind,
            friendly_name=f"{context.name} {self.part}",
            description=context.workload.description,
            sku=machinelearningservices.SkuArgs(name="Basic", tier=machinelearningservices.SkuTier.BASIC),
            storage_account=dependencies.account.id,
            container_registry=dependencies.registry.id,
            application_insights=dependencies.insights.id,
            key_vault=foundation.vault.id,
            identity=machinelearningservices.ManagedServiceIdentityArgs(
                type=machinelearningservices.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[dependencies.identity.id, encryption.identity, *identities],
            ),
            primary_user_assigned_identity=dependencies.identity.id,
            system_datastores_auth_mode=machinelearningservices.SystemDatastoresAuthMode.IDENTITY,
            encryption=machinelearningservices.EncryptionPropertyArgs(
                status=machinelearningservices.EncryptionStatus.ENABLED,
                identity=machinelearningservices.IdentityForCmkArgs(user_assigned_identity=encryption.identity),
                key_vault_properties=machinelearningservices.KeyVaultPropertiesArgs(
                    key_identifier=encryption.url,
                    key_vault_arm_id=encryption.vault,
                    identity_client_id=encryption.identity_client,
                ),
            ),
            enable_service_side_cmk_encryption=True,
            # Data that must not leave keeps Microsoft's diagnostics low ("high business impact").
            hbi_workspace=context.workload.data.classification in ("confidential", "restricted"),
            public_network_access=machinelearningservices.PublicNetworkAccessType.DISABLED,
            managed_network=machinelearningservices.ManagedNetworkSettingsArgs(
                isolation_mode=machinelearningservices.IsolationMode.ALLOW_INTERNET_OUTBOUND
                if egress
                else machinelearningservices.IsolationMode.ALLOW_ONLY_APPROVED_OUTBOUND,
                status=machinelearningservices.ManagedNetworkProvisionStatusArgs(spark_ready=True),
            ),
            provision_network_now=True,
            v1_legacy_mode=False,
            feature_store_settings=feature_store,
            tags=context.tags,
            # The rules of the managed network are resources of their own; Azure adds those that it needs itself.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*foundation.ready, *dependencies.grants],
                ignore_changes=["managedNetwork.outboundRules"],
            ),
        )
