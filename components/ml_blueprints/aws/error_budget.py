"""The error budget on AWS: requests that fail so often that the promise breaks soon page somebody."""

from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from ml_blueprints.aws.endpoint import Endpoint
from ml_blueprints.layers import Context

# So many times too fast a budget of 30 days loses 2 percent in an hour; the short time says that it still does.
# https://sre.google/workbook/alerting-on-slos/#6-multiwindow-multi-burn-rate-alerts
TIMES = 14.4
SECONDS = {"hour": 3600, "minutes": 300}


class ErrorBudget(pulumi.ComponentResource):
    """Native resources: `alarms` by how long they look back, and `burning`, which fires where both do.

    The share of an endpoint's requests that end in a server error, of all live variants together. Where a promise
    allows so many that there is no 14.4 times of it, all requests must fail.
    """

    def __init__(
        self,
        context: Context,
        endpoint: Endpoint,
        topic: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        self.context, self.endpoint, self.part = context, endpoint, endpoint.fleet.part("error-budget")
        super().__init__("ml-blueprints:aws:ErrorBudget", context.logical(self.part), None, opts)
        self.alarms = {name: self._alarm(name, seconds) for name, seconds in SECONDS.items()}
        self.burning = cloudwatch.CompositeAlarm(
            context.logical(self.part),
            alarm_name=f"{context.logical(self.part)}-{context.token}",
            alarm_description=f"The error budget of {context.name} burns {TIMES} times too fast",
            alarm_rule=pulumi.Output.all(*(alarm.name for alarm in self.alarms.values())).apply(
                lambda names: " AND ".join(f'ALARM("{name}")' for name in names)
            ),
            alarm_actions=[topic],
            ok_actions=[topic],
            tags=context.tags,
            opts=self._child(),
        )
        self.register_outputs({"alarmArn": self.burning.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _alarm(self, name: str, seconds: int) -> cloudwatch.MetricAlarm:
        """It has no action of its own: the two together tell."""
        metrics = {"failed": "Invocation5XXErrors", "asked": "Invocations"}
        ids = {
            f"{sum_}{place}": (metric, variant.name)
            for sum_, metric in metrics.items()
            for place, variant in enumerate(self.endpoint.fleet.live)
        }
        queries = [
            cloudwatch.MetricAlarmMetricQueryArgs(
                id=id_,
                metric=cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace="AWS/SageMaker",
                    metric_name=metric,
                    dimensions={"EndpointName": self.endpoint.endpoint.name, "VariantName": variant},
                    stat="Sum",
                    period=seconds,
                ),
            )
            for id_, (metric, variant) in ids.items()
        ]
        failed, asked = (" + ".join(f"FILL({id_}, 0)" for id_ in ids if id_.startswith(sum_)) for sum_ in metrics)
        share = cloudwatch.MetricAlarmMetricQueryArgs(
            id="share", expression=f"({failed}) / ({asked})", label="Share that failed", return_data=True
        )
        objective = self.context.workload.monitoring.error_rate_objective
        return cloudwatch.MetricAlarm(
            self.context.logical(f"{self.part}-{name}"),
            alarm_description=f"Errors of {seconds} seconds, of which {TIMES} times the promised share is too much",
            metric_queries=[*queries, share],
            threshold=round(min(TIMES * objective, 1), 6),
            evaluation_periods=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            # Where nobody asks, there is no share.
            treat_missing_data="notBreaching",
            tags=self.context.tags,
            opts=self._child(),
        )
