"""The monitoring layer on AWS: alarms, the drift monitor, what starts training again, the budget."""

import json
import re

import pytest

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
MONITOR = "arn:aws:iam::210987654321:role/house-monitoring"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
SCHEDULE = "aws:scheduler/schedule:Schedule"
DEFINITION = "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition"
MONITORING_SCHEDULE = "aws:sagemaker/monitoringSchedule:MonitoringSchedule"


def alarms(built) -> dict[str, dict]:
    prefix = f"{built.platform.context.name}-"
    return {
        alarm.name.removeprefix(prefix): alarm.inputs
        for alarm in built.of_type(ALARM)
        if not alarm.name.startswith(f"{prefix}rollback-")
    }


def test_the_owner_is_told_on_an_encrypted_topic(house):
    (topic,) = house.of_type("aws:sns/topic:Topic")
    (owner,) = house.of_type("aws:sns/topicSubscription:TopicSubscription")
    assert topic.inputs["kmsMasterKeyId"] == KEY
    assert (owner.inputs["protocol"], owner.inputs["endpoint"]) == ("email", "payments-risk@example.com")
    assert topic.urn in owner.depends_on


def test_only_services_of_this_account_publish_alerts(streaming):
    (policy,) = streaming.of_type("aws:sns/topicPolicy:TopicPolicy")
    (statement,) = json.loads(policy.inputs["policy"])["Statement"]
    assert {"cloudwatch.amazonaws.com", "events.amazonaws.com"} <= set(statement["Principal"]["Service"])
    assert statement["Action"] == ["sns:Publish"]
    assert statement["Resource"] == [policy.inputs["arn"]]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_every_live_variant_has_its_alarms_and_the_owner_is_told(hybrid):
    found = alarms(hybrid)
    assert set(found) == {
        "errors-champion",
        "latency-champion",
        "errors-canary",
        "latency-canary",
        "errors-partners-champion",
        "latency-partners-champion",
        "router-errors",
        "router-throttles",
        "batch-failed",
        "retraining-failed",
        "dead-letters",
        "events-behind",
        "archive-behind",
    }
    for alarm in found.values():
        (told,) = alarm["alarmActions"]
        assert ":delivery-eta-alerts-" in told
        assert alarm["okActions"] == alarm["alarmActions"]
        assert alarm["treatMissingData"] == "notBreaching"


def test_errors_are_a_share_of_the_variants_requests(streaming):
    errors = alarms(streaming)["errors-champion"]
    (endpoint,) = streaming.of_type("aws:sagemaker/endpoint:Endpoint")
    assert (errors["namespace"], errors["metricName"]) == ("AWS/SageMaker", "Invocation5XXErrors")
    assert (errors["statistic"], errors["threshold"]) == ("Average", 0.001)
    assert errors["dimensions"] == {"EndpointName": endpoint.inputs["name"], "VariantName": "champion"}


