"""The development layer on Azure: images, models, experiments, compute, and the training pipeline."""

import pytest

ML = "azure-native:machinelearningservices"
MODEL = f"{ML}:ModelContainer"
ENVIRONMENT = f"{ML}:EnvironmentVersion"
COMPONENT = f"{ML}:ComponentVersion"
COMPUTE = f"{ML}:Compute"
DIGEST = "5f70bf18" * 8


def ours(built) -> str:
    """The name of the workspace in which models, pipelines and endpoints lie."""
    token = built.platform.context.token
    (workspace,) = [found for found in built.of_type(f"{ML}:Workspace") if found.name == f"ml-{token}"]
    return workspace.id.rpartition("/")[2]


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_everything_of_this_layer_lies_in_the_workspace_of_the_data_layer(request, named, platform):
    built = request.getfixturevalue(platform)
    layer = named(built, "ml-blueprints:azure:Development", f"{built.platform.context.name}-development")
    children = [resource for resource in built.resources if resource.parent == layer.urn]
    assert {child.inputs["workspaceName"] for child in children} == {ours(built)}
    assert {child.type.rpartition(":")[2] for child in children} == {
        "ModelContainer",
        "Compute",
        "ComponentContainer",
        "ComponentVersion",
    }


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


def test_each_model_has_one_place_however_many_versions_it_has(hybrid, streaming):
    assert [model.inputs["name"] for model in hybrid.of_type(MODEL)] == ["gradient-boosting"]
    assert [model.inputs["name"] for model in streaming.of_type(MODEL)] == ["gradient-boosting", "sequence-network"]
    assert set(streaming.platform.development.registry) == {"gradient-boosting", "sequence-network"}


def test_a_challenger_has_its_place_too(batch):
    assert [model.inputs["name"] for model in batch.of_type(MODEL)] == ["gradient-boosting", "scorecard"]


def test_only_training_writes_runs_and_registers_models(streaming, granted, named):
    assert ("train", "Workspace ml") in granted(streaming, "training")
    for purpose in ("ingest", "serving", "monitoring"):
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
    }


def test_compute_has_no_public_address_and_no_passwords(streaming):
    (compute,) = streaming.of_type(COMPUTE)
    properties = compute.inputs["properties"]
    assert properties["disableLocalAuth"] is True
    assert properties["properties"]["enableNodePublicIp"] is False
    assert properties["properties"]["remoteLoginPortPublicAccess"] == "Disabled"
    assert 2 <= len(compute.inputs["computeName"]) <= 16


def test_compute_is_there_while_a_job_runs(streaming):
    (compute,) = streaming.of_type(COMPUTE)
    scale = compute.inputs["properties"]["properties"]["scaleSettings"]
    assert scale == {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT5M"}


def test_compute_has_the_identities_of_its_jobs(streaming, house, identity):
    def identities(built) -> list[str]:
        (compute,) = built.of_type(COMPUTE)
        return compute.inputs["identity"]["userAssignedIdentities"]

    assert identities(streaming) == [identity(streaming, "training"), identity(streaming, "serving")]
    assert [used.rpartition("/")[2] for used in identities(house)] == ["house-training", "house-serving"]


def test_compute_waits_until_it_can_reach_the_lake_and_pull_the_image(streaming, waits_for):
    (compute,) = streaming.of_type(COMPUTE)
    assert {
        "ManagedNetworkSettingsRule ml-to-lake-dfs",
        "ManagedNetworkSettingsRule ml-to-lake-blob",
        "ManagedNetworkSettingsRule ml-to-online-features",
        "RoleAssignment training-images",
    } <= waits_for(streaming, compute)


def test_the_training_pipeline_runs_the_image_on_the_compute(streaming, named):
    step = named(streaming, COMPONENT, "fraud-detection-train")
    whole = named(streaming, COMPONENT, "fraud-detection-training").inputs["properties"]["componentSpec"]
    (environment,) = streaming.of_type(ENVIRONMENT)
    (compute,) = streaming.of_type(COMPUTE)
    command = step.inputs["properties"]["componentSpec"]
    assert command["environment"] == f"azureml:{environment.id}"
    assert command["command"].startswith("python -m ml_pipelines.steps.train --features ")
    assert whole["jobs"]["train"]["component"] == f"azureml:{step.id}"
    assert whole["jobs"]["train"]["compute"] == f"azureml:{compute.id}"


@pytest.mark.parametrize("platform", ["streaming", "house", "other"])
def test_another_specification_is_another_version(request, platform):
    versions = {found.name: found.inputs for found in request.getfixturevalue(platform).of_type(COMPONENT)}
    assert len({found["version"] for found in versions.values()}) == len(versions)
    for found in versions.values():
        assert len(found["version"]) == 12
        assert found["name"] == found["properties"]["componentSpec"]["name"]
