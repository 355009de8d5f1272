"""The serving layer on AWS: the endpoint and its variants, the processor of events, scheduled batch."""

import json
import re
from pathlib import Path

import pytest
from ml_blueprints.aws.fleets import by_variant
from ml_blueprints.workload import Model

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
REPOSITORY = Path(__file__).parents[3]
SUBNETS = ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
MODEL = "aws:sagemaker/model:Model"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
FUNCTION = "aws:lambda/function:Function"
SOURCE = "aws:lambda/eventSourceMapping:EventSourceMapping"
STREAM = "aws:kinesis/stream:Stream"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
SCHEDULE = "aws:scheduler/schedule:Schedule"


def group_of_workloads(built) -> str:
    rule, *_ = built.of_type("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    return rule.inputs["securityGroupId"]


def shared(built, token: str):
    """What the endpoint has that all share but tenants with one of their own."""
    return built.named(token, f"{built.platform.context.name}-endpoint")


def configuration(built) -> dict:
    return shared(built, CONFIGURATION).inputs


def test_each_version_that_runs_is_a_model_isolated_in_the_network(house):
    models = house.of_type(MODEL)
    assert {model.name for model in models} == {
        "fraud-detection-gradient-boosting-1-2-0",
        "fraud-detection-sequence-network-0-3-0",
    }
    for model in models:
        assert model.inputs["enableNetworkIsolation"] is True
        assert model.inputs["vpcConfig"] == {"subnets": SUBNETS, "securityGroupIds": [group_of_workloads(house)]}
        assert model.inputs["executionRoleArn"] == "arn:aws:iam::210987654321:role/house-serving"


def test_what_answers_nobody_is_registered_and_does_not_run(batch, hybrid):
    # The challenger isn't there, and a batch is scored by a step that loads the model itself.
    assert not batch.of_type(MODEL)
    assert [model.name for model in hybrid.of_type(MODEL)] == [
        "delivery-eta-gradient-boosting-4-0-0",
        "delivery-eta-gradient-boosting-4-1-0",
        # On the instances of a tenant's own the champion is a model with its own container.
        "delivery-eta-partners-4-0-0",
    ]


def test_a_model_loads_its_artifact_and_knows_its_role(streaming, named):
    shadow = named(streaming, MODEL, "fraud-detection-sequence-network-0-3-0").inputs
    container = shadow["primaryContainer"]
    (source,) = container["modelDataSource"]["s3DataSources"]
    assert re.fullmatch(r"s3://fraud-detection-models-[0-9a-f]+/sequence-network/0\.3\.0/", source["s3Uri"])
    # The folder as it was registered: its manifest names the files in it.
    assert (source["s3DataType"], source["compressionType"]) == ("S3Prefix", "None")
    assert "/ml-serving@sha256:" in container["image"]
    (told,) = json.loads(container["environment"]["ML_BLUEPRINTS_ROUTING"])["models"]
    assert (told["name"], told["role"], told["traffic"]) == ("sequence-network", "shadow", 20)
    assert (shadow["tags"]["model"], shadow["tags"]["version"]) == ("sequence-network", "0.3.0")


def test_models_wait_for_the_rights_of_their_identity(streaming):
    for model in streaming.of_type(MODEL):
        waits_for = {urn.rpartition("::")[2] for urn in model.depends_on}
        assert {f"fraud-detection-serving-{grant}" for grant in ("lake", "network", "images")} <= waits_for


def test_a_change_makes_a_new_configuration_for_the_same_endpoint(streaming):
    (endpoint,) = streaming.of_type(ENDPOINT)
    (config,) = streaming.of_type(CONFIGURATION)
    assert "name" not in config.inputs
    assert not config.delete_before_replace
    assert re.fullmatch(r"fraud-detection-[0-9a-f]{8}", endpoint.inputs["name"])
    assert endpoint.inputs["endpointConfigName"].startswith("fraud-detection-endpoint-")
    assert config.urn in endpoint.depends_on


def test_the_champion_answers_and_the_shadow_sees_its_share(streaming):
    config = configuration(streaming)
    (live,) = config["productionVariants"]
    (shadow,) = config["shadowProductionVariants"]
    assert live["initialVariantWeight"] == 1
    assert shadow["initialVariantWeight"] == 0.2
    assert live["modelName"].startswith("fraud-detection-gradient-boosting-1-2-0-")
    assert shadow["modelName"].startswith("fraud-detection-sequence-network-0-3-0-")
    assert live["instanceType"] == shadow["instanceType"] == "ml.m5.xlarge"
    assert live["initialInstanceCount"] == shadow["initialInstanceCount"] == 2


def test_the_canary_takes_its_share(hybrid):
    config = configuration(hybrid)
    assert [
        (variant["modelName"].rpartition("-")[0].removeprefix("delivery-eta-"), variant["initialVariantWeight"])
        for variant in config["productionVariants"]
    ] == [("gradient-boosting-4-0-0", 0.95), ("gradient-boosting-4-1-0", 0.05)]
    assert not config.get("shadowProductionVariants")


@pytest.mark.parametrize(
    ("platform", "live", "shadows"),
    [("streaming", ["champion"], ["shadow"]), ("hybrid", ["champion", "canary"], [])],
)
def test_variants_keep_their_names_when_versions_change(request, platform, live, shadows):
    # A blue/green deployment is only made between configurations whose variants have the same names:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html
    config = configuration(request.getfixturevalue(platform))
    assert [variant["variantName"] for variant in config["productionVariants"]] == live
    assert [variant["variantName"] for variant in config.get("shadowProductionVariants", [])] == shadows


def test_several_canaries_are_told_apart():
    roles = {"3.0.0": "champion", "3.1.0": "canary", "3.2.0": "canary", "4.0.0": "shadow"}
    models = tuple(Model(name="ranker", version=version, role=role, traffic=1) for version, role in roles.items())
    assert {name: model.version for name, model in by_variant(models).items()} == {
        "champion": "3.0.0",
        "canary": "3.1.0",
        "canary-2": "3.2.0",
        "shadow": "4.0.0",
    }


def test_what_is_asked_and_answered_is_captured_and_encrypted(house):
    config = configuration(house)
    assert config["kmsKeyArn"] == KEY
    captured = config["dataCaptureConfig"]
    assert captured["enableCapture"] is True
    assert captured["initialSamplingPercentage"] == 100
    assert captured["kmsKeyId"] == KEY
    assert [option["captureMode"] for option in captured["captureOptions"]] == ["Input", "Output"]
    # Else it would be Base64.
    assert captured["captureContentTypeHeader"] == {"jsonContentTypes": ["application/json"]}
    assert re.fullmatch(r"s3://fraud-detection-curated-[0-9a-f]+/captured", captured["destinationS3Uri"])


def test_a_deployment_takes_a_tenth_first_and_goes_back_when_an_alarm_fires(hybrid):
    endpoint = shared(hybrid, ENDPOINT)
    deployment = endpoint.inputs["deploymentConfig"]
    update = deployment["blueGreenUpdatePolicy"]
    routing = update["trafficRoutingConfiguration"]
    assert routing["type"] == "CANARY"
    assert routing["canarySize"] == {"type": "CAPACITY_PERCENT", "value": 10}
    assert routing["waitIntervalInSeconds"] == 300
    assert update["terminationWaitInSeconds"] == 600
    assert update["maximumExecutionTimeoutInSeconds"] > 300 + 600
    alarms = [
        alarm
        for alarm in hybrid.of_type(ALARM)
        if "-rollback-" in alarm.name and alarm.inputs["dimensions"]["EndpointName"] == endpoint.inputs["name"]
    ]
    watched = {alarm["alarmName"].rpartition("-")[0] for alarm in deployment["autoRollbackConfiguration"]["alarms"]}
    assert watched == {alarm.name for alarm in alarms}
    assert sorted((alarm.inputs["dimensions"]["VariantName"], alarm.inputs["metricName"]) for alarm in alarms) == [
        ("canary", "Invocation5XXErrors"),
        ("canary", "ModelLatency"),
        ("champion", "Invocation5XXErrors"),
        ("champion", "ModelLatency"),
    ]
    assert {alarm.inputs["treatMissingData"] for alarm in alarms} == {"notBreaching"}
    # SageMaker counts in microseconds.
    (slow,) = {alarm.inputs["threshold"] for alarm in alarms if alarm.inputs["metricName"] == "ModelLatency"}
    assert slow == 80_000


def test_a_rollback_alarm_fires_at_the_workloads_error_rate(streaming, named):
    alarm = named(streaming, ALARM, "fraud-detection-rollback-champion").inputs
    assert (alarm["threshold"], alarm["statistic"]) == (0.001, "Average")
    assert alarm["comparisonOperator"] == "GreaterThanThreshold"


@pytest.mark.parametrize(
    ("platform", "variants", "bounds"),
    [("streaming", ["champion"], (2, 8)), ("hybrid", ["champion", "canary"], (2, 4))],
)
def test_live_variants_scale_between_the_workloads_bounds(request, platform, variants, bounds):
    built = request.getfixturevalue(platform)
    endpoint = shared(built, ENDPOINT)
    prefix = f"endpoint/{endpoint.inputs['name']}/"
    targets = [
        target.inputs
        for target in built.of_type("aws:appautoscaling/target:Target")
        if target.inputs["resourceId"].startswith(prefix)
    ]
    resources = {f"{prefix}variant/{variant}" for variant in variants}
    assert {target["resourceId"] for target in targets} == resources
    assert [(target["minCapacity"], target["maxCapacity"]) for target in targets] == [bounds] * len(variants)
    policies = [
        policy.inputs
        for policy in built.of_type("aws:appautoscaling/policy:Policy")
        if policy.inputs["resourceId"].startswith(prefix)
    ]
    sizing = built.platform.context.sizing
    assert {policy["resourceId"] for policy in policies} == resources
    for policy in policies:
        tracking = policy["targetTrackingScalingPolicyConfiguration"]
        # What an instance was measured to answer in a minute, at the load that keeps the latency objective.
        assert tracking["targetValue"] == sizing.instance.requests_per_second * sizing.load * 60
        assert tracking["scaleOutCooldown"] < tracking["scaleInCooldown"]


def test_the_processor_is_encrypted_in_the_network_and_under_its_identity(house, named):
    function = named(house, FUNCTION, "fraud-detection-processor")
    assert function.inputs["role"] == "arn:aws:iam::210987654321:role/house-ingest"
    assert function.inputs["kmsKeyArn"] == KEY
    assert function.inputs["vpcConfig"] == {"subnetIds": SUBNETS, "securityGroupIds": [group_of_workloads(house)]}
    assert function.inputs["loggingConfig"]["logGroup"].startswith("fraud-detection-logs-")
    assert function.inputs["tracingConfig"] == {"mode": "Active"}


def test_the_processor_runs_the_image_and_knows_where_all_is_kept(streaming, named):
    function = named(streaming, FUNCTION, "fraud-detection-processor")
    (endpoint,) = streaming.of_type(ENDPOINT)
    (group,) = streaming.of_type("aws:sagemaker/featureGroup:FeatureGroup")
    assert function.inputs["packageType"] == "Image"
    assert "/ml-serving@sha256:" in function.inputs["imageUri"]
    assert function.inputs["imageConfig"]["commands"] == ["ml_pipelines.streaming.aws_lambda.handler"]
    assert function.inputs["imageConfig"]["entryPoints"] == ["python", "-m", "awslambdaric"]
    told = function.inputs["environment"]["variables"]
    assert told["WORKLOAD"] == "fraud-detection"
    (state,) = streaming.of_type("aws:dynamodb/table:Table")
    assert told["STATE"] == f"dynamodb://{state.id}"
    (letters,) = streaming.of_type("aws:sqs/queue:Queue")
    assert told["DEAD_LETTERS"] == letters.id
    assert named(streaming, STREAM, "fraud-detection-decisions").id.endswith(f":stream/{told['DECISIONS']}")
    assert told["SCORING_ENDPOINT"] == endpoint.inputs["name"]
    assert told["FEATURE_STORE"] == group.inputs["featureGroupName"]
    models = json.loads(told["ML_BLUEPRINTS_ROUTING"])["models"]
    assert [model["role"] for model in models] == ["champion", "shadow"]


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_what_the_image_is_told_to_run_is_there(request, platform):
    for function in request.getfixturevalue(platform).of_type(FUNCTION):
        (command,) = function.inputs["imageConfig"]["commands"]
        module, _, handler = command.rpartition(".")
        file = REPOSITORY / "pipelines" / f"{module.replace('.', '/')}.py"
        assert f"def {handler}(" in file.read_text()


def test_decisions_are_a_stream_as_wide_encrypted_and_kept_as_the_events(house, named):
    events = named(house, STREAM, "fraud-detection-events").inputs
    decisions = named(house, STREAM, "fraud-detection-decisions").inputs
    for part in ("shardCount", "streamModeDetails", "retentionPeriod", "encryptionType", "kmsKeyId"):
        assert decisions[part] == events[part]
    assert decisions["kmsKeyId"] == KEY


def test_an_experiments_decisions_grow_by_themselves(experiment, named):
    decisions = named(experiment(), STREAM, "fraud-detection-decisions").inputs
    assert decisions["streamModeDetails"] == {"streamMode": "ON_DEMAND"}
    assert "shardCount" not in decisions


def test_the_processor_waits_for_the_rights_that_lambda_tries(streaming, named):
    function = named(streaming, FUNCTION, "fraud-detection-processor")
    waits_for = {urn.rpartition("::")[2] for urn in function.depends_on}
    assert {f"fraud-detection-ingest-{grant}" for grant in ("processor", "network", "images", "lake")} <= waits_for


def test_events_that_fail_are_tried_again_and_then_become_dead_letters(streaming, named):
    (source,) = streaming.of_type(SOURCE)
    stream = named(streaming, STREAM, "fraud-detection-events")
    consumer = named(streaming, "aws:kinesis/streamConsumer:StreamConsumer", "fraud-detection-processor")
    assert source.inputs["eventSourceArn"] == consumer.id
    assert consumer.inputs["streamArn"] == stream.id
    assert {stream.urn, consumer.urn} & set(source.depends_on)
    assert ":function:fraud-detection-processor-" in source.inputs["functionName"]
    assert source.inputs["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source.inputs["bisectBatchOnFunctionError"] is True
    assert source.inputs["maximumRetryAttempts"] == 5
    letters = source.inputs["destinationConfig"]["onFailure"]["destinationArn"]
    assert ":fraud-detection-dead-letters-" in letters


@pytest.mark.parametrize(
    ("action", "target"),
    [
        ("kinesis:GetRecords", ":stream/fraud-detection-events-"),
        ("sqs:SendMessage", ":fraud-detection-dead-letters-"),
        ("sagemaker:InvokeEndpoint", ":endpoint/fraud-detection-"),
        ("kinesis:SubscribeToShard", ":stream/fraud-detection-events-"),
        ("kinesis:PutRecords", ":stream/fraud-detection-decisions-"),
        ("dynamodb:PutItem", ":table/fraud-detection-window-state-"),
    ],
)
def test_only_the_processor_reads_events_and_asks_the_endpoint(streaming, allowed, action, target):
    (resource,) = allowed(streaming, "ingest", action)
    assert target in resource
    for purpose in ("training", "serving", "monitoring"):
        assert not allowed(streaming, purpose, action)


def test_hybrid_has_an_endpoint_and_batch_and_a_processor_that_only_keeps_features(hybrid, named, allowed):
    assert hybrid.of_type(ENDPOINT)
    told = named(hybrid, FUNCTION, "delivery-eta-processor").inputs["environment"]["variables"]
    assert {"WORKLOAD", "STATE", "FEATURE_STORE", "DEAD_LETTERS"} <= set(told)
    assert not {"SCORING_ENDPOINT", "DECISIONS"} & set(told)
    assert [stream.name for stream in hybrid.of_type(STREAM)] == ["delivery-eta-events"]
    for purpose in ("ingest", "training", "serving"):
        assert not allowed(hybrid, purpose, "sagemaker:InvokeEndpoint")
        assert not allowed(hybrid, purpose, "kinesis:PutRecords")
    # A processor that doesn't score is no way to predictions.
    assert hybrid.platform.serving.processor is None
    assert "delivery-eta-batch" in [pipeline.name for pipeline in hybrid.of_type(PIPELINE)]


def test_streaming_has_no_scheduled_batch(streaming):
    assert "fraud-detection-batch" not in [pipeline.name for pipeline in streaming.of_type(PIPELINE)]
    assert streaming.platform.serving.batch is None


def test_batch_has_no_endpoint_and_nothing_of_streams(batch):
    assert not batch.of_type(ENDPOINT)
    assert not batch.of_type(FUNCTION)
    assert not batch.of_type(SOURCE)
    assert not batch.of_type("aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream")
    assert not batch.of_type(CONFIGURATION)
    assert not batch.of_type("aws:appautoscaling/target:Target")
    assert batch.platform.serving.url is None


@pytest.mark.parametrize(
    ("workload", "expression"),
    [
        ("delivery_eta", "cron(15 2 * * ? *)"),
        ("credit_scoring", "cron(0 3 * * ? *)"),
        ("churn", "cron(0 4 ? * MON *)"),
    ],
)
def test_batch_scoring_is_started_on_the_workloads_schedule(once, workload, expression):
    built = once(workload)
    (schedule,) = [schedule for schedule in built.of_type(SCHEDULE) if schedule.name.endswith("-batch")]
    assert schedule.inputs["scheduleExpression"] == expression
    assert schedule.inputs["flexibleTimeWindow"] == {"mode": "OFF"}
    (pipeline,) = [pipeline for pipeline in built.of_type(PIPELINE) if pipeline.name == schedule.name]
    assert schedule.inputs["target"]["arn"].endswith(f":pipeline/{pipeline.inputs['pipelineName']}")
    waits_for = {urn.rpartition("::")[2] for urn in schedule.depends_on}
    assert f"{built.platform.context.name}-monitoring-batch" in waits_for


def test_batch_scoring_is_encrypted_and_started_by_monitoring(hybrid_house, named):
    schedule = named(hybrid_house, SCHEDULE, "delivery-eta-batch").inputs
    assert schedule["kmsKeyArn"] == KEY
    assert schedule["target"]["roleArn"] == "arn:aws:iam::210987654321:role/house-monitoring"
    assert schedule["target"]["retryPolicy"] == {"maximumRetryAttempts": 3}


def test_batch_scoring_uses_the_champion_on_what_is_due(hybrid, named):
    pipeline = named(hybrid, PIPELINE, "delivery-eta-batch").inputs
    definition = json.loads(pipeline["pipelineDefinition"])
    assert [step["Name"] for step in definition["Steps"]] == ["collect", "due", "batch-score"]
    collect, _, score = (step["Arguments"] for step in definition["Steps"])
    inputs = {
        one["InputName"]: one["S3Input"]["S3Uri"] for one in collect["ProcessingInputs"] + score["ProcessingInputs"]
    }
    assert re.fullmatch(r"s3://delivery-eta-models-[0-9a-f]+/gradient-boosting/4\.0\.0/", inputs["champion"])
    assert re.fullmatch(r"s3://delivery-eta-raw-[0-9a-f]+/events/", inputs["archive"])
    (output,) = score["ProcessingOutputConfig"]["Outputs"]
    place, _ = output["S3Output"]["S3Uri"]["Std:Join"]["Values"]
    assert re.fullmatch(r"s3://delivery-eta-curated-[0-9a-f]+/predictions", place)
    assert ":role/delivery-eta-training-" in score["RoleArn"] == pipeline["roleArn"]


def test_batch_scoring_trusts_the_keys_of_the_settings_and_unsigned_models_in_experiments_only(
    hybrid, experiment, named
):
    told = {}
    for built in (hybrid, experiment("delivery_eta")):
        pipeline = named(built, PIPELINE, "delivery-eta-batch").inputs["pipelineDefinition"]
        words = json.loads(pipeline)["Steps"][-1]["Arguments"]["AppSpecification"]["ContainerArguments"]
        told[words[words.index("--environment") + 1]] = words[words.index("--trusted") + 1]
    assert told == {
        "production": "ed25519:u0eLuYxoWsIhPj6ab8/6P/4nBD0s5MYZ6+Qt0RrWo10=",
        "experiment": "none",
    }
