"""The monitoring layer on AWS: alarms, looks for drift, feedback, what starts training again, the budget."""

import argparse
import json
import re
import sys

import botocore.session
import pytest
import sqlglot
from botocore.validate import ParamValidator
from ml_pipelines.retraining import feedback
from ml_pipelines.retraining.performance import performance_table
from ml_pipelines.retraining.usage import usage
from ml_pipelines.steps import drift
from tests.components.aws.conftest import FENCE
from tests.components.test_conformance import PATTERNS

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
MONITOR = "arn:aws:iam::210987654321:role/house-monitoring"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
SCHEDULE = "aws:scheduler/schedule:Schedule"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
TABLE = "aws:glue/catalogTable:CatalogTable"
HIVE = {"string": "string", "int64": "bigint", "double": "double", "timestamp[us]": "timestamp"}


def alarms(built) -> dict[str, dict]:
    prefix = f"{built.platform.context.name}-"
    return {
        alarm.name.removeprefix(prefix): alarm.inputs
        for alarm in built.of_type(ALARM)
        if not alarm.name.startswith((f"{prefix}rollback-", f"{prefix}drift-silence", f"{prefix}error-budget"))
    }


def steps(built, part: str) -> list[dict]:
    """The steps of one of monitoring's own pipelines."""
    name = f"{built.platform.context.name}-{part}"
    return json.loads(built.named(PIPELINE, name).inputs["pipelineDefinition"])["Steps"]


def look(built, part: str = "drift") -> dict:
    """The step that looks for drift."""
    return steps(built, part)[0]


def understood(step: dict, module, monkeypatch) -> argparse.Namespace:
    """The options of a step, as the module that it runs understands them itself."""
    found: list[argparse.Namespace] = []
    parse = argparse.ArgumentParser.parse_args

    def parse_and_end(parser, arguments):
        found.append(parse(parser, arguments))
        raise SystemExit

    said = step["Arguments"]["AppSpecification"]
    assert said["ContainerEntrypoint"] == ["python", "-m", module.__name__]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["step", *said["ContainerArguments"]])
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_end)
        with pytest.raises(SystemExit):
            module.main()
    (options,) = found
    return options


@pytest.fixture
def experiment_with(once):
    """Build a workload with one champion as an experiment, served by other words."""

    def get(workload: str, serving: dict):
        champion = {"name": "gradient-boosting", "version": "1.2.0", "role": "champion", "traffic": 100}
        from_zero = {"scale_to_zero": True, "replicas": {"minimum": 0, "maximum": 4}}
        changes = {"models": [champion], "serving": {**from_zero, **serving}}
        return once(workload, changes, environment="experiment", experiment=FENCE)

    return get


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
        "feedback-failed",
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
    assert set(found) == {"batch-failed", "retraining-failed", "feedback-failed"}
    for name in ("batch", "retraining", "feedback"):
        failed = found[f"{name}-failed"]
        assert failed["namespace"] == "AWS/Sagemaker/ModelBuildingPipeline"
        assert (failed["metricName"], failed["statistic"], failed["threshold"]) == ("ExecutionFailed", "Sum", 0)
        assert re.fullmatch(rf"credit-scoring-{name}-[0-9a-f]{{8}}", failed["dimensions"]["PipelineName"])


