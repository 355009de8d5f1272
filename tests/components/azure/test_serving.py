"""The serving layer on Azure: models, the online endpoint with its deployments and captured data, scheduled batch."""

import json
import re

import pytest

ML = "azure-native:machinelearningservices"
ENDPOINT = f"{ML}:OnlineEndpoint"
DEPLOYMENT = f"{ML}:OnlineDeployment"
VERSION = f"{ML}:ModelVersion"
ASSET = f"{ML}:DataVersion"
SCHEDULE = f"{ML}:Schedule"
ONLINE = pytest.mark.parametrize("platform", ["streaming", "hybrid"])


def shared(built):
    """The endpoint of all who have no instances of their own."""
    return built.named(ENDPOINT, f"{built.platform.context.name}-endpoint")


def place(uri: str) -> str:
    """A place in the lake as its datastore and path."""
    found = re.fullmatch(r"azureml://subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/[^/]+/datastores/(.+)", uri)
    assert found, uri
    return found[1]


@pytest.mark.parametrize(
    ("platform", "models"),
    [
        ("streaming", {"gradient-boosting": ["1.2.0"], "sequence-network": ["0.3.0"]}),
        ("hybrid", {"gradient-boosting": ["4.0.0", "4.1.0"]}),
        ("batch", {"scorecard": ["3.1.0"]}),
    ],
)
def test_each_version_that_runs_is_registered_and_no_other(request, platform, models):
    found: dict[str, list[str]] = {}
    for model in request.getfixturevalue(platform).of_type(VERSION):
        found.setdefault(model.inputs["name"], []).append(model.inputs["version"])
    assert found == models


def test_a_version_is_its_artifact_in_the_models_zone_and_says_its_role(streaming, named):
    shadow = named(streaming, VERSION, "fraud-detection-sequence-network-0-3-0").inputs["properties"]
    assert place(shadow["modelUri"]) == "models/paths/sequence-network/0.3.0"
    assert shadow["modelType"] == "custom_model"
    assert (shadow["tags"]["version"], shadow["tags"]["role"]) == ("0.3.0", "shadow")


@ONLINE
def test_the_endpoint_is_private_and_takes_tokens_only(request, platform):
    for endpoint in request.getfixturevalue(platform).of_type(ENDPOINT):
        assert endpoint.inputs["properties"]["publicNetworkAccess"] == "Disabled"
        assert endpoint.inputs["properties"]["authMode"] == "AADToken"


@ONLINE
def test_the_endpoints_name_is_the_platforms_own_and_keeps_to_32_characters(request, platform):
    built = request.getfixturevalue(platform)
    name = shared(built).inputs["endpointName"]
    assert name == f"{built.platform.context.name}-{built.platform.context.token}"
    assert len(name) <= 32


def test_the_endpoint_acts_under_the_serving_identity(streaming, house, identity):
    def used(built) -> list[str]:
        return shared(built).inputs["identity"]["userAssignedIdentities"]

    assert used(streaming) == [identity(streaming, "serving")]
    assert [id_.rpartition("/")[2] for id_ in used(house)] == ["house-serving"]


@ONLINE
def test_the_endpoint_waits_for_the_rights_and_the_ways_of_its_identity(request, waits_for, platform):
    built = request.getfixturevalue(platform)
    endpoint = shared(built)
    grants = {f"RoleAssignment serving-{part}" for part in ("metrics", "images", "models", "features", "curated")}
    ways = {f"ManagedNetworkSettingsRule ml-to-{part}" for part in ("lake-dfs", "lake-blob", "online-features")}
    assert grants | ways <= waits_for(built, endpoint)


def test_serving_writes_metrics_to_the_workspace(streaming, granted):
    assert ("AzureML Metrics Writer", "Workspace ml") in granted(streaming, "serving")


@pytest.mark.parametrize(
    ("platform", "sizes"),
    [
        ("streaming", {"gradient-boosting-1-2-0": 2, "sequence-network-0-3-0": 2}),
        ("hybrid", {"gradient-boosting-4-0-0": 2, "gradient-boosting-4-1-0": 2, "partners-gradient-boosting-4-0-0": 2}),
    ],
)
def test_each_version_has_instances_of_its_own_which_autoscaling_changes(request, platform, sizes):
    built = request.getfixturevalue(platform)
    deployments = built.of_type(DEPLOYMENT)
    name = built.platform.context.name
    assert {found.name.removeprefix(f"{name}-"): found.inputs["sku"]["capacity"] for found in deployments} == sizes
    assert all(found.ignore_changes == ("sku.capacity",) for found in deployments)
    assert all(len(found.inputs["deploymentName"]) <= 32 for found in deployments)


@pytest.mark.parametrize(("platform", "type_"), [("streaming", "Standard_F4s_v2"), ("hybrid", "Standard_F2s_v2")])
def test_instances_have_the_size_of_the_workload(request, platform, type_):
    deployments = request.getfixturevalue(platform).of_type(DEPLOYMENT)
    assert {found.inputs["properties"]["instanceType"] for found in deployments} == {type_}


