"""AWS: in which orders endpoints and APIs can be changed, and what kinds of inference exclude."""

from typing import Any

import pytest
from sandbox.provider.cloud import CloudError

MODEL = "aws:sagemaker/model:Model"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
SCALABLE = "aws:appautoscaling/target:Target"
API = "aws:apigateway/restApi:RestApi"
METHOD = "aws:apigateway/method:Method"
INTEGRATION = "aws:apigateway/integration:Integration"
DEPLOYMENT = "aws:apigateway/deployment:Deployment"
STAGE = "aws:apigateway/stage:Stage"
ROLE = "aws:iam/role:Role"
BLUE_GREEN = {
    "blueGreenUpdatePolicy": {"trafficRoutingConfiguration": {"type": "ALL_AT_ONCE", "waitIntervalInSeconds": 0}}
}
SERVERLESS = {"serverlessConfig": {"maxConcurrency": 5, "memorySizeInMb": 2048}}


@pytest.fixture
def model(aws):
    """A model by its name; what else it says is given."""
    role = aws.make(ROLE, {"assumeRolePolicy": '{"Version": "2012-10-17", "Statement": []}'})

    def make(name: str, container: dict[str, Any] | None = None, **said: Any) -> Any:
        primary = {"image": "scorer"} | (container or {})
        return aws.make(
            MODEL, {"name": name, "executionRoleArn": role.outputs["arn"], "primaryContainer": primary, **said}, name
        )

    return make


def variants(*names: str, type_: str = "ml.m5.large", **said: Any) -> list[dict[str, Any]]:
    return [{"variantName": name, "modelName": "boosting", "instanceType": type_, **said} for name in names]


@pytest.fixture
def configuration(aws, model):
    """A configuration by its name, with variants of one model."""
    model("boosting")
    return lambda name, live, **said: aws.make(CONFIGURATION, {"name": name, "productionVariants": live, **said}, name)


@pytest.fixture
def endpoint(aws, configuration):
    """An endpoint with champion and canary, which is moved to another configuration by its name."""
    first = configuration("first", variants("champion", "canary"))
    inputs = {"name": "fraud", "endpointConfigName": "first", "deploymentConfig": BLUE_GREEN}
    made = aws.make(ENDPOINT, inputs)

    class Moved:
        before = first

        @staticmethod
        def to(name: str, **said: Any) -> None:
            changed = inputs | {"endpointConfigName": name} | said
            aws.plane.update(aws.urn(ENDPOINT), made.id, inputs, changed)

    return Moved


def test_a_configuration_goes_after_its_endpoint_has_moved_and_a_model_after_its_configuration(
    aws, configuration, endpoint
) -> None:
    configuration("second", variants("champion", "canary"))
    (boosting,) = aws.store.find(MODEL)
    with pytest.raises(CloudError, match="in use by aws:sagemaker/endpoint:Endpoint `fraud`"):
        aws.delete(endpoint.before)
    with pytest.raises(CloudError, match="in use by aws:sagemaker/endpointConfiguration"):
        aws.delete(boosting)
    endpoint.to("second")
    aws.delete(endpoint.before)


def test_an_endpoint_moves_only_to_a_configuration_that_is_there(endpoint) -> None:
    with pytest.raises(CloudError, match=r"endpointConfigName: there is no .* of the name `second`"):
        endpoint.to("second")


@pytest.mark.parametrize(
    ("live", "refused"),
    [
        (variants("champion", "canary"), ""),
        (variants("champion", "canary", type_="ml.m5.xlarge"), "variant `canary` must be deregistered"),
        (variants("champion"), "variant `canary` must be deregistered"),
        (variants("champion", type_="ml.m5.xlarge") + variants("canary"), ""),
        (variants("champion", "canary", "canary-2"), "a blue/green deployment keeps the variants champion, canary"),
    ],
)
def test_a_variant_that_scales_is_neither_removed_nor_resized(aws, configuration, endpoint, live, refused) -> None:
    scaled = {
        "resourceId": "endpoint/fraud/variant/canary",
        "serviceNamespace": "sagemaker",
        "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "minCapacity": 1,
        "maxCapacity": 2,
    }
    aws.make(SCALABLE, scaled)
    configuration("second", live)
    if not refused:
        endpoint.to("second")
        return
    with pytest.raises(CloudError, match=refused):
        endpoint.to("second")


