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


@pytest.mark.parametrize("make", [alarm_conditions.failed_runs, lambda: alarm_conditions.latency("a", 1)])
def test_alarms_are_there_before_their_metrics_are(make):
    (condition,) = make().all_of
    assert condition.skip_metric_validation is True


def test_errors_are_a_share_of_each_deployments_requests():
    (condition,) = alarm_conditions.error_rate("endpoint", 0.001).all_of
    assert (condition.operator, condition.threshold) == ("GreaterThan", 0.001)
    assert (condition.metric_measure_column, condition.time_aggregation) == ("ErrorRate", "Maximum")
    (dimension,) = condition.dimensions
    assert (dimension.name, dimension.values) == ("DeploymentName", ["*"])
    assert condition.failing_periods.number_of_evaluation_periods == 1


def test_errors_are_those_of_the_server_at_one_endpoint(resolved):
    query = resolved(lambda: alarm_conditions.error_rate("payments-0123", 0.001).all_of[0].query)
    table, filtered, summed, projected = query.split("\n| ")
    assert table == "AmlOnlineEndpointTrafficLog"
    assert filtered == "where EndpointName == 'payments-0123'"
    assert "Failed = countif(toint(ResponseCode) >= 500), Total = count() by DeploymentName" in summed
    assert projected.endswith("ErrorRate = 1.0 * Failed / Total")
