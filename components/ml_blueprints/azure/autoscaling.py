"""Autoscaling of online deployments: instances follow their load."""

import pulumi
from pulumi_azure_native import monitor

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context


def follow_load(
    context: Context, foundation: Foundation, name: str, deployment: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> monitor.AutoscaleSetting:
    """Add an instance to an online deployment (its id) when its processors are busy, and take one away when they rest.

    https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints
    """
    replicas = context.workload.serving.replicas
    return monitor.AutoscaleSetting(
        context.logical(name),
        resource_group_name=foundation.group,
        location=foundation.location,
        target_resource_uri=deployment,
        enabled=True,
        profiles=[
            monitor.AutoscaleProfileArgs(
                name="load",
                capacity=monitor.ScaleCapacityArgs(
                    minimum=str(replicas.minimum), maximum=str(replicas.maximum), default=str(replicas.minimum)
                ),
                rules=[
                    _rule(
                        deployment,
                        monitor.ComparisonOperationType.GREATER_THAN,
                        facts.SCALE_OUT_LOAD,
                        monitor.ScaleDirection.INCREASE,
                        "PT5M",
                    ),
                    _rule(
                        deployment,
                        monitor.ComparisonOperationType.LESS_THAN,
                        facts.SCALE_IN_LOAD,
                        monitor.ScaleDirection.DECREASE,
                        "PT10M",
                    ),
                ],
            )
        ],
        tags=context.tags,
        opts=opts,
    )


def _rule(
    deployment: pulumi.Input[str],
    operator: monitor.ComparisonOperationType,
    threshold: int,
    direction: monitor.ScaleDirection,
    window: str,
) -> monitor.ScaleRuleArgs:
    return monitor.ScaleRuleArgs(
        metric_trigger=monitor.MetricTriggerArgs(
            metric_name="CpuUtilizationPercentage",
            metric_resource_uri=deployment,
            operator=operator,
            threshold=threshold,
            statistic=monitor.MetricStatisticType.AVERAGE,
            time_aggregation=monitor.TimeAggregationType.AVERAGE,
            time_grain="PT1M",
            time_window=window,
        ),
        scale_action=monitor.ScaleActionArgs(
            direction=direction, type=monitor.ScaleType.CHANGE_COUNT, value="1", cooldown=window
        ),
    )