def test_without_blue_green_other_variants_are_taken(configuration, endpoint) -> None:
    configuration("second", variants("champion"))
    endpoint.to("second", deploymentConfig=None)


@pytest.mark.parametrize(
    ("live", "said", "refused"),
    [
        (variants("champion"), {"shadowProductionVariants": variants("shadow")}, ""),
        (variants("champion", "canary"), {"shadowProductionVariants": variants("shadow")}, "one variant is shadowed"),
        (variants("champion"), {"shadowProductionVariants": variants("one", "two")}, "one variant is shadowed by one"),
        (
            variants("champion"),
            {
                "shadowProductionVariants": variants("shadow"),
                "asyncInferenceConfig": {"outputConfig": {"s3OutputPath": "here"}},
            },
            "takes no shadow",
        ),
        (variants("champion", **SERVERLESS), {}, ""),
        (variants("champion", "canary", **SERVERLESS), {}, "a serverless variant is the only one"),
        (
            variants("champion", **SERVERLESS),
            {
                "dataCaptureConfig": {
                    "captureOptions": [{"captureMode": "Input"}],
                    "destinationS3Uri": "here",
                    "initialSamplingPercentage": 100,
                }
            },
            "dataCaptureConfig: a serverless variant takes none",
        ),
    ],
)
def test_what_kinds_of_inference_exclude_is_refused(configuration, live, said, refused) -> None:
    if not refused:
        configuration("first", live, **said)
        return
    with pytest.raises(CloudError, match=refused):
        configuration("first", live, **said)


@pytest.mark.parametrize(
    ("said", "container", "part"),
    [
        ({"enableNetworkIsolation": True}, {}, "enableNetworkIsolation"),
        ({"vpcConfig": {"subnets": ["s"], "securityGroupIds": ["g"]}}, {}, "vpcConfig"),
        (
            {},
            {
                "modelDataSource": {
                    "s3DataSources": [{"compressionType": "None", "s3DataType": "S3Prefix", "s3Uri": "here"}]
                }
            },
            "primaryContainer.modelDataSource",
        ),
    ],
)
def test_a_serverless_model_is_in_no_network_and_is_given_no_folder(model, configuration, said, container, part):
    model("isolated", container, **said)
    with pytest.raises(CloudError, match=f"has no {part}"):
        configuration("first", [{"variantName": "champion", "modelName": "isolated", **SERVERLESS}])


def test_an_api_is_deployed_once_its_methods_lead_somewhere_and_a_stage_keeps_its_deployment(aws) -> None:
    api = aws.make(API, {"name": "predictions"})
    place = {"restApi": api.id, "resourceId": api.outputs["rootResourceId"], "httpMethod": "POST"}
    with pytest.raises(CloudError, match="it has no methods"):
        aws.make(DEPLOYMENT, {"restApi": api.id})
    aws.make(METHOD, place | {"authorization": "AWS_IAM"})
    with pytest.raises(CloudError, match="a method has no integration"):
        aws.make(DEPLOYMENT, {"restApi": api.id})
    aws.make(INTEGRATION, place | {"type": "MOCK"})
    first, second = (aws.make(DEPLOYMENT, {"restApi": api.id}, name) for name in ("first", "second"))
    stage = aws.make(STAGE, {"restApi": api.id, "deployment": first.id, "stageName": "live"})
    assert stage.outputs["invokeUrl"] == f"https://{api.id}.execute-api.eu-west-1.amazonaws.com/live"
    with pytest.raises(CloudError, match=f"in use by {STAGE}"):
        aws.delete(first)
    changed = stage.inputs | {"deployment": second.id}
    aws.plane.update(aws.urn(STAGE), stage.id, stage.inputs, changed)
    aws.delete(first)


def test_a_stage_of_an_api_that_is_not_there_is_refused(aws) -> None:
    with pytest.raises(CloudError, match=f"restApi: there is no {API} of the name `nothing`"):
        aws.make(STAGE, {"restApi": "nothing", "deployment": "none", "stageName": "live"})
