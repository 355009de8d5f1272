"""The monitoring layer on Google Cloud: alarms, the drift check, what starts training again, the budget."""

import json
import re
from pathlib import Path

import pytest
import yaml
from ml_pipelines.steps import drift

WORKLOADS = Path(__file__).parents[3] / "stacks" / "workloads"

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
ALARM = "gcp:monitoring/alertPolicy:AlertPolicy"
JOB = "gcp:cloudscheduler/job:Job"
TRIGGER = "gcp:eventarc/trigger:Trigger"
WORKFLOW = "gcp:workflows/workflow:Workflow"


def threshold(alarm) -> dict:
    (condition,) = alarm.inputs["conditions"]
    return condition["conditionThreshold"]


def test_the_owner_is_told_of_every_alarm(streaming):
    (channel,) = streaming.of_type("gcp:monitoring/notificationChannel:NotificationChannel")
    assert channel.inputs["type"] == "email"
    assert channel.inputs["labels"] == {"email_address": "payments-risk@example.com"}
    alarms = streaming.of_type(ALARM)
    assert {alarm.name for alarm in alarms} == {
        "fraud-detection-errors",
        "fraud-detection-error-budget",
        "fraud-detection-latency",
        "fraud-detection-drift",
        "fraud-detection-drift-failed",
        "fraud-detection-drift-silence",
        "fraud-detection-dead-letters",
        "fraud-detection-features-failed",
        "fraud-detection-feedback-failed",
        "fraud-detection-archive-behind",
        "fraud-detection-events-behind",
        "fraud-detection-training-failed",
        "fraud-detection-retraining-failed",
    }
    for alarm in alarms:
        assert alarm.inputs["notificationChannels"] == [channel.id]


def test_errors_are_a_share_of_what_the_endpoint_is_asked(streaming, named):
    errors = threshold(named(streaming, ALARM, "fraud-detection-errors"))
    assert errors["thresholdValue"] == 0.001
    assert errors["comparison"] == "COMPARISON_GT"
    assert "prediction/online/error_count" in errors["filter"]
    assert "prediction/online/prediction_count" in errors["denominatorFilter"]
    number = named(streaming, "gcp:vertex/aiEndpoint:AiEndpoint", "fraud-detection-endpoint").inputs["name"]
    for filter_ in (errors["filter"], errors["denominatorFilter"]):
        assert f'resource.labels.endpoint_id="{number}"' in filter_


def test_errors_are_those_of_the_router_where_there_is_one(hybrid, named):
    errors = threshold(named(hybrid, ALARM, "delivery-eta-errors"))
    assert 'metric.labels.response_code_class="5xx"' in errors["filter"]
    assert "response_code_class" not in errors["denominatorFilter"]
    for filter_ in (errors["filter"], errors["denominatorFilter"]):
        assert 'metric.type="run.googleapis.com/request_count"' in filter_
        assert 'resource.labels.service_name="delivery-eta-router' in filter_


def test_an_error_budget_that_burns_too_fast_over_an_hour_and_still_does_raises_an_alarm(streaming, named):
    objective = named(streaming, "gcp:monitoring/slo:Slo", "fraud-detection-answers").inputs
    assert (objective["goal"], objective["rollingPeriodDays"]) == (0.999, 30)
    ratio = objective["requestBasedSli"]["goodTotalRatio"]
    errors = threshold(named(streaming, ALARM, "fraud-detection-errors"))
    assert ratio == {"badServiceFilter": errors["filter"], "totalServiceFilter": errors["denominatorFilter"]}
    alarm = named(streaming, ALARM, "fraud-detection-error-budget").inputs
    assert alarm["combiner"] == "AND"
    burning = [condition["conditionThreshold"] for condition in alarm["conditions"]]
    assert [one["thresholdValue"] for one in burning] == [14.4, 14.4]
    name = r'select_slo_burn_rate\("projects/.*/services/fraud-detection-.*/serviceLevelObjectives/answers", "{}s"\)'
    for one, seconds in zip(burning, (3600, 300), strict=True):
        assert re.fullmatch(name.replace("{}", str(seconds)), one["filter"]), one["filter"]


def test_a_promise_beyond_the_highest_goal_is_kept_by_a_lower_burn_rate(build, named):
    built = build("gcp", "fraud_detection", {"monitoring": {"error_rate_objective": 0.00001}})
    objective = named(built, "gcp:monitoring/slo:Slo", "fraud-detection-answers").inputs
    assert objective["goal"] == 0.9999
    alarm = named(built, ALARM, "fraud-detection-error-budget").inputs
    # 14.4 times one in a hundred thousand is 1.44 times one in ten thousand.
    assert [one["conditionThreshold"]["thresholdValue"] for one in alarm["conditions"]] == [1.44, 1.44]


