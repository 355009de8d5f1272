"""What a deployer may do on Azure: by type of resource, and which roles it may give to whom.

An operation is the path of a type with what is done to it, as Resource Manager forms it
(https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations). None of these is on data,
and none shows a key with which data could be had.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_APIM = "Microsoft.ApiManagement/service"
_APP = "Microsoft.App"
_EVENTS = "Microsoft.EventHub/namespaces"
_INSIGHTS = "Microsoft.Insights"
_ML = "Microsoft.MachineLearningServices/workspaces"
_NETWORK = "Microsoft.Network"
_REDIS = "Microsoft.Cache/redisEnterprise"
_STORAGE = "Microsoft.Storage/storageAccounts"
_TOPICS = "Microsoft.EventGrid/systemTopics"


def _changes(type_: str, *actions: str) -> tuple[str, ...]:
    """Writing and deleting resources of a type, and further actions on them."""
    return (f"{type_}/write", f"{type_}/delete", *(f"{type_}/{action}/action" for action in actions))


# Lets a private endpoint be connected without somebody who approves it.
# https://learn.microsoft.com/azure/private-link/rbac-permissions
_APPROVAL = "privateEndpointConnectionsApproval"

# How things are set up, of whatever is in the group.
READS = ("*/read",)

# What `pulumi up` needs for a resource of a type, by Pulumi's name of it, beside reading it.
RIGHTS: Mapping[str, Sequence[str]] = {
    "apimanagement:Api": _changes(f"{_APIM}/apis"),
    "apimanagement:ApiManagementService": _changes(_APIM),
    "apimanagement:ApiOperation": _changes(f"{_APIM}/apis/operations"),
    "apimanagement:ApiPolicy": _changes(f"{_APIM}/apis/policies"),
    "apimanagement:ApiSchema": _changes(f"{_APIM}/apis/schemas"),
    "app:ContainerApp": _changes(f"{_APP}/containerApps"),
    "app:ContainerAppsAuthConfig": _changes(f"{_APP}/containerApps/authConfigs"),
    "app:ManagedEnvironment": _changes(f"{_APP}/managedEnvironments", "join"),
    "applicationinsights:Component": _changes(f"{_INSIGHTS}/components"),
    "applicationinsights:Workbook": _changes(f"{_INSIGHTS}/workbooks"),
    "consumption:Budget": _changes("Microsoft.Consumption/budgets"),
    "containerregistry:Registry": _changes("Microsoft.ContainerRegistry/registries", _APPROVAL),
    "eventgrid:SystemTopic": _changes(_TOPICS),
    # The lake, whose events these are, is asked too.
    # https://learn.microsoft.com/azure/event-grid/security-authorization#permissions-for-event-subscriptions
    "eventgrid:SystemTopicEventSubscription": (
        *_changes(f"{_TOPICS}/eventSubscriptions"),
        "Microsoft.EventGrid/eventSubscriptions/write",
    ),
    "eventhub:ConsumerGroup": _changes(f"{_EVENTS}/eventhubs/consumergroups"),
    "eventhub:EventHub": _changes(f"{_EVENTS}/eventhubs"),
    "eventhub:Namespace": _changes(_EVENTS, _APPROVAL),
    "eventhub:SchemaRegistry": _changes(f"{_EVENTS}/schemagroups"),
    # Resource Manager deletes no key, which is done on the vault's data.
    "keyvault:Key": ("Microsoft.KeyVault/vaults/keys/write",),
    # A vault's model of access, by which whoever writes it could let himself in, is changed by those alone who give
    # roles without a condition. https://learn.microsoft.com/azure/key-vault/general/rbac-guide
    "keyvault:Vault": _changes("Microsoft.KeyVault/vaults", _APPROVAL),
    # The address of a workflow, by which alarms call it, is asked for at each preview.
    "logic:Workflow": (
        *_changes("Microsoft.Logic/workflows"),
        "Microsoft.Logic/workflows/triggers/listCallbackUrl/action",
    ),
    "machinelearningservices:BatchDeployment": _changes(f"{_ML}/batchEndpoints/deployments"),
    "machinelearningservices:BatchEndpoint": _changes(f"{_ML}/batchEndpoints"),
    "machinelearningservices:CodeContainer": _changes(f"{_ML}/codes"),
    "machinelearningservices:CodeVersion": _changes(f"{_ML}/codes/versions"),
    # A version makes its container.
    "machinelearningservices:ComponentVersion": (
        *_changes(f"{_ML}/components"),
        *_changes(f"{_ML}/components/versions"),
    ),
    "machinelearningservices:Compute": _changes(f"{_ML}/computes"),
    "machinelearningservices:DataContainer": _changes(f"{_ML}/data"),
    "machinelearningservices:DataVersion": _changes(f"{_ML}/data/versions"),
    "machinelearningservices:Datastore": _changes(f"{_ML}/datastores"),
    "machinelearningservices:EnvironmentContainer": _changes(f"{_ML}/environments"),
    "machinelearningservices:EnvironmentVersion": _changes(f"{_ML}/environments/versions"),
    "machinelearningservices:FeaturesetContainerEntity": _changes(f"{_ML}/featuresets"),
    "machinelearningservices:FeaturesetVersion": _changes(f"{_ML}/featuresets/versions"),
    "machinelearningservices:FeaturestoreEntityContainerEntity": _changes(f"{_ML}/featurestoreEntities"),
    "machinelearningservices:FeaturestoreEntityVersion": _changes(f"{_ML}/featurestoreEntities/versions"),
    # https://learn.microsoft.com/azure/machine-learning/how-to-assign-roles#common-scenarios
    "machinelearningservices:Job": (
        *_changes(f"{_ML}/jobs", "cancel"),
        f"{_ML}/experiments/runs/submit/action",
        f"{_ML}/experiments/runs/write",
        f"{_ML}/metadata/artifacts/write",
        f"{_ML}/metadata/snapshots/write",
    ),
    "machinelearningservices:ManagedNetworkSettingsRule": _changes(f"{_ML}/outboundRules"),
    "machinelearningservices:ModelContainer": _changes(f"{_ML}/models"),
    "machinelearningservices:ModelVersion": _changes(f"{_ML}/models/versions"),
    "machinelearningservices:OnlineDeployment": _changes(f"{_ML}/onlineEndpoints/deployments"),
    "machinelearningservices:OnlineEndpoint": _changes(f"{_ML}/onlineEndpoints"),
    "machinelearningservices:Registry": _changes("Microsoft.MachineLearningServices/registries", _APPROVAL),
    "machinelearningservices:Schedule": _changes(f"{_ML}/schedules"),
    "machinelearningservices:Workspace": _changes(_ML, _APPROVAL),
    "machinelearningservices:WorkspaceConnection": _changes(f"{_ML}/connections"),
    # It attaches each of the platform's by a role on that identity.
    "managedidentity:UserAssignedIdentity": _changes("Microsoft.ManagedIdentity/userAssignedIdentities"),
    "monitor:ActionGroup": _changes(f"{_INSIGHTS}/actionGroups"),
    "monitor:AutoscaleSetting": _changes(f"{_INSIGHTS}/autoscalesettings"),
    "monitor:DiagnosticSetting": _changes(f"{_INSIGHTS}/diagnosticSettings"),
    "monitor:MetricAlert": _changes(f"{_INSIGHTS}/metricAlerts"),
    "monitor:ScheduledQueryRule": _changes(f"{_INSIGHTS}/scheduledQueryRules"),
    "network:NatGateway": _changes(f"{_NETWORK}/natGateways", "join"),
    "network:NetworkSecurityGroup": _changes(f"{_NETWORK}/networkSecurityGroups", "join"),
    "network:PrivateDnsZoneGroup": _changes(f"{_NETWORK}/privateEndpoints/privateDnsZoneGroups"),
    "network:PrivateEndpoint": _changes(f"{_NETWORK}/privateEndpoints"),
    "network:PublicIPAddress": _changes(f"{_NETWORK}/publicIPAddresses", "join"),
    "network:Subnet": _changes(f"{_NETWORK}/virtualNetworks/subnets", "join"),
    "network:VirtualNetwork": _changes(f"{_NETWORK}/virtualNetworks", "join"),
    # Whoever sends logs there is asked for this, though the workspace takes none by its keys.
    # https://learn.microsoft.com/azure/azure-monitor/logs/manage-access
    "operationalinsights:Workspace": _changes("Microsoft.OperationalInsights/workspaces", "sharedKeys"),
    "privatedns:PrivateRecordSet": _changes(f"{_NETWORK}/privateDnsZones/A"),
    "privatedns:PrivateZone": _changes(f"{_NETWORK}/privateDnsZones", "join"),
    "privatedns:VirtualNetworkLink": _changes(f"{_NETWORK}/privateDnsZones/virtualNetworkLinks"),
    "redisenterprise:Database": _changes(f"{_REDIS}/databases"),
    "redisenterprise:RedisEnterprise": _changes(_REDIS, _APPROVAL),
    "resources:Deployment": _changes("Microsoft.Resources/deployments"),
    # With its group a stack would go, and who may do what in it: that is an administrator's.
    "resources:ResourceGroup": ("Microsoft.Resources/subscriptions/resourceGroups/write",),
    "storage:BlobContainer": _changes(f"{_STORAGE}/blobServices/containers"),
    "storage:BlobServiceProperties": (f"{_STORAGE}/blobServices/write",),
    "storage:ManagementPolicy": _changes(f"{_STORAGE}/managementPolicies"),
    "storage:StorageAccount": _changes(_STORAGE, _APPROVAL),
}

# What lies in the group of Azure's own watcher of networks.
# https://learn.microsoft.com/azure/network-watcher/required-rbac-permissions
WATCHER_RIGHTS: Mapping[str, Sequence[str]] = {"network:FlowLog": _changes(f"{_NETWORK}/networkWatchers/flowLogs")}

# What an administrator alone changes: with these one gets more rights, as in Redis, where access is no role of Azure's.
ADMINISTRATORS = frozenset(
    {
        "authorization:RoleDefinition",
        "managedidentity:FederatedIdentityCredential",
        "redisenterprise:AccessPolicyAssignment",
    }
)

# Given by the role that assigns roles, under a condition.
CONDITIONAL = frozenset({"authorization:RoleAssignment"})

# A condition has at most 8 KB. https://learn.microsoft.com/azure/role-based-access-control/conditions-faq
LONGEST_CONDITION = 8192
CONDITION_VERSION = "2.0"

_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"

# https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes#azure-blob-storage-actions
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_ON_BLOBS = ("read", "write", "add/action", "delete")


@dataclass(frozen=True)
class Grant:
    """A role (GUID of its definition) that somebody (object id) has; people are told from identities."""

    role: str
    principal: str
    person: bool = False


def actions() -> list[str]:
    """What a role of the deployer's holds on the platform's group."""
    return [*READS, *sorted({action for needed in RIGHTS.values() for action in needed})]


def only(grants: Sequence[Grant]) -> str:
    """The condition under which somebody gives each role to those alone who have it here, and takes none from others.

    A role that people have may be given to any of them. Neither the deployer nor the auditor is among those of
    `grants`. Raises ValueError where Azure would refuse it as too long.
    https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples and
    https://learn.microsoft.com/azure/role-based-access-control/conditions-authorization-actions-attributes
    """
    holders: dict[str, set[str]] = {}
    for grant in grants:
        if not grant.person:
            holders.setdefault(grant.role, set()).add(grant.principal)
    roles: dict[tuple[str, ...], set[str]] = {}
    for role, found in holders.items():
        roles.setdefault(tuple(sorted(found)), set()).add(role)
    identities = {principal for found in holders.values() for principal in found}
    opened = {grant.role for grant in grants if grant.person}

    written = [
        _both(_is("Request", "RoleDefinitionId", same), _is("Request", "PrincipalId", found))
        for found, same in sorted(roles.items())
    ]
    deleted = [_is("Resource", "PrincipalId", identities)]
    for source, allowed in (("Request", written), ("Resource", deleted)):
        if opened:
            allowed.append(_both(_is(source, "RoleDefinitionId", opened), _people(source)))
    text = f"{_if_it_is('write', written)} AND {_if_it_is('delete', deleted)}"
    if len(text) > LONGEST_CONDITION:
        raise ValueError(f"the condition on what a deployer grants has {len(text)} characters, and 8192 may be")
    return text


def until(day: str) -> str:
    """The condition under which blobs are read and written until a day (as in ISO 8601) is over.

    Of what a deployer may do only this can end by itself: other operations know no time. Without its state no stack is
    brought up. https://learn.microsoft.com/azure/role-based-access-control/conditions-format#environment-attributes
    """
    over = datetime.date.fromisoformat(day) + datetime.timedelta(days=1)
    other = " AND ".join(f"!(ActionMatches{{'{_BLOBS}/{operation}'}})" for operation in _ON_BLOBS)
    return f"(({other}) OR (@Environment[UtcNow] DateTimeLessThan '{over}T00:00:00.0Z'))"


def _if_it_is(operation: str, allowed: Iterable[str]) -> str:
    return f"((!(ActionMatches{{'{_ASSIGNMENTS}/{operation}'}})) OR ({' OR '.join(allowed)}))"


def _both(one: str, other: str) -> str:
    return f"({one} AND {other})"


def _is(source: str, attribute: str, values: Iterable[str]) -> str:
    return f"@{source}[{_ASSIGNMENTS}:{attribute}] ForAnyOfAnyValues:GuidEquals {{{', '.join(sorted(values))}}}"


def _people(source: str) -> str:
    return f"@{source}[{_ASSIGNMENTS}:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {{'User'}}"
