"""Topics of Pub/Sub, and who may publish to them and move what can't be delivered."""

import pulumi
from pulumi_gcp import pubsub

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context

# How long messages can be replayed. Pub/Sub takes up to 31 days: https://cloud.google.com/pubsub/docs/topic-properties
REPLAY_DAYS = 7


def topic(
    part: str,
    context: Context,
    foundation: Foundation,
    opts: pulumi.ResourceOptions,
    schema_settings: pubsub.TopicSchemaSettingsArgs | None = None,
) -> pubsub.Topic:
    """A topic whose messages are encrypted with the platform's key and stay in the region."""
    days = min(REPLAY_DAYS, context.workload.data.retention_days)
    return pubsub.Topic(
        context.logical(part),
        kms_key_name=foundation.key,
        schema_settings=schema_settings,
        message_retention_duration=f"{days * 24 * 3600}s",
        message_storage_policy=pubsub.TopicMessageStoragePolicyArgs(
            allowed_persistence_regions=[foundation.region], enforce_in_transit=True
        ),
        labels=context.tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(foundation.ready))),
    )


def let_publish(
    part: str, to: pubsub.Topic, member: pulumi.Input[str], context: Context, opts: pulumi.ResourceOptions
) -> pubsub.TopicIAMMember:
    """Let somebody publish to a topic."""
    return pubsub.TopicIAMMember(
        context.logical(part), topic=to.name, role=facts.ROLE_PUBLISHER, member=member, opts=opts
    )


def let_forward(
    part: str,
    subscription: pubsub.Subscription,
    context: Context,
    foundation: Foundation,
    opts: pulumi.ResourceOptions,
) -> pubsub.SubscriptionIAMMember:
    """Let Pub/Sub move what a subscription can't deliver to the dead letters: it acknowledges it there.

    https://cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions
    """
    return pubsub.SubscriptionIAMMember(
        context.logical(part),
        subscription=subscription.name,
        role=facts.ROLE_SUBSCRIBER,
        member=foundation.agents["pubsub"],
        opts=opts,
    )