def test_a_look_for_drift_is_in_the_network_encrypted_and_under_its_identity(house, named):
    pipeline = named(house, PIPELINE, "fraud-detection-drift").inputs
    job = look(house)["Arguments"]
    assert pipeline["roleArn"] == job["RoleArn"] == MONITOR
    assert job["ProcessingOutputConfig"]["KmsKeyId"] == KEY
    assert job["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == KEY
    network = job["NetworkConfig"]
    assert network["EnableInterContainerTrafficEncryption"] is True
    assert network["VpcConfig"]["Subnets"] == ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
    # The step reads S3 by its URL, by the network's own way, which leads to S3 of this region.
    assert network["EnableNetworkIsolation"] is False
    assert job["Environment"] == {"AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.mark.parametrize("part", ["drift", "feedback"])
def test_sagemaker_takes_what_monitoring_runs(streaming, part):
    job = steps(streaming, part)[0]["Arguments"]
    for output in job["ProcessingOutputConfig"]["Outputs"]:
        output["S3Output"]["S3Uri"] = "".join(map(str, output["S3Output"]["S3Uri"]["Std:Join"]["Values"]))
    asked = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateProcessingJob")
    # A pipeline gives the job its name.
    report = ParamValidator().validate({"ProcessingJobName": "job", **job}, asked.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert "@sha256:" in job["AppSpecification"]["ImageUri"]
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AppSpecification.html
    assert all(len(word) <= 256 for word in job["AppSpecification"]["ContainerArguments"])


@pytest.mark.parametrize("part", ["drift", "feedback"])
def test_what_monitoring_runs_waits_for_the_rights_of_its_identity(streaming, named, part):
    pipeline = named(streaming, PIPELINE, f"fraud-detection-{part}")
    waits_for = {urn.rpartition("::")[2] for urn in pipeline.depends_on}
    assert {f"fraud-detection-monitoring-{grant}" for grant in ("lake", "network", "images", "jobs")} <= waits_for


def test_monitoring_starts_jobs_of_runs_in_this_network_only(streaming, rights):
    (creates,) = (one for one in rights(streaming, "monitoring") if "sagemaker:CreateProcessingJob" in one["Action"])
    assert creates["Resource"] == ["arn:aws:sagemaker:eu-west-1:123456789012:processing-job/pipelines-*"]
    assert creates["Condition"]["Null"] == {"sagemaker:VpcSecurityGroupIds": "false"}


def test_the_endpoints_requests_are_compared_with_the_champions_baseline(streaming, monkeypatch):
    told = understood(look(streaming), drift, monkeypatch)
    (endpoint,) = streaming.of_type("aws:sagemaker/endpoint:Endpoint")
    assert (told.task, told.metric, told.threshold, told.hours) == (
        "fraud-detection",
        "population_stability_index",
        0.2,
        1,
    )
    assert told.window.endswith(f"/captured/{endpoint.inputs['name']}")
    assert told.window.startswith("s3://fraud-detection-curated-")
    # The shadow is captured, too.
    assert told.model == "gradient-boosting/1.2.0"
    assert told.labels == told.window.partition("/captured/")[0] + "/labels"
    assert told.labels_within_days == 60
    assert told.branch
    job = look(streaming)["Arguments"]
    (champion,) = job["ProcessingInputs"]
    assert re.fullmatch(
        r"s3://fraud-detection-models-[0-9a-f]+/gradient-boosting/1\.2\.0/",
        champion["S3Input"]["S3Uri"],
    )
    assert str(told.baseline) == champion["S3Input"]["LocalPath"]
    (report,) = job["ProcessingOutputConfig"]["Outputs"]
    assert str(told.to) == report["S3Output"]["LocalPath"] + "/drift.json"
    assert report["S3Output"]["S3Uri"]["Std:Join"]["Values"][1:] == ["/run=", {"Get": "Execution.PipelineExecutionId"}]


def test_batch_compares_what_was_scored_as_far_back_as_the_last_scoring(batch, named, monkeypatch):
    told = understood(look(batch), drift, monkeypatch)
    pipeline = named(batch, PIPELINE, "credit-scoring-batch").inputs["pipelineDefinition"]
    (output,) = json.loads(pipeline)["Steps"][-1]["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    assert told.window == output["S3Output"]["S3Uri"]["Std:Join"]["Values"][0]
    assert told.hours == 24
    assert told.model is None


def test_an_ensembles_answers_are_of_no_single_version(once, monkeypatch):
    told = understood(look(once("personalization")), drift, monkeypatch)
    workload = once("personalization").platform.context.workload
    assert (told.model is None) is bool(workload.serving.ensemble)


def test_containers_that_keep_what_they_are_asked_are_looked_at_there(experiment_with, monkeypatch):
    built = experiment_with("delivery_eta", {"inference": "serverless", "tenants": []})
    told = understood(look(built), drift, monkeypatch)
    assert told.window.endswith("/captured/requests")
    assert told.model == "gradient-boosting/1.2.0"


def test_answers_of_a_queue_are_looked_at_and_counted_where_they_lie(once, named, monkeypatch):
    workload, changes, settings = PATTERNS["asynchronous"]
    built = once(workload, changes, **settings)
    output = built.of_type("aws:sagemaker/endpointConfiguration:EndpointConfiguration")[0].inputs[
        "asyncInferenceConfig"
    ]
    answered = output["outputConfig"]["s3OutputPath"]
    assert understood(look(built), drift, monkeypatch).window == answered
    counted = named(built, PIPELINE, "delivery-eta-feedback").inputs["pipelineDefinition"]
    assert answered in json.loads(counted)["Steps"][0]["Arguments"]["AppSpecification"]["ContainerArguments"]


@pytest.mark.parametrize(
    ("workload", "expression"),
    [
        ("fraud_detection", "cron(0 * * * ? *)"),
        ("delivery_eta", "cron(0 */2 * * ? *)"),
        ("credit_scoring", "cron(0 6 * * ? *)"),
    ],
)
def test_looks_for_drift_begin_on_their_schedule(once, named, workload, expression):
    built = once(workload)
    name = f"{built.platform.context.name}-drift"
    schedule, pipeline = named(built, SCHEDULE, name), named(built, PIPELINE, name)
    assert schedule.inputs["scheduleExpression"] == expression
    assert schedule.inputs["target"]["arn"].endswith(f":pipeline/{pipeline.inputs['pipelineName']}")
    assert pipeline.urn in schedule.depends_on


def test_what_a_tenant_with_instances_of_its_own_asks_is_looked_at_apart(hybrid, named, monkeypatch):
    told = understood(look(hybrid, "drift-partners"), drift, monkeypatch)
    endpoint = named(hybrid, "aws:sagemaker/endpoint:Endpoint", "delivery-eta-endpoint-partners")
    assert told.window.endswith(f"/captured/{endpoint.inputs['name']}")
    of_partners = hybrid.platform.serving.endpoints["partners"].fleet.live[0].models[0]
    assert told.model == f"{of_partners.name}/{of_partners.version}"
    of_all, of_partners = (
        f"arn:aws:sagemaker:eu-west-1:123456789012:pipeline/{named(hybrid, PIPELINE, name).inputs['pipelineName']}"
        for name in ("delivery-eta-drift", "delivery-eta-drift-partners")
    )
    # What is trained is what all ask; of a tenant's drift people are told.
    for part, pipelines in (
        ("drift", [of_all]),
        ("drift-tenants", [of_partners]),
        ("drift-failed", [of_all, of_partners]),
    ):
        pattern = json.loads(named(hybrid, RULE, f"delivery-eta-{part}").inputs["eventPattern"])
        assert pattern["detail"]["pipelineArn"] == pipelines
        assert ":delivery-eta-alerts-" in named(hybrid, TARGET, f"delivery-eta-{part}-alert").inputs["arn"]
    training = named(hybrid, TARGET, "delivery-eta-retraining").inputs
    starts = named(hybrid, RULE, "delivery-eta-retraining")
    assert training["rule"] == starts.id
    assert json.loads(starts.inputs["eventPattern"])["detail"]["pipelineArn"] == [of_all]


def test_answers_of_a_tenants_own_version_on_instances_of_all_are_looked_at_apart(once, named, monkeypatch):
    champion = {"name": "gradient-boosting", "version": "4.0.0", "role": "champion", "traffic": 100}
    own = {"name": "kiosk-boosting", "version": "1.0.0", "role": "champion", "traffic": 100, "tenant": "kiosk"}
    serving = {"tenants": [{"name": "kiosk", "requests_per_second": 10}]}
    built = once("delivery_eta", {"models": [champion, own], "serving": serving})
    told = understood(look(built, "drift-kiosk"), drift, monkeypatch)
    assert told.window == understood(look(built), drift, monkeypatch).window
    assert told.model == "kiosk-boosting/1.0.0"
    (baseline,) = look(built, "drift-kiosk")["Arguments"]["ProcessingInputs"]
    assert baseline["S3Input"]["S3Uri"].endswith("/kiosk-boosting/1.0.0/")


@pytest.mark.parametrize(
    ("drifted", "passed", "retrain", "end"),
    [
        (True, False, False, "Drifted"),
        (True, False, True, "Retrain"),
        (False, False, False, "Broken"),
        (False, True, False, None),
    ],
)
def test_a_run_ends_where_the_report_says(streaming, named, drifted, passed, retrain, end):
    _, *conditions = steps(streaming, "drift")
    report = {"drifted": drifted, "passed": passed, "retrain": retrain}
    reached = []
    for one in conditions:
        assert one["Type"] == "Condition"
        held = [
            report[said["LeftValue"]["Std:JsonGet"]["Path"]] == said["RightValue"]
            for said in one["Arguments"]["Conditions"]
        ]
        reached += [step["Name"] for step in one["Arguments"]["IfSteps"] if all(held)]
    assert reached == ([end] if end else [])
    (file,) = look(streaming)["PropertyFiles"]
    assert (file["OutputName"], file["FilePath"]) == ("report", "drift.json")


def test_drift_starts_the_retraining_pipeline_and_tells_the_owner(streaming, named):
    rule = named(streaming, RULE, "fraud-detection-drift")
    pattern = json.loads(rule.inputs["eventPattern"])
    assert pattern["source"] == ["aws.sagemaker"]
    assert pattern["detail-type"] == ["SageMaker Model Building Pipeline Execution Step Status Change"]
    (run_of,) = pattern["detail"]["pipelineArn"]
    assert ":pipeline/fraud-detection-drift-" in run_of
    ends = (pattern["detail"]["stepName"], pattern["detail"]["currentStepStatus"])
    assert ends == (["Drifted", "Retrain"], ["Failed"])
    begins = named(streaming, RULE, "fraud-detection-retraining")
    pattern["detail"]["stepName"] = ["Retrain"]
    assert json.loads(begins.inputs["eventPattern"]) == pattern
    training = named(streaming, TARGET, "fraud-detection-retraining")
    assert ":pipeline/fraud-detection-retraining-" in training.inputs["arn"]
    assert ":role/fraud-detection-monitoring-" in training.inputs["roleArn"]
    alert = named(streaming, TARGET, "fraud-detection-drift-alert")
    assert ":fraud-detection-alerts-" in alert.inputs["arn"]
    for target, of in ((training, begins), (alert, rule)):
        assert of.urn in target.depends_on
    assert alert.inputs["rule"].startswith("fraud-detection-drift-")
    assert training.inputs["rule"].startswith("fraud-detection-retraining-")


def test_the_owner_is_told_of_a_look_that_fails_and_of_drift_that_starts_nothing(once, named):
    built = once("churn")
    for part, ends in (("drift", ["Drifted", "Retrain"]), ("drift-failed", ["Broken", "Drift"])):
        rule = named(built, RULE, f"churn-{part}")
        told = named(built, TARGET, f"churn-{part}-alert")
        assert json.loads(rule.inputs["eventPattern"])["detail"]["stepName"] == ends
        assert ":churn-alerts-" in told.inputs["arn"]
        assert rule.urn in told.depends_on


@pytest.mark.parametrize(
    ("workload", "part", "hours"),
    [
        ("fraud_detection", "drift-silence", 3),
        ("credit_scoring", "drift-silence", 26),
        ("delivery_eta", "drift-silence-partners", 4),
    ],
)
def test_a_look_that_never_ends_is_an_alarm(once, named, workload, part, hours):
    built = once(workload)
    name = built.platform.context.name
    silent = named(built, ALARM, f"{name}-{part}").inputs
    assert (silent["evaluationPeriods"], silent["datapointsToAlarm"]) == (hours, hours)
    assert silent["treatMissingData"] == "breaching"
    assert (silent["comparisonOperator"], silent["threshold"]) == ("LessThanThreshold", 1)
    *metrics, runs = silent["metricQueries"]
    assert {one["metric"]["metricName"] for one in metrics} == {"ExecutionSucceeded", "ExecutionFailed"}
    assert all(one["metric"]["period"] == 3600 for one in metrics)
    assert runs["returnData"] is True
    assert all(one["id"] in runs["expression"] for one in metrics)
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html: a week at most.
    assert hours * 3600 <= 604_800
    assert f":{name}-alerts-" in silent["alarmActions"][0]


def test_feedback_counts_what_was_captured_and_joins_outcomes(streaming, named, monkeypatch):
    (step,) = steps(streaming, "feedback")
    told = understood(step, feedback, monkeypatch)
    curated = told.to.removesuffix("/feedback")
    assert told.requests == [f"{curated}/captured"]
    assert (told.labels, told.days) == (f"{curated}/labels", 60)
    sizing = streaming.platform.context.sizing
    assert told.usd_per_hour == pytest.approx(sizing.monthly_usd / 730, abs=1e-4)
    assert named(streaming, SCHEDULE, "fraud-detection-feedback").inputs["scheduleExpression"] == "cron(30 4 * * ? *)"
    failed = alarms(streaming)["feedback-failed"]
    assert failed["dimensions"]["PipelineName"].startswith("fraud-detection-feedback-")


def test_feedback_counts_requests_and_batches_where_there_are_both(hybrid, monkeypatch):
    (step,) = steps(hybrid, "feedback")
    assert [place.rpartition("/")[2] for place in understood(step, feedback, monkeypatch).requests] == [
        "captured",
        "predictions",
    ]


def test_feedback_without_outcomes_counts_usage_alone(changed, monkeypatch):
    built = changed("churn", lambda content: content["monitoring"]["feedback"].pop("labels_within_days"))
    (step,) = steps(built, "feedback")
    told = understood(step, feedback, monkeypatch)
    assert (told.labels, told.days, told.usd_per_hour) == (None, 2, None)
    (scored,) = told.requests
    assert scored.endswith("/predictions")
    assert "--labels" not in look(built)["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert "model-quality" not in built.platform.context.register.realised
    assert [table.name for table in built.of_type(TABLE) if "performance" in table.name] == []


@pytest.mark.parametrize("name", ["usage", "performance"])
def test_usage_and_performance_are_tables_by_day_as_the_runtime_writes_them(streaming, named, name, tmp_path):
    table = named(streaming, TABLE, f"fraud-detection-{name}").inputs
    columns = {column["name"]: column["type"] for column in table["storageDescriptor"]["columns"]}
    (tmp_path / "one.jsonl").write_text('{"at": 1, "entity": "a", "score": 0.5, "model": "m/1.0.0"}')
    written = usage(tmp_path, 1.0) if name == "usage" else performance_table([])
    assert columns == {field.name: HIVE[str(field.type)] for field in written.schema}
    assert table["storageDescriptor"]["location"].endswith(f"/feedback/{name}/")
    assert table["parameters"]["projection.enabled"] == "true"
    assert table["parameters"]["storage.location.template"].endswith(f"/feedback/{name}/day=${{day}}/")


def test_who_asked_how_much_is_a_saved_query(streaming, named):
    query = named(streaming, "aws:athena/namedQuery:NamedQuery", "fraud-detection-who-asked").inputs
    (workgroup,) = streaming.of_type("aws:athena/workgroup:Workgroup")
    assert query["workgroup"] == workgroup.id
    # Athena's words are those of Trino, which has its own parser.
    (said,) = sqlglot.parse(query["query"], read="trino")
    assert {table.name for table in said.find_all(sqlglot.exp.Table)} == {"usage"}
    assert {"tenant", "model", "usd", "rows", "day"} <= {column.name for column in said.find_all(sqlglot.exp.Column)}


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
        "delivery-eta-drift",
        "delivery-eta-drift-partners",
        "delivery-eta-feedback",
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


def test_spending_that_is_unlike_before_is_told_before_a_budget_is_used_up(streaming):
    (watched,) = streaming.of_type("aws:costexplorer/anomalyMonitor:AnomalyMonitor")
    (told,) = streaming.of_type("aws:costexplorer/anomalySubscription:AnomalySubscription")
    tags = json.loads(watched.inputs["monitorSpecification"])["Tags"]
    assert (tags["Key"], tags["Values"]) == ("workload", ["fraud-detection"])
    assert watched.inputs["monitorType"] == "CUSTOM"
    assert told.inputs["subscribers"] == [{"type": "EMAIL", "address": "payments-risk@example.com"}]
    assert told.inputs["monitorArnLists"] == [watched.id]
    # A twentieth of 6,000 USD.
    assert told.inputs["thresholdExpression"]["dimension"]["values"] == ["300"]