def test_a_batch_has_no_error_budget(batch):
    assert not batch.of_type("gcp:monitoring/slo:Slo")


def test_latency_is_held_to_the_objective(streaming, hybrid, named):
    latency = threshold(named(streaming, ALARM, "fraud-detection-latency"))
    # Vertex AI measures microseconds, Cloud Run milliseconds.
    assert latency["thresholdValue"] == 100_000
    assert latency["aggregations"][0]["crossSeriesReducer"] == "REDUCE_PERCENTILE_99"
    objective = hybrid.platform.context.workload.monitoring.latency_objective_ms
    assert threshold(named(hybrid, ALARM, "delivery-eta-latency"))["thresholdValue"] == objective


def test_a_failed_batch_run_raises_an_alarm(batch, named):
    failed = threshold(named(batch, ALARM, "credit-scoring-batch-failed"))
    assert failed["thresholdValue"] == 0
    assert 'resource.labels.workflow_id="credit-scoring-batch' in failed["filter"]
    assert 'metric.labels.status="FAILED"' in failed["filter"]


@pytest.mark.parametrize(("platform", "name"), [("streaming", "fraud-detection"), ("batch", "credit-scoring")])
def test_features_that_are_not_computed_raise_an_alarm(request, named, platform, name):
    failed = threshold(named(request.getfixturevalue(platform), ALARM, f"{name}-features-failed"))
    assert f'resource.labels.workflow_id="{name}-features' in failed["filter"]
    assert 'metric.labels.status="FAILED"' in failed["filter"]


@pytest.mark.parametrize(
    ("alarm", "subscription", "seconds"), [("events-behind", "processor", 60), ("archive-behind", "archive", 600)]
)
def test_events_that_wait_raise_an_alarm(streaming, named, alarm, subscription, seconds):
    waiting = threshold(named(streaming, ALARM, f"fraud-detection-{alarm}"))
    assert waiting["thresholdValue"] == seconds
    assert f'resource.labels.subscription_id="fraud-detection-{subscription}' in waiting["filter"]
    (aggregation,) = waiting["aggregations"]
    assert (aggregation["perSeriesAligner"], aggregation["crossSeriesReducer"]) == ("ALIGN_MAX", "REDUCE_MAX")


def test_a_drift_check_that_fails_raises_an_alarm(streaming, named):
    failed = threshold(named(streaming, ALARM, "fraud-detection-drift-failed"))
    assert failed["thresholdValue"] == 0
    assert 'resource.labels.workflow_id="fraud-detection-drift' in failed["filter"]
    assert 'metric.labels.status="FAILED"' in failed["filter"]


@pytest.mark.parametrize(("platform", "name"), [("streaming", "fraud-detection"), ("hybrid", "delivery-eta")])
def test_events_that_nobody_could_process_raise_an_alarm(request, named, platform, name):
    letters = threshold(named(request.getfixturevalue(platform), ALARM, f"{name}-dead-letters"))
    assert (letters["comparison"], letters["thresholdValue"]) == ("COMPARISON_GT", 0)
    assert f'resource.labels.topic_id="{name}-dead-letters' in letters["filter"]


def test_the_drift_check_runs_on_its_schedule(house, named):
    schedule = named(house, JOB, "fraud-detection-drift").inputs
    assert schedule["schedule"] == "0 * * * *"
    assert schedule["httpTarget"]["oauthToken"]["serviceAccountEmail"] == "monitoring@house.iam"
    assert "fraud-detection-drift" in schedule["httpTarget"]["uri"]


@pytest.fixture
def told(named, monkeypatch):
    """The arguments of a drift check, as the step's own parser understands them."""

    def read(built, name: str):
        parsers = []
        monkeypatch.setattr("ml_pipelines.steps.command.run", lambda parser, *_: parsers.append(parser))
        drift.main()
        parsers[0].add_argument("--branch", action="store_true")
        run, *_ = json.loads(named(built, WORKFLOW, name).inputs["sourceContents"])["main"]["steps"]
        (pool,) = run["run"]["args"]["body"]["jobSpec"]["workerPoolSpecs"]
        return parsers[0].parse_args(pool["containerSpec"]["args"])

    return read


