"""The way back from a canary that fails: an alert gives the champion all requests, and nobody has to do anything.

Cloud Monitoring tells a topic, Eventarc starts a workflow with what it tells, and this divides the endpoint's requests
anew (https://cloud.google.com/monitoring/support/notification-options#pubsub).
"""

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_gcp import eventarc, monitoring, workflows

from ml_blueprints.gcp import alarm_conditions, containers, facts, metrics, topics
from ml_blueprints.gcp.endpoint import Endpoint
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.pipeline_definition import asked, workflow
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class Rollback(pulumi.ComponentResource):
    """Alerts on errors and latency of an endpoint's canaries, and the workflow that takes their requests away.

    What Git says isn't touched: the canary stays without requests until the workload's file says something else of it,
    or `pulumi refresh` has seen that it has none. alerts, channel, topic, trigger, workflow: the resources.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        online: Endpoint,
        canaries: Sequence[containers.Container],
        opts: pulumi.ResourceOptions | None = None,
    ):
        self.part = online.part.replace("endpoint", "rollback", 1)
        super().__init__("ml-blueprints:gcp:Rollback", context.logical(self.part), None, opts)
        self.context, self.foundation, self.online = context, foundation, online
        self._workflow()
        self._channel()
        self.alerts = [self._alert(canary) for canary in canaries]
        self.register_outputs({"workflowId": self.workflow.id})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _workflow(self) -> None:
        """It may divide the requests of this endpoint, and of no other."""
        context, foundation, online = self.context, self.foundation, self.online
        role = foundation.role(self.part, "divide requests anew", facts.DIVIDE_PERMISSIONS)
        may_divide = online.let(self.part, role.name, foundation.member(Purpose.MONITORING), self._child())
        service = f"https://{foundation.region}-aiplatform.googleapis.com/v1/"
        self.workflow = workflows.Workflow(
            context.logical(self.part),
            region=foundation.region,
            description=f"Gives the champion of {context.workload.name} all requests",
            service_account=foundation.identities[Purpose.MONITORING],
            source_contents=pulumi.Output.all(online.endpoint.id, online.champion).apply(
                lambda ids: workflow(*steps(f"{service}{ids[0]}", ids[1]))
            ),
            crypto_key_name=foundation.key,
            call_log_level="LOG_ALL_CALLS",
            deletion_protection=False,
            labels=context.tags,
            opts=self._child(depends_on=[may_divide]),
        )

    def _channel(self) -> None:
        context, foundation = self.context, self.foundation
        self.topic = topics.topic(self.part, context, foundation, self._child())
        may_tell = topics.let_publish(self.part, self.topic, foundation.agents["monitoring"], context, self._child())
        self.trigger = eventarc.Trigger(
            context.logical(self.part),
            location=foundation.region,
            matching_criterias=[
                eventarc.TriggerMatchingCriteriaArgs(
                    attribute="type", value="google.cloud.pubsub.topic.v1.messagePublished"
                )
            ],
            transport=eventarc.TriggerTransportArgs(pubsub=eventarc.TriggerTransportPubsubArgs(topic=self.topic.id)),
            destination=eventarc.TriggerDestinationArgs(workflow=self.workflow.id),
            service_account=foundation.identities[Purpose.MONITORING],
            labels=context.tags,
            opts=self._child(),
        )
        self.channel = monitoring.NotificationChannel(
            context.logical(self.part),
            type="pubsub",
            display_name=f"{context.name}: {self.part}",
            labels={"topic": self.topic.id},
            user_labels=context.tags,
            opts=self._child(depends_on=[may_tell, self.trigger]),
        )

    def _alert(self, canary: containers.Container) -> monitoring.AlertPolicy:
        """What the workload promises, held against one canary alone."""
        context, objectives = self.context, self.context.workload.monitoring
        endpoint, deployed = self.online.endpoint.name, self.online.deployments[canary.name].deployed_id
        asked = metrics.of_endpoint(endpoint, deployed)
        conditions = [alarm_conditions.error_rate(asked, objectives.error_rate_objective)]
        if objectives.latency_objective_ms:
            conditions.append(alarm_conditions.latency(asked, objectives.latency_objective_ms))
        return monitoring.AlertPolicy(
            context.logical(f"{self.part}-{canary.name}"),
            display_name=f"{context.name}: canary {canary.first.name} {canary.first.version}",
            combiner="OR",
            conditions=conditions,
            notification_channels=[self.channel.id],
            severity="ERROR",
            user_labels=context.tags,
            opts=self._child(),
        )


def steps(endpoint: str, champion: str) -> list[dict[str, Any]]:
    """Give a deployment all requests of an endpoint (its URL) when an alert begins; its end changes nothing."""
    incident = "${json.decode(base64.decode(input.data.message.data)).incident}"
    divide = {"url": endpoint, "query": {"updateMask": "trafficSplit"}, "body": {"trafficSplit": {champion: 100}}}
    return [
        {"read": {"assign": [{"incident": incident}]}},
        {"judge": {"switch": [{"condition": '${incident.state == "open"}', "next": "divide"}], "next": "end"}},
        {"divide": asked("http.patch", divide, "divided")},
        {"tell": {"return": "${divided.body.trafficSplit}"}},
    ]
