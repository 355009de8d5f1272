"""The monitoring layer on Azure: alarms, checks for drift, tables of feedback, what trains again, the budget."""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import duckdb
import pytest
from ml_pipelines.retraining import feedback as feedback_step
from ml_pipelines.steps import drift as drift_step
from ml_pipelines.tasks import find

ML = "azure-native:machinelearningservices"
SCHEDULE = f"{ML}:Schedule"
METRIC_ALERT = "azure-native:monitor:MetricAlert"
QUERY_ALERT = "azure-native:monitor:ScheduledQueryRule"
WORKFLOW = "azure-native:logic:Workflow"
TOPIC = "azure-native:eventgrid:SystemTopic"
SUBSCRIPTION = "azure-native:eventgrid:SystemTopicEventSubscription"


def owners(built, token: str) -> list:
    """Alarms of the owner; what takes a canary's requests away is the serving layer's."""
    return [alert for alert in built.of_type(token) if "-rollback" not in alert.name]


@pytest.fixture
def serverless(once):
    """Streaming first, without instances that wait for requests."""
    champion = {"name": "gradient-boosting", "version": "1.2.0", "role": "champion", "traffic": 100}
    at_rest = {"inference": "serverless", "scale_to_zero": True, "replicas": {"minimum": 0, "maximum": 4}}
    return once("fraud_detection", {"models": [champion], "serving": at_rest}, environment="staging")


def alerts(built) -> dict[str, dict]:
    prefix = f"{built.platform.context.name}-"
    return {alert.name.removeprefix(prefix): alert.inputs for alert in owners(built, METRIC_ALERT)}


def shared_endpoint(built):
    return built.named(f"{ML}:OnlineEndpoint", f"{built.platform.context.name}-endpoint")


def check(built, named, part: str = "drift") -> dict:
    schedule = named(built, SCHEDULE, f"{built.platform.context.name}-{part}").inputs["properties"]
    assert schedule["action"]["actionType"] == "CreateJob"
    return schedule["action"]["jobDefinition"]


def understood(command: str, monkeypatch, step: Callable = drift_step.main) -> argparse.Namespace:
    """The options of a command line, as the step that it runs understands them."""
    found: list[argparse.Namespace] = []
    understand = argparse.ArgumentParser.parse_args

    def parse(parser, arguments):
        found.append(understand(parser, arguments))
        raise SystemExit

    identity, python, flag, module, *arguments = shlex.split(command)
    # A shell of the job hands on as whom it runs.
    assert identity == "IDENTITY=$DEFAULT_IDENTITY_CLIENT_ID"
    assert (python, flag, module) == ("python", "-m", step.__module__)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "argv", [module, *arguments])
        patched.setattr(argparse.ArgumentParser, "parse_args", parse)
        with pytest.raises(SystemExit):
            step()
    (options,) = found
    return options


def path(uri: str) -> str:
    return uri.partition("/datastores/")[2]


def lake(built, zone: str, folder: str) -> str:
    """The URL of a folder of the lake."""
    return f"abfss://{zone}@lake{built.platform.context.token}.dfs.core.windows.net/{folder}"


def test_the_owner_is_told(streaming):
    (group,) = streaming.of_type("azure-native:monitor:ActionGroup")
    (owner,) = group.inputs["emailReceivers"]
    assert owner["emailAddress"] == "payments-risk@example.com"
    assert group.inputs["enabled"] is True
    assert len(group.inputs["groupShortName"]) <= 12


@pytest.mark.parametrize("platform", ["streaming", "hybrid", "batch"])
def test_every_alarm_tells_the_owner_at_once(request, platform):
    built = request.getfixturevalue(platform)
    group = built.named("azure-native:monitor:ActionGroup", f"{built.platform.context.name}-owner")
    for alert in owners(built, METRIC_ALERT):
        assert alert.inputs["actions"] == [{"actionGroupId": group.id}]
        assert alert.inputs["enabled"] is True
        assert (alert.inputs["evaluationFrequency"], alert.inputs["windowSize"]) == ("PT1M", "PT5M")
    for alert in owners(built, QUERY_ALERT):
        assert alert.inputs["actions"] == {"actionGroups": [group.id]}
        assert alert.inputs["enabled"] is True


