"""Endpoints on AWS by kind of inference: containers, rollout, scaling, and what each kind may and may not have."""

import json

import pytest

MODEL = "aws:sagemaker/model:Model"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
POLICY = "aws:appautoscaling/policy:Policy"
TARGET = "aws:appautoscaling/target:Target"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
CHAMPION = {"name": "gradient-boosting", "version": "4.0.0", "role": "champion", "traffic": 100}
OWN = {"name": "kiosk-boosting", "version": "1.0.0", "role": "champion", "traffic": 100, "tenant": "kiosk"}
LINEAR = {"name": "linear", "version": "1.0.0", "role": "member"}
KIOSK = {"name": "kiosk", "requests_per_second": 10}
NONE_AT_REST = {"scale_to_zero": True, "replicas": {"minimum": 0, "maximum": 4}}


@pytest.fixture
def delivery(alone):
    """The endpoints of delivery times, served by other words, with other models."""

    def get(serving: dict, models: tuple = (CHAMPION,), **other):
        words = {"size": "small", "tenants": []} | serving
        return alone({"models": list(models), "serving": words, **other})

    return get


@pytest.fixture
def ensemble_and_guest(delivery):
    cascade = {"method": "cascade", "members": ["linear", "gradient-boosting"]}
    return delivery({"ensemble": cascade, "tenants": [KIOSK]}, (CHAMPION, LINEAR, OWN))


@pytest.fixture
def serverless(delivery):
    return delivery({"inference": "serverless", **NONE_AT_REST})


@pytest.fixture
def asynchronous(once):
    serving = {"inference": "asynchronous", "size": "small", "tenants": [], **NONE_AT_REST}
    return once("delivery_eta", {"models": [CHAMPION], "serving": serving})


def test_a_container_with_several_models_is_given_each_ones_folder(ensemble_and_guest):
    (model,) = ensemble_and_guest.of_type(MODEL)
    container = model.inputs["primaryContainer"]
    (first,) = container["modelDataSource"]["s3DataSources"]
    assert first["s3Uri"].endswith("/gradient-boosting/4.0.0/")
    others = {
        source["channelName"]: source["s3DataSources"][0]["s3Uri"].removeprefix("s3://models/")
        for source in container["additionalModelDataSources"]
    }
    assert others == {"linear-1-0-0": "linear/1.0.0/", "kiosk-boosting-1-0-0": "kiosk-boosting/1.0.0/"}
    table = json.loads(container["environment"]["ML_BLUEPRINTS_ROUTING"])
    assert [(one["name"], one.get("tenant")) for one in table["models"]] == [
        ("gradient-boosting", None),
        ("linear", None),
        ("kiosk-boosting", "kiosk"),
    ]
    assert table["ensemble"]["method"] == "cascade"


def test_a_container_is_told_no_tokens_that_it_could_not_check(ensemble_and_guest):
    (model,) = ensemble_and_guest.of_type(MODEL)
    told = model.inputs["primaryContainer"]["environment"]
    assert told["BEHIND_ROUTER"] == "1"
    assert not [name for name in told if name.startswith("TOKEN_")]


def test_a_tenant_with_instances_of_its_own_has_an_endpoint_with_all_that_belongs_to_it(hybrid):
    shared, apart = (hybrid.named(ENDPOINT, f"delivery-eta-{part}") for part in ("endpoint", "endpoint-partners"))
    assert shared.inputs["name"] != apart.inputs["name"]
    assert apart.inputs["name"].startswith("delivery-eta-partners-")
    configuration = hybrid.named(CONFIGURATION, "delivery-eta-endpoint-partners").inputs
    (variant,) = configuration["productionVariants"]
    assert variant["initialVariantWeight"] == 1
    # Its own alarms, not those of the endpoint of others, take its rollout back.
    watched = apart.inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]
    assert watched
    assert all("-rollback-partners-" in one["alarmName"] or "-latency-partners-" in one["alarmName"] for one in watched)
    resource = f"endpoint/{apart.inputs['name']}/variant/champion"
    assert [one.name for one in hybrid.of_type(TARGET) if one.inputs["resourceId"] == resource] == [
        "delivery-eta-champion-partners"
    ]


@pytest.mark.parametrize(
    ("minimum", "kind", "size"),
    [
        (1, "ALL_AT_ONCE", None),
        (2, "CANARY", "canarySize"),
        (9, "CANARY", "canarySize"),
        (10, "LINEAR", "linearStepSize"),
    ],
)
def test_a_rollout_goes_by_steps_that_are_instances(delivery, minimum, kind, size):
    built = delivery({"replicas": {"minimum": minimum, "maximum": 20}})
    (endpoint,) = built.of_type(ENDPOINT)
    update = endpoint.inputs["deploymentConfig"]["blueGreenUpdatePolicy"]
    routing = update["trafficRoutingConfiguration"]
    assert routing["type"] == kind
    assert {name for name in routing if name.endswith("Size")} == ({size} if size else set())
    if size:
        # SageMaker takes steps of 10 to 50 percent.
        assert routing[size] == {"type": "CAPACITY_PERCENT", "value": 10}
    # The most time is more than that of all steps and of the old fleet's stay.
    waits = 10 * routing["waitIntervalInSeconds"] + update["terminationWaitInSeconds"]
    assert waits < update["maximumExecutionTimeoutInSeconds"] <= 28800