@pytest.mark.parametrize(("platform", "microseconds"), [("streaming", 100_000), ("hybrid", 80_000)])
def test_latency_is_held_to_the_objective(request, platform, microseconds):
    latency = alarms(request.getfixturevalue(platform))["latency-champion"]
    assert latency["metricName"] == "ModelLatency"
    assert (latency["extendedStatistic"], latency["threshold"]) == ("p99", microseconds)


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_events_that_nobody_could_process_raise_an_alarm(request, platform):
    built = request.getfixturevalue(platform)
    letters = alarms(built)["dead-letters"]
    assert (letters["namespace"], letters["metricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert (letters["statistic"], letters["threshold"]) == ("Maximum", 0)
    assert letters["dimensions"]["QueueName"].startswith(f"{built.platform.context.name}-dead-letters-")


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_events_that_wait_raise_an_alarm(request, named, platform):
    built = request.getfixturevalue(platform)
    name, found = built.platform.context.name, alarms(built)
    processor = named(built, "aws:lambda/function:Function", f"{name}-processor")
    behind = found["events-behind"]
    assert (behind["namespace"], behind["metricName"]) == ("AWS/Lambda", "IteratorAge")
    assert behind["dimensions"] == {"FunctionName": processor.id}
    assert (behind["statistic"], behind["threshold"]) == ("Maximum", 60_000)
    archive = found["archive-behind"]
    assert (archive["namespace"], archive["metricName"]) == ("AWS/Firehose", "DeliveryToS3.DataFreshness")
    delivery = named(built, "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream", f"{name}-archive")
    assert delivery.id.endswith(f":deliverystream/{archive['dimensions']['DeliveryStreamName']}")
    assert (archive["statistic"], archive["threshold"]) == ("Maximum", 600)


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_the_owner_is_told_of_features_that_were_not_computed(request, named, platform):
    built = request.getfixturevalue(platform)
    name = f"{built.platform.context.name}-features-failed"
    (spark,) = built.of_type("aws:emrserverless/application:Application")
    rule, told = named(built, RULE, name), named(built, TARGET, f"{name}-alert")
    # https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/using-eventbridge.html
    assert json.loads(rule.inputs["eventPattern"]) == {
        "source": ["aws.emr-serverless"],
        "detail-type": ["EMR Serverless Job Run State Change"],
        "detail": {"applicationId": [spark.id], "state": ["FAILED", "CANCELLED"]},
    }
    assert ":sns:" in told.inputs["arn"]
    assert rule.urn in told.depends_on


def test_a_failed_run_that_nobody_watches_raises_an_alarm(batch):
    found = alarms(batch)
    assert set(found) == {"batch-failed", "retraining-failed"}
    for name in ("batch", "retraining"):
        failed = found[f"{name}-failed"]
        assert failed["namespace"] == "AWS/Sagemaker/ModelBuildingPipeline"
        assert (failed["metricName"], failed["statistic"], failed["threshold"]) == ("ExecutionFailed", "Sum", 0)
        assert re.fullmatch(rf"credit-scoring-{name}-[0-9a-f]{{8}}", failed["dimensions"]["PipelineName"])


def test_the_drift_monitor_is_isolated_encrypted_and_under_its_identity(house):
    (definition,) = house.of_type(DEFINITION)
    job = definition.inputs
    assert job["roleArn"] == MONITOR
    assert job["dataQualityJobOutputConfig"]["kmsKeyId"] == KEY
    assert job["jobResources"]["clusterConfig"]["volumeKmsKeyId"] == KEY
    network = job["networkConfig"]
    assert network["enableNetworkIsolation"] is True
    assert network["enableInterContainerTrafficEncryption"] is True
    assert network["vpcConfig"]["subnets"] == ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]


def test_the_drift_monitor_waits_for_the_rights_of_its_identity(streaming):
    (definition,) = streaming.of_type(DEFINITION)
    waits_for = {urn.rpartition("::")[2] for urn in definition.depends_on}
    assert {f"fraud-detection-monitoring-{grant}" for grant in ("lake", "network", "images")} <= waits_for


def test_the_endpoints_requests_are_compared_with_the_champions_baseline(streaming):
    (definition,) = streaming.of_type(DEFINITION)
    (endpoint,) = streaming.of_type("aws:sagemaker/endpoint:Endpoint")
    source = definition.inputs["dataQualityJobInput"]["endpointInput"]
    assert source["endpointName"] == endpoint.inputs["name"]
    baseline = definition.inputs["dataQualityBaselineConfig"]
    for resource, file in (("constraintsResource", "constraints"), ("statisticsResource", "statistics")):
        assert re.fullmatch(
            rf"s3://fraud-detection-models-[0-9a-f]+/gradient-boosting/1\.2\.0/baseline/{file}\.json",
            baseline[resource]["s3Uri"],
        )


def test_batch_compares_what_is_kept_beside_the_scores(batch, named):
    (definition,) = batch.of_type(DEFINITION)
    source = definition.inputs["dataQualityJobInput"]["batchTransformInput"]
    pipeline = named(batch, "aws:sagemaker/pipeline:Pipeline", "credit-scoring-batch").inputs["pipelineDefinition"]
    (output,) = json.loads(pipeline)["Steps"][-1]["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    scores = output["S3Output"]["S3Uri"]["Std:Join"]["Values"][0]
    assert source["dataCapturedDestinationS3Uri"] == f"{scores}/captured"


@pytest.mark.parametrize(
    ("workload", "expression"),
    [
        ("fraud_detection", "cron(0 * ? * * *)"),
        ("delivery_eta", "cron(0 0/2 ? * * *)"),
        ("credit_scoring", "cron(0 6 ? * * *)"),
    ],
)
def test_the_drift_monitor_runs_on_its_schedule(once, named, workload, expression):
    built = once(workload)
    name = f"{built.platform.context.name}-drift"
    schedule, definition = named(built, MONITORING_SCHEDULE, name), named(built, DEFINITION, name)
    config = schedule.inputs["monitoringScheduleConfig"]
    assert config["monitoringType"] == "DataQuality"
    assert config["scheduleConfig"]["scheduleExpression"] == expression
    assert definition.urn in schedule.depends_on


def test_what_a_tenant_with_instances_of_its_own_asks_is_watched_apart(hybrid, named):
    definition = named(hybrid, DEFINITION, "delivery-eta-drift-partners").inputs
    endpoint = named(hybrid, "aws:sagemaker/endpoint:Endpoint", "delivery-eta-endpoint-partners")
    assert definition["dataQualityJobInput"]["endpointInput"]["endpointName"] == endpoint.inputs["name"]
    pattern = json.loads(named(hybrid, RULE, "delivery-eta-drift").inputs["eventPattern"])
    assert set(pattern["detail"]["MonitoringScheduleArn"]) == {
        f"arn:aws:sagemaker:eu-west-1:123456789012:monitoring-schedule/{schedule.id}"
        for schedule in hybrid.of_type(MONITORING_SCHEDULE)
    }


def test_violations_start_the_retraining_pipeline_and_tell_the_owner(streaming, named):
    rule = named(streaming, RULE, "fraud-detection-drift")
    pattern = json.loads(rule.inputs["eventPattern"])
    assert pattern["source"] == ["aws.sagemaker"]
    (monitor,) = pattern["detail"]["MonitoringScheduleArn"]
    assert ":monitoring-schedule/fraud-detection-drift-" in monitor
    assert pattern["detail"]["ExitMessage"] == [{"prefix": "CompletedWithViolations"}]
    training = named(streaming, TARGET, "fraud-detection-retraining")
    assert ":pipeline/fraud-detection-retraining-" in training.inputs["arn"]
    assert ":role/fraud-detection-monitoring-" in training.inputs["roleArn"]
    alert = named(streaming, TARGET, "fraud-detection-drift-alert")
    assert ":fraud-detection-alerts-" in alert.inputs["arn"]
    for target in (training, alert):
        assert target.inputs["rule"].startswith("fraud-detection-drift-")
        assert rule.urn in target.depends_on


def test_the_owner_is_told_of_a_monitor_that_fails_and_of_drift_that_starts_nothing(once, named):
    built = once("churn")
    for part, detail in (
        ("drift", {"ExitMessage": [{"prefix": "CompletedWithViolations"}]}),
        ("drift-failed", {"ProcessingJobStatus": ["Failed", "Stopped"]}),
    ):
        rule = named(built, RULE, f"churn-{part}")
        told = named(built, TARGET, f"churn-{part}-alert")
        assert detail.items() <= json.loads(rule.inputs["eventPattern"])["detail"].items()
        assert ":churn-alerts-" in told.inputs["arn"]
        assert rule.urn in told.depends_on


@pytest.mark.parametrize(
    ("workload", "by_drift", "by_schedule"),
    [
        ("fraud_detection", True, ["cron(0 2 ? * SUN *)"]),
        ("churn", False, ["cron(0 1 1 * ? *)"]),
        ("credit_scoring", True, []),
    ],
)
def test_training_starts_again_by_what_the_workload_says(once, workload, by_drift, by_schedule):
    built = once(workload)
    schedules = [schedule.inputs for schedule in built.of_type(SCHEDULE) if schedule.name.endswith("-retraining")]
    assert any(target.name.endswith("-retraining") for target in built.of_type(TARGET)) is by_drift
    assert [schedule["scheduleExpression"] for schedule in schedules] == by_schedule
    assert all("-retraining-" in schedule["target"]["arn"] for schedule in schedules)


def test_scheduled_training_is_encrypted_and_started_by_monitoring(house, named):
    schedule = named(house, SCHEDULE, "fraud-detection-retraining").inputs
    assert schedule["kmsKeyArn"] == KEY
    assert schedule["target"]["roleArn"] == MONITOR


def test_only_monitoring_starts_pipelines(hybrid, allowed):
    started = allowed(hybrid, "monitoring", "sagemaker:StartPipelineExecution")
    assert {arn.partition(":pipeline/")[2].rpartition("-")[0] for arn in started} == {
        "delivery-eta-batch",
        "delivery-eta-retraining",
    }
    for purpose in ("ingest", "training", "serving"):
        assert not allowed(hybrid, purpose, "sagemaker:StartPipelineExecution")


def test_the_budget_counts_what_carries_the_workloads_tag_and_the_owner_is_told(streaming):
    (budget,) = streaming.of_type("aws:budgets/budget:Budget")
    assert (budget.inputs["limitAmount"], budget.inputs["limitUnit"]) == ("6000", "USD")
    assert budget.inputs["timeUnit"] == "MONTHLY"
    assert budget.inputs["costFilters"] == [{"name": "TagKeyValue", "values": ["user:workload$fraud-detection"]}]
    notifications = budget.inputs["notifications"]
    assert [(rule["threshold"], rule["notificationType"]) for rule in notifications] == [
        (50, "ACTUAL"),
        (80, "ACTUAL"),
        (100, "FORECASTED"),
    ]
    assert all(rule["subscriberEmailAddresses"] == ["payments-risk@example.com"] for rule in notifications)