def test_the_drift_check_compares_what_was_captured_with_the_champions_baseline(house, named, told):
    pipeline = named(house, WORKFLOW, "fraud-detection-drift").inputs
    assert pipeline["serviceAccount"] == "monitoring@house.iam"
    assert pipeline["cryptoKeyName"] == KEY
    run, read, judge, publish, _, retrain = json.loads(pipeline["sourceContents"])["main"]["steps"]
    assert run["run"]["args"]["body"]["jobSpec"]["serviceAccount"] == "monitoring@house.iam"
    said = told(house, "fraud-detection-drift")
    assert (said.task, said.metric, said.threshold, said.hours) == (
        "fraud-detection",
        "population_stability_index",
        0.2,
        1,
    )
    assert said.branch
    # By its URL the window is listed from its hours on; the two files are where the job sees their buckets.
    assert said.window.startswith("gs://fraud-detection-curated")
    assert said.window.endswith("/captured/requests")
    assert said.labels == f"{said.window.removesuffix('/captured/requests')}/labels"
    assert said.labels_within_days == 60
    assert said.model is None
    assert str(said.baseline).startswith("/gcs/")
    assert str(said.baseline).endswith("/gradient-boosting/1.2.0")
    assert str(said.to).startswith("/gcs/")
    assert str(said.to).endswith("/drift/drift.json")
    assert read["read"]["args"]["url"].endswith("/o/drift%2Fdrift.json?alt=media")
    drifted, broken = judge["judge"]["switch"]
    assert drifted == {"condition": "${report.body.drifted}", "next": "publish"}
    assert broken["condition"] == "${not(report.body.passed)}"
    assert "raise" in broken
    assert "fraud-detection-drift" in publish["publish"]["args"]["topic"]
    assert "fraud-detection-retraining" in retrain["retrain"]["args"]["topic"]
    assert (said.trail, said.cool_down_hours) == (f"{said.window.removesuffix('/captured/requests')}/trail", 24)


def test_a_batch_is_a_window_that_reaches_back_to_the_scoring_before(batch, told):
    said = told(batch, "credit-scoring-drift")
    assert said.window.endswith("/predictions")
    assert said.labels_within_days == 365


def test_without_outcomes_none_are_looked_for(build, told):
    feedback = {"schedule": "0 5 * * *", "labels_within_days": None}
    built = build("gcp", "churn", {"monitoring": {"feedback": feedback}})
    assert told(built, "churn-drift").labels is None
    assert told(built, "churn-drift").labels_within_days is None


def test_a_tenant_with_machines_of_its_own_has_a_look_of_its_own_that_starts_no_training(hybrid, named, told):
    theirs, all_others = told(hybrid, "delivery-eta-drift-partners"), told(hybrid, "delivery-eta-drift")
    assert theirs.window == f"{all_others.window.removesuffix('/requests')}/partners/requests"
    assert (theirs.model, all_others.model) == (None, None)
    assert theirs.baseline == all_others.baseline
    assert str(theirs.to).endswith("/drift/partners/drift.json")
    # There its container keeps what it is asked.
    captured = {
        model.name: model.inputs["container"]["environment"]["CAPTURED"]
        for model in hybrid.of_type("pulumi-python:dynamic/ml_blueprints:VertexModel")
    }
    (kept,) = {place for name, place in captured.items() if "endpoint-partners" in name}
    assert f"{kept}/requests" == theirs.window
    source = named(hybrid, WORKFLOW, "delivery-eta-drift-partners").inputs["sourceContents"]
    assert "topics.publish" not in source
    (judged,) = json.loads(source)["main"]["steps"][-1]["judge"]["switch"]
    assert judged["condition"] == "${not(report.body.passed)}"
    assert "raise" in judged
    assert named(hybrid, ALARM, "delivery-eta-drift-partners-failed")
    assert named(hybrid, ALARM, "delivery-eta-drift-partners-silence")


def test_a_tenant_with_a_version_of_its_own_on_machines_of_all_is_told_apart_by_it(build, told):
    model = {"name": "gradient-boosting", "version": "2.0.0", "role": "champion", "traffic": 100, "tenant": "orders"}
    content = yaml.safe_load((WORKLOADS / "delivery_eta.yaml").read_text())
    built = build("gcp", "delivery_eta", {"models": [*content["models"], model]})
    theirs, all_others = told(built, "delivery-eta-drift-orders"), told(built, "delivery-eta-drift")
    assert theirs.window == all_others.window
    assert (theirs.model, all_others.model) == ("gradient-boosting/2.0.0", "gradient-boosting/4.0.0")
    for said in (theirs, all_others):
        assert str(said.baseline).endswith(f"/{said.model}")


