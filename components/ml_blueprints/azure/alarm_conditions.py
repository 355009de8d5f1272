"""What an alarm waits for: conditions on the metrics and logs that Azure Monitor has of endpoints and jobs."""

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import monitor

from ml_blueprints.azure import request_logs

# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-metrics
ENDPOINT_METRICS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-metrics
WORKSPACE_METRICS = "Microsoft.MachineLearningServices/workspaces"
# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-eventhub-namespaces-metrics
NAMESPACE_METRICS = "Microsoft.EventHub/namespaces"
# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-cache-redisenterprise-metrics
CACHE_METRICS = "Microsoft.Cache/redisEnterprise"

# The share of requests that failed on the server's side, by deployment.
# https://learn.microsoft.com/azure/azure-monitor/reference/tables/amlonlineendpointtrafficlog
ERROR_RATE_QUERY = """AmlOnlineEndpointTrafficLog
| where EndpointName == '{endpoint}'
| summarize Failed = countif(toint(ResponseCode) >= 500), Total = count() by DeploymentName, bin(TimeGenerated, 5m)
| project TimeGenerated, DeploymentName, ErrorRate = 1.0 * Failed / Total"""


# What became of the jobs of an experiment.
# https://learn.microsoft.com/azure/azure-monitor/reference/tables/amlcomputejobevent
ENDED_QUERY = """AmlComputeJobEvent
| where ExperimentName == '{experiment}'
| where EventType in ('JobSucceeded', 'JobFailed')"""

# How far back a rule on logs may look, in hours.
# https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule
_HOURS = (1, 2, 3, 4, 5, 6, 24, 48)


def latency(deployment: str, objective_ms: int) -> monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs:
    """The 99th percentile of a deployment's answers is above its objective."""
    return _metric(
        ENDPOINT_METRICS,
        "RequestLatency_P99",
        objective_ms,
        "Average",
        [monitor.MetricDimensionArgs(name="deployment", operator="Include", values=[deployment])],
    )


def failed_runs() -> monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs:
    """A run of the workspace has failed."""
    return _metric(WORKSPACE_METRICS, "Failed Runs", 0, "Total", [])


def messages(hub: pulumi.Input[str]) -> monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs:
    """A message came to a hub where none means that all is well."""
    return _metric(
        NAMESPACE_METRICS,
        "IncomingMessages",
        0,
        "Total",
        [monitor.MetricDimensionArgs(name="EntityName", operator="Include", values=[hub])],
    )


def memory(percent: int) -> monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs:
    """More than this share of a Redis's memory is used; one that is full takes no more events."""
    return _metric(CACHE_METRICS, "usedmemorypercentage", percent, "Maximum", [])


def error_rate(
    endpoint: pulumi.Input[str], objective: float, deployments: Sequence[str] = ("*",)
) -> monitor.ScheduledQueryRuleCriteriaArgs:
    """More of a deployment's requests fail than may. Metrics only count failures; the share comes from the logs.

    deployments: the names of those that are looked at; `*` is any.
    """
    query = pulumi.Output.from_input(endpoint).apply(lambda name: ERROR_RATE_QUERY.format(endpoint=name))
    return monitor.ScheduledQueryRuleCriteriaArgs(
        all_of=[
            monitor.ConditionArgs(
                criterion_type="StaticThresholdCriterion",
                query=query,
                metric_measure_column="ErrorRate",
                dimensions=[monitor.DimensionArgs(name="DeploymentName", operator="Include", values=[*deployments])],
                time_aggregation="Maximum",
                operator="GreaterThan",
                threshold=objective,
                failing_periods=monitor.ConditionFailingPeriodsArgs(
                    number_of_evaluation_periods=1, min_failing_periods_to_alert=1
                ),
            )
        ]
    )


def error_budget(requests: pulumi.Output[str], objective: float) -> monitor.ScheduledQueryRuleCriteriaArgs:
    """The budget of errors (the share of requests that may fail) burns too fast, in an hour and at its end.

    requests: a query of the logs (request_logs.py). A budget of 7% and more can't burn so fast.
    """
    return monitor.ScheduledQueryRuleCriteriaArgs(
        all_of=[
            monitor.ConditionArgs(
                criterion_type="StaticThresholdCriterion",
                query=request_logs.burn_rate(requests, objective),
                metric_measure_column="BurnRate",
                time_aggregation="Maximum",
                operator="GreaterThan",
                threshold=request_logs.BURN_RATE,
                failing_periods=monitor.ConditionFailingPeriodsArgs(
                    number_of_evaluation_periods=1, min_failing_periods_to_alert=1
                ),
            )
        ]
    )


def silence(experiment: str) -> monitor.ScheduledQueryRuleCriteriaArgs:
    """No job of an experiment has ended, well or badly: a monitor that has stopped finds nothing, too."""
    return monitor.ScheduledQueryRuleCriteriaArgs(
        all_of=[
            monitor.ConditionArgs(
                criterion_type="StaticThresholdCriterion",
                query=ENDED_QUERY.format(experiment=experiment),
                time_aggregation="Count",
                operator="LessThan",
                threshold=1,
                failing_periods=monitor.ConditionFailingPeriodsArgs(
                    number_of_evaluation_periods=1, min_failing_periods_to_alert=1
                ),
            )
        ]
    )


def silence_window(hours: int) -> str:
    """How far back to look for what ends every so many hours, an hour late at most (an ISO 8601 duration)."""
    wanted = next((one for one in _HOURS if one > hours), _HOURS[-1])
    return f"P{wanted // 24}D" if wanted >= 24 else f"PT{wanted}H"


def _metric(
    namespace: str, name: str, threshold: float, aggregation: str, dimensions: list[monitor.MetricDimensionArgs]
) -> monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs:
    return monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
        odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
        all_of=[
            monitor.MetricCriteriaArgs(
                criterion_type="StaticThresholdCriterion",
                name="condition",
                metric_namespace=namespace,
                metric_name=name,
                operator="GreaterThan",
                threshold=threshold,
                time_aggregation=aggregation,
                dimensions=dimensions,
                # Metrics appear with the first request or run; until then Azure doesn't know them.
                skip_metric_validation=True,
            )
        ],
    )
