"""The division of an online endpoint's traffic on Azure: shares, mirrored shares, and the template that writes them."""

import inspect

import pytest
from ml_blueprints.azure import traffic
from pulumi_azure_native import machinelearningservices

ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
DIVISION = "azure-native:resources:Deployment"


def test_the_template_writes_one_endpoint_with_all_that_it_has():
    endpoint = {"name": "ml/endpoint", "location": "westeurope", "tags": {"a": "b"}}
    live, mirrored = {"ranker-1-0-0": 90, "ranker-1-1-0": 10}, {"tower-0-1-0": 20}
    written = traffic.template(endpoint, {"authMode": "AADToken"}, live, mirrored)
    assert written["contentVersion"] == "1.0.0.0"
    assert written["$schema"].endswith("/deploymentTemplate.json#")
    (resource,) = written["resources"]
    assert resource.pop("apiVersion")
    assert resource == {
        "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
        **endpoint,
        "properties": {
            "authMode": "AADToken",
            "traffic": {"ranker-1-0-0": 90, "ranker-1-1-0": 10},
            "mirrorTraffic": {"tower-0-1-0": 20},
        },
    }


def shared(built, token: str, part: str):
    """A resource of the endpoint that tenants share."""
    return built.named(token, f"{built.platform.context.name}-{part}")


def written_again(built) -> dict:
    """The endpoint as the template of a platform writes it."""
    division = shared(built, DIVISION, "traffic")
    assert division.inputs["properties"]["mode"] == "Incremental"
    (resource,) = division.inputs["properties"]["template"]["resources"]
    return resource


@pytest.mark.parametrize(
    ("platform", "live", "mirrored"),
    [
        ("streaming", {"gradient-boosting-1-2-0": 100}, {"sequence-network-0-3-0": 20}),
        ("hybrid", {"gradient-boosting-4-0-0": 95, "gradient-boosting-4-1-0": 5}, {}),
    ],
)
def test_traffic_goes_to_deployments_that_are_there(request, platform, live, mirrored):
    built = request.getfixturevalue(platform)
    properties = written_again(built)["properties"]
    assert properties["traffic"] == live
    assert properties["mirrorTraffic"] == mirrored
    endpoint = shared(built, ENDPOINT, "endpoint").inputs["endpointName"]
    deployments = [found.inputs for found in built.of_type(DEPLOYMENT) if found.inputs["endpointName"] == endpoint]
    assert {*live, *mirrored} == {found["deploymentName"] for found in deployments}


@pytest.mark.parametrize("platform", ["streaming", "hybrid", "house"])
def test_the_template_says_all_that_the_endpoint_says_so_that_neither_undoes_the_other(request, platform):
    built = request.getfixturevalue(platform)
    endpoint = shared(built, ENDPOINT, "endpoint")
    again = written_again(built)
    divided = {"traffic", "mirrorTraffic"}
    assert {key: value for key, value in again["properties"].items() if key not in divided} == endpoint.inputs[
        "properties"
    ]
    assert again["name"] == f"{endpoint.inputs['workspaceName']}/{endpoint.inputs['endpointName']}"
    assert again["location"] == endpoint.inputs["location"]
    assert again["tags"] == endpoint.inputs["tags"]
    assert again["identity"]["type"] == endpoint.inputs["identity"]["type"]
    assert list(again["identity"]["userAssignedIdentities"]) == endpoint.inputs["identity"]["userAssignedIdentities"]


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_traffic_is_divided_once_the_deployments_are_there_and_the_endpoint_leaves_it_alone(
    request, waits_for, platform
):
    built = request.getfixturevalue(platform)
    endpoints = {found.inputs["endpointName"]: found for found in built.of_type(ENDPOINT)}
    name = built.platform.context.name
    for division in built.of_type(DIVISION):
        (written,) = division.inputs["properties"]["template"]["resources"]
        endpoint = endpoints[written["name"].partition("/")[2]]
        deployments = {
            f"OnlineDeployment {found.name.removeprefix(f'{name}-')}"
            for found in built.of_type(DEPLOYMENT)
            if found.inputs["endpointName"] == endpoint.inputs["endpointName"]
        }
        assert deployments
        assert deployments <= waits_for(built, division)
        # Written without its traffic, it would answer nobody until the template came.
        assert endpoint.ignore_changes == ("properties", "identity", "tags")


def test_the_template_speaks_the_version_of_the_api_that_the_sdk_speaks(streaming):
    source = inspect.getsource(machinelearningservices.OnlineEndpoint)
    assert f"Uses Azure REST API version {written_again(streaming)['apiVersion']}." in source


def test_batch_has_no_traffic_to_divide(batch):
    assert not batch.of_type(DIVISION)
