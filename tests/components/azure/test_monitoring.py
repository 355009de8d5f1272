"""The monitoring layer on Azure: alarms, the check for drift, what starts training again, the budget."""

import argparse
import re
import shlex
import sys
from datetime import UTC, datetime

import pytest
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


def alerts(built) -> dict[str, dict]:
    prefix = f"{built.platform.context.name}-"
    return {alert.name.removeprefix(prefix): alert.inputs for alert in owners(built, METRIC_ALERT)}


def shared_endpoint(built):
    return built.named(f"{ML}:OnlineEndpoint", f"{built.platform.context.name}-endpoint")


def check(built, named) -> dict:
    schedule = named(built, SCHEDULE, f"{built.platform.context.name}-drift").inputs["properties"]
    assert schedule["action"]["actionType"] == "CreateJob"
    return schedule["action"]["jobDefinition"]


def parsed(command: str, monkeypatch) -> argparse.Namespace:
    """The options of a command line, as the step that it runs understands them."""
    found: list[argparse.Namespace] = []
    understand = argparse.ArgumentParser.parse_args

    def parse(parser, arguments):
        found.append(understand(parser, arguments))
        raise SystemExit

    python, flag, module, *arguments = shlex.split(command)
    assert (python, flag, module) == ("python", "-m", drift_step.__name__)
    monkeypatch.setattr(sys, "argv", ["drift", *arguments])
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(SystemExit):
        drift_step.main()
    (options,) = found
    return options


def path(uri: str) -> str:
    return uri.partition("/datastores/")[2]


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
    given = parsed(check(built, named)["command"], monkeypatch)
    assert find(given.task).name == workload.name
    assert given.hours == hours
    assert (given.metric, given.threshold) == (workload.monitoring.drift.metric, workload.monitoring.drift.threshold)
    assert str(given.baseline) == "${{inputs.champion}}/drift_baseline.json"
    assert str(given.window) == "${{inputs.asked}}"
    assert str(given.to) == "${{outputs.report}}/drift.json"
    assert str(given.drifted) == "${{outputs.report}}/drifted.json"
    # A run that finds something fails, which the owner is told.
    assert given.branch is False


@pytest.mark.parametrize(
    ("platform", "asked", "champion"),
    [
        ("streaming", "captured/gradient-boosting-1-2-0/requests/", "gradient-boosting/1.2.0"),
        ("hybrid", "captured/gradient-boosting-4-0-0/requests/", "gradient-boosting/4.0.0"),
        ("batch", "predictions/", "scorecard/3.1.0"),
    ],
)
def test_what_was_asked_is_compared_with_the_champions_baseline(request, named, platform, asked, champion):
    job = check(request.getfixturevalue(platform), named)
    assert path(job["inputs"]["asked"]["uri"]) == f"curated/paths/{asked}"
    assert path(job["inputs"]["champion"]["uri"]) == f"models/paths/{champion}/"
    assert path(job["outputs"]["report"]["uri"]) == "curated/paths/drift/run=${{name}}/"


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_the_check_looks_where_the_champions_container_writes(request, named, platform):
    built = request.getfixturevalue(platform)
    champion = built.platform.context.workload.champion
    deployment = f"{champion.name}-{champion.version.replace('.', '-')}"
    container = named(built, f"{ML}:OnlineDeployment", f"{built.platform.context.name}-{deployment}")
    told = container.inputs["properties"]["environmentVariables"]["CAPTURED"]
    written = told.partition(".dfs.core.windows.net/")[2]
    assert path(check(built, named)["inputs"]["asked"]["uri"]) == f"curated/paths/{written}/requests/"


def test_batch_scoring_leaves_what_the_check_looks_at(batch, named):
    job = named(batch, SCHEDULE, "credit-scoring-batch").inputs["properties"]["action"]["jobDefinition"]
    assert job["outputs"]["scores"]["uri"] == check(batch, named)["inputs"]["asked"]["uri"] + "run=${{name}}/"


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
        "labels": "raw/paths/labels/",
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


def test_only_reports_after_which_training_would_help_are_told_to_the_workflow(streaming, named):
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
    assert f"{subject}drifted.json".endswith(wanted["subjectEndsWith"])
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
def test_the_budget_counts_the_resource_group_and_the_owner_is_told(request, platform, amount, owner):
    built = request.getfixturevalue(platform)
    (budget,) = built.of_type("azure-native:consumption:Budget")
    (resource_group,) = built.of_type("azure-native:resources:ResourceGroup")
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
