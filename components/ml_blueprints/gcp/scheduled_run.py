"""A workflow that a schedule starts again and again, both under the identity that monitors."""

from collections.abc import Sequence

import pulumi
from pulumi_gcp import cloudscheduler, workflows

from ml_blueprints.gcp import pipeline_definition
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class ScheduledRun(pulumi.ComponentResource):
    """What looks at data now and then. workflow, schedule: the resources; both have the name of the part."""

    def __init__(
        self,
        part: str,
        context: Context,
        foundation: Foundation,
        does: str,
        cron: str,
        source: pulumi.Input[str],
        ready: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:ScheduledRun", context.logical(part), None, opts)
        self.workflow = workflows.Workflow(
            context.logical(part),
            region=foundation.region,
            description=does,
            service_account=foundation.identities[Purpose.MONITORING],
            source_contents=source,
            crypto_key_name=foundation.key,
            call_log_level="LOG_ERRORS_ONLY",
            deletion_protection=False,
            labels=context.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(ready)),
        )
        self.schedule = starts(
            part, context, foundation, self.workflow, cron, does, pulumi.ResourceOptions(parent=self)
        )
        self.register_outputs({"workflowId": self.workflow.id})


def starts(
    part: str,
    context: Context,
    foundation: Foundation,
    workflow: workflows.Workflow,
    cron: str,
    does: str,
    opts: pulumi.ResourceOptions,
) -> cloudscheduler.Job:
    """What starts a workflow, by a cron schedule in UTC."""
    return cloudscheduler.Job(
        context.logical(part),
        region=foundation.region,
        description=does,
        schedule=cron,
        time_zone="Etc/UTC",
        http_target=pipeline_definition.start(workflow.id, foundation.identities[Purpose.MONITORING]),
        retry_config=cloudscheduler.JobRetryConfigArgs(retry_count=3),
        opts=opts,
    )
