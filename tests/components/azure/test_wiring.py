"""What holds for every resource on Azure: where it hangs and lies, its tags, that it is closed; and the wiring."""

import pytest
from sandbox import schema

LAYERS = ["Foundation", "Data", "Features", "Development", "Serving", "Monitoring", "Delivery"]
AZURE = schema.package("azure-native")

# The group itself, and flow logs, which lie with the watcher of their region.
ELSEWHERE = {"azure-native:resources:ResourceGroup", "azure-native:network:FlowLog"}

PLATFORMS = pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "house", "hybrid_house", "other"])


def takes(resource, property_: str) -> bool:
    return resource.custom and property_ in AZURE.resource(resource.type).inputs


@PLATFORMS
def test_every_layer_hangs_on_the_architecture(request, platform):
    built = request.getfixturevalue(platform)
    (architecture,) = [
        resource for resource in built.resources if resource.type.startswith("ml-blueprints:architectures:")
    ]
    for layer in LAYERS:
        (component,) = built.of_type(f"ml-blueprints:azure:{layer}")
        assert component.parent == architecture.urn


@PLATFORMS
def test_every_resource_hangs_on_its_layer_and_is_named_after_the_platform(request, platform):
    built = request.getfixturevalue(platform)
    context = built.platform.context
    by_urn = {resource.urn: resource for resource in built.resources}
    layers = {f"ml-blueprints:azure:{layer}" for layer in LAYERS}
    for resource in built.resources:
        if not resource.custom:
            continue
        above = by_urn[resource.parent]
        while above.type not in layers:
            above = by_urn[above.parent]
        assert resource.name.startswith(f"{context.name}-") or resource.name.endswith(f"-{context.token}")


@pytest.mark.parametrize(
    ("component", "layer"),
    [
        ("Network network", "Foundation foundation"),
        ("Dependencies dependencies", "Data data"),
        ("Workspace ml", "Data data"),
        ("PlatformImage image", "Data data"),
        ("ContractRegistry contracts", "Data data"),
        ("Workspace features", "Features features"),
        ("CodeStore code", "Features features"),
        ("OnlineStore online", "Features features"),
        ("SigningVault signing", "Development development"),
        ("Workbench workbench", "Development development"),
        ("RegisteredPipelines pipelines", "Development development"),
        ("EventProcessor processor", "Serving serving"),
    ],
)
def test_a_part_of_a_layer_hangs_on_it(streaming, named, component, layer):
    type_, part = component.split()
    found = named(streaming, f"ml-blueprints:azure:{type_}", f"fraud-detection-{part}")
    above, name = layer.split()
    assert found.parent == named(streaming, f"ml-blueprints:azure:{above}", f"fraud-detection-{name}").urn


@PLATFORMS
def test_everything_that_takes_tags_has_them(request, platform):
    built = request.getfixturevalue(platform)
    expected = built.platform.context.tags
    assert expected["workload"] == built.platform.context.name
    for resource in built.resources:
        if takes(resource, "tags"):
            assert expected.items() <= resource.inputs.get("tags", {}).items(), f"{resource.type} {resource.name}"


@PLATFORMS
def test_everything_lies_in_the_platforms_group_and_region(request, platform):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    groups = {
        part: built.named("azure-native:resources:ResourceGroup", f"{name}-{part}").id.rpartition("/")[2]
        for part in ("platform", "access")
    }
    # Who deploys and who looks are apart from what they deploy and look at.
    apart = {f"{name}-deployer", f"{name}-auditor"}
    for resource in built.resources:
        if takes(resource, "resourceGroupName") and resource.type not in ELSEWHERE:
            group = groups["access" if resource.name in apart else "platform"]
            assert resource.inputs["resourceGroupName"] == group, f"{resource.type} {resource.name}"
        if "location" in resource.inputs:
            assert resource.inputs["location"] in ("westeurope", "Global"), f"{resource.type} {resource.name}"


