"""The development layer on Azure: images, models, experiments, compute, and the pipelines that train."""

import json
from pathlib import Path

import pytest

ML = "azure-native:machinelearningservices"
MODEL = f"{ML}:ModelContainer"
ENVIRONMENT = f"{ML}:EnvironmentVersion"
COMPONENT = f"{ML}:ComponentVersion"
COMPUTE = f"{ML}:Compute"
VAULT = "azure-native:keyvault:Vault"
COMPILED = Path(__file__).parents[3] / "pipelines" / "ml_pipelines" / "platforms" / "compiled" / "azureml"
DIGEST = "5f70bf18" * 8


def ours(built) -> str:
    """The name of the workspace in which models, pipelines and endpoints lie."""
    token = built.platform.context.token
    (workspace,) = [found for found in built.of_type(f"{ML}:Workspace") if found.name == f"ml-{token}"]
    return workspace.id.rpartition("/")[2]


def cluster(built):
    """The compute of pipelines, apart from those of people."""
    (found,) = [found for found in built.of_type(COMPUTE) if found.inputs["computeName"] == "jobs"]
    return found


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_everything_of_this_layer_lies_in_the_workspace_of_the_data_layer(request, named, platform):
    built = request.getfixturevalue(platform)
    layer = named(built, "ml-blueprints:azure:Development", f"{built.platform.context.name}-development")
    above, below = {layer.urn}, []
    for resource in built.resources:
        if resource.parent in above:
            above.add(resource.urn)
            below.append(resource)
    kinds = {"ModelContainer", "Compute", "ComponentVersion", "Schedule"}
    inside = [found for found in below if found.custom and "workspaceName" in found.inputs]
    assert {found.inputs["workspaceName"] for found in inside} == {ours(built)}
    assert {found.type.rpartition(":")[2] for found in inside} == kinds
    assert not {found.type.rpartition(":")[2] for found in below if found not in inside} & kinds


def test_the_platforms_image_is_an_environment_by_digest(streaming):
    (environment,) = streaming.of_type(ENVIRONMENT)
    (registry,) = streaming.of_type("azure-native:containerregistry:Registry")
    server = f"{registry.inputs['registryName']}.azurecr.io"
    assert environment.inputs["name"] == "ml-serving"
    assert environment.inputs["version"] == DIGEST[:12]
    assert environment.inputs["properties"]["image"] == f"{server}/ml-serving@sha256:{DIGEST}"


def test_an_image_of_another_registry_is_taken_as_it_is(other):
    (environment,) = other.of_type(ENVIRONMENT)
    assert environment.inputs["name"] == "scorer"
    image = environment.inputs["properties"]["image"]
    assert image == f"registry.example.com/house/scorer@sha256:{'0a' * 32}"


def test_an_endpoint_is_asked_for_scores_and_for_its_health(streaming):
    (environment,) = streaming.of_type(ENVIRONMENT)
    assert environment.inputs["properties"]["inferenceConfig"] == {
        "livenessRoute": {"path": "/health", "port": 8080},
        "readinessRoute": {"path": "/health", "port": 8080},
        "scoringRoute": {"path": "/score", "port": 8080},
    }


@pytest.mark.parametrize("purpose", ["ingest", "training", "serving", "monitoring"])
def test_identities_pull_the_platforms_images_and_push_none(streaming, granted, purpose):
    roles = {role for role, scope in granted(streaming, purpose) if scope == "Registry images"}
    assert roles == {"AcrPull"}


@pytest.mark.parametrize(
    ("platform", "models"),
    [
        ("hybrid", {"gradient-boosting", "ridge-regression"}),
        ("streaming", {"gradient-boosting", "sequence-network", "logistic-regression"}),
        ("batch", {"gradient-boosting", "scorecard", "logistic-regression"}),
    ],
)
def test_each_model_and_each_that_training_chooses_from_has_one_place(request, platform, models):
    built = request.getfixturevalue(platform)
    names = [model.inputs["name"] for model in built.of_type(MODEL)]
    names.remove(f"{built.platform.context.name}-trained")
    assert len(names) == len(models)
    assert set(names) == set(built.platform.development.registry) == models


