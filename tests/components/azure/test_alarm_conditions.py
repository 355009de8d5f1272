"""What alarms wait for on Azure: the metrics and logs that they look at, and when they fire."""

import pytest
from ml_blueprints.azure import alarm_conditions


def test_latency_is_the_99th_percentile_of_one_deployment():
    (condition,) = alarm_conditions.latency("ranker-1-0-0", 80).all_of
    # https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-metrics
    assert condition.metric_namespace == "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    assert (condition.metric_name, condition.time_aggregation) == ("RequestLatency_P99", "Average")
    assert (condition.operator, condition.threshold) == ("GreaterThan", 80)
    (dimension,) = condition.dimensions
    assert (dimension.name, dimension.operator, dimension.values) == ("deployment", "Include", ["ranker-1-0-0"])


def test_one_failed_run_is_enough():
    (condition,) = alarm_conditions.failed_runs().all_of
    assert condition.metric_namespace == "Microsoft.MachineLearningServices/workspaces"
    assert (condition.metric_name, condition.time_aggregation) == ("Failed Runs", "Total")
    assert (condition.operator, condition.threshold) == ("GreaterThan", 0)
    assert condition.dimensions == []


def test_one_message_to_a_hub_is_enough():
    (condition,) = alarm_conditions.messages("dead-letters").all_of
    assert condition.metric_namespace == "Microsoft.EventHub/namespaces"
    assert (condition.metric_name, condition.time_aggregation) == ("IncomingMessages", "Total")
    assert (condition.operator, condition.threshold) == ("GreaterThan", 0)
    (dimension,) = condition.dimensions
    assert (dimension.name, dimension.operator, dimension.values) == ("EntityName", "Include", ["dead-letters"])


@pytest.mark.parametrize("make", [alarm_conditions.failed_runs, lambda: alarm_conditions.latency("a", 1)])
def test_alarms_are_there_before_their_metrics_are(make):
    (condition,) = make().all_of
    assert condition.skip_metric_validation is True


@pytest.fixture
def errors(resolved):
    """What the alarm on errors waits for, as far as it isn't the same for every alarm."""

    def make() -> dict:
        (condition,) = alarm_conditions.error_rate("payments-0123", 0.001).all_of
        (dimension,) = condition.dimensions
        return {
            "query": condition.query,
            "fires": [
                condition.time_aggregation,
                condition.metric_measure_column,
                condition.operator,
                condition.threshold,
            ],
            "of": [dimension.name, *dimension.values],
            "times": condition.failing_periods.min_failing_periods_to_alert,
        }

    return resolved(make)


def test_errors_are_a_share_of_each_deployments_requests(errors):
    assert errors["fires"] == ["Maximum", "ErrorRate", "GreaterThan", 0.001]
    assert errors["of"] == ["DeploymentName", "*"]
    assert errors["times"] == 1


def test_errors_are_those_of_the_server_at_one_endpoint(errors):
    table, filtered, summed, projected = errors["query"].split("\n| ")
    assert table == "AmlOnlineEndpointTrafficLog"
    assert filtered == "where EndpointName == 'payments-0123'"
    assert "Failed = countif(toint(ResponseCode) >= 500), Total = count() by DeploymentName" in summed
    assert projected.endswith("ErrorRate = 1.0 * Failed / Total")
