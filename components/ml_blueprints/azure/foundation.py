"""The foundation on Azure: resource group, key vault and key, log workspace, network, and an identity per purpose."""

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import (
    authorization,
    keyvault,
    managedidentity,
    monitor,
    network,
    operationalinsights,
    resources,
)

from ml_blueprints import layers
from ml_blueprints.azure import deploy_rights, facts, schedule_trigger, unsupported
from ml_blueprints.azure.deploy_rights import Grant
from ml_blueprints.azure.encryption import Encryption, existing_key
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.network import Network
from ml_blueprints.azure.private_vault import private_vault
from ml_blueprints.azure.storage_account import private_account
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import ArchitectureKind


class Foundation(AzureLayer, layers.Foundation):
    """Network, key, identities and logs on Azure.

    Native resources: `resource_group`, `vault`, `vault_key` (None if a key is brought along), `encryption_identity`,
    `log_workspace`, `log_account` (network flows), `network_component` (network, subnets, endpoints), and by purpose
    `user_identities`. `encryption` is the key as services take it; `subscription`, `tenant` and
    `location` are facts. `own_identities` are all that the platform has so far, by part, and `granted` the roles that
    it has given so far, or may give later.

    What is encrypted with the key depends on `ready`: the identity for encryption may use it by then.
    """

    def __init__(self, context: Context, opts: pulumi.ResourceOptions | None = None):
        self.location = _location()
        _refuse_few_subnets(context)
        unsupported.refuse(context.workload, context.settings)
        schedule_trigger.refuse(context.workload)
        super().__init__(context, opts)
        client = authorization.get_client_config_output(opts=pulumi.InvokeOptions(parent=self))
        self.subscription = client.subscription_id
        self.tenant = client.tenant_id
        self.vault_key: keyvault.Key | None = None
        self.user_identities: dict[Purpose, managedidentity.UserAssignedIdentity] = {}
        self.own_identities: dict[str, managedidentity.UserAssignedIdentity] = {}
        self.granted: list[pulumi.Output[Grant]] = []
        self._roles: dict[str, pulumi.Output[str]] = {}
        self._resource_group()
        self._encryption()
        self._logs()
        self._network()
        self._identities()
        self.give(
            key=self.encryption.url,
            network=self.network_component.network_id,
            subnets=self.network_component.subnet_ids,
            identities=self.identity_ids,
            logs=self.log_workspace.id,
        )

    @property
    def group(self) -> pulumi.Output[str]:
        """Name of the resource group."""
        return self.resource_group.name

    def client(self, purpose: Purpose) -> pulumi.Output[str]:
        """By what code asks for an identity's tokens: its client id; its resource id where it is brought along.

        Both tell an identity from others in azure-identity's ManagedIdentityCredential (`client_id`, or `mi_res_id` of
        `identity_config`); the client id of what is brought along may lie in a subscription that can't be asked.
        """
        ours = self.user_identities.get(purpose)
        return ours.client_id if ours else self.identity_ids[purpose]

    def short(self, part: str) -> str:
        """A logical name of which auto-naming makes a physical one of at most 24 characters, for a part of 7."""
        return f"{part}-{self.context.token}"

    def grant(
        self, purpose: Purpose, name: str, role: pulumi.Input[str], scope: pulumi.Input[str]
    ) -> list[pulumi.Resource]:
        """Give an identity of ours a role on one resource; an identity brought along is its owner's to equip.

        role: GUID of a built-in role, or id of a role of ours. Returns the grant, so that what needs it can wait.
        """
        if purpose not in self.user_identities:
            return []
        return [self.assign(f"{purpose}-{name}", self.user_identities[purpose].principal_id, role, scope, self.child())]

    def assign(
        self,
        part: str,
        principal: pulumi.Input[str],
        role: pulumi.Input[str],
        scope: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
        kind: authorization.PrincipalType = authorization.PrincipalType.SERVICE_PRINCIPAL,
        condition: pulumi.Input[str] | None = None,
    ) -> authorization.RoleAssignment:
        """Give a principal (its object id) a role on one resource, perhaps under a condition."""
        if isinstance(role, str):
            role = pulumi.Output.concat(
                "/subscriptions/", self.subscription, "/providers/Microsoft.Authorization/roleDefinitions/", role
            )
        self.expect(role, principal, kind)
        return authorization.RoleAssignment(
            self.context.logical(part),
            principal_id=principal,
            principal_type=kind,
            role_definition_id=role,
            scope=scope,
            condition=condition,
            condition_version=None if condition is None else deploy_rights.CONDITION_VERSION,
            opts=opts,
        )

    def expect(
        self,
        role: pulumi.Input[str],
        principal: pulumi.Input[str],
        kind: authorization.PrincipalType = authorization.PrincipalType.SERVICE_PRINCIPAL,
    ) -> None:
        """Let whoever brings the stack up give a principal (its object id) a role later, as `assign` does at once."""
        person = kind is authorization.PrincipalType.USER
        self.granted.append(
            pulumi.Output.all(role, principal).apply(lambda both: Grant(_guid(both[0]), both[1], person))
        )

    def role(
        self, part: str, title: str, actions: Sequence[str], data_actions: Sequence[str] | None = None
    ) -> pulumi.Output[str]:
        """The id of a role of the platform's own, which holds these actions, also on data, and nothing else.

        It is made once, for whoever asks for it.
        """
        if part not in self._roles:
            self._roles[part] = self.role_definition(part, title, actions, data_actions).id
        return self._roles[part]

    def role_definition(
        self,
        part: str,
        title: str,
        actions: Sequence[str],
        data_actions: Sequence[str] | None = None,
        beyond: Sequence[pulumi.Input[str]] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> authorization.RoleDefinition:
        """A role that may be given in the platform's group, and in others (their ids) beyond it."""
        return authorization.RoleDefinition(
            self.context.logical(part),
            # Names of roles are unique in a tenant.
            role_name=f"{self.context.name}-{self.context.token}: {title}",
            role_type="CustomRole",
            scope=self.resource_group.id,
            assignable_scopes=[self.resource_group.id, *beyond],
            permissions=[authorization.PermissionArgs(actions=list(actions), data_actions=data_actions)],
            opts=opts or self.child(),
        )

    def private_endpoint(self, part: str, target: pulumi.Input[str], service: str) -> network.PrivateEndpoint:
        """A private endpoint of a resource in the platform's network; see Network.endpoint."""
        endpoint = self.network_component.endpoint(part, target, service)
        self.realise("private-service-access", endpoint)
        return endpoint

    def private_vault(self, part: str, opts: pulumi.ResourceOptions) -> keyvault.Vault:
        """A vault that isn't the workspaces' own, whose secrets and keys the workspaces' identity manages.

        part: at most 7 characters.
        """
        vault = private_vault(self.context, self.short(part), self.group, self.location, self.tenant, opts)
        self._connect_vault(part, vault)
        return vault

    def _connect_vault(self, part: str, vault: keyvault.Vault) -> None:
        """Let it be reached in the platform's network, and have its logs kept."""
        self.private_endpoint(part, vault.id, "vault")
        self.keep_logs(part, vault)

    def keep_logs(self, part: str, resource: pulumi.CustomResource) -> monitor.DiagnosticSetting:
        """Send all logs of a resource to the log workspace."""
        return monitor.DiagnosticSetting(
            self.context.logical(f"{part}-logs"),
            resource_uri=resource.id,
            workspace_id=self.log_workspace.id,
            logs=[monitor.DiagnosticsLogSettingsArgs(category_group="allLogs", enabled=True)],
            opts=pulumi.ResourceOptions(parent=resource),
        )

    def identity(self, part: str) -> managedidentity.UserAssignedIdentity:
        """An identity of its own for one part of the platform."""
        self.own_identities[part] = managedidentity.UserAssignedIdentity(
            self.context.logical(part),
            resource_group_name=self.group,
            location=self.location,
            tags=self.context.tags,
            opts=self.child(),
        )
        return self.own_identities[part]

    def _resource_group(self) -> None:
        self.resource_group = resources.ResourceGroup(
            self.context.logical("platform"), location=self.location, tags=self.context.tags, opts=self.child()
        )

    def _encryption(self) -> None:
        """The vault holds the workspaces' secrets in any case, and the key unless one is brought along."""
        context, settings = self.context, self.context.settings.encryption
        self.encryption_identity = self.identity("encryption")
        self.vault = private_vault(
            context,
            self.short("vault"),
            self.group,
            self.location,
            self.tenant,
            self.child(),
            bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
        )
        identity = {"identity": self.encryption_identity.id, "identity_client": self.encryption_identity.client_id}
        if settings.existing_key:
            parts = existing_key(settings.existing_key)
            brought = {part: pulumi.Output.from_input(value) for part, value in parts.items()}
            self.encryption = Encryption(**brought, **identity)
            context.register.brought("customer-managed-key")
        else:
            self.vault_key = self._key(settings.rotation_days)
            self.encryption = Encryption(
                key=self.vault_key.id,
                name=self.vault_key.name,
                url=self.vault_key.key_uri,
                versioned_url=self.vault_key.key_uri_with_version,
                vault=self.vault.id,
                vault_url=self.vault.properties.vault_uri,
                **identity,
            )
            self.realise("customer-managed-key", self.vault_key)
        self.ready: list[pulumi.Resource] = [
            self.assign(
                "use-key",
                self.encryption_identity.principal_id,
                facts.ROLE_KEY_USER,
                self.encryption.key,
                self.child(),
            )
        ]

    def _key(self, rotation_days: int) -> keyvault.Key:
        return keyvault.Key(
            self.context.logical("key"),
            resource_group_name=self.group,
            vault_name=self.vault.name,
            properties=keyvault.KeyPropertiesArgs(
                kty=keyvault.JsonWebKeyType.RSA,
                key_size=3072,
                key_ops=[keyvault.JsonWebKeyOperation.WRAP_KEY, keyvault.JsonWebKeyOperation.UNWRAP_KEY],
                rotation_policy=keyvault.RotationPolicyArgs(
                    # A version outlives its rotation by a month, in which services take over the next one.
                    attributes=keyvault.KeyRotationPolicyAttributesArgs(expiry_time=f"P{rotation_days + 30}D"),
                    lifetime_actions=[
                        keyvault.LifetimeActionArgs(
                            action=keyvault.ActionArgs(type=keyvault.KeyRotationPolicyActionType.ROTATE),
                            trigger=keyvault.TriggerArgs(time_after_create=f"P{rotation_days}D"),
                        )
                    ],
                ),
            ),
            tags=self.context.tags,
            opts=self.child(),
        )

    def _logs(self) -> None:
        """One workspace for all logs. Its queries and what it takes in need an identity, never its shared key.

        Azure Monitor encrypts it with keys of its own: a customer-managed one takes a dedicated cluster, billed for
        100 GB a day at least (https://learn.microsoft.com/azure/azure-monitor/logs/customer-managed-keys).
        """
        self.log_workspace = operationalinsights.Workspace(
            self.context.logical("logs"),
            resource_group_name=self.group,
            location=self.location,
            sku=operationalinsights.WorkspaceSkuArgs(name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018),
            retention_in_days=facts.LOG_RETENTION_DAYS,
            public_network_access_for_ingestion=operationalinsights.PublicNetworkAccessType.DISABLED,
            public_network_access_for_query=operationalinsights.PublicNetworkAccessType.ENABLED,
            features=operationalinsights.WorkspaceFeaturesArgs(
                disable_local_auth=True, enable_log_access_using_only_resource_permissions=True
            ),
            tags=self.context.tags,
            opts=self.child(),
        )
        self.realise("central-logs", self.log_workspace)

    def _network(self) -> None:
        context = self.context
        self.network_component = Network(context, self.group, self.location, opts=self.child())
        self._connect_vault("vault", self.vault)
        if self.network_component.network is None:
            for capability in ("private-network", "flow-logs"):
                context.register.brought(capability)
            return
        self.log_account, _ = private_account(
            context,
            "flows",
            self.group,
            self.location,
            self.encryption,
            self.log_workspace.id,
            hierarchical=False,
            opts=self.child(depends_on=self.ready),
        )
        writer = self.identity("flows")
        may_write = self.assign("flows", writer.principal_id, facts.ROLE_BLOB_WRITER, self.log_account.id, self.child())
        flow_log = self.network_component.log_flows(self.log_account.id, self.log_workspace, writer.id, may_write)
        self.realise("private-network", *self.network_component.subnets)
        self.realise("flow-logs", flow_log)

    def _identities(self) -> None:
        context = self.context
        self.identity_ids: dict[Purpose, pulumi.Output[str]] = {}
        for purpose in Purpose:
            if existing := context.settings.identities.get(purpose):
                self.identity_ids[purpose] = pulumi.Output.from_input(existing)
                continue
            self.user_identities[purpose] = self.identity(purpose)
            self.identity_ids[purpose] = self.user_identities[purpose].id
        if self.user_identities:
            self.realise("identity-per-purpose", *self.user_identities.values())
        else:
            context.register.brought("identity-per-purpose")


def _guid(role: str) -> str:
    """The GUID at the end of a role definition's id."""
    return role.rpartition("/")[2]


def _location() -> str:
    """The region of the stack. Raises BlueprintError where its configuration has none."""
    if location := pulumi.Config("azure-native").get("location"):
        return location.lower().replace(" ", "")
    problem = Problem(
        "azure-native:location", "nothing", "the azure provider needs it: `pulumi config set azure-native:location ...`"
    )
    raise BlueprintError(f"Pulumi.{pulumi.get_stack()}.yaml", [problem])


def _refuse_few_subnets(context: Context) -> None:
    """A subnet that is delegated to Container Apps takes nothing else, nor does that of API Management.

    Where events are read there are two, with tenants three. Raises BlueprintError.
    """
    settings, given = context.settings, context.settings.network.existing_subnets
    if not given or settings.architecture is ArchitectureKind.BATCH:
        return
    needed = 3 if context.workload.serving.tenants else 2
    if len(given) < needed:
        middle = ", the second for API Management" if needed == 3 else ""
        problem = Problem(
            "ml-blueprints:network.existing_subnets",
            "one subnet" if len(given) == 1 else f"{len(given)} subnets",
            f"{'three' if needed == 3 else 'two'} are expected: the first for private endpoints{middle}, the last "
            "delegated to Microsoft.App/environments",
        )
        raise BlueprintError(f"Pulumi.{pulumi.get_stack()}.yaml", [problem])
