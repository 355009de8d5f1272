"""The API of tenants on AWS: private, known by tokens, held to rates and quotas, and refusing what isn't a request."""

import json

import pytest
from jsonschema import Draft4Validator
from ml_blueprints.aws import facts
from ml_blueprints.aws.api import ROUTES, schemas
from ml_blueprints.workload import Workload
from tests.components.conftest import WORKLOADS

API = "aws:apigateway/restApi:RestApi"
METHOD = "aws:apigateway/method:Method"
STAGE = "aws:apigateway/stage:Stage"
PLAN = "aws:apigateway/usagePlan:UsagePlan"
KEY = "aws:apigateway/apiKey:ApiKey"
FUNCTION = "aws:lambda/function:Function"
PERMISSION = "aws:lambda/permission:Permission"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
GRANT = "aws:iam/rolePolicy:RolePolicy"


def test_it_is_reached_through_the_network_alone(hybrid, named):
    (api,) = hybrid.of_type(API)
    door = named(hybrid, ENDPOINT, "delivery-eta-execute-api")
    assert api.inputs["endpointConfiguration"] == {"types": "PRIVATE", "vpcEndpointIds": [door.id]}
    (statement,) = json.loads(api.inputs["policy"])["Statement"]
    (vpc,) = hybrid.of_type("aws:ec2/vpc:Vpc")
    assert statement["Condition"] == {"StringEquals": {"aws:SourceVpc": vpc.id}}
    rule = named(hybrid, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "delivery-eta-callers").inputs
    assert (rule["cidrIpv4"], rule["fromPort"], rule["toPort"]) == (vpc.inputs["cidrBlock"], 443, 443)


def test_in_a_network_of_the_organisation_its_own_endpoints_lead_there(hybrid_house):
    (api,) = hybrid_house.of_type(API)
    assert api.inputs["endpointConfiguration"] == {"types": "PRIVATE"}
    assert "vpc-0123456789abcdef0" in api.inputs["policy"]


def test_the_internet_is_let_in_only_where_the_settings_say_so(once):
    built = once("delivery_eta", public_api=True)
    (api,) = built.of_type(API)
    assert api.inputs["endpointConfiguration"] == {"types": "REGIONAL"}
    assert not [one for one in built.of_type(ENDPOINT) if "execute-api" in one.inputs["serviceName"]]


def test_each_method_knows_who_asks_and_checks_what_is_sent(hybrid):
    methods = hybrid.of_type(METHOD)
    assert len(methods) == len(ROUTES)
    (authorizer,) = hybrid.of_type("aws:apigateway/authorizer:Authorizer")
    for method in methods:
        assert method.inputs["authorization"] == "CUSTOM"
        assert method.inputs["authorizerId"] == authorizer.id
        assert method.inputs["apiKeyRequired"] is True
        assert method.inputs["requestValidatorId"]
        assert bool(method.inputs.get("requestModels")) is (method.inputs["httpMethod"] == "POST")
    integrations = hybrid.of_type("aws:apigateway/integration:Integration")
    assert {one.inputs["type"] for one in integrations} == {"AWS_PROXY"}
    assert all("function:delivery-eta-router-" in one.inputs["uri"] for one in integrations)
    assert max(one.inputs["timeoutMilliseconds"] for one in integrations) <= 29_000


def test_the_authorizer_is_outside_of_the_network_and_has_rights_to_nothing_of_ours(hybrid, named):
    function = named(hybrid, FUNCTION, "delivery-eta-authorizer")
    assert "vpcConfig" not in function.inputs
    told = function.inputs["environment"]["variables"]
    assert told["TOKEN_KEYS"].startswith("https://")
    document = json.loads(named(hybrid, GRANT, "delivery-eta-authorizer").inputs["policy"])
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    assert actions == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
        "kms:Decrypt",
    }


def test_by_the_token_a_request_counts_for_its_tenant(hybrid, named):
    (api,) = hybrid.of_type(API)
    assert api.inputs["apiKeySource"] == "AUTHORIZER"
    told = named(hybrid, FUNCTION, "delivery-eta-authorizer").inputs["environment"]["variables"]
    keys = json.loads(told["API_KEYS"])
    assert set(keys) == {"orders", "partners"}
    assert len(set(keys.values())) == 2
    for tenant in keys:
        plan = named(hybrid, PLAN, f"delivery-eta-plan-{tenant}")
        joined = named(hybrid, "aws:apigateway/usagePlanKey:UsagePlanKey", f"delivery-eta-plan-{tenant}").inputs
        assert joined["usagePlanId"] == plan.id
        assert joined["keyId"] == named(hybrid, KEY, f"delivery-eta-key-{tenant}").id