@PLATFORMS
def test_nothing_is_open_to_the_public(request, platform):
    closed = set()
    for resource in request.getfixturevalue(platform).resources:
        if resource.type == "azure-native:apimanagement:ApiManagementService":
            # In the network by a private address; the word itself is for private endpoints alone.
            assert resource.inputs["virtualNetworkType"] == "Internal"
        elif takes(resource, "publicNetworkAccess"):
            assert resource.inputs["publicNetworkAccess"] == "Disabled", f"{resource.type} {resource.name}"
            closed.add(resource.type.rpartition(":")[2])
    assert {"StorageAccount", "Namespace", "Registry", "Workspace"} <= closed


@PLATFORMS
def test_nothing_takes_a_shared_key_where_azure_lets_it_be_turned_off(request, platform):
    refused = set()
    for resource in request.getfixturevalue(platform).resources:
        for property_ in ("disableLocalAuth", "DisableLocalAuth"):
            if takes(resource, property_):
                assert resource.inputs[property_] is True, f"{resource.type} {resource.name}"
                refused.add(resource.type.rpartition(":")[2])
    assert {"Namespace", "Component"} <= refused


@pytest.mark.parametrize(
    ("token", "name", "uses"),
    [
        ("azure-native:eventhub:EventHub", "events", {"Namespace events", "BlobContainer raw", "StorageAccount lake"}),
        (
            "azure-native:machinelearningservices:Schedule",
            "features",
            {"CodeVersion features", "UserAssignedIdentity materialization", "Workspace ml"},
        ),
        (
            "azure-native:machinelearningservices:FeaturesetVersion",
            "features",
            {
                "FeaturesetContainerEntity features",
                "FeaturestoreEntityContainerEntity entity",
                "Datastore features-code",
                "Job publish-features",
                "WorkspaceConnection offline",
            },
        ),
        (
            "azure-native:machinelearningservices:WorkspaceConnection",
            "offline",
            {"Workspace features", "BlobContainer features", "UserAssignedIdentity materialization"},
        ),
        (
            "azure-native:machinelearningservices:ComponentVersion",
            "training",
            {"ComponentVersion train", "ComponentVersion publish", "Workspace ml"},
        ),
        (
            "azure-native:machinelearningservices:ModelVersion",
            "gradient-boosting-1-2-0",
            {"ModelContainer model-gradient-boosting", "Datastore models", "Workspace ml"},
        ),
        (
            "azure-native:machinelearningservices:OnlineDeployment",
            "gradient-boosting-1-2-0",
            {
                "OnlineEndpoint endpoint",
                "ModelVersion gradient-boosting-1-2-0",
                "EnvironmentVersion image",
                "RedisEnterprise online",
                "DataVersion gradient-boosting-1-2-0-model-inputs",
            },
        ),
        (
            "azure-native:app:ContainerApp",
            "processor",
            {
                "EventHub events",
                "EventHub dead-letters",
                "EventHub decisions",
                "ConsumerGroup processor",
                "BlobContainer checkpoints",
                "RedisEnterprise online",
                "OnlineEndpoint endpoint",
                "Registry images",
                "UserAssignedIdentity ingest",
            },
        ),
        (
            "azure-native:machinelearningservices:Schedule",
            "drift",
            {
                "Datastore curated",
                "Datastore models",
                "UserAssignedIdentity monitoring",
                "Compute monitors",
                "EnvironmentVersion image",
                "Workspace ml",
            },
        ),
        (
            "azure-native:logic:Workflow",
            "retraining",
            {"ComponentVersion retraining", "Compute jobs", "UserAssignedIdentity training", "Workspace ml"},
        ),
    ],
)
def test_each_layers_principal_resource_refers_to_its_neighbours(streaming, named, waits_for, token, name, uses):
    assert uses <= waits_for(streaming, named(streaming, token, f"fraud-detection-{name}"))
