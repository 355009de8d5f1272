"""The promise to those who ask, as an objective of Cloud Monitoring, and when its error budget burns too fast."""

import pulumi
from pulumi_gcp import monitoring

from ml_blueprints.gcp import alarm_conditions, metrics
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context

# So many times too fast a budget of 30 days loses 2 percent in an hour; the short time says that it still does.
# https://sre.google/workbook/alerting-on-slos/#6-multiwindow-multi-burn-rate-alerts
BUDGET_DAYS = 30
TIMES = 14.4
LONG_SECONDS, SHORT_SECONDS = 3600, 300

# The most that Cloud Monitoring takes for a goal.
# https://cloud.google.com/monitoring/api/ref_v3/rest/v3/services.serviceLevelObjectives
HIGHEST_GOAL = 0.9999


class ErrorBudget(pulumi.ComponentResource):
    """The share of requests that don't fail, over 30 days.

    service, objective: the resources. conditions: two, which hold together where the budget burns too fast.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        requests: metrics.Requests,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:ErrorBudget", context.logical("answers"), None, opts)
        child = pulumi.ResourceOptions(parent=self)
        may_fail = context.workload.monitoring.error_rate_objective
        goal = min(round(1 - may_fail, 9), HIGHEST_GOAL)
        self.service = monitoring.CustomService(
            context.logical("answers"),
            service_id=f"{context.name}-{context.token}",
            display_name=context.name,
            user_labels=context.tags,
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=list(foundation.ready))),
        )
        self.objective = monitoring.Slo(
            context.logical("answers"),
            service=self.service.service_id,
            slo_id="answers",
            display_name=f"{context.name}: at most {may_fail:.2%} of requests fail",
            goal=goal,
            rolling_period_days=BUDGET_DAYS,
            request_based_sli=monitoring.SloRequestBasedSliArgs(
                good_total_ratio=monitoring.SloRequestBasedSliGoodTotalRatioArgs(
                    bad_service_filter=requests.failed, total_service_filter=requests.all
                )
            ),
            user_labels=context.tags,
            opts=child,
        )
        # Where the promise is more than a goal can say, the goal's budget burns faster.
        times = round(TIMES * may_fail / (1 - goal), 6)
        self.conditions = [
            alarm_conditions.burn_rate(self.objective.name, seconds, times) for seconds in (LONG_SECONDS, SHORT_SECONDS)
        ]
        self.register_outputs({"objectiveId": self.objective.id})
