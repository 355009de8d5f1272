"""Autoscaling of online deployments: instances follow their requests, and their load."""

import pulumi
from pulumi_azure_native import monitor

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context


def requests_per_minute(context: Context) -> int:
    """What an instance answers in a minute while its latency keeps the objective."""
    return round(context.instance.requests_per_second * context.sizing.load * 60)


def follow_load(
    context: Context,
    foundation: Foundation,
    part: str,
    endpoint: pulumi.Input[str],
    deployment: pulumi.Input[str],
    name: str,
    opts: pulumi.ResourceOptions,
) -> monitor.AutoscaleSetting:
    """Add an instance to an online deployment when it has as many requests as it takes, or its processors are busy.

    One is taken away when there is little of both. endpoint, deployment: ids; name: the deployment's, by which its
    endpoint counts requests. https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints
    """
    replicas, most = context.workload.serving.replicas, requests_per_minute(context)
    minimum = str(max(replicas.minimum, 1))
    more, less = monitor.ComparisonOperationType.GREATER_THAN, monitor.ComparisonOperationType.LESS_THAN
    return monitor.AutoscaleSetting(
        context.logical(part),
        resource_group_name=foundation.group,
        location=foundation.location,
        target_resource_uri=deployment,
        enabled=True,
        profiles=[
            monitor.AutoscaleProfileArgs(
                name="load",
                capacity=monitor.ScaleCapacityArgs(minimum=minimum, maximum=str(replicas.maximum), default=minimum),
                # Any of the first adds an instance; all of the last must agree before one goes.
                rules=[
                    _rule(_requests(endpoint, name, more, most), monitor.ScaleDirection.INCREASE),
                    _rule(_load(deployment, more, facts.SCALE_OUT_LOAD), monitor.ScaleDirection.INCREASE),
                    _rule(
                        _requests(endpoint, name, less, round(most * facts.SCALE_IN_SHARE)),
                        monitor.ScaleDirection.DECREASE,
                    ),
                    _rule(_load(deployment, less, facts.SCALE_IN_LOAD), monitor.ScaleDirection.DECREASE),
                ],
            )
        ],
        tags=context.tags,
        opts=opts,
    )


def _requests(
    endpoint: pulumi.Input[str], deployment: str, operator: monitor.ComparisonOperationType, threshold: int
) -> monitor.MetricTriggerArgs:
    """Requests of a deployment in a minute, for each of its instances."""
    named = monitor.ScaleRuleMetricDimensionArgs(
        dimension_name="deployment",
        operator=monitor.ScaleRuleMetricDimensionOperationType.EQUALS,
        values=[deployment],
    )
    return _trigger(endpoint, "RequestsPerMinute", operator, threshold, [named])


def _load(
    deployment: pulumi.Input[str], operator: monitor.ComparisonOperationType, threshold: int
) -> monitor.MetricTriggerArgs:
    """How busy the processors of a deployment are, in percent."""
    return _trigger(deployment, "CpuUtilizationPercentage", operator, threshold, [])


def _trigger(
    resource: pulumi.Input[str],
    metric: str,
    operator: monitor.ComparisonOperationType,
    threshold: int,
    dimensions: list[monitor.ScaleRuleMetricDimensionArgs],
) -> monitor.MetricTriggerArgs:
    return monitor.MetricTriggerArgs(
        metric_name=metric,
        metric_resource_uri=resource,
        operator=operator,
        threshold=threshold,
        statistic=monitor.MetricStatisticType.AVERAGE,
        time_aggregation=monitor.TimeAggregationType.AVERAGE,
        time_grain="PT1M",
        time_window="PT5M" if operator is monitor.ComparisonOperationType.GREATER_THAN else "PT10M",
        dimensions=dimensions or None,
        divide_per_instance=bool(dimensions),
    )


def _rule(trigger: monitor.MetricTriggerArgs, direction: monitor.ScaleDirection) -> monitor.ScaleRuleArgs:
    return monitor.ScaleRuleArgs(
        metric_trigger=trigger,
        scale_action=monitor.ScaleActionArgs(
            direction=direction, type=monitor.ScaleType.CHANGE_COUNT, value="1", cooldown=trigger.time_window
        ),
    )
