"""Azure in the sandbox: one subscription, with resource ids as Azure Resource Manager forms them.

Paths: the `az rest` form of each resource type in the ARM reference (https://learn.microsoft.com/azure/templates/).
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from sandbox.provider.cloud import Cloud, CloudError, hexadecimal, texts
from sandbox.schema import UNKNOWN, Failure, ResourceSchema
from sandbox.store import Record

SUBSCRIPTION = "5c4b3a29-1807-4655-9443-322110ffeedd"
TENANT = "7d6e5f40-3c2b-4a19-8877-665544332211"
CLIENT = "0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e"

_GROUP = "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}"
_ML = f"{_GROUP}/providers/Microsoft.MachineLearningServices"
_WORKSPACE = f"{_ML}/workspaces/{{workspaceName}}"
_NETWORK = f"{_GROUP}/providers/Microsoft.Network"
_STORAGE = f"{_GROUP}/providers/Microsoft.Storage/storageAccounts/{{accountName}}"
_HUBS = f"{_GROUP}/providers/Microsoft.EventHub/namespaces/{{namespaceName}}"
_TOPIC = f"{_GROUP}/providers/Microsoft.EventGrid/systemTopics/{{systemTopicName}}"
_IDENTITY = f"{_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}"
_REDIS = f"{_GROUP}/providers/Microsoft.Cache/redisEnterprise/{{clusterName}}"
_APIM = f"{_GROUP}/providers/Microsoft.ApiManagement/service/{{serviceName}}"
_API = f"{_APIM}/apis/{{apiId}}"
_DATABASE = f"{_REDIS}/databases/{{databaseName}}"

_STORAGE_ACCOUNT = "azure-native:storage:StorageAccount"
_BLOB = "azure-native:storage:Blob"
_MANAGEMENT_POLICY = "azure-native:storage:ManagementPolicy"
_VAULT = "azure-native:keyvault:Vault"
_ONLINE_ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
_ONLINE_DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
_TEMPLATE = "azure-native:resources:Deployment"
_API_MANAGEMENT = "azure-native:apimanagement:ApiManagementService"
_CLIENT_CONFIG = "azure-native:authorization:getClientConfig"

# Type to the form of its id. The last placeholder is the resource's own name, those before it name its parents.
PATHS: Mapping[str, str] = {
    f"azure-native:{type_}": path
    for type_, path in {
        "apimanagement:Api": _API,
        "apimanagement:ApiManagementService": _APIM,
        "apimanagement:ApiOperation": f"{_API}/operations/{{operationId}}",
        "apimanagement:ApiPolicy": f"{_API}/policies/{{policyId}}",
        "apimanagement:ApiSchema": f"{_API}/schemas/{{schemaId}}",
        "app:ContainerApp": f"{_GROUP}/providers/Microsoft.App/containerApps/{{containerAppName}}",
        "app:ContainerAppsAuthConfig": (
            f"{_GROUP}/providers/Microsoft.App/containerApps/{{containerAppName}}/authConfigs/{{authConfigName}}"
        ),
        "app:Job": f"{_GROUP}/providers/Microsoft.App/jobs/{{jobName}}",
        "app:ManagedEnvironment": f"{_GROUP}/providers/Microsoft.App/managedEnvironments/{{environmentName}}",
        "applicationinsights:Component": f"{_GROUP}/providers/Microsoft.Insights/components/{{resourceName}}",
        "applicationinsights:Workbook": f"{_GROUP}/providers/Microsoft.Insights/workbooks/{{resourceName}}",
        "authorization:RoleAssignment": (
            "/{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"
        ),
        "authorization:RoleDefinition": "/{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}",
        "consumption:Budget": "/{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
        "containerregistry:Registry": f"{_GROUP}/providers/Microsoft.ContainerRegistry/registries/{{registryName}}",
        "eventgrid:EventSubscription": (
            "/{scope}/providers/Microsoft.EventGrid/eventSubscriptions/{eventSubscriptionName}"
        ),
        "eventgrid:SystemTopic": _TOPIC,
        "eventgrid:SystemTopicEventSubscription": f"{_TOPIC}/eventSubscriptions/{{eventSubscriptionName}}",
        "eventhub:ConsumerGroup": f"{_HUBS}/eventhubs/{{eventHubName}}/consumergroups/{{consumerGroupName}}",
        "eventhub:EventHub": f"{_HUBS}/eventhubs/{{eventHubName}}",
        "eventhub:Namespace": _HUBS,
        "eventhub:NamespaceNetworkRuleSet": f"{_HUBS}/networkRuleSets/default",
        "eventhub:SchemaRegistry": f"{_HUBS}/schemagroups/{{schemaGroupName}}",
        "keyvault:Key": f"{_GROUP}/providers/Microsoft.KeyVault/vaults/{{vaultName}}/keys/{{keyName}}",
        "keyvault:Vault": f"{_GROUP}/providers/Microsoft.KeyVault/vaults/{{vaultName}}",
        "logic:Workflow": f"{_GROUP}/providers/Microsoft.Logic/workflows/{{workflowName}}",
        "machinelearningservices:BatchDeployment": (
            f"{_WORKSPACE}/batchEndpoints/{{endpointName}}/deployments/{{deploymentName}}"
        ),
        "machinelearningservices:BatchEndpoint": f"{_WORKSPACE}/batchEndpoints/{{endpointName}}",
        "machinelearningservices:CodeContainer": f"{_WORKSPACE}/codes/{{name}}",
        "machinelearningservices:CodeVersion": f"{_WORKSPACE}/codes/{{name}}/versions/{{version}}",
        "machinelearningservices:ComponentContainer": f"{_WORKSPACE}/components/{{name}}",
        "machinelearningservices:ComponentVersion": f"{_WORKSPACE}/components/{{name}}/versions/{{version}}",
        "machinelearningservices:Compute": f"{_WORKSPACE}/computes/{{computeName}}",
        "machinelearningservices:DataContainer": f"{_WORKSPACE}/data/{{name}}",
        "machinelearningservices:DataVersion": f"{_WORKSPACE}/data/{{name}}/versions/{{version}}",
        "machinelearningservices:Datastore": f"{_WORKSPACE}/datastores/{{name}}",
        "machinelearningservices:EnvironmentContainer": f"{_WORKSPACE}/environments/{{name}}",
        "machinelearningservices:EnvironmentVersion": f"{_WORKSPACE}/environments/{{name}}/versions/{{version}}",
        "machinelearningservices:FeaturesetContainerEntity": f"{_WORKSPACE}/featuresets/{{name}}",
        "machinelearningservices:FeaturesetVersion": f"{_WORKSPACE}/featuresets/{{name}}/versions/{{version}}",
        "machinelearningservices:FeaturestoreEntityContainerEntity": f"{_WORKSPACE}/featurestoreEntities/{{name}}",
        "machinelearningservices:FeaturestoreEntityVersion": (
            f"{_WORKSPACE}/featurestoreEntities/{{name}}/versions/{{version}}"
        ),
        "machinelearningservices:Job": f"{_WORKSPACE}/jobs/{{id}}",
        "machinelearningservices:ManagedNetworkSettingsRule": f"{_WORKSPACE}/outboundRules/{{ruleName}}",
        "machinelearningservices:ModelContainer": f"{_WORKSPACE}/models/{{name}}",
        "machinelearningservices:ModelVersion": f"{_WORKSPACE}/models/{{name}}/versions/{{version}}",
        "machinelearningservices:OnlineDeployment": (
            f"{_WORKSPACE}/onlineEndpoints/{{endpointName}}/deployments/{{deploymentName}}"
        ),
        "machinelearningservices:OnlineEndpoint": f"{_WORKSPACE}/onlineEndpoints/{{endpointName}}",
        "machinelearningservices:Registry": f"{_ML}/registries/{{registryName}}",
        "machinelearningservices:Schedule": f"{_WORKSPACE}/schedules/{{name}}",
        "machinelearningservices:Workspace": _WORKSPACE,
        "machinelearningservices:WorkspaceConnection": f"{_WORKSPACE}/connections/{{connectionName}}",
        "managedidentity:FederatedIdentityCredential": (
            f"{_IDENTITY}/federatedIdentityCredentials/{{federatedIdentityCredentialResourceName}}"
        ),
        "managedidentity:UserAssignedIdentity": _IDENTITY,
        "monitor:ActionGroup": f"{_GROUP}/providers/Microsoft.Insights/actionGroups/{{actionGroupName}}",
        "monitor:AutoscaleSetting": f"{_GROUP}/providers/Microsoft.Insights/autoscalesettings/{{autoscaleSettingName}}",
        "monitor:DiagnosticSetting": "/{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
        "monitor:MetricAlert": f"{_GROUP}/providers/Microsoft.Insights/metricAlerts/{{ruleName}}",
        "monitor:ScheduledQueryRule": f"{_GROUP}/providers/Microsoft.Insights/scheduledQueryRules/{{ruleName}}",
        "network:FlowLog": f"{_NETWORK}/networkWatchers/{{networkWatcherName}}/flowLogs/{{flowLogName}}",
        "network:NatGateway": f"{_NETWORK}/natGateways/{{natGatewayName}}",
        "network:NetworkSecurityGroup": f"{_NETWORK}/networkSecurityGroups/{{networkSecurityGroupName}}",
        "network:NetworkWatcher": f"{_NETWORK}/networkWatchers/{{networkWatcherName}}",
        "network:PrivateDnsZoneGroup": (
            f"{_NETWORK}/privateEndpoints/{{privateEndpointName}}/privateDnsZoneGroups/{{privateDnsZoneGroupName}}"
        ),
        "network:PrivateEndpoint": f"{_NETWORK}/privateEndpoints/{{privateEndpointName}}",
        "network:PublicIPAddress": f"{_NETWORK}/publicIPAddresses/{{publicIpAddressName}}",
        "network:Subnet": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}/subnets/{{subnetName}}",
        "network:VirtualNetwork": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}",
        "operationalinsights:Workspace": (
            f"{_GROUP}/providers/Microsoft.OperationalInsights/workspaces/{{workspaceName}}"
        ),
        "privatedns:PrivateRecordSet": (
            f"{_NETWORK}/privateDnsZones/{{privateZoneName}}/{{recordType}}/{{relativeRecordSetName}}"
        ),
        "privatedns:PrivateZone": f"{_NETWORK}/privateDnsZones/{{privateZoneName}}",
        "privatedns:VirtualNetworkLink": (
            f"{_NETWORK}/privateDnsZones/{{privateZoneName}}/virtualNetworkLinks/{{virtualNetworkLinkName}}"
        ),
        "redis:AccessPolicyAssignment": (
            f"{_GROUP}/providers/Microsoft.Cache/redis/{{cacheName}}"
            "/accessPolicyAssignments/{accessPolicyAssignmentName}"
        ),
        "redis:Redis": f"{_GROUP}/providers/Microsoft.Cache/redis/{{name}}",
        "redisenterprise:AccessPolicyAssignment": f"{_DATABASE}/accessPolicyAssignments/{{accessPolicyAssignmentName}}",
        "redisenterprise:Database": _DATABASE,
        "redisenterprise:RedisEnterprise": _REDIS,
        "resources:Deployment": f"{_GROUP}/providers/Microsoft.Resources/deployments/{{deploymentName}}",
        "resources:ResourceGroup": _GROUP,
        "storage:Blob": f"{_STORAGE}/blobServices/default/containers/{{containerName}}/blobs/{{blobName}}",
        "storage:BlobContainer": f"{_STORAGE}/blobServices/default/containers/{{containerName}}",
        "storage:BlobServiceProperties": f"{_STORAGE}/blobServices/default",
        "storage:ManagementPolicy": f"{_STORAGE}/managementPolicies/{{managementPolicyName}}",
        "storage:StorageAccount": _STORAGE,
    }.items()
}

# Names without separators, and how long they may be, where the random part would make others illegal.
# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_NAME_RULES: Mapping[str, tuple[int, str]] = {
    _STORAGE_ACCOUNT: (24, r"[^a-z0-9]"),
    _VAULT: (24, r"[^A-Za-z0-9-]"),
    "azure-native:containerregistry:Registry": (50, r"[^A-Za-z0-9]"),
    "azure-native:machinelearningservices:Workspace": (33, r"[^A-Za-z0-9_-]"),
    "azure-native:machinelearningservices:OnlineEndpoint": (32, r"[^A-Za-z0-9-]"),
}

# Values that Azure takes where the SDK lists those of another enumeration of the same name.
# https://learn.microsoft.com/rest/api/monitor/scheduled-query-rules/create-or-update#conditionoperator
_VALUES: Mapping[tuple[str, str], frozenset[str]] = {
    ("azure-native:monitor:ScheduledQueryRule", "criteria.allOf[].operator"): frozenset(
        {"Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"}
    )
}

# The tiers of API Management that can be in a network, of those that the SDK knows.
# https://learn.microsoft.com/azure/api-management/virtual-network-concepts
_TIERS_IN_NETWORK = frozenset({"Developer", "Premium"})

# Percent of the requests that may be copied. https://learn.microsoft.com/azure/machine-learning/concept-endpoints-online#mirror-traffic
_MOST_MIRRORED = 50

# The watcher of each region exists in every subscription. https://learn.microsoft.com/azure/network-watcher/network-watcher-create
_GIVEN = re.compile(
    rf"/subscriptions/{SUBSCRIPTION}(/resourcegroups/networkwatcherrg(/providers/microsoft.network/networkwatchers/[^/]+)?)?",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ENDPOINT_KIND = "microsoft.machinelearningservices/workspaces/onlineendpoints"

# What comes into being with the first version in it, as Azure's own SDK relies on: `ComponentOperations` of azure-ai-ml
# creates versions and never a container. https://learn.microsoft.com/rest/api/azureml/component-versions/create-or-update
_MADE_WITH_A_VERSION = re.compile(r".*/workspaces/[^/]+/components/[^/]+", re.IGNORECASE)


class AzureNative(Cloud):
    """Azure: one subscription of one tenant."""

    package = "azure-native"
    settings_of_a_parent = frozenset(
        {
            "azure-native:storage:BlobServiceProperties",
            _MANAGEMENT_POLICY,
            "azure-native:eventhub:NamespaceNetworkRuleSet",
        }
    )
    # https://learn.microsoft.com/azure/virtual-network/virtual-network-manage-subnet#delete-a-subnet
    held_by: ClassVar[Mapping[str, frozenset[str]]] = {
        "azure-native:network:Subnet": frozenset(
            {"azure-native:network:PrivateEndpoint", "azure-native:app:ManagedEnvironment"}
        ),
        "azure-native:network:NetworkSecurityGroup": frozenset({"azure-native:network:Subnet"}),
    }
    # The names in a resource's path, and what ARM answers PropertyChangeNotAllowed for.
    replaced_by: ClassVar[Mapping[str, frozenset[str]]] = {"*": frozenset({"resourceGroupName", "location", "scope"})}

    def check_configuration(self, configuration: Mapping[str, Any]) -> list[Failure]:
        return []

    def check(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> list[Failure]:
        if resource.token not in PATHS:
            here = "sandbox/sandbox/provider/azure_native.py"
            reason = (
                f"the sandbox does not know how Azure forms the id of {resource.token}; {here} lists those it knows"
            )
            return [Failure("", reason)]
        mistaken = {
            path
            for path, value in texts(inputs)
            if value in _VALUES.get((resource.token, re.sub(r"\[\d+\]", "[]", path)), ())
        }
        failures = [failure for failure in super().check(resource, inputs) if failure.path not in mistaken]
        limit, wrong = _NAME_RULES.get(resource.token, (260, r"[\x00-\x1f]"))
        own = self.name_property(resource) or ""
        if isinstance(name := inputs.get(own), str) and (len(name) > limit or re.search(wrong, name)):
            failures.append(Failure(own, f"`{name}` is not a legal name: at most {limit} characters, none of {wrong}"))
        if resource.token == _API_MANAGEMENT:
            failures += _placed_wrongly(inputs)
        return failures

    def name_property(self, resource: ResourceSchema) -> str | None:
        names = _PLACEHOLDER.findall(PATHS.get(resource.token, ""))
        own = names[-1] if names else None
        known = resource.inputs.get(own or "")
        return own if known is not None and not known.required else None

    def generated_name(self, resource: ResourceSchema, logical: str, random: str) -> str:
        if resource.token.startswith("azure-native:authorization:"):
            return str(uuid.UUID(hexadecimal(random + logical, 32)))
        if resource.token == _MANAGEMENT_POLICY:
            return "default"
        limit, wrong = _NAME_RULES.get(resource.token, (260, r"[\x00-\x1f]"))
        if resource.token == _STORAGE_ACCOUNT:
            logical = logical.lower()
        return f"{re.sub(wrong, '', logical)[: limit - 8]}{random[:8]}"

    def replaces(self, resource: ResourceSchema, property_: str) -> bool:
        return property_ in _PLACEHOLDER.findall(PATHS.get(resource.token, "")) or super().replaces(resource, property_)

    def identify(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> str:
        path = PATHS[resource.token]
        values = {name: str(inputs.get(name, "")).strip("/") for name in _PLACEHOLDER.findall(path)}
        values["subscription"] = SUBSCRIPTION
        return path.format_map(values)

    def check_references(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> list[str]:
        """The identifiers that the inputs use, the resource in which it lies being one of them."""
        id_ = self.identify(resource, inputs)
        parent = _parent(id_)
        if _MADE_WITH_A_VERSION.fullmatch(parent):
            parent = _parent(parent)
        if not self._exists(parent):
            raise CloudError(f"there is no `{parent}` in which `{id_.rpartition('/')[2]}` could be made")
        if resource.token == _BLOB:
            self._refuse_without_keys(inputs)
        return [self.normal(parent), *super().check_references(resource, inputs)]

    def _refuse_without_keys(self, inputs: Mapping[str, Any]) -> None:
        """pulumi-azure-native writes blobs with an account's key: https://github.com/pulumi/pulumi-azure-native/issues/2015."""
        account = self._find(_BLOB, _STORAGE_ACCOUNT, inputs)
        if account.inputs.get("allowSharedKeyAccess") is False:
            raise CloudError(
                f"403 KeyBasedAuthenticationNotPermitted: `{account.id}` takes no shared keys, and the provider writes "
                "blobs with one"
            )

    def consequences(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> list[Record]:
        """An endpoint sends requests to deployments that it has; a template writes the endpoints that it holds."""
        properties = inputs.get("properties") or {}
        if resource.token == _ONLINE_ENDPOINT:
            self._check_traffic(id_, properties)
        if resource.token != _TEMPLATE:
            return []
        return [
            self._written(str(inputs.get("resourceGroupName")), found)
            for found in (properties.get("template") or {}).get("resources", ())
            if str(found.get("type", "")).lower() == _ENDPOINT_KIND
        ]

    def _written(self, group: str, found: Mapping[str, Any]) -> Record:
        """An endpoint as a template writes it: what it says stands instead of what was there, traffic included."""
        workspace, _, name = str(found.get("name", "")).partition("/")
        arguments = {"resourceGroupName": group, "workspaceName": workspace, "endpointName": name}
        record = self._find(_TEMPLATE, _ONLINE_ENDPOINT, arguments)
        properties = dict(found.get("properties") or {})
        self._check_traffic(record.id, properties)
        kept = {"scoringUri": record.outputs["properties"].get("scoringUri"), "provisioningState": "Succeeded"}
        inputs = {**record.inputs, "properties": properties}
        return Record(*record.key, record.urn, inputs, {**record.outputs, "properties": {**kept, **properties}})

    def _check_traffic(self, endpoint: str, properties: Mapping[str, Any]) -> None:
        """https://learn.microsoft.com/azure/machine-learning/how-to-safely-rollout-online-endpoints."""
        live, mirrored = properties.get("traffic") or {}, properties.get("mirrorTraffic") or {}
        name = endpoint.rpartition("/")[2]
        for deployment in (*live, *mirrored):
            if not self._exists(f"{endpoint}/deployments/{deployment}"):
                raise CloudError(f"400 BadRequest: endpoint `{name}` has no deployment `{deployment}` for its traffic")
        if (total := sum(live.values())) not in (0, 100):
            raise CloudError(f"400 BadRequest: traffic of endpoint `{name}` adds up to {total}, and 0 or 100 is right")
        copied = {deployment: share for deployment, share in mirrored.items() if share}
        if len(copied) > 1:
            raise CloudError(
                f"400 BadRequest: endpoint `{name}` mirrors to {', '.join(sorted(copied))}, and one may be"
            )
        for deployment, share in copied.items():
            if share > _MOST_MIRRORED:
                raise CloudError(
                    f"400 BadRequest: endpoint `{name}` mirrors {share}%, and at most {_MOST_MIRRORED} may be"
                )
            if live.get(deployment):
                raise CloudError(f"400 BadRequest: deployment `{deployment}` gets requests, and copies of them, too")

    def reason_to_keep(self, key: tuple[str, str, str]) -> str | None:
        """A deployment that is sent requests or copies of them stays."""
        if key[0] != _ONLINE_DEPLOYMENT:
            return None
        endpoint, _, name = key[2].partition("/deployments/")
        records = (self.store.get(found) for found in self.store.identified_by(self.normal(endpoint)))
        for properties in (record.outputs.get("properties", {}) for record in records if record):
            for words, kind in (("traffic", "traffic"), ("mirrored traffic", "mirrorTraffic")):
                if share := (properties.get(kind) or {}).get(name):
                    return f"it has {share}% {words}"
        return None

    def contents(self, key: tuple[str, str, str]) -> list[tuple[str, str, str]]:
        return self.store.identified_below(self.normal(key[2]) + "/")

    def named_by_us(self, name_property: str) -> dict[str, Any]:
        return {"__createBeforeDelete": True}

    def _exists(self, id_: str) -> bool:
        """Whether something is there, as far as this subscription can know it."""
        if not self.normal(id_).startswith(f"/subscriptions/{SUBSCRIPTION}"):
            return True
        return bool(_GIVEN.fullmatch(id_) or self.store.identified_by(self.normal(id_)))

    def known_outputs(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> dict[str, Any]:
        name = id_.rpartition("/")[2]
        provider, _, types = id_.rpartition("/providers/")[2].partition("/")
        kinds = "/".join(types.split("/")[::2])
        host = name.lower()
        key_url = f"https://{_segment(id_, 'vaults')}.vault.azure.net/keys/{name}"
        candidates: dict[str, Any] = {
            "name": name,
            "type": f"{provider}/{kinds}" if "/providers/" in id_ else "Microsoft.Resources/resourceGroups",
            "azureApiVersion": "2025-01-01",
            "location": inputs.get("location") or self.configuration.get("location", "westeurope"),
            "tenantId": TENANT,
            "principalId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{id_}/principal")),
            "clientId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{id_}/client")),
            "loginServer": f"{host}.azurecr.io",
            "serviceBusEndpoint": f"https://{host}.servicebus.windows.net:443/",
            "hostName": f"{host}.redis.cache.windows.net",
            "keyUri": key_url,
            "keyUriWithVersion": f"{key_url}/{hexadecimal(id_, 32)}",
            "customerId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{id_}/customer")),
            "defaultDomain": f"{host}.{hexadecimal(id_, 8)}.westeurope.azurecontainerapps.io",
            "staticIp": "10.64.64.10",
            "privateIPAddresses": ["10.64.128.4"],
            "latestRevisionFqdn": f"{host}.internal.azurecontainerapps.io",
            "accessEndpoint": f"https://prod.westeurope.logic.azure.com/workflows/{hexadecimal(id_, 32)}",
        }
        known = {
            key: value
            for key, value in candidates.items()
            if key in resource.outputs and key not in inputs and value is not None
        }
        if resource.token == _STORAGE_ACCOUNT:
            services = ("blob", "dfs", "file", "queue", "table", "web")
            known["primaryEndpoints"] = {service: f"https://{host}.{service}.core.windows.net/" for service in services}
        if resource.token == _VAULT:
            known["properties"] = {**inputs.get("properties", {}), "vaultUri": f"https://{host}.vault.azure.net/"}
        if resource.token.startswith("azure-native:machinelearningservices:Online") and "properties" in inputs:
            endpoint = _segment(id_, "onlineEndpoints")
            uri = f"https://{endpoint}.westeurope.inference.ml.azure.com/score"
            known["properties"] = {**inputs["properties"], "scoringUri": uri, "provisioningState": "Succeeded"}
        return known

    def outputs(
        self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str, computed: Mapping[str, Any]
    ) -> dict[str, Any]:
        return _with_identities(super().outputs(resource, inputs, id_, computed))

    def preview(
        self, resource: ResourceSchema, inputs: Mapping[str, Any], computed: Mapping[str, Any]
    ) -> dict[str, Any]:
        return _with_identities(super().preview(resource, inputs, computed))

    def identifiers(self, id_: str, outputs: Mapping[str, Any]) -> set[str]:
        urls = {outputs[name] for name in ("keyUri", "keyUriWithVersion") if name in outputs}
        if re.search(r"/Microsoft\.KeyVault/vaults/[^/]+$", id_):
            urls.add(outputs["properties"]["vaultUri"])
        return {self.normal(value) for value in urls | {id_}}

    def is_reference(self, text: str) -> bool:
        normal = self.normal(text)
        if match := re.fullmatch(r"(https://[a-z0-9-]+\.vault\.azure\.net)/keys/[^\s]+", normal):
            # Vaults of other subscriptions are somebody else's to know.
            return bool(self.store.identified_by(match[1]))
        is_own = normal.startswith(f"/subscriptions/{SUBSCRIPTION}/") and " " not in normal
        is_built_in = "/providers/microsoft.authorization/roledefinitions/" in normal
        return is_own and not is_built_in and not _GIVEN.fullmatch(normal)

    def normal(self, identifier: str) -> str:
        lower = identifier.lower().rstrip("/").removeprefix("azureml:")
        return f"/{lower}" if lower.startswith("subscriptions/") else lower

    def call(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if token == _CLIENT_CONFIG:
            return {"subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "clientId": CLIENT, "objectId": CLIENT}
        if match := re.fullmatch(r"(azure-native:\w+:)list(\w+?)(Key|Secret|TriggerCallbackUrl)s?", token):
            if match[1] + match[2] in PATHS:
                self._find(token, match[1] + match[2], arguments)
            seed = hexadecimal(f"{token}{sorted(arguments.items())}", 43)
            if match[3] == "TriggerCallbackUrl":
                return {"value": f"https://prod.westeurope.logic.azure.com/workflows/{seed}?sig={seed[:20]}"}
            return {
                "primaryKey": seed,
                "secondaryKey": seed[::-1],
                "keys": [{"keyName": "key1", "value": seed, "permissions": "Full"}],
            }
        type_ = re.sub(r":get(\w+)$", r":\1", token)
        if type_ not in PATHS:
            raise CloudError(f"the sandbox has no function {token}")
        record = self._find(token, type_, arguments)
        return {"id": record.id, **record.outputs}

    def _find(self, token: str, type_: str, arguments: Mapping[str, Any]) -> Record:
        """The resource that a function's arguments name. Raises CloudError if it doesn't exist."""
        values = {name: str(value).strip("/") for name, value in arguments.items()}
        id_ = PATHS[type_].format_map({"subscription": SUBSCRIPTION, **values})
        for key in self.store.identified_by(self.normal(id_)):
            if key[0] == type_ and (record := self.store.get(key)) is not None:
                return record
        raise CloudError(f"{token}: there is no `{id_}`")


def _placed_wrongly(inputs: Mapping[str, Any]) -> list[Failure]:
    """What API Management refuses of its place when it is made.

    https://learn.microsoft.com/azure/api-management/private-endpoint says that public access ends after that.
    """
    failures = []
    tier = (inputs.get("sku") or {}).get("name")
    if inputs.get("virtualNetworkType") in ("Internal", "External") and tier not in (*_TIERS_IN_NETWORK, UNKNOWN):
        right = " or ".join(sorted(_TIERS_IN_NETWORK))
        failures.append(Failure("sku.name", f"`{tier}` can't be in a virtual network; {right} can"))
    if inputs.get("publicNetworkAccess") == "Disabled":
        failures.append(
            Failure("publicNetworkAccess", "`Disabled` needs a private endpoint first, and a new service has none")
        )
    return failures


def _with_identities(value: Any) -> Any:
    """Outputs with user-assigned identities by their ids, as Azure answers; inputs have a list of ids."""
    if isinstance(value, list):
        return [_with_identities(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    answered = {}
    for key, item in value.items():
        if key == "userAssignedIdentities" and isinstance(item, list):
            known = all(isinstance(identity, str) for identity in item)
            answered[key] = {identity: _identity(identity) for identity in item} if known else UNKNOWN
        else:
            answered[key] = _with_identities(item)
    return answered


def _identity(id_: str) -> dict[str, str]:
    """What Azure answers of an identity beside its id."""
    return {
        name: str(uuid.uuid5(uuid.NAMESPACE_URL, f"{id_}/{part}"))
        for name, part in (("principalId", "principal"), ("clientId", "client"))
    }


def _parent(id_: str) -> str:
    """The id of what a resource lies in: a resource, a resource group, or what its scope is."""
    if "/providers/" not in id_:
        return f"/subscriptions/{SUBSCRIPTION}"
    before, _, own = id_.rpartition("/providers/")
    # The namespace and one pair of kind and name is a resource of its own; each further pair is nested in the last.
    steps = own.split("/")
    if len(steps) == 3:
        return before
    parent = f"{before}/providers/{'/'.join(steps[:-2])}"
    return parent.removesuffix("/blobServices/default")


def _segment(id_: str, kind: str) -> str:
    """The name that follows a kind in an id, such as the vault's in a key's."""
    match = re.search(rf"/{kind}/([^/]+)", id_)
    return match[1].lower() if match else ""