def test_every_live_deployment_has_its_latency_and_a_shadow_has_none(streaming, hybrid):
    assert set(alerts(streaming)) == {
        "latency-gradient-boosting-1-2-0",
        "runs-failed",
        "dead-letters",
        "online-memory",
    }
    assert set(alerts(hybrid)) == {
        "latency-gradient-boosting-4-0-0",
        "latency-gradient-boosting-4-1-0",
        "latency-partners-gradient-boosting-4-0-0",
        "runs-failed",
        "dead-letters",
        "online-memory",
    }


@pytest.mark.parametrize(
    ("platform", "deployment", "milliseconds"),
    [
        ("streaming", "gradient-boosting-1-2-0", 100),
        ("hybrid", "gradient-boosting-4-0-0", 80),
        ("hybrid", "gradient-boosting-4-1-0", 80),
    ],
)
def test_latency_is_held_to_the_objective(request, platform, deployment, milliseconds):
    built = request.getfixturevalue(platform)
    endpoint = shared_endpoint(built)
    alert = alerts(built)[f"latency-{deployment}"]
    (condition,) = alert["criteria"]["allOf"]
    assert alert["scopes"] == [endpoint.id]
    assert condition["threshold"] == milliseconds
    assert condition["dimensions"] == [{"name": "deployment", "operator": "Include", "values": [deployment]}]


@pytest.mark.parametrize(("platform", "share"), [("streaming", 0.001), ("hybrid", 0.01)])
def test_errors_are_a_share_of_what_the_endpoint_logs(request, platform, share):
    built = request.getfixturevalue(platform)
    alert = built.named(QUERY_ALERT, f"{built.platform.context.name}-errors")
    (logs,) = built.of_type("azure-native:operationalinsights:Workspace")
    endpoint = shared_endpoint(built)
    (condition,) = alert.inputs["criteria"]["allOf"]
    assert alert.inputs["scopes"] == [logs.id]
    assert condition["threshold"] == share
    assert f"EndpointName == '{endpoint.inputs['endpointName']}'" in condition["query"]


@pytest.mark.parametrize(
    ("platform", "parts", "objective"),
    [
        ("streaming", {"error-budget": ["gradient-boosting-1-2-0"]}, 0.001),
        (
            "hybrid",
            {
                "error-budget": ["gradient-boosting-4-0-0", "gradient-boosting-4-1-0"],
                "partners-error-budget": ["gradient-boosting-4-0-0"],
                "router-error-budget": None,
            },
            0.01,
        ),
        ("serverless", {"scorer-error-budget": None}, 0.001),
        ("batch", {}, 0.01),
    ],
)
def test_a_budget_of_errors_that_burns_fast_in_an_hour_and_still_does_is_an_alarm(request, platform, parts, objective):
    built = request.getfixturevalue(platform)
    register = built.platform.context.register
    prefix = f"{built.platform.context.name}-"
    found = {one.name.removeprefix(prefix): one for one in owners(built, QUERY_ALERT) if "error-budget" in one.name}
    assert set(found) == set(parts)
    assert len(register.realised.get("error-budget", [])) == len(parts)
    for part, deployments in parts.items():
        (condition,) = found[part].inputs["criteria"]["allOf"]
        query = condition["query"]
        if deployments is None:
            assert f"ContainerAppName == '{part.partition('-')[0]}-{built.platform.context.token}'" in query
        else:
            # A shadow's failures are nobody's.
            names = ", ".join(f"'{name}'" for name in deployments)
            assert f"DeploymentName in ({names})" in query
        assert f"min_of(1.0 * Failures / Total, 1.0 * LateFailures / LateTotal) / {objective}" in query
        assert "TimeGenerated > newest - 5m" in query
        assert (condition["metricMeasureColumn"], condition["threshold"]) == ("BurnRate", 14.4)
        assert (found[part].inputs["windowSize"], found[part].inputs["evaluationFrequency"]) == ("PT1H", "PT5M")


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_a_failed_run_raises_an_alarm(request, named, platform):
    built = request.getfixturevalue(platform)
    workspace = named(built, f"{ML}:Workspace", f"ml-{built.platform.context.token}")
    assert alerts(built)["runs-failed"]["scopes"] == [workspace.id]


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_events_that_nobody_could_process_raise_an_alarm(request, platform):
    built = request.getfixturevalue(platform)
    (namespace,) = built.of_type("azure-native:eventhub:Namespace")
    alert = alerts(built)["dead-letters"]
    (condition,) = alert["criteria"]["allOf"]
    assert alert["scopes"] == [namespace.id]
    assert (condition["metricName"], condition["threshold"]) == ("IncomingMessages", 0)
    assert condition["dimensions"] == [{"name": "EntityName", "operator": "Include", "values": ["dead-letters"]}]


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_a_store_of_windows_that_fills_up_raises_an_alarm_before_it_refuses_events(request, platform):
    built = request.getfixturevalue(platform)
    (cluster,) = built.of_type("azure-native:redisenterprise:RedisEnterprise")
    alert = alerts(built)["online-memory"]
    (condition,) = alert["criteria"]["allOf"]
    assert alert["scopes"] == [cluster.id]
    assert (condition["metricName"], condition["operator"]) == ("usedmemorypercentage", "GreaterThan")
    assert condition["threshold"] < 100


