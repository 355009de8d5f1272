"""The event processor on Azure: a container app in the network, under the identity that ingests, following events."""

import json

import pytest

APP = "azure-native:app:ContainerApp"
ENVIRONMENT = "azure-native:app:ManagedEnvironment"
STREAMING = ["streaming", "house"]


@pytest.fixture
def processor(streaming):
    (app,) = streaming.of_type(APP)
    return app


def container(app) -> dict:
    (found,) = app.inputs["template"]["containers"]
    return found


def told(app) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container(app)["env"]}


@pytest.mark.parametrize("platform", STREAMING)
def test_apps_run_in_the_subnet_that_is_theirs_and_are_not_reached_from_outside(request, named, platform):
    built = request.getfixturevalue(platform)
    (environment,) = built.of_type(ENVIRONMENT)
    network = environment.inputs["vnetConfiguration"]
    assert network["internal"] is True
    if platform == "house":
        assert network["infrastructureSubnetId"].endswith("/virtualNetworks/shared/subnets/apps")
    else:
        subnet = named(built, "azure-native:network:Subnet", "fraud-detection-apps")
        assert network["infrastructureSubnetId"] == subnet.id
    assert environment.inputs["publicNetworkAccess"] == "Disabled"
    assert environment.inputs["zoneRedundant"] is True


def test_apps_speak_to_each_other_encrypted_and_send_their_logs_by_identity(streaming):
    (environment,) = streaming.of_type(ENVIRONMENT)
    assert environment.inputs["peerTrafficConfiguration"] == {"encryption": {"enabled": True}}
    # A workspace's shared key would be needed for `log-analytics`.
    assert environment.inputs["appLogsConfiguration"] == {"destination": "azure-monitor"}


def test_the_processor_has_no_way_in_and_no_secrets(processor):
    assert "ingress" not in processor.inputs["configuration"]
    assert "secrets" not in processor.inputs["configuration"]


@pytest.mark.parametrize("platform", STREAMING)
def test_the_processor_acts_pulls_and_scales_under_the_identity_that_ingests(request, identity, platform):
    built = request.getfixturevalue(platform)
    (app,) = built.of_type(APP)
    (used,) = app.inputs["identity"]["userAssignedIdentities"]
    if platform == "house":
        assert used.endswith("/house-ingest")
    else:
        assert used == identity(built, "ingest")
    (registry,) = app.inputs["configuration"]["registries"]
    (rule,) = app.inputs["template"]["scale"]["rules"]
    assert registry["identity"] == rule["custom"]["identity"] == told(app)["IDENTITY"] == used


def test_the_processor_runs_the_image_of_our_registry_by_digest(streaming, processor):
    (registry,) = streaming.of_type("azure-native:containerregistry:Registry")
    server = f"{registry.inputs['registryName']}.azurecr.io"
    (credentials,) = processor.inputs["configuration"]["registries"]
    assert credentials["server"] == server
    assert container(processor)["image"] == f"{server}/ml-serving@sha256:{'5f70bf18' * 8}"
    assert container(processor)["command"] == ["python", "-m", "ml_pipelines.streaming.azure"]


def test_processor_and_memory_are_a_pair_that_azure_takes(processor):
    # https://learn.microsoft.com/azure/container-apps/containers#allocations: twice as many Gi as processors.
    resources = container(processor)["resources"]
    assert float(resources["memory"].removesuffix("Gi")) == 2 * resources["cpu"]


def test_the_processor_knows_events_dead_letters_and_checkpoints(streaming, processor):
    (namespace,) = streaming.of_type("azure-native:eventhub:Namespace")
    (account,) = [
        account.inputs["accountName"]
        for account in streaming.of_type("azure-native:storage:StorageAccount")
        if account.name == "fraud-detection-mlstore"
    ]
    known = told(processor)
    assert known["EVENT_HUBS"] == f"{namespace.id.rpartition('/')[2]}.servicebus.windows.net"
    assert (known["EVENTS"], known["DEAD_LETTERS"], known["CONSUMER_GROUP"]) == ("events", "dead-letters", "processor")
    assert known["CHECKPOINTS"] == f"https://{account}.blob.core.windows.net/checkpoints"


def test_the_processor_asks_the_endpoint_and_keeps_features_for_as_long_as_the_workload_says(streaming, processor):
    (endpoint,) = streaming.of_type("azure-native:machinelearningservices:OnlineEndpoint")
    (cluster,) = streaming.of_type("azure-native:redisenterprise:RedisEnterprise")
    known = told(processor)
    assert known["SCORING_ENDPOINT"].startswith(f"https://{endpoint.inputs['endpointName']}.")
    host, _, port = known["FEATURE_STORE"].rpartition(":")
    assert host.startswith(f"{cluster.id.rpartition('/')[2]}.")
    assert port == "10000"
    assert known["FEATURE_TTL_HOURS"] == "48"


def test_the_processor_knows_the_models_that_run(processor):
    models = json.loads(told(processor)["ML_BLUEPRINTS_ROUTING"])["models"]
    assert [(model["name"], model["role"], model["traffic"]) for model in models] == [
        ("gradient-boosting", "champion", 100),
        ("sequence-network", "shadow", 20),
    ]


def test_there_are_as_many_replicas_as_events_wait_for(streaming, processor):
    scale = processor.inputs["template"]["scale"]
    assert (scale["minReplicas"], scale["maxReplicas"]) == (2, 8)
    (rule,) = scale["rules"]
    assert rule["custom"]["type"] == "azure-eventhub"
    (namespace,) = streaming.of_type("azure-native:eventhub:Namespace")
    known = told(processor)
    metadata = rule["custom"]["metadata"]
    assert metadata["eventHubNamespace"] == namespace.id.rpartition("/")[2]
    assert (metadata["eventHubName"], metadata["consumerGroup"]) == (known["EVENTS"], known["CONSUMER_GROUP"])
    assert known["CHECKPOINTS"] == (
        f"https://{metadata['storageAccountName']}.blob.core.windows.net/{metadata['blobContainer']}"
    )
    assert metadata["checkpointStrategy"] == "blobMetadata"
    assert metadata["unprocessedEventThreshold"] == "500"


def test_the_processor_waits_for_the_rights_that_it_needs_at_once(streaming, processor, waits_for):
    rights = {f"RoleAssignment ingest-{part}" for part in ("images", "events", "dead-letters", "checkpoints", "score")}
    assert rights <= waits_for(streaming, processor)


def test_only_ingest_asks_the_endpoint(streaming, granted, named):
    assert ("score", "OnlineEndpoint endpoint") in granted(streaming, "ingest")
    for purpose in ("training", "serving", "monitoring"):
        assert "score" not in {role for role, _ in granted(streaming, purpose)}
    role = named(streaming, "azure-native:authorization:RoleDefinition", "fraud-detection-score").inputs
    (permission,) = role["permissions"]
    assert permission["actions"] == ["Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"]


def test_its_name_keeps_to_32_characters(processor):
    assert len(processor.inputs["containerAppName"]) <= 32


@pytest.mark.parametrize("platform", ["batch", "hybrid"])
def test_there_is_no_processor_without_stream_scoring(request, platform):
    built = request.getfixturevalue(platform)
    assert not built.of_type(APP)
    assert not built.of_type(ENVIRONMENT)
    assert built.platform.serving.processor is None