def test_the_name_of_an_endpoint_changes_with_its_variants_and_instances_and_not_with_versions(delivery):
    def name(serving: dict | None = None, *models: dict) -> str:
        (endpoint,) = delivery(serving or {}, models or (CHAMPION,)).of_type(ENDPOINT)
        return endpoint.inputs["name"]

    ordinary = name()
    assert name({}, CHAMPION | {"version": "4.2.0"}) == ordinary
    assert name({"replicas": {"minimum": 2, "maximum": 9}}) == ordinary
    canary = [CHAMPION | {"traffic": 90}, CHAMPION | {"version": "4.1.0", "role": "canary", "traffic": 10}]
    shadow = [CHAMPION, CHAMPION | {"version": "4.1.0", "role": "shadow", "traffic": 10}]
    others = {name({"size": "large"}), name({}, *canary), name({}, *shadow)}
    assert len(others) == 3
    assert ordinary not in others


def test_serverless_gives_up_what_sagemaker_excludes_and_fetches_its_models_itself(serverless):
    (model,) = serverless.of_type(MODEL)
    assert not {"vpcConfig", "enableNetworkIsolation"} & model.inputs.keys()
    container = model.inputs["primaryContainer"]
    assert "modelDataSource" not in container
    assert container["environment"]["MODELS"].startswith("s3://models")
    assert container["environment"]["CAPTURED"].endswith("/captured")
    (configuration,) = serverless.of_type(CONFIGURATION)
    assert not {"dataCaptureConfig", "kmsKeyArn", "asyncInferenceConfig"} & configuration.inputs.keys()
    (variant,) = configuration.inputs["productionVariants"]
    assert variant["serverlessConfig"]["memorySizeInMb"] == 2048
    assert not {"instanceType", "initialInstanceCount"} & variant.keys()
    (endpoint,) = serverless.of_type(ENDPOINT)
    assert "deploymentConfig" not in endpoint.inputs
    assert not serverless.of_type(TARGET)


def test_serverless_keeps_warm_what_the_workload_keeps(delivery):
    built = delivery({"inference": "serverless", "replicas": {"minimum": 2, "maximum": 4}})
    (configuration,) = built.of_type(CONFIGURATION)
    (variant,) = configuration.inputs["productionVariants"]
    assert variant["serverlessConfig"]["provisionedConcurrency"] == 2


def test_asynchronous_answers_lie_encrypted_and_topics_tell_of_them(asynchronous, allowed):
    (configuration,) = asynchronous.of_type(CONFIGURATION)
    output = configuration.inputs["asyncInferenceConfig"]["outputConfig"]
    assert output["s3OutputPath"].endswith("/captured/answered")
    assert output["s3FailurePath"].endswith("/captured/failed")
    assert ":key/" in output["kmsKeyId"]
    topics = {topic.name: topic for topic in asynchronous.of_type("aws:sns/topic:Topic")}
    told = output["notificationConfig"]
    assert told["successTopic"] == topics["delivery-eta-succeeded"].id
    assert told["errorTopic"] == topics["delivery-eta-failed"].id
    assert all(":key/" in topic.inputs["kmsMasterKeyId"] for topic in topics.values())
    assert sorted(allowed(asynchronous, "serving", "sns:Publish")) == sorted(told.values())
    (asked,) = [one for one in allowed(asynchronous, "serving", "s3:GetObject") if "curated" in one]
    assert asked.endswith("/asked/*")
    # What is asked comes by a queue, not by a router, and is not captured besides.
    assert not [one for one in asynchronous.of_type("aws:lambda/function:Function") if one.name.endswith("-router")]
    assert "dataCaptureConfig" not in configuration.inputs
    # An isolated container writes nothing: what is looked at are its answers, which hold their rows.
    (model,) = asynchronous.of_type(MODEL)
    assert model.inputs["enableNetworkIsolation"] is True
    assert model.inputs["primaryContainer"]["environment"]["ANSWER_ROWS"] == "1"
    assert asynchronous.platform.endpoint_url is not None


def test_an_asynchronous_endpoint_is_without_instances_until_something_waits(asynchronous):
    (target,) = asynchronous.of_type(TARGET)
    assert (target.inputs["minCapacity"], target.inputs["maxCapacity"]) == (0, 4)
    policies = {policy.inputs["policyType"]: policy for policy in asynchronous.of_type(POLICY)}
    tracked = policies["TargetTrackingScaling"].inputs["targetTrackingScalingPolicyConfiguration"]
    assert tracked["customizedMetricSpecification"]["metricName"] == "ApproximateBacklogSizePerInstance"
    (step,) = policies["StepScaling"].inputs["stepScalingPolicyConfiguration"]["stepAdjustments"]
    assert step["scalingAdjustment"] == 1
    alarm = asynchronous.named(ALARM, "delivery-eta-from-zero")
    assert alarm.inputs["metricName"] == "HasBacklogWithoutCapacity"
    assert policies["StepScaling"].urn in alarm.depends_on
    (endpoint,) = asynchronous.of_type(ENDPOINT)
    assert alarm.inputs["dimensions"] == {"EndpointName": endpoint.inputs["name"]}


def test_an_asynchronous_endpoint_that_keeps_instances_needs_no_first_one(delivery):
    built = delivery({"inference": "asynchronous", "replicas": {"minimum": 1, "maximum": 4}})
    assert [policy.inputs["policyType"] for policy in built.of_type(POLICY)] == ["TargetTrackingScaling"]


def test_without_an_objective_nothing_is_too_slow_to_be_rolled_out(delivery):
    built = delivery({}, monitoring={"latency_objective_ms": None})
    assert {alarm.inputs["metricName"] for alarm in built.of_type(ALARM)} == {"Invocation5XXErrors"}