@ONLINE
def test_a_deployment_loads_its_version_in_the_platforms_image_behind_the_endpoint(request, named, platform):
    built = request.getfixturevalue(platform)
    endpoints = {found.inputs["endpointName"] for found in built.of_type(ENDPOINT)}
    (environment,) = built.of_type(f"{ML}:EnvironmentVersion")
    assert {deployment.inputs["endpointName"] for deployment in built.of_type(DEPLOYMENT)} == endpoints
    for deployment in built.of_type(DEPLOYMENT):
        properties = deployment.inputs["properties"]
        name = f"{built.platform.context.name}-{deployment.inputs['deploymentName']}"
        assert properties["model"] == named(built, VERSION, name).id
        assert properties["environmentId"] == environment.id
        assert properties["endpointComputeType"] == "Managed"


def test_a_deployment_answers_all_that_its_endpoint_sends_and_knows_where_features_are(streaming, named):
    shadow = named(streaming, DEPLOYMENT, "fraud-detection-sequence-network-0-3-0").inputs
    told = shadow["properties"]["environmentVariables"]
    (model,) = json.loads(told["ML_BLUEPRINTS_ROUTING"])["models"]
    assert (model["name"], model["role"], model["traffic"]) == ("sequence-network", "champion", 100)
    (cluster,) = streaming.of_type("azure-native:redisenterprise:RedisEnterprise")
    assert told["FEATURE_STORE"].startswith(f"rediss://{cluster.id.rpartition('/')[2]}.")
    assert told["FEATURE_STORE"].endswith(":10000")
    # A promotion changes what is sent where, and nothing of a deployment.
    assert shadow["tags"]["model"] == "sequence-network"
    assert "role" not in shadow["tags"]
    assert "BEHIND_ROUTER" not in told


@ONLINE
def test_what_is_asked_and_answered_is_captured_whole_in_the_curated_zone(request, named, platform):
    built = request.getfixturevalue(platform)
    for deployment in built.of_type(DEPLOYMENT):
        collector = deployment.inputs["properties"]["dataCollector"]
        assert collector["rollingRate"] == "Hour"
        assert set(collector["collections"]) == {"model_inputs", "model_outputs"}
        for name, collection in collector["collections"].items():
            asset = named(built, ASSET, f"{deployment.name}-{name.replace('_', '-')}")
            assert collection["dataId"] == asset.id
            assert collection["dataCollectionMode"] == "Enabled"
            assert collection["samplingRate"] == 1
            captured = place(asset.inputs["properties"]["dataUri"])
            apart = "partners/" if deployment.name.startswith("delivery-eta-partners") else ""
            assert captured == f"curated/paths/captured/{apart}{deployment.inputs['deploymentName']}/{name}"
        # The service keeps them itself, too, in the same folder.
        told = deployment.inputs["properties"]["environmentVariables"]
        assert told["CAPTURED"].endswith(
            f".dfs.core.windows.net/{captured.removeprefix('curated/paths/').rpartition('/')[0]}"
        )


def test_hybrid_has_an_endpoint_and_batch_but_no_processor(hybrid):
    assert hybrid.of_type(ENDPOINT)
    assert hybrid.of_type(f"{ML}:BatchDeployment")
    assert hybrid.platform.serving.processor is None
    assert hybrid.platform.serving.batch is not None


def test_streaming_has_no_scheduled_batch(streaming):
    assert not streaming.of_type(f"{ML}:BatchEndpoint")
    assert "fraud-detection-batch" not in [schedule.name for schedule in streaming.of_type(SCHEDULE)]
    assert streaming.platform.serving.batch is None


def test_batch_has_no_endpoint(batch):
    assert not batch.of_type(ENDPOINT)
    assert not batch.of_type(DEPLOYMENT)
    assert batch.platform.serving.endpoint is None
    assert batch.platform.serving.url is None


@pytest.mark.parametrize("platform", ["hybrid", "batch"])
def test_a_population_can_be_scored_now_by_the_same_pipeline_as_on_schedule(request, named, platform):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    (endpoint,) = built.of_type(f"{ML}:BatchEndpoint")
    (deployment,) = built.of_type(f"{ML}:BatchDeployment")
    scoring = named(built, f"{ML}:ComponentVersion", f"{name}-batch-scoring")
    assert endpoint.inputs["properties"]["authMode"] == "AADToken"
    assert len(endpoint.inputs["endpointName"]) <= 32
    assert deployment.inputs["endpointName"] == endpoint.inputs["endpointName"]
    configuration = deployment.inputs["properties"]["deploymentConfiguration"]
    assert configuration["componentId"] == {"referenceType": "Id", "assetId": scoring.id}
    assert configuration["settings"] == {"default_compute": "scoring", "default_datastore": "curated"}
    job = named(built, SCHEDULE, f"{name}-batch").inputs["properties"]["action"]["jobDefinition"]
    assert job["componentId"] == scoring.id


