"""Shadow AI: what exists and no stack owns is found, on AWS against moto, elsewhere by the types of the SDKs."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import create_autospec

import boto3
import pytest
from azure.ai.ml import MLClient, entities, operations
from azure.core.exceptions import HttpResponseError
from botocore.stub import Stubber
from google.api_core.exceptions import PermissionDenied
from google.cloud import aiplatform_v1
from ml_delivery.__main__ import main
from ml_delivery.shadow import aws, azure, check, gcp, states
from ml_delivery.shadow.reports import FORMATS, Report
from ml_delivery.shadow.things import Inventory, Thing, key
from moto import mock_aws

REGION = "eu-west-1"
ACCOUNT = "123456789012"
# What moto has of the calls that list.
IMPLEMENTED = {"endpoint", "model", "model group", "notebook", "notebook domain", "pipeline"}
GROUP = "/subscriptions/5c4b/resourceGroups/platform"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/ml"


def export(tmp_path, *resources, workload="credit-scoring", name="prod"):
    """A file as `pulumi stack export` writes it."""
    stack = {"type": "pulumi:pulumi:Stack", "urn": "urn:s", "outputs": {"workload": workload}}
    file = tmp_path / f"{name}.stack.json"
    file.write_text(json.dumps({"version": 3, "deployment": {"resources": [stack, *resources]}}))
    return file


def resource(type_, id_, **outputs):
    return {"type": type_, "urn": f"urn:{type_}::{id_}", "id": id_, "outputs": outputs}


@pytest.fixture
def account(monkeypatch):
    """An account with two models: one that a stack made, and one that somebody made by hand."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        sagemaker = boto3.client("sagemaker", region_name=REGION)
        for model, tags in (("ours", []), ("Theirs", [{"Key": "owner", "Value": "bob"}])):
            sagemaker.create_model(
                ModelName=model,
                ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/r",
                PrimaryContainer={"Image": "image"},
                Tags=tags,
            )
        sagemaker.create_model_package_group(
            ModelPackageGroupName="trained", Tags=[{"Key": "workload", "Value": "credit-scoring"}]
        )
        yield sagemaker


@pytest.fixture
def client():
    """A client of SageMaker whose answers are checked by botocore's model of the service."""
    return boto3.client("sagemaker", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")


def listed():
    return aws.inventory(REGION, [kind for kind in aws.KINDS if kind.kind in IMPLEMENTED])


def test_what_no_stack_owns_is_found_on_aws(account, tmp_path):
    arn = account.describe_model(ModelName="ours")["ModelArn"]
    file = export(tmp_path, resource("aws:sagemaker/model:Model", "ours", arn=arn, name="ours"))
    report = check.compare(listed(), states.read([file]), (str(file),))
    assert [(thing.kind, thing.name, thing.tags) for thing in report.shadows] == [("model", "Theirs", {"owner": "bob"})]
    assert (report.owned, report.made, report.code) == (1, 1, 1)


def test_an_account_of_which_stacks_own_all_is_clean_and_names_in_arns_do_not_tell_case_apart(account, tmp_path):
    owned = [account.describe_model(ModelName=name)["ModelArn"] for name in ("ours", "Theirs")]
    resources = [resource("aws:sagemaker/model:Model", str(place), arn=arn) for place, arn in enumerate(owned)]
    report = check.compare(listed(), states.read([export(tmp_path, *resources)]), ())
    assert (report.shadows, report.code) == ((), 0)


def test_what_is_only_mentioned_is_not_owned(account, tmp_path):
    arn = account.describe_model(ModelName="Theirs")["ModelArn"]
    mention = resource("aws:iam/rolePolicy:RolePolicy", "policy", policy=arn, description=arn)
    gone = resource("aws:sagemaker/model:Model", "gone", arn=arn) | {"delete": True}
    report = check.compare(listed(), states.read([export(tmp_path, mention, gone)]), ())
    assert "Theirs" in {thing.name for thing in report.shadows}


def test_more_than_a_page_is_listed(client):
    session = SimpleNamespace(client=lambda service, region_name: client)
    (models,) = [kind for kind in aws.KINDS if kind.kind == "model"]
    with Stubber(client) as stub:
        for name, asked, more in (("one", {}, {"NextToken": "next"}), ("two", {"NextToken": "next"}, {})):
            arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{name}"
            model = {"ModelName": name, "ModelArn": arn, "CreationTime": datetime(2026, 9, 21, tzinfo=UTC)}
            stub.add_response("list_models", {"Models": [model], **more}, asked)
            stub.add_response("list_tags", {"Tags": []}, {"ResourceArn": arn})
        found = aws.inventory(REGION, [models], session)
        stub.assert_no_pending_responses()
    assert [(thing.name, thing.created) for thing in found.things] == [("one", "2026-09-21"), ("two", "2026-09-21")]


@pytest.mark.parametrize("kind", aws.KINDS, ids=lambda kind: f"{kind.service}-{kind.call}")
def test_each_call_on_aws_is_one_that_the_service_has_with_the_fields_that_are_read(kind):
    client = boto3.client(kind.service, region_name=REGION)
    assert client.can_paginate(kind.call)
    operation = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[kind.call])
    fields = operation.output_shape.members[kind.listed].member.members
    assert {kind.id, kind.name, kind.created} <= fields.keys()
    assert fields[kind.created].type_name == "timestamp"
    assert not operation.name.startswith(("Create", "Delete", "Update", "Put"))


