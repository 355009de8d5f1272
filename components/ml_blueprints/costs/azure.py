"""What types of Azure cost in a month."""

from collections.abc import Iterator, Mapping

from ml_blueprints.costs.inputs import Inputs, NotPriced, found
from ml_blueprints.costs.items import Item, Rule, each_hour, hourly, kept, one
from ml_blueprints.costs.prices import AZURE as PRICE
from ml_blueprints.costs.prices import HOURS_PER_MONTH, SECONDS_PER_MONTH
from ml_blueprints.costs.usage import Usage

# How often a rule on logs looks, in ISO 8601, and the price that holds for it.
_LOG_ALERTS = {"PT5M": "log alert, 5 minutes", "PT10M": "log alert, 10 minutes"}
_LOG_ALERT_FROM_15_MINUTES = "log alert, 15 minutes"


def _online_deployment(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    kind = inputs.get("properties.instance_type")
    if kind not in PRICE:
        raise NotPriced(f"no price for {kind or 'its machine'}")
    yield hourly(PRICE[kind], inputs.get("sku.capacity", 1))


def _compute(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """A cluster's nodes that are always there; those of runs, and notebooks, come and go."""
    least = inputs.get("properties.properties.scale_settings.min_node_count", 0)
    if not least:
        raise NotPriced("by the length of runs, and the hours that people work")
    kind = inputs.get("properties.properties.vm_size")
    if kind not in PRICE:
        raise NotPriced(f"no price for {kind}")
    yield hourly(PRICE[kind], least)


def _event_hubs(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    tier = inputs.get("sku.name")
    if tier != "Premium":
        raise NotPriced(f"no price for {tier}")
    yield Item(PRICE["event hubs processing unit"], inputs.get("sku.capacity", 1))


def _redis(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    size = inputs.get("sku.name")
    if size not in PRICE:
        raise NotPriced(f"no price for {size}")
    yield hourly(PRICE[size], 1 if inputs.get("high_availability") == "Disabled" else 2)


def _container_app(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """Replicas that are always there, as if they were idle; what they do while they are active comes on top of it."""
    least = inputs.get("template.scale.min_replicas", 0)
    for container in inputs.all("template.containers"):
        processors = found(container, "resources.cpu", 0.5)
        memory = float(str(found(container, "resources.memory", "1Gi")).removesuffix("Gi"))
        yield Item(PRICE["app idle processor"], least * processors * SECONDS_PER_MONTH)
        yield Item(PRICE["app idle memory"], least * memory * SECONDS_PER_MONTH)
    if not least:
        raise NotPriced("by the time that its replicas are there")


def _container(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """The raw zone holds the events; what the others hold is derived, or depends on people."""
    if inputs.get("container_name") != "raw":
        raise NotPriced("its size is known to nobody yet")
    yield Item(PRICE["blobs"], kept(usage))


def _registry(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    if inputs.get("sku.name") != "Premium":
        raise NotPriced(f"no price for {inputs.get('sku.name')}")
    yield Item(PRICE["premium registry"], HOURS_PER_MONTH / 24)


def _log_alert(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    yield Item(PRICE[_LOG_ALERTS.get(inputs.get("evaluation_frequency"), _LOG_ALERT_FROM_15_MINUTES)], 1)


def _api_management(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    tier = inputs.get("sku.name")
    if tier == "Consumption":
        yield Item(PRICE["api management call"], usage.requests)
        return
    if f"api management {tier}" not in PRICE:
        raise NotPriced(f"no price for {tier}")
    yield Item(PRICE[f"api management {tier}"], inputs.get("sku.capacity", 1))


RULES: Mapping[str, Rule] = {
    "azure-native:apimanagement:ApiManagementService": _api_management,
    "azure-native:app:ContainerApp": _container_app,
    "azure-native:containerregistry:Registry": _registry,
    "azure-native:eventhub:Namespace": _event_hubs,
    "azure-native:machinelearningservices:Compute": _compute,
    "azure-native:machinelearningservices:OnlineDeployment": _online_deployment,
    "azure-native:monitor:MetricAlert": one(PRICE["metric alert"]),
    "azure-native:monitor:ScheduledQueryRule": _log_alert,
    "azure-native:network:PrivateEndpoint": each_hour(PRICE["private endpoint"]),
    "azure-native:privatedns:PrivateZone": one(PRICE["private dns zone"]),
    "azure-native:redisenterprise:RedisEnterprise": _redis,
    "azure-native:storage:BlobContainer": _container,
}

# Cost by what people, runs and messages do, which no word of a workload tells; or no source was found.
BY_USE: Mapping[str, str] = {
    "azure-native:applicationinsights:Component": "by what is logged",
    "azure-native:eventgrid:SystemTopic": "by events",
    "azure-native:keyvault:Key": "by operations",
    "azure-native:keyvault:Vault": "by operations",
    "azure-native:logic:Workflow": "by steps that are run",
    "azure-native:machinelearningservices:BatchDeployment": "by the length of runs",
    "azure-native:machinelearningservices:Job": "by the length of runs",
    "azure-native:machinelearningservices:Schedule": "by the length of runs",
    "azure-native:network:FlowLog": "by what is logged",
    "azure-native:network:NatGateway": "no source for its hour",
    "azure-native:network:PublicIPAddress": "no source for its hour",
    "azure-native:operationalinsights:Workspace": "by what is logged",
}

# Rights, wiring and definitions, for which no bill comes.
FREE: tuple[str, ...] = (
    "azure-native:apimanagement:Api",
    "azure-native:apimanagement:Api[OPS]*",
    "azure-native:app:ContainerAppsAuthConfig",
    "azure-native:app:ManagedEnvironment",
    "azure-native:applicationinsights:Workbook",
    "azure-native:authorization:*",
    "azure-native:consumption:Budget",
    "azure-native:eventgrid:SystemTopicEventSubscription",
    "azure-native:eventhub:ConsumerGroup",
    "azure-native:eventhub:EventHub",
    "azure-native:eventhub:SchemaRegistry",
    "azure-native:machinelearningservices:*Container",
    "azure-native:machinelearningservices:*ContainerEntity",
    "azure-native:machinelearningservices:*Endpoint",
    "azure-native:machinelearningservices:*Version",
    "azure-native:machinelearningservices:Datastore",
    "azure-native:machinelearningservices:ManagedNetworkSettingsRule",
    "azure-native:machinelearningservices:Workspace",
    "azure-native:machinelearningservices:WorkspaceConnection",
    "azure-native:managedidentity:*",
    "azure-native:monitor:ActionGroup",
    "azure-native:monitor:AutoscaleSetting",
    "azure-native:monitor:DiagnosticSetting",
    "azure-native:network:NetworkSecurityGroup",
    "azure-native:network:PrivateDnsZoneGroup",
    "azure-native:network:Subnet",
    "azure-native:network:VirtualNetwork",
    "azure-native:privatedns:PrivateRecordSet",
    "azure-native:privatedns:VirtualNetworkLink",
    "azure-native:redisenterprise:AccessPolicyAssignment",
    "azure-native:redisenterprise:Database",
    "azure-native:resources:*",
    "azure-native:storage:*Properties",
    "azure-native:storage:ManagementPolicy",
    "azure-native:storage:StorageAccount",
)