def test_batch_has_no_alarms_of_an_endpoint(batch):
    assert set(alerts(batch)) == {"runs-failed"}
    assert [alert.name for alert in batch.of_type(QUERY_ALERT)] == ["credit-scoring-drift-silence"]


@pytest.mark.parametrize(("platform", "window"), [("streaming", "PT2H"), ("hybrid", "PT3H"), ("batch", "P2D")])
def test_a_check_that_does_not_end_in_time_is_an_alarm(request, named, platform, window):
    built = request.getfixturevalue(platform)
    alert = built.named(QUERY_ALERT, f"{built.platform.context.name}-drift-silence").inputs
    (condition,) = alert["criteria"]["allOf"]
    assert f"ExperimentName == '{check(built, named)['experimentName']}'" in condition["query"]
    # None of them is fewer than one, and no rows are counted as none.
    assert (condition["timeAggregation"], condition["operator"], condition["threshold"]) == ("Count", "LessThan", 1)
    assert (alert["evaluationFrequency"], alert["windowSize"]) == ("PT1H", window)


@pytest.mark.parametrize(
    ("platform", "expression", "hours"),
    [
        ("streaming", "0 * * * *", 1),
        ("hybrid", "0 */2 * * *", 2),
        ("batch", "0 6 * * *", 24),
        # Scored once a week: of what is looked at every day, some must have been scored.
        ("other", "0 7 * * *", 168),
    ],
)
def test_the_check_for_drift_runs_on_its_schedule_and_is_what_our_step_understands(
    request, named, monkeypatch, platform, expression, hours
):
    built = request.getfixturevalue(platform)
    workload = built.platform.context.workload
    schedule = named(built, SCHEDULE, f"{built.platform.context.name}-drift").inputs["properties"]
    assert schedule["isEnabled"] is True
    begins = {"startTime": "2026-01-01T00:00:00", "timeZone": "UTC"}
    assert schedule["trigger"] == {"triggerType": "Cron", "expression": expression} | begins
    given = understood(check(built, named)["command"], monkeypatch)
    assert find(given.task).name == workload.name
    assert given.hours == hours
    assert (given.metric, given.threshold) == (workload.monitoring.drift.metric, workload.monitoring.drift.threshold)
    assert str(given.baseline) == "${{inputs.champion}}"
    assert str(given.to) == "${{outputs.report}}/drift.json"
    if "drift" in workload.retraining.trigger:
        assert str(given.retrain) == "${{outputs.report}}/retrain.json"
        assert (given.trail, given.cool_down_hours) == (lake(built, "curated", "trail/"), 24)
    else:
        assert (given.retrain, given.trail) == (None, None)
    # A run that finds something fails, which the owner is told.
    assert given.branch is False
    assert given.segment is None
    # Another version, or a tenant's own, may answer from the same container.
    champion = workload.champion
    assert given.model == (f"{champion.name}/{champion.version}" if platform in ("streaming", "hybrid") else None)


