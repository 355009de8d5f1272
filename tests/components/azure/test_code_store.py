"""The store of code on Azure: written from inside of the network, once for each content, and read by identities."""

import base64
import json
import os
import subprocess

import pytest
from ml_blueprints.azure import code_store
from ml_blueprints.errors import BlueprintError

ML = "azure-native:machinelearningservices"
PLATFORMS = pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "house"])


def run_of(built):
    return built.named(f"{ML}:Job", f"{built.platform.context.name}-publish-features").inputs


@PLATFORMS
def test_the_feature_job_is_published_as_it_is_in_the_workload(request, published, platform):
    built = request.getfixturevalue(platform)
    files = published(built)
    assert files["features.py"] == built.platform.context.workload.features.job_source
    assert set(files) == {"features.py", "FeatureSetSpec.yaml", "source/feature_source.py"}


@PLATFORMS
def test_what_is_published_is_what_jobs_name(request, named, published, platform):
    built = request.getfixturevalue(platform)
    (code,) = built.of_type(f"{ML}:CodeVersion")
    name, version = built.platform.context.name, code_store.version(published(built))
    account = named(built, "azure-native:storage:StorageAccount", f"{name}-mlstore").inputs["accountName"]
    assert (code.inputs["name"], code.inputs["version"]) == ("features", version)
    assert code.inputs["properties"]["codeUri"] == f"https://{account}.blob.core.windows.net/code/features/{version}"
    written = run_of(built)["properties"]["outputs"]["code"]
    assert written["mode"] == "Upload"
    workspace = named(built, f"{ML}:Workspace", f"ml-{built.platform.context.token}").id.rpartition("/")[2]
    assert written["uri"].endswith(f"/workspaces/{workspace}/datastores/code/paths/features/{version}/")
    assert run_of(built)["id"] == f"publish-features-{version}"


def test_the_run_acts_under_the_workspaces_own_identity_on_serverless_compute(streaming, identity):
    properties = run_of(streaming)["properties"]
    assert properties["identity"]["resourceId"] == identity(streaming, "workspaces")
    assert properties["jobType"] == "Command"
    assert "computeId" not in properties
    assert properties["resources"]["instanceCount"] == 1


def test_the_run_has_the_platforms_image_by_digest(streaming):
    (environment,) = streaming.of_type(f"{ML}:EnvironmentVersion")
    assert run_of(streaming)["properties"]["environmentId"] == environment.id


def test_jobs_wait_for_the_run_and_a_new_one_takes_the_place_of_one_that_failed(streaming, waits_for):
    (code,) = streaming.of_type(f"{ML}:CodeVersion")
    assert "Job publish-features" in waits_for(streaming, code)
    run = streaming.named(f"{ML}:Job", "fraud-detection-publish-features")
    assert run.delete_before_replace
    assert {"RoleAssignment workspaces-account-blobs", "EnvironmentVersion image"} <= waits_for(streaming, run)


@pytest.mark.parametrize("part", ["ml", "features"])
def test_each_workspace_knows_the_store_without_credentials(streaming, named, part):
    found = named(streaming, f"{ML}:Datastore", f"fraud-detection-{part}-code").inputs
    account = named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-mlstore").inputs["accountName"]
    store = named(streaming, f"{ML}:Workspace", f"{part}-{streaming.platform.context.token}")
    assert found["workspaceName"] == store.id.rpartition("/")[2]
    assert (found["properties"]["accountName"], found["properties"]["containerName"]) == (account, "code")
    assert found["properties"]["credentials"] == {"credentialsType": "None"}


def test_the_store_is_closed_and_only_feature_jobs_are_let_in_to_read(streaming, named, granted):
    container = named(streaming, "azure-native:storage:BlobContainer", "fraud-detection-code").inputs
    assert container["publicAccess"] == "None"
    for purpose in ("ingest", "training", "serving", "monitoring"):
        assert "BlobContainer code" not in {scope for _, scope in granted(streaming, purpose)}


def test_no_account_key_is_asked_for(streaming):
    # What pulumi-azure-native uploads, it uploads with a key: https://github.com/pulumi/pulumi-azure-native/issues/2015
    assert not streaming.of_type("azure-native:storage:Blob")


def test_the_command_writes_the_files_that_it_is_given(tmp_path):
    files = {"a.py": 'print("ünïcode $HOME ${{inputs.x}}")\n', "below/it/b.yaml": "{}"}
    command = code_store.WRITE.replace("${{outputs.code}}", str(tmp_path))
    environment = {**os.environ, "FILES": code_store.packed("features.job", files)}
    subprocess.run(["bash", "-c", command], env=environment, check=True)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path)): path.read_text(encoding="utf-8") for path in written} == files


def test_other_files_are_another_version_and_the_same_are_the_same():
    files = {"a.py": "1", "b.py": "2"}
    assert code_store.version(files) == code_store.version(dict(reversed(files.items())))
    assert (
        len({code_store.version(other) for other in (files, {"a.py": "1"}, {"a.py": "1", "b.py": "3"}, {"c": "1"})})
        == 4
    )


def test_files_that_no_variable_holds_are_refused_with_their_field():
    code_store.packed("features.job", {"a.py": "x" * 90_000})
    with pytest.raises(BlueprintError, match=r"features\.job: found 120000 bytes.*less than 98304 bytes"):
        code_store.packed("features.job", {"a.py": "x" * 120_000})


def test_what_is_packed_is_json_of_text_by_name():
    assert json.loads(base64.b64decode(code_store.packed("features.job", {"a.py": "1"}))) == {"a.py": "1"}