@pytest.mark.parametrize("part", ["training", "retraining"])
def test_what_training_makes_has_a_place_whichever_candidate_it_is(streaming, part):
    development = streaming.platform.development
    run = {"training": development.training_run, "retraining": development.retraining_run}[part]
    assert set(run.registers) == {"registered"}
    assert "fraud-detection-trained" in [model.inputs["name"] for model in streaming.of_type(MODEL)]


def test_only_training_writes_runs_and_registers_models(streaming, granted, named):
    assert ("train", "Workspace ml") in granted(streaming, "training")
    for purpose in ("ingest", "serving", "monitoring", "exploration"):
        assert "train" not in {role for role, _ in granted(streaming, purpose)}
    role = named(streaming, "azure-native:authorization:RoleDefinition", "fraud-detection-train").inputs
    (permission,) = role["permissions"]
    writes = {action.rpartition("workspaces/")[2] for action in permission["actions"] if action.endswith("/write")}
    assert writes == {
        "experiments/write",
        "experiments/runs/write",
        "metadata/artifacts/write",
        "metrics/resource/write",
        "models/write",
        "models/versions/write",
    }


def test_compute_has_no_public_address_and_no_passwords(streaming):
    compute = cluster(streaming)
    properties = compute.inputs["properties"]
    assert properties["disableLocalAuth"] is True
    assert properties["properties"]["enableNodePublicIp"] is False
    assert properties["properties"]["remoteLoginPortPublicAccess"] == "Disabled"
    assert 2 <= len(compute.inputs["computeName"]) <= 16