@pytest.mark.parametrize(("platform", "days"), [("streaming", 60), ("hybrid", 2), ("batch", 365)])
def test_the_check_looks_at_outcomes_where_some_come(request, named, monkeypatch, platform, days):
    built = request.getfixturevalue(platform)
    given = understood(check(built, named)["command"], monkeypatch)
    assert (given.labels, given.labels_within_days) == (lake(built, "curated", "labels/"), days)


def test_a_check_without_outcomes_is_told_of_none(once, named, monkeypatch):
    built = once("churn", {"monitoring": {"feedback": {"labels_within_days": None}}}, environment="staging")
    given = understood(check(built, named)["command"], monkeypatch)
    assert (given.labels, given.labels_within_days) == (None, None)
    given = understood(check(built, named, "feedback")["command"], monkeypatch, feedback_step.main)
    assert (given.labels, given.days) == (None, 2)
    assert "performance" not in {asset.inputs["name"] for asset in built.of_type(f"{ML}:DataContainer")}
    assert "model-quality" not in built.platform.context.register.realised


def test_a_tenant_with_instances_of_its_own_is_looked_at_apart(hybrid, named, monkeypatch):
    job = check(hybrid, named, "partners-drift")
    given = understood(job["command"], monkeypatch)
    assert given.window == lake(hybrid, "curated", "captured/partners/gradient-boosting-4-0-0/requests/")
    assert given.model == "gradient-boosting/4.0.0"
    assert path(job["inputs"]["champion"]["uri"]) == "models/paths/gradient-boosting/4.0.0/"
    assert job["experimentName"] == "delivery-eta-partners-drift"
    silence = hybrid.named(QUERY_ALERT, "delivery-eta-partners-drift-silence").inputs
    assert "ExperimentName == 'delivery-eta-partners-drift'" in silence["criteria"]["allOf"][0]["query"]
    # The owner is told, and the model of all isn't trained by what one tenant asks.
    assert (given.retrain, given.trail) == (None, None)


@pytest.mark.parametrize("placement", ["dedicated", "shared"])
def test_drift_in_what_a_tenants_own_model_is_asked_does_not_train_the_model_of_all(
    once, named, monkeypatch, placement
):
    own = {"name": "kiosk", "version": "1.0.0", "role": "champion", "traffic": 100, "tenant": "kiosk"}
    champion = {"name": "gradient-boosting", "version": "4.0.0", "role": "champion", "traffic": 100}
    tenant = {"name": "kiosk", "requests_per_second": 10, "placement": placement}
    changes = {"models": [champion, own], "serving": {"size": "medium", "tenants": [tenant]}}
    built = once("delivery_eta", changes)
    job = check(built, named, "kiosk-drift")
    given = understood(job["command"], monkeypatch)
    assert (given.retrain, given.trail, given.model) == (None, None, "kiosk/1.0.0")
    containers = [one.inputs["properties"] for one in built.of_type(f"{ML}:OnlineDeployment")]
    captured = [container["environmentVariables"]["CAPTURED"] for container in containers]
    assert given.window.removesuffix("/requests/") in captured
    assert path(job["inputs"]["champion"]["uri"]) == "models/paths/kiosk/1.0.0/"
    assert understood(check(built, named)["command"], monkeypatch).retrain is not None


