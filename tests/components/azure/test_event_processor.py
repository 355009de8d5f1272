"""The event processor on Azure: a container app in the network, under the identity that ingests, following events."""

import json
import uuid

import pytest
from ml_pipelines.streaming.environment import LEARN

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
    app = built.named(APP, f"{built.platform.context.name}-processor")
    (used,) = app.inputs["identity"]["userAssignedIdentities"]
    if platform == "house":
        assert used.endswith("/house-ingest")
    else:
        assert used == identity(built, "ingest")
    (registry,) = app.inputs["configuration"]["registries"]
    (rule,) = app.inputs["template"]["scale"]["rules"]
    assert registry["identity"] == rule["custom"]["identity"] == used


def test_the_processor_asks_for_tokens_by_client_id_and_by_resource_id_what_is_brought_along(streaming, house, named):
    (app,) = streaming.of_type(APP)
    ingest = named(streaming, "azure-native:managedidentity:UserAssignedIdentity", "fraud-detection-ingest").id
    # As the sandbox's Azure makes client ids.
    assert told(app)["IDENTITY"] == str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ingest}/client"))
    (app,) = house.of_type(APP)
    assert told(app)["IDENTITY"].endswith("/house-ingest")


def test_the_processor_runs_the_image_of_our_registry_by_digest(streaming, processor):
    (registry,) = streaming.of_type("azure-native:containerregistry:Registry")
    server = f"{registry.inputs['registryName']}.azurecr.io"
    (credentials,) = processor.inputs["configuration"]["registries"]
    assert credentials["server"] == server
    assert container(processor)["image"] == f"{server}/ml-serving@sha256:{'5f70bf18' * 8}"
    assert container(processor)["command"] == ["python", "-m", "ml_pipelines.streaming.event_hubs"]


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
    assert known["FEATURE_STORE"].startswith(f"rediss://{cluster.id.rpartition('/')[2]}.")
    assert known["FEATURE_STORE"].endswith(":10000")
    assert known["FEATURE_TTL_HOURS"] == "48"


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_windows_lie_beside_the_features_and_the_processor_may_write_them_when_it_starts(request, waits_for, platform):
    built = request.getfixturevalue(platform)
    app = built.named(APP, f"{built.platform.context.name}-processor")
    known = told(app)
    assert known["STATE"] == known["FEATURE_STORE"]
    assert known["WORKLOAD"] == built.platform.context.workload.name
    assert "AccessPolicyAssignment ingest-online" in waits_for(built, app)


def test_decisions_go_to_a_hub_of_their_own_that_only_ingest_writes_to(streaming, processor, named, granted, waits_for):
    hub = named(streaming, "azure-native:eventhub:EventHub", "fraud-detection-decisions").inputs
    events = named(streaming, "azure-native:eventhub:EventHub", "fraud-detection-events").inputs
    assert told(processor)["DECISIONS"] == hub["eventHubName"] == "decisions"
    assert told(processor)["WATCH"] == LEARN
    assert hub["partitionCount"] == events["partitionCount"]
    assert hub["captureDescription"]["destination"]["archiveNameFormat"].startswith("decisions/")
    assert "RoleAssignment ingest-decisions" in waits_for(streaming, processor)
    for purpose, may in {"ingest": True, "training": False, "serving": False, "monitoring": False}.items():
        assert (("Azure Event Hubs Data Sender", "EventHub decisions") in granted(streaming, purpose)) is may


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


@pytest.mark.parametrize("platform", ["hybrid", "hybrid_house"])
def test_where_requests_are_scored_the_processor_only_keeps_features(request, granted, platform):
    built = request.getfixturevalue(platform)
    app = built.named(APP, f"{built.platform.context.name}-processor")
    assert not {"SCORING_ENDPOINT", "DECISIONS", "WATCH", "ML_BLUEPRINTS_ROUTING"} & told(app).keys()
    assert {"STATE", "FEATURE_STORE", "EVENTS", "DEAD_LETTERS", "CHECKPOINTS"} <= told(app).keys()
    assert not [hub for hub in built.of_type("azure-native:eventhub:EventHub") if hub.name.endswith("-decisions")]
    assert "score" not in {role for role, _ in granted(built, "ingest")}
    # Its contract: what scores events.
    assert built.platform.serving.processor is None
    assert built.platform.serving.stream_processor is not None


def test_batch_has_no_processor(batch):
    assert not batch.of_type(APP)
    assert not batch.of_type(ENVIRONMENT)
    assert batch.platform.serving.stream_processor is None