def test_what_may_not_be_listed_is_told_and_never_taken_as_nothing(client):
    session = SimpleNamespace(client=lambda service, region_name: client)
    (endpoints,) = [kind for kind in aws.KINDS if kind.kind == "endpoint"]
    with Stubber(client) as stub:
        stub.add_client_error("list_endpoints", "AccessDeniedException", "no right to list")
        found = aws.inventory(REGION, [endpoints], session)
    assert found.things == []
    assert "endpoint (sagemaker:list_endpoints)" in found.unread[0]
    assert "no right to list" in found.unread[0]
    assert check.compare(found, states.Owned(), ()).code == 2


def test_google_clouds_answers_are_compared_without_the_projects_number(tmp_path):
    endpoints = create_autospec(aiplatform_v1.EndpointServiceClient)
    endpoints.return_value.list_endpoints.return_value = [
        aiplatform_v1.Endpoint(name="projects/42/locations/r/endpoints/1", display_name="ours"),
        aiplatform_v1.Endpoint(
            name="projects/42/locations/r/endpoints/2",
            display_name="theirs",
            labels={"owner": "bob"},
            create_time={"seconds": 1_790_000_000},
        ),
    ]
    pools = create_autospec(aiplatform_v1.DeploymentResourcePoolServiceClient)
    pools.return_value.list_deployment_resource_pools.return_value = [
        aiplatform_v1.DeploymentResourcePool(name="projects/42/locations/r/deploymentResourcePools/p")
    ]
    models = create_autospec(aiplatform_v1.ModelServiceClient)
    models.return_value.list_models.side_effect = PermissionDenied("no right to list")
    kinds = {
        "endpoint": (endpoints, "list_endpoints"),
        "pool": (pools, "list_deployment_resource_pools"),
        "model": (models, "list_models"),
    }
    found = gcp.inventory("ml-dev", "r", kinds)
    endpoints.return_value.list_endpoints.assert_called_once_with(parent="projects/ml-dev/locations/r")
    file = export(tmp_path, resource("gcp:vertex/aiEndpoint:AiEndpoint", "projects/ml-dev/locations/r/endpoints/1"))
    report = check.compare(found, states.read([file]), ())
    assert [(thing.kind, thing.name) for thing in report.shadows] == [("endpoint", "theirs"), ("pool", "p")]
    assert report.shadows[0].tags == {"owner": "bob"}
    assert report.shadows[0].created == "2026-09-21"
    assert "no right to list" in report.unread[0]


@pytest.mark.parametrize("kind", gcp.KINDS)
def test_each_call_on_google_cloud_is_one_that_its_client_has(kind):
    client, call = gcp.KINDS[kind]
    assert callable(getattr(client, call))
    assert call.startswith("list_")


def azure_client(**answers):
    """A client of a workspace, or of a subscription, whose operations check how they are called."""
    kinds = {
        "workspaces": operations.WorkspaceOperations,
        "online_endpoints": operations.OnlineEndpointOperations,
        "batch_endpoints": operations.BatchEndpointOperations,
        "serverless_endpoints": operations.ServerlessEndpointOperations,
        "models": operations.ModelOperations,
        "compute": operations.ComputeOperations,
    }
    client = SimpleNamespace(**{name: create_autospec(kind, instance=True) for name, kind in kinds.items()})
    for name in kinds:
        answer = answers.get(name, [])
        listing = getattr(client, name).list
        listing.side_effect = answer if isinstance(answer, Exception) else None
        listing.return_value = answer
    return client


def entity(kind, name, place, **tags):
    made = kind(name=name, tags=tags)
    made._id = f"{WORKSPACE}/{place}/{name}"
    return made