@pytest.mark.parametrize(
    ("platform", "expression", "days", "asked"),
    [
        ("streaming", "30 4 * * *", 60, ["captured/gradient-boosting-1-2-0/requests/"]),
        (
            "hybrid",
            "30 5 * * *",
            2,
            [
                "captured/gradient-boosting-4-0-0/requests/",
                "captured/gradient-boosting-4-1-0/requests/",
                "captured/partners/gradient-boosting-4-0-0/requests/",
            ],
        ),
        ("batch", "0 5 * * *", 365, ["predictions/"]),
    ],
)
def test_feedback_counts_what_versions_that_answer_were_asked(
    request, named, monkeypatch, platform, expression, days, asked
):
    built = request.getfixturevalue(platform)
    schedule = named(built, SCHEDULE, f"{built.platform.context.name}-feedback").inputs["properties"]
    assert (schedule["isEnabled"], schedule["trigger"]["expression"]) == (True, expression)
    job = check(built, named, "feedback")
    given = understood(job["command"], monkeypatch, feedback_step.main)
    assert given.requests == [lake(built, "curated", folder) for folder in asked]
    assert given.labels == lake(built, "curated", "labels/")
    assert (given.days, given.to) == (days, lake(built, "curated", "feedback/"))
    sizing = built.platform.context.sizing
    costs = None if platform == "batch" else pytest.approx(sizing.monthly_usd / 730, abs=1e-4)
    assert given.usd_per_hour == costs
    assert job["identity"] == check(built, named)["identity"]
    assert job["computeId"] == check(built, named)["computeId"]


def test_tables_of_feedback_are_found_in_the_catalog_with_a_question(hybrid):
    assets = {asset.inputs["name"]: asset.inputs["properties"] for asset in hybrid.of_type(f"{ML}:DataContainer")}
    versions = {one.inputs["name"]: one.inputs["properties"] for one in hybrid.of_type(f"{ML}:DataVersion")}
    for name in ("usage", "performance"):
        assert path(versions[name]["dataUri"]) == f"curated/paths/feedback/{name}/"
        assert f"FROM read_parquet('{name}/" in assets[name]["properties"]["query"]