@pytest.mark.parametrize(("tenant", "rate", "quota"), [("orders", 300, 300 * 86_400), ("partners", 20, 200_000)])
def test_each_tenant_has_its_rate_and_its_quota(hybrid, named, tenant, rate, quota):
    plan = named(hybrid, PLAN, f"delivery-eta-plan-{tenant}").inputs
    assert plan["throttleSettings"]["rateLimit"] == rate
    assert plan["quotaSettings"] == {"limit": quota, "period": "DAY"}
    (stage,) = plan["apiStages"]
    (api,) = hybrid.of_type(API)
    assert stage == {"apiId": api.id, "stage": "live"}


def test_functions_are_invoked_by_this_api_and_by_nobody_else(hybrid):
    (api,) = hybrid.of_type(API)
    permissions = hybrid.of_type(PERMISSION)
    assert [permission.name for permission in permissions] == ["delivery-eta-authorizer", "delivery-eta-router"]
    for permission in permissions:
        assert permission.inputs["principal"] == "apigateway.amazonaws.com"
        assert f":{api.id}/" in permission.inputs["sourceArn"]


def test_a_deployment_is_made_once_all_methods_lead_somewhere_and_anew_when_they_change(hybrid, once):
    (deployment,) = hybrid.of_type("aws:apigateway/deployment:Deployment")
    routed = [*hybrid.of_type(METHOD), *hybrid.of_type("aws:apigateway/integration:Integration")]
    assert {one.urn for one in routed} <= set(deployment.depends_on)
    (open_to_all,) = once("delivery_eta", public_api=True).of_type("aws:apigateway/deployment:Deployment")
    assert open_to_all.inputs["triggers"]["definition"] != deployment.inputs["triggers"]["definition"]


def test_who_asked_is_logged_without_what_and_bad_requests_are_stopped(hybrid, named):
    (stage,) = hybrid.of_type(STAGE)
    log = named(hybrid, "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream", "delivery-eta-access-log")
    # API Gateway writes to streams of this name only.
    assert log.inputs["name"].startswith("amazon-apigateway-")
    assert log.inputs["serverSideEncryption"]["keyType"] == "CUSTOMER_MANAGED_CMK"
    assert stage.inputs["accessLogSettings"]["destinationArn"] == log.id
    said = stage.inputs["accessLogSettings"]["format"]
    assert "$context.authorizer.tenant" in said
    assert json.loads(said) == facts.ACCESS_LOG_FIELDS
    (settings,) = hybrid.of_type("aws:apigateway/methodSettings:MethodSettings")
    assert settings.inputs["settings"]["dataTraceEnabled"] is False
    (association,) = hybrid.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    (firewall,) = hybrid.of_type("aws:wafv2/webAcl:WebAcl")
    assert association.inputs["webAclArn"].endswith(firewall.id)
    assert "/stages/live" in association.inputs["resourceArn"]
    (logging,) = hybrid.of_type("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration")
    assert logging.inputs["redactedFields"] == [{"singleHeader": {"name": "authorization"}}]
    assert "aws-waf-logs-" in logging.inputs["logDestinationConfigs"][0]


@pytest.fixture(scope="module")
def judge():
    """The first thing that is wrong with a request for delivery times, or None."""
    wanted = schemas(Workload.load(WORKLOADS / "delivery_eta.yaml"))
    for schema in wanted.values():
        Draft4Validator.check_schema(schema)

    def wrong(name: str, request: object) -> str | None:
        return next((error.message for error in Draft4Validator(wanted[name]).iter_errors(request)), None)

    return wrong


FEATURES = {"orders_1h": 3, "mean_minutes_2h": None}
TENSOR = {"name": "orders_1h", "shape": [1], "datatype": "INT64", "data": [3]}


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("Score", {"entity": "r-1"}),
        ("Score", {"features": FEATURES, "event_id": "e-1"}),
        ("Score", {"entity": "r-1", "features": {"mean_distance_2h": 1.5, "unheard_of": "x"}}),
        ("Score", {"instances": [{"features": FEATURES}, FEATURES]}),
        ("Infer", {"inputs": [TENSOR]}),
    ],
)
def test_a_request_is_let_through(judge, name, request_):
    assert judge(name, request_) is None


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("Score", []),
        ("Score", {}),
        ("Score", {"entity": ""}),
        ("Score", {"entity": 7}),
        ("Score", {"features": {"orders_1h": "three"}}),
        ("Score", {"instances": []}),
        ("Score", {"instances": [{}] * 1001}),
        ("Infer", {"inputs": []}),
        ("Infer", {"inputs": [TENSOR | {"shape": [-1]}]}),
        ("Infer", {"inputs": [{"name": "orders_1h"}]}),
    ],
)
def test_what_is_no_request_is_refused(judge, name, request_):
    assert judge(name, request_)
