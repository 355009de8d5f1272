"""The event processor: a service of Cloud Run to which Pub/Sub pushes events, those of one entity one after another."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_gcp import pubsub

from ml_blueprints.gcp import cloud_run, facts, topics
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context, required
from ml_blueprints.settings import Purpose


class EventProcessor(pulumi.ComponentResource):
    """Keeps the windows of each entity and its features, under the identity that ingests.

    What it is told besides, as `variables`, says whom it asks for decisions, if anybody, and where they go.

    service: the processor. event_source: the subscription that pushes events to it.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        features: Features,
        development: Development,
        variables: Mapping[str, pulumi.Input[str]],
        ready: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:EventProcessor", context.logical("processor"), None, opts)
        self.context, self.foundation, self.data, self.features = context, foundation, data, features
        self.identity = foundation.identities[Purpose.INGEST]
        self._service(development.image, variables, ready)
        self._event_source()
        self.register_outputs({"serviceId": self.service.id})

    def _service(
        self, image: pulumi.Input[str], variables: Mapping[str, pulumi.Input[str]], ready: Sequence[pulumi.Resource]
    ) -> None:
        """As many instances as the peak takes, or as serving may have, whichever is more.

        Where there is an objective for latency, an instance is always there and keeps its CPU between events.
        """
        context, foundation, workload = self.context, self.foundation, self.context.workload
        state = required(self.features.window_state, "a place for windows")
        in_a_hurry = workload.monitoring.latency_objective_ms is not None
        replicas = workload.serving.replicas
        self.service = cloud_run.service(
            "processor",
            context,
            foundation,
            cloud_run.Container(
                identity=self.identity,
                image=image,
                environment={
                    "WORKLOAD": workload.name,
                    "STATE": state.url,
                    "FEATURE_STORE": self.features.table_path,
                    "DEAD_LETTERS": required(self.data.dead_letters, "dead letters"),
                    **variables,
                },
                size=context.instance.size,
                minimum=max(1, replicas.minimum) if in_a_hurry else replicas.minimum,
                maximum=max(replicas.maximum, -(-workload.data.events_per_second // facts.EVENTS_PER_INSTANCE)),
                command=facts.COMMANDS["process"],
                always_on=in_a_hurry,
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[
                    *foundation.ready,
                    *self.data.grants[Purpose.INGEST],
                    state.reader_and_writer,
                    state.app_profile,
                    self.features.feature_writer,
                    *ready,
                ],
            ),
        )

    def _event_source(self) -> None:
        """Producers give the entity as ordering key: its events come in the order of their arrival, each once more if
        the processor failed, and the next one only then.
        """
        context, data = self.context, self.data
        child = pulumi.ResourceOptions(parent=self)
        ingest = self.foundation.member(Purpose.INGEST)
        may_push = cloud_run.let_invoke("processor", self.service, context, self.foundation, ingest, child)
        self.event_source = pubsub.Subscription(
            context.logical("processor"),
            topic=required(data.stream, "a stream of events"),
            enable_message_ordering=True,
            ack_deadline_seconds=60,
            push_config=pubsub.SubscriptionPushConfigArgs(
                push_endpoint=self.service.uri,
                oidc_token=pubsub.SubscriptionPushConfigOidcTokenArgs(
                    service_account_email=self.identity, audience=self.service.uri
                ),
            ),
            retry_policy=pubsub.SubscriptionRetryPolicyArgs(minimum_backoff="1s", maximum_backoff="60s"),
            dead_letter_policy=pubsub.SubscriptionDeadLetterPolicyArgs(
                dead_letter_topic=required(data.dead_letters, "dead letters"),
                max_delivery_attempts=facts.DELIVERY_ATTEMPTS,
            ),
            expiration_policy=pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            labels=context.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[may_push, data.dead_letter_publisher]),
        )
        topics.let_forward("processor", self.event_source, context, self.foundation, child)