def test_what_no_stack_owns_is_found_in_each_workspace_of_azure(tmp_path):
    workspace = entities.Workspace(name="ml")
    workspace._id = WORKSPACE
    endpoints = [
        entity(entities.ManagedOnlineEndpoint, "ours", "onlineEndpoints"),
        entity(entities.ManagedOnlineEndpoint, "theirs", "onlineEndpoints", owner="bob"),
    ]
    inside = azure_client(
        online_endpoints=endpoints,
        models=[entities.Model(name="trained", tags={"workload": "credit-scoring"})],
        compute=HttpResponseError("no right to list"),
    )
    asked = []

    def connect(*where):
        asked.append(where)
        return azure_client(workspaces=[workspace]) if len(where) == 1 else inside

    found = azure.inventory("5c4b", connect)
    assert asked == [("5c4b",), ("5c4b", "platform", "ml")]
    resources = [
        resource("azure-native:machinelearningservices:Workspace", WORKSPACE.upper()),
        resource("azure-native:machinelearningservices:OnlineEndpoint", f"{WORKSPACE}/onlineEndpoints/ours"),
    ]
    report = check.compare(found, states.read([export(tmp_path, *resources)]), ())
    assert [(thing.kind, thing.name, thing.tags) for thing in report.shadows] == [
        ("endpoint", "theirs", {"owner": "bob"})
    ]
    assert (report.owned, report.made) == (2, 1)
    assert report.unread == ("compute of ml (compute.list): no right to list",)


def test_a_workspaces_client_has_all_operations():
    for name in ("workspaces", *azure.KINDS.values()):
        assert isinstance(getattr(MLClient, name), property)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("projects/42/locations/r/models/7@3", "projects/ml-dev/locations/r/models/7"),
        (
            "https://r-aiplatform.googleapis.com/v1/projects/a/locations/r/endpoints/1",
            "projects/b/locations/r/endpoints/1",
        ),
        ("arn:aws:sagemaker:r:1:model/theirs", "arn:aws:sagemaker:r:1:model/Theirs"),
        (f"{WORKSPACE}/onlineEndpoints/e/", f"{WORKSPACE}/onlineendpoints/E"),
    ],
)
def test_two_spellings_of_an_id_are_one(one, other):
    assert key(one) == key(other)


def report(*things, unread=()):
    return Report("AWS, r", 3, 1, things, tuple(unread), ("exports/prod.stack.json",))


SHADOW = Thing("model", "arn:aws:sagemaker:r:1:model/x", "x|y<b>", "2026-01-02", {"owner": "bob"})


def test_each_format_names_what_was_found():
    for format_, render in FORMATS.items():
        told = render(report(SHADOW, unread=["endpoint: denied"]))
        assert SHADOW.id in told, format_
        assert "denied" in told, format_


def test_the_sarif_report_is_what_code_scanning_reads():
    told = json.loads(FORMATS["sarif"](report(SHADOW, unread=["endpoint: denied"])))
    (run,) = told["runs"]
    (result,) = run["results"]
    assert told["version"] == "2.1.0"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "shadow-model"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "exports/prod.stack.json"
    assert result["partialFingerprints"].keys() == {"thing/v1"}
    assert run["invocations"][0]["executionSuccessful"] is False


def test_what_somebody_named_is_no_markup():
    told = FORMATS["markdown"](report(SHADOW))
    assert "x\\|y&lt;b&gt;" in told


def test_the_command_writes_reports_and_says_by_its_code_what_it_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(aws, "inventory", lambda region: Inventory(f"AWS, {region}", [SHADOW]))
    file, sarif = export(tmp_path), tmp_path / "shadow.sarif"
    assert main(["shadow", "aws", str(file), "--region", "r", "--also", "sarif", str(sarif)]) == 1
    assert "1 x model that no stack owns" in capsys.readouterr().out
    assert json.loads(sarif.read_text())["runs"][0]["results"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aws", "{file}"], "aws needs --region"),
        (["gcp", "{file}", "--region", "r"], "gcp needs --project"),
        (["azure", "{file}"], "azure needs --subscription"),
        (["aws", "nowhere.json", "--region", "r"], "nowhere.json can't be read"),
        (["aws", "{bad}", "--region", "r"], "is no state of a stack"),
        (["aws", "{file}", "--region", "r", "--also", "pdf", "x"], "pdf is no format"),
    ],
)
def test_wrong_use_is_said_in_a_sentence(tmp_path, capsys, arguments, said):
    bad = tmp_path / "bad.json"
    bad.write_text("[]")
    file = export(tmp_path)
    assert main(["shadow", *(one.format(file=file, bad=bad) for one in arguments)]) == 2
    assert said in capsys.readouterr().err