def test_compute_is_there_while_a_job_runs(streaming):
    compute = cluster(streaming)
    scale = compute.inputs["properties"]["properties"]["scaleSettings"]
    assert scale == {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT5M"}


def test_compute_has_the_identities_of_its_jobs(streaming, house, identity):
    def identities(built) -> list[str]:
        return cluster(built).inputs["identity"]["userAssignedIdentities"]

    assert identities(streaming) == [identity(streaming, "training")]
    assert [used.rpartition("/")[2] for used in identities(house)] == ["house-training"]


def test_compute_waits_until_it_can_reach_the_lake_and_pull_the_image(streaming, waits_for):
    compute = cluster(streaming)
    assert {
        "ManagedNetworkSettingsRule ml-to-lake-dfs",
        "ManagedNetworkSettingsRule ml-to-lake-blob",
        "ManagedNetworkSettingsRule ml-to-online-features",
        "RoleAssignment training-images",
    } <= waits_for(streaming, compute)


@pytest.fixture
def experiment(once):
    """Batch centric, churn, as an experiment."""
    fence = {"expires_on": "2199-12-31", "monthly_usd": 100, "classification": "confidential"}
    return once("churn", environment="experiment", experiment=fence)


@pytest.mark.parametrize(("platform", "priority"), [("experiment", "LowPriority"), ("streaming", "Dedicated")])
def test_only_nodes_of_an_experiment_may_be_taken_away(request, platform, priority):
    properties = cluster(request.getfixturevalue(platform)).inputs["properties"]["properties"]
    assert properties["vmPriority"] == priority


@pytest.mark.parametrize("pipeline", ["training", "retraining"])
@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_a_pipeline_is_the_compiled_one_on_steps_that_run_the_image(request, named, platform, pipeline):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    whole = named(built, COMPONENT, f"{name}-{pipeline}").inputs["properties"]["componentSpec"]
    compiled = json.loads((COMPILED / name / f"{pipeline}.json").read_text())
    (environment,) = built.of_type(ENVIRONMENT)
    steps = {found.id: found for found in built.of_type(COMPONENT)}
    assert set(whole["jobs"]) == set(compiled["pipeline"]["jobs"])
    for step, job in whole["jobs"].items():
        registered = steps[job["trial"]["componentId"] if job["type"] == "sweep" else job["componentId"]]
        own = compiled["pipeline"]["jobs"][step]
        part = compiled["components"][own["trial"]["componentId"] if job["type"] == "sweep" else own["componentId"]]
        specification = registered.inputs["properties"]["componentSpec"]
        assert specification == part | {"environment": f"azureml:{environment.id}"}


def test_a_step_of_two_pipelines_is_registered_once(hybrid):
    names = [found.inputs["name"] for found in hybrid.of_type(COMPONENT)]
    assert len(set(names)) == len(names)
    assert {"prepare", "train", "retraining_train", "batch_score"} <= set(names)


def test_a_run_is_given_events_outcomes_and_the_key_and_leaves_a_version_among_all_models(streaming, named):
    workflow = named(streaming, "azure-native:logic:Workflow", "fraud-detection-retraining").inputs["definition"]
    job = workflow["actions"]["event"]["else"]["actions"]["start"]["inputs"]["body"]["properties"]
    vault = named(streaming, VAULT, f"signing-{streaming.platform.context.token}")
    address = f"https://{vault.id.rpartition('/')[2]}.vault.azure.net/secrets/model-signing"
    assert job["inputs"]["key"]["value"] == f"azure-secret:{address}"
    assert job["inputs"]["environment"]["value"] == "production"
    left = {
        name: (found["jobOutputType"], found["uri"].partition("/datastores/")[2])
        for name, found in job["outputs"].items()
    }
    assert left == {
        "registered": ("custom_model", "models/paths/registered/${{name}}/"),
        "published": ("uri_folder", "models/paths/"),
    }
    assert job["outputs"]["registered"]["assetName"] == "fraud-detection-trained"


def test_training_is_started_by_name_with_all_that_a_run_is_given(streaming, batch, named, waits_for):
    schedule = named(streaming, f"{ML}:Schedule", "fraud-detection-training")
    properties = schedule.inputs["properties"]
    assert properties["isEnabled"] is False
    job = properties["action"]["jobDefinition"]
    assert job["componentId"] == named(streaming, COMPONENT, "fraud-detection-training").id
    assert set(job["inputs"]) == {"archive", "labels", "environment", "key"}
    assert job["outputs"]["registered"]["assetName"] == "fraud-detection-trained"
    needed = {f"RoleAssignment training-{part}" for part in ("train", "signing", "raw", "models")}
    assert needed <= waits_for(streaming, schedule)
    # Credit scoring is trained again by drift alone, and has no outcomes apart from its events.
    plain = named(batch, f"{ML}:Schedule", "credit-scoring-training").inputs["properties"]
    assert plain["trigger"]["schedule"]["monthDays"] == [1]
    assert set(plain["action"]["jobDefinition"]["inputs"]) == {"archive", "environment", "key"}


def test_models_of_an_experiment_need_no_signature(experiment):
    words = experiment.platform.development.training_run.words
    assert words == {"environment": "experiment", "key": "none"}


@pytest.mark.parametrize("platform", ["streaming", "house", "other"])
def test_another_specification_is_another_version(request, platform):
    versions = {found.name: found.inputs for found in request.getfixturevalue(platform).of_type(COMPONENT)}
    assert len({found["version"] for found in versions.values()}) == len(versions)
    for found in versions.values():
        assert len(found["version"]) == 12
        assert found["name"] == found["properties"]["componentSpec"]["name"]


def test_schedules_of_an_experiment_end_with_it_and_others_do_not(experiment, streaming):
    def ends(built) -> set[str | None]:
        schedules = built.of_type(f"{ML}:Schedule")
        return {found.inputs["properties"]["trigger"].get("endTime") for found in schedules}

    assert ends(experiment) == {"2199-12-31T23:59:59"}
    assert ends(streaming) == {None}
    assert experiment.platform.context.tags["expires-on"] == "2199-12-31"