@pytest.mark.parametrize(
    ("platform", "expression"), [("hybrid", "15 2 * * *"), ("batch", "0 3 * * *"), ("other", "0 4 * * 1")]
)
def test_batch_scoring_is_started_on_the_workloads_schedule(request, named, waits_for, platform, expression):
    built = request.getfixturevalue(platform)
    schedule = named(built, SCHEDULE, f"{built.platform.context.name}-batch")
    assert schedule.inputs["properties"]["isEnabled"] is True
    assert schedule.inputs["properties"]["trigger"] == {
        "triggerType": "Cron",
        "startTime": "2026-01-01T00:00:00",
        "expression": expression,
        "timeZone": "UTC",
    }
    assert {f"RoleAssignment serving-{zone}" for zone in ("events", "models", "curated")} <= waits_for(built, schedule)


def test_batch_scoring_runs_under_the_serving_identity(hybrid, hybrid_house, named, identity):
    def used(built) -> str:
        job = named(built, SCHEDULE, "delivery-eta-batch").inputs["properties"]["action"]["jobDefinition"]
        assert job["identity"]["identityType"] == "Managed"
        return job["identity"]["resourceId"]

    assert used(hybrid) == identity(hybrid, "serving")
    assert used(hybrid_house).endswith("/house-serving")


def test_batch_scoring_scores_what_is_due_by_the_champion_and_leaves_a_folder_for_each_run(hybrid, named):
    job = named(hybrid, SCHEDULE, "delivery-eta-batch").inputs["properties"]["action"]["jobDefinition"]
    assert {name: place(given["uri"]) for name, given in job["inputs"].items() if "uri" in given} == {
        "archive": "raw/paths/events/",
        "champion": "models/paths/gradient-boosting/4.0.0/",
    }
    assert {name: given["value"] for name, given in job["inputs"].items() if "value" in given} == {
        "environment": "production",
        "trusted": hybrid.platform.context.settings.trusted_keys[0],
    }
    assert {name: place(folder["uri"]) for name, folder in job["outputs"].items()} == {
        "scores": "curated/paths/predictions/run=${{name}}/"
    }
    compute = named(hybrid, f"{ML}:Compute", "delivery-eta-scoring")
    assert job["computeId"] == compute.id


@pytest.mark.parametrize("platform", ["hybrid", "batch"])
def test_nodes_of_scheduled_scoring_are_cheap_ones_that_may_be_taken_away_and_have_its_identity_alone(
    request, named, identity, platform
):
    built = request.getfixturevalue(platform)
    compute = named(built, f"{ML}:Compute", f"{built.platform.context.name}-scoring").inputs
    nodes = compute["properties"]["properties"]
    assert (nodes["vmPriority"], nodes["scaleSettings"]["minNodeCount"]) == ("LowPriority", 0)
    assert nodes["enableNodePublicIp"] is False
    assert compute["identity"]["userAssignedIdentities"] == [identity(built, "serving")]
    training = named(built, f"{ML}:Compute", f"{built.platform.context.name}-jobs").inputs
    assert training["properties"]["properties"]["vmPriority"] == "Dedicated"


@pytest.fixture
def asynchronous(once):
    serving = {
        "inference": "asynchronous",
        "size": "small",
        "tenants": [],
        "scale_to_zero": True,
        "replicas": {"minimum": 0, "maximum": 4},
    }
    models = [{"name": "gradient-boosting", "version": "4.0.0", "role": "champion", "traffic": 100}]
    return once("delivery_eta", {"models": models, "serving": serving})


def test_asynchronous_requests_go_to_the_batch_endpoint_on_nodes_that_nobody_takes_away(asynchronous, named):
    assert not asynchronous.of_type(ENDPOINT)
    assert not [found for found in asynchronous.of_type("azure-native:app:ContainerApp") if "router" in found.name]
    (deployment,) = asynchronous.of_type(f"{ML}:BatchDeployment")
    configuration = deployment.inputs["properties"]["deploymentConfiguration"]
    assert configuration["settings"]["default_compute"] == "requests"
    nodes = named(asynchronous, f"{ML}:Compute", "delivery-eta-requests").inputs["properties"]["properties"]
    assert (nodes["vmPriority"], nodes["vmSize"]) == ("Dedicated", "Standard_F2s_v2")
    scale = nodes["scaleSettings"]
    assert (scale["minNodeCount"], scale["maxNodeCount"]) == (0, 4)


def test_an_ensemble_is_one_deployment_that_takes_its_models_from_the_lake(once):
    models = [
        {"name": "gradient-boosting", "version": "4.0.0", "role": "champion", "traffic": 100},
        {"name": "linear", "version": "1.0.0", "role": "member"},
    ]
    ensemble = {"method": "cascade", "members": ["linear", "gradient-boosting"], "band": [0.3, 0.7]}
    built = once("delivery_eta", {"models": models, "serving": {"ensemble": ensemble, "tenants": [], "size": "small"}})
    (deployment,) = built.of_type(DEPLOYMENT)
    told = deployment.inputs["properties"]["environmentVariables"]
    table = json.loads(told["ML_BLUEPRINTS_ROUTING"])
    assert table["ensemble"]["members"] == ["linear", "gradient-boosting"]
    assert [model["name"] for model in table["models"]] == ["gradient-boosting", "linear"]
    assert told["MODELS"] == f"abfss://models@lake{built.platform.context.token}.dfs.core.windows.net/"