@pytest.mark.parametrize("name", ["usage", "performance"])
def test_the_catalogs_question_is_answered_by_what_the_step_writes(hybrid, tmp_path, monkeypatch, name):
    now = datetime.now(UTC)
    at = round(now.timestamp() * 1000)
    asked, labels = tmp_path / f"asked/day={now:%Y-%m-%d}", tmp_path / "labels"
    asked.mkdir(parents=True)
    labels.mkdir()
    row = {"at": at - 1000, "tenant": "kiosk", "entity": "a", "features": {}, "selected": False, "model": "m/1"}
    rows = [row | {"event_id": str(number), "score": 10.0 + number} for number in range(3)]
    (asked / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = [{"event_id": row["event_id"], "outcome": 11.0, "labelled_at": at} for row in rows]
    (labels / "a.jsonl").write_text("\n".join(map(json.dumps, told)))
    written = ["--requests", str(asked.parent), "--labels", str(labels), "--days", "2", "--to", str(tmp_path)]
    assert feedback_step.main([*written, "--usd-per-hour", "6"]) == 0
    (asset,) = [one for one in hybrid.of_type(f"{ML}:DataContainer") if one.inputs["name"] == name]
    said = asset.inputs["properties"]["properties"]
    monkeypatch.chdir(tmp_path)
    found = duckdb.sql(said["query"]).fetchall()
    assert found
    if name == "usage":
        assert found == [(now.date(), "kiosk", "m/1", 3, 6.0)]
    kinds = duckdb.sql(f"DESCRIBE FROM read_parquet('{name}/*/*.parquet', hive_partitioning = true)").fetchall()
    assert ", ".join(f"{column} {kind}" for column, kind, *_ in kinds) == said["columns"]


@pytest.mark.parametrize(
    ("platform", "asked", "champion"),
    [
        ("streaming", "captured/gradient-boosting-1-2-0/requests/", "gradient-boosting/1.2.0"),
        ("hybrid", "captured/gradient-boosting-4-0-0/requests/", "gradient-boosting/4.0.0"),
        ("batch", "predictions/", "scorecard/3.1.0"),
    ],
)
def test_what_was_asked_is_compared_with_the_champions_baseline(request, named, monkeypatch, platform, asked, champion):
    built = request.getfixturevalue(platform)
    job = check(built, named)
    assert understood(job["command"], monkeypatch).window == lake(built, "curated", asked)
    assert path(job["inputs"]["champion"]["uri"]) == f"models/paths/{champion}/"
    assert path(job["outputs"]["report"]["uri"]) == "curated/paths/drift/run=${{name}}/"


@pytest.mark.parametrize(
    ("platform", "part"), [("streaming", "drift"), ("hybrid", "drift"), ("hybrid", "partners-drift")]
)
def test_the_check_looks_where_the_champions_container_writes(request, named, monkeypatch, platform, part):
    built = request.getfixturevalue(platform)
    champion = built.platform.context.workload.champion
    deployment = f"{part.removesuffix('drift')}{champion.name}-{champion.version.replace('.', '-')}"
    container = named(built, f"{ML}:OnlineDeployment", f"{built.platform.context.name}-{deployment}")
    written = container.inputs["properties"]["environmentVariables"]["CAPTURED"]
    assert understood(check(built, named, part)["command"], monkeypatch).window == f"{written}/requests/"


def test_without_instances_that_wait_what_the_app_captured_is_looked_at(serverless, named, monkeypatch):
    (container,) = named(serverless, "azure-native:app:ContainerApp", "fraud-detection-scorer").inputs["template"][
        "containers"
    ]
    written = {variable["name"]: variable.get("value") for variable in container["env"]}["CAPTURED"]
    assert understood(check(serverless, named)["command"], monkeypatch).window == f"{written}/requests/"
    given = understood(check(serverless, named, "feedback")["command"], monkeypatch, feedback_step.main)
    assert given.requests == [f"{written}/requests/"]


def test_batch_scoring_leaves_what_the_check_looks_at(batch, named, monkeypatch):
    job = named(batch, SCHEDULE, "credit-scoring-batch").inputs["properties"]["action"]["jobDefinition"]
    zone, _, folder = path(job["outputs"]["scores"]["uri"]).partition("/paths/")
    looked_at = understood(check(batch, named)["command"], monkeypatch).window
    assert lake(batch, zone, folder) == f"{looked_at}run=${{{{name}}}}/"


def test_the_check_runs_under_its_identity_and_waits_for_its_rights(streaming, house, named, identity, waits_for):
    assert check(streaming, named)["identity"]["resourceId"] == identity(streaming, "monitoring")
    assert check(house, named)["identity"]["resourceId"].endswith("/house-monitoring")
    nodes = named(streaming, f"{ML}:Compute", "fraud-detection-monitors")
    assert check(streaming, named)["computeId"] == nodes.id
    assert nodes.inputs["identity"]["userAssignedIdentities"] == [identity(streaming, "monitoring")]
    assert {
        "RoleAssignment monitoring-curated",
        "RoleAssignment monitoring-models",
        "RoleAssignment monitoring-images",
        "ManagedNetworkSettingsRule ml-to-lake-dfs",
    } <= waits_for(streaming, named(streaming, SCHEDULE, "fraud-detection-drift"))


def test_the_owner_is_told_of_a_check_that_found_something(streaming, named):
    told = check(streaming, named)["notificationSetting"]
    assert told == {"emailOn": ["JobFailed"], "emails": ["payments-risk@example.com"]}


@pytest.mark.parametrize(
    ("platform", "by_drift", "by_schedule"),
    [
        ("streaming", True, ["0 2 * * 0"]),
        ("hybrid", True, ["0 4 * * *"]),
        ("batch", True, []),
        ("other", False, [{"monthDays": [1], "hours": [1], "minutes": [0]}]),
    ],
)
def test_training_starts_again_by_what_the_workload_says(request, platform, by_drift, by_schedule):
    built = request.getfixturevalue(platform)
    name = f"{built.platform.context.name}-retraining"
    schedules = [schedule.inputs["properties"] for schedule in built.of_type(SCHEDULE) if schedule.name == name]
    triggers = [schedule["trigger"] for schedule in schedules]
    assert [trigger.get("expression", trigger.get("schedule")) for trigger in triggers] == by_schedule
    for token in (WORKFLOW, TOPIC, SUBSCRIPTION):
        assert len(owners(built, token)) == by_drift
    assert len(built.platform.monitoring.retraining) == by_drift + len(by_schedule)


def test_drift_and_schedule_start_the_same_run_of_the_retraining_pipeline(streaming, named):
    (workflow,) = streaming.of_type(WORKFLOW)
    start = workflow.inputs["definition"]["actions"]["event"]["else"]["actions"]["start"]
    requested = start["inputs"]["body"]["properties"]
    schedule = named(streaming, SCHEDULE, "fraud-detection-retraining").inputs["properties"]
    scheduled = schedule["action"]["jobDefinition"]
    assert requested["componentId"] == named(streaming, f"{ML}:ComponentVersion", "fraud-detection-retraining").id
    assert {name: path(given["uri"]) for name, given in requested["inputs"].items() if "uri" in given} == {
        "archive": "raw/paths/events/",
        "labels": "curated/paths/labels/",
        "champion": "models/paths/gradient-boosting/1.2.0/",
    }
    for key in ("componentId", "computeId", "experimentName", "identity", "settings"):
        assert requested[key] == scheduled[key]
    for given in ("inputs", "outputs"):
        # The SDK writes out how folders are mounted by default.
        plain = {name: {key: found[key] for key in found if key != "mode"} for name, found in scheduled[given].items()}
        assert requested[given] == plain


def test_what_is_retrained_waits_until_its_identity_may_read_and_sign(streaming, named, waits_for):
    (workflow,) = streaming.of_type(WORKFLOW)
    schedule = named(streaming, SCHEDULE, "fraud-detection-retraining")
    needed = {f"RoleAssignment training-{part}" for part in ("train", "signing", "raw", "models")}
    for found in (workflow, schedule):
        assert needed <= waits_for(streaming, found)


def test_training_runs_under_its_own_identity_and_is_started_by_monitoring(streaming, identity, named, waits_for):
    (workflow,) = streaming.of_type(WORKFLOW)
    monitoring = identity(streaming, "monitoring")
    assert workflow.inputs["identity"] == {"type": "UserAssigned", "userAssignedIdentities": [monitoring]}
    start = workflow.inputs["definition"]["actions"]["event"]["else"]["actions"]["start"]["inputs"]
    assert start["authentication"]["identity"] == monitoring
    assert start["body"]["properties"]["identity"]["resourceId"] == identity(streaming, "training")
    workspace = named(streaming, f"{ML}:Workspace", f"ml-{streaming.platform.context.token}")
    assert start["uri"].startswith(f"https://management.azure.com{workspace.id}/jobs/")
    assert "RoleAssignment monitoring-retraining" in waits_for(streaming, workflow)


def test_training_is_started_under_identities_that_are_brought_along(house):
    (workflow,) = house.of_type(WORKFLOW)
    start = workflow.inputs["definition"]["actions"]["event"]["else"]["actions"]["start"]["inputs"]
    assert start["authentication"]["identity"].endswith("/house-monitoring")
    assert start["body"]["properties"]["identity"]["resourceId"].endswith("/house-training")


@pytest.mark.parametrize("platform", ["streaming", "batch"])
def test_only_monitoring_starts_pipelines(request, granted, platform):
    built = request.getfixturevalue(platform)
    assert ("start pipelines", "Workspace ml") in granted(built, "monitoring")
    for purpose in ("ingest", "training", "serving"):
        assert "start pipelines" not in {role for role, _ in granted(built, purpose)}


def test_only_reports_that_decide_to_train_are_told_to_the_workflow(streaming, named):
    (topic,) = streaming.of_type(TOPIC)
    (subscription,) = streaming.of_type(SUBSCRIPTION)
    lake = named(streaming, "azure-native:storage:StorageAccount", "fraud-detection-lake")
    assert (topic.inputs["source"], topic.inputs["topicType"]) == (lake.id, "Microsoft.Storage.StorageAccounts")
    assert subscription.inputs["systemTopicName"] == topic.id.rpartition("/")[2]
    kept = subscription.inputs["deadLetterWithResourceIdentity"]
    assert [kept["identity"]["userAssignedIdentity"]] == list(topic.inputs["identity"]["userAssignedIdentities"])
    assert kept["deadLetterDestination"]["blobContainerName"] == "curated"
    # https://learn.microsoft.com/azure/event-grid/event-schema-data-lake-storage-gen-2
    wanted = subscription.inputs["filter"]
    assert wanted["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    zone, _, reports = path(check(streaming, named)["outputs"]["report"]["uri"]).partition("/paths/")
    subject = f"/blobServices/default/containers/{zone}/blobs/{reports}"
    assert subject.startswith(wanted["subjectBeginsWith"])
    assert f"{subject}retrain.json".endswith(wanted["subjectEndsWith"])
    assert not f"{subject}drift.json".endswith(wanted["subjectEndsWith"])
    assert "FlushWithClose" in wanted["advancedFilters"][0]["values"]


def test_the_workflows_address_is_a_secret_and_called_by_tls(streaming, waits_for):
    (subscription,) = streaming.of_type(SUBSCRIPTION)
    # A secret is registered as a mark and a value; an open one would be the value alone.
    destination = subscription.inputs["destination"]
    assert "endpointUrl" not in destination
    assert destination["value"]["endpointType"] == "WebHook"
    assert re.match(r"https://.*sig=", destination["value"]["endpointUrl"])
    assert destination["value"]["minimumTlsVersionAllowed"] == "1.2"
    assert destination["value"]["maxEventsPerBatch"] == 1
    assert subscription.inputs["eventDeliverySchema"] == "EventGridSchema"
    assert "Workflow retraining" in waits_for(streaming, subscription)


@pytest.mark.parametrize(
    ("platform", "amount", "owner"),
    [("streaming", 6000, "payments-risk@example.com"), ("other", 400, "retention@example.com")],
)
def test_the_budget_counts_the_resource_group_and_the_owner_is_told(request, named, platform, amount, owner):
    built = request.getfixturevalue(platform)
    (budget,) = built.of_type("azure-native:consumption:Budget")
    name = f"{built.platform.context.name}-platform"
    resource_group = named(built, "azure-native:resources:ResourceGroup", name)
    (action_group,) = built.of_type("azure-native:monitor:ActionGroup")
    assert budget.inputs["scope"] == resource_group.id
    assert (budget.inputs["amount"], budget.inputs["timeGrain"]) == (amount, "Monthly")
    assert budget.inputs["category"] == "Cost"
    notifications = budget.inputs["notifications"]
    assert {(rule["threshold"], rule["thresholdType"]) for rule in notifications.values()} == {
        (50, "Actual"),
        (80, "Actual"),
        (100, "Forecasted"),
    }
    for rule in notifications.values():
        assert rule["enabled"] is True
        assert rule["operator"] == "GreaterThan"
        assert (rule["contactEmails"], rule["contactGroups"]) == ([owner], [action_group.id])


def test_a_budget_begins_with_a_month_that_is_not_over_and_keeps_its_beginning(streaming):
    (budget,) = streaming.of_type("azure-native:consumption:Budget")
    begins = datetime.fromisoformat(budget.inputs["timePeriod"]["startDate"])
    assert begins.day == 1
    assert 0 <= (datetime.now(UTC) - begins).days <= 31
    assert budget.ignore_changes == ("timePeriod",)
