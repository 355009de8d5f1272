"""The router on AWS: what it is told, where it runs, and all that it may do."""

import asyncio
import json
import math

import pytest

FUNCTION = "aws:lambda/function:Function"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
GRANT = "aws:iam/rolePolicy:RolePolicy"


@pytest.fixture
def router(hybrid):
    return hybrid.named(FUNCTION, "delivery-eta-router")


def test_it_knows_each_endpoint_and_the_features_and_models_of_all(hybrid, router):
    told = router.inputs["environment"]["variables"]
    endpoints = {one.name.removeprefix("delivery-eta-"): one.inputs["name"] for one in hybrid.of_type(ENDPOINT)}
    assert told["SCORING_ENDPOINT"] == endpoints["endpoint"]
    assert told["SCORING_ENDPOINT_PARTNERS"] == endpoints["endpoint-partners"]
    (group,) = hybrid.of_type("aws:sagemaker/featureGroup:FeatureGroup")
    assert told["FEATURE_STORE"] == group.inputs["featureGroupName"]
    table = json.loads(told["ML_BLUEPRINTS_ROUTING"])
    assert set(table["tenants"]) == {"orders", "partners"}
    assert [model["version"] for model in table["models"]] == ["4.0.0", "4.1.0"]


def test_whose_request_it_is_comes_from_the_authorizer_as_it_has_no_way_to_the_keys_of_tokens(router):
    told = router.inputs["environment"]["variables"]
    assert told["TENANT_FROM"] == "authorizer"
    assert not [name for name in told if name.startswith("TOKEN_")]


def test_it_is_in_the_network_encrypted_logged_and_traced(router):
    assert router.inputs["vpcConfig"]["subnetIds"]
    assert ":key/" in router.inputs["kmsKeyArn"]
    assert router.inputs["loggingConfig"]["logGroup"].startswith("delivery-eta-logs-")
    assert router.inputs["tracingConfig"] == {"mode": "Active"}
    assert {urn.rpartition("::")[2] for urn in router.depends_on} >= {"delivery-eta-router"}


def test_it_may_have_as_many_requests_at_once_as_come_in_the_time_of_one(hybrid, router):
    peak = hybrid.platform.context.workload.serving.requests_per_second
    assert router.inputs["reservedConcurrentExecutions"] == math.ceil(peak * 0.1)
    assert router.inputs["timeout"] <= 29


def test_it_may_ask_the_endpoints_and_read_features_and_nothing_else(hybrid):
    document = json.loads(hybrid.named(GRANT, "delivery-eta-router").inputs["policy"])
    may = {action: one["Resource"] for one in document["Statement"] for action in one["Action"]}
    asked = may.pop("sagemaker:InvokeEndpoint")
    assert len(asked) == 2
    assert all(":endpoint/delivery-eta-" in resource for resource in asked)
    for action in ("sagemaker:GetRecord", "sagemaker:BatchGetRecord"):
        (group,) = may.pop(action)
        assert ":feature-group/" in group
    services = {action.partition(":")[0] for action in may}
    assert services == {"ec2", "logs", "xray", "kms"}
    assert [action for action in may if action.startswith("kms:")] == ["kms:Decrypt"]


def test_an_identity_of_the_routers_own_is_bounded_and_lambdas_alone(hybrid):
    role = hybrid.named("aws:iam/role:Role", "delivery-eta-router").inputs
    assert ":policy/delivery-eta-boundary-" in role["permissionsBoundary"]
    (statement,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": ["lambda.amazonaws.com"]}


def test_a_stream_that_is_scored_as_it_comes_needs_no_router(streaming):
    assert [one.name for one in streaming.of_type(FUNCTION)] == [
        "fraud-detection-archive",
        "fraud-detection-processor",
    ]


def test_without_tenants_the_router_is_where_predictions_are_requested(once):
    built = once("delivery_eta", {"serving": {"tenants": []}})
    router = built.named(FUNCTION, "delivery-eta-router")
    url = asyncio.get_event_loop().run_until_complete(built.platform.endpoint_url.future())
    assert url.startswith("https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn:aws:lambda:")
    assert url.endswith("/invocations")
    assert "TENANT_FROM" not in router.inputs["environment"]["variables"]
    assert not built.of_type("aws:apigateway/restApi:RestApi")
    # By the rights of IAM, through the network's own endpoint of Lambda: it has no URL to the internet.
    assert not built.of_type("aws:lambda/functionUrl:FunctionUrl")
    assert not built.of_type("aws:lambda/permission:Permission")
