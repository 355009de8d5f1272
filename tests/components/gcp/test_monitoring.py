"""The monitoring layer on Google Cloud: alarms, the drift check, what starts training again, the budget."""

import json

import pytest
from ml_pipelines.steps import drift

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
        "fraud-detection-latency",
        "fraud-detection-drift",
        "fraud-detection-drift-failed",
        "fraud-detection-dead-letters",
        "fraud-detection-features-failed",
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


def test_the_drift_check_compares_what_was_captured_with_the_champions_baseline(house, named, monkeypatch):
    parsers = []
    pipeline = named(house, WORKFLOW, "fraud-detection-drift").inputs
    assert pipeline["serviceAccount"] == "monitoring@house.iam"
    assert pipeline["cryptoKeyName"] == KEY
    run, read, judge, publish = json.loads(pipeline["sourceContents"])["main"]["steps"]
    body = run["run"]["args"]["body"]
    assert body["jobSpec"]["serviceAccount"] == "monitoring@house.iam"
    (pool,) = body["jobSpec"]["workerPoolSpecs"]
    arguments = pool["containerSpec"]["args"]
    monkeypatch.setattr("ml_pipelines.steps.command.run", lambda parser, *_: parsers.append(parser))
    drift.main()
    parsers[0].add_argument("--branch", action="store_true")
    told = parsers[0].parse_args(arguments)
    assert (told.task, told.metric, told.threshold, told.hours) == (
        "fraud-detection",
        "population_stability_index",
        0.2,
        1,
    )
    assert told.branch
    assert str(told.window).startswith("/gcs/")
    assert str(told.window).endswith("/captured/requests")
    assert str(told.baseline).endswith("/gradient-boosting/1.2.0/drift_baseline.json")
    assert str(told.to).endswith("/drift/drift.json")
    assert read["read"]["args"]["url"].endswith("/o/drift%2Fdrift.json?alt=media")
    drifted, broken = judge["judge"]["switch"]
    assert drifted == {"condition": "${report.body.drifted}", "next": "publish"}
    assert broken["condition"] == "${not(report.body.passed)}"
    assert "raise" in broken
    assert "fraud-detection-drift" in publish["publish"]["args"]["topic"]


def test_drift_is_published_on_an_encrypted_topic_by_monitoring_only(house, named):
    topic = named(house, "gcp:pubsub/topic:Topic", "fraud-detection-drift").inputs
    assert topic["kmsKeyName"] == KEY
    grant = named(house, "gcp:pubsub/topicIAMMember:TopicIAMMember", "fraud-detection-drift").inputs
    assert (grant["role"], grant["member"]) == ("roles/pubsub.publisher", "serviceAccount:monitoring@house.iam")


def test_drift_starts_the_retraining_pipeline(house, named):
    trigger = named(house, TRIGGER, "fraud-detection-retraining").inputs
    assert trigger["matchingCriterias"] == [
        {"attribute": "type", "value": "google.cloud.pubsub.topic.v1.messagePublished"}
    ]
    assert "fraud-detection-drift" in trigger["transport"]["pubsub"]["topic"]
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