@pytest.mark.parametrize(
    ("platform", "name", "hours"), [("streaming", "fraud-detection", 1), ("batch", "credit-scoring", 24)]
)
def test_a_drift_check_that_comes_to_no_end_any_more_raises_an_alarm(request, named, platform, name, hours):
    (condition,) = named(request.getfixturevalue(platform), ALARM, f"{name}-drift-silence").inputs["conditions"]
    query = condition["conditionPrometheusQueryLanguage"]
    assert f'workflow_id="{name}-drift' in query["query"]
    # What was never counted is none, too; a policy looks back over 25 hours at most.
    assert query["query"].endswith(f"[{hours}h])) or vector(0)) < 1")
    assert (query["duration"], query["disableMetricValidation"]) == ("3600s", True)


@pytest.mark.parametrize("part", ["drift", "retraining"])
def test_what_is_found_and_decided_is_published_on_encrypted_topics_by_monitoring_only(house, named, part):
    topic = named(house, "gcp:pubsub/topic:Topic", f"fraud-detection-{part}").inputs
    assert topic["kmsKeyName"] == KEY
    grant = named(house, "gcp:pubsub/topicIAMMember:TopicIAMMember", f"fraud-detection-{part}").inputs
    assert (grant["role"], grant["member"]) == ("roles/pubsub.publisher", "serviceAccount:monitoring@house.iam")


def test_drift_starts_the_retraining_pipeline(house, named):
    trigger = named(house, TRIGGER, "fraud-detection-retraining").inputs
    assert trigger["matchingCriterias"] == [
        {"attribute": "type", "value": "google.cloud.pubsub.topic.v1.messagePublished"}
    ]
    assert "fraud-detection-retraining" in trigger["transport"]["pubsub"]["topic"]
    assert "fraud-detection-retraining" in trigger["destination"]["workflow"]
    assert trigger["serviceAccount"] == "monitoring@house.iam"


@pytest.mark.parametrize(
    ("workload", "by_drift", "by_schedule"),
    [("fraud_detection", True, "0 2 * * 0"), ("churn", False, "0 1 1 * *")],
)
def test_training_starts_again_by_what_the_workload_says(build, workload, by_drift, by_schedule):
    built = build("gcp", workload)
    schedules = [job.inputs for job in built.of_type(JOB) if job.name.endswith("-retraining")]
    assert bool(built.of_type(TRIGGER)) is by_drift
    assert [schedule["schedule"] for schedule in schedules] == [by_schedule]
    assert "-retraining" in schedules[0]["httpTarget"]["uri"]


def test_the_budget_counts_what_carries_the_workloads_label(streaming):
    (budget,) = streaming.of_type("gcp:billing/budget:Budget")
    assert budget.inputs["amount"] == {"specifiedAmount": {"currencyCode": "USD", "units": "6000"}}
    assert budget.inputs["budgetFilter"]["labels"] == {"workload": "fraud-detection"}
    assert budget.inputs["budgetFilter"]["projects"][0].startswith("projects/")
    assert [rule["thresholdPercent"] for rule in budget.inputs["thresholdRules"]] == [0.5, 0.8, 1.0]
    assert budget.inputs["billingAccount"]
    (channel,) = streaming.of_type("gcp:monitoring/notificationChannel:NotificationChannel")
    assert budget.inputs["allUpdatesRule"]["monitoringNotificationChannels"] == [channel.id]


def test_who_reads_and_writes_is_recorded_and_nobody_exempted(streaming):
    audited = [config.inputs for config in streaming.of_type("gcp:projects/iAMAuditConfig:IAMAuditConfig")]
    assert {config["service"] for config in audited} == {
        f"{service}.googleapis.com"
        for service in ("aiplatform", "artifactregistry", "bigquery", "secretmanager", "storage")
    }
    for config in audited:
        assert config["auditLogConfigs"] == [{"logType": "DATA_READ"}, {"logType": "DATA_WRITE"}]


def test_what_is_recorded_is_kept_in_the_platforms_own_bucket(streaming):
    (sink,) = streaming.of_type("gcp:logging/projectSink:ProjectSink")
    # As what each service's records come: https://cloud.google.com/logging/docs/audit/services
    for kind in ("audited_resource", "bigquery_dataset", "bigquery_project", "gcs_bucket"):
        assert f'resource.type="{kind}"' in sink.inputs["filter"]
