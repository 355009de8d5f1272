"""Events that are scored: what becomes of one that can't be handled."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import Result, Undecided, all_of, any_of, judged, present, when
from ml_policies.relations import itself, naming, one_relation, related
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rule import Rule, Severity

EVENT_SOURCE = "aws:lambda/eventSourceMapping:EventSourceMapping"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"
EVENT_SUBSCRIPTIONS = (
    "azure-native:eventgrid:EventSubscription",
    "azure-native:eventgrid:SystemTopicEventSubscription",
    "azure-native:eventgrid:TopicEventSubscription",
    "azure-native:eventgrid:DomainEventSubscription",
)


def _few(value: Any, _: Mapping[str, Any]) -> str | None:
    """A number of attempts; -1 stands for attempts without end."""
    return None if isinstance(value, int | float) and 0 <= value <= 100 else "0 to 100 attempts"


def keeps_failed_messages(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
    """A subscription has a topic for dead letters, or is the one that reads such a topic."""
    topic = resource.properties.get("topic")
    relation = one_relation(
        itself(present("deadLetterPolicy.deadLetterTopic")),
        related(
            naming(SUBSCRIPTION, "deadLetterPolicy.deadLetterTopic", "topic"),
            "messages that can't be handled are sent again for ever",
        ),
    )
    results = list(relation(resource, stack, parameters))
    yield from [Undecided("topic")] if results and topic is UNKNOWN else results


RULES = (
    Rule(
        "MLB-SRV-008",
        "An event that can't be handled is tried a few times and then kept, not lost and not in the way.",
        Severity.MEDIUM,
        "Add a destination for what failed, and a limit of attempts.",
        checks={
            EVENT_SOURCE: when(
                present("startingPosition"),
                all_of(
                    present("destinationConfig.onFailure.destinationArn"),
                    judged(
                        "maximumRetryAttempts",
                        _few,
                        -1,
                        "https://www.pulumi.com/registry/packages/aws/api-docs/lambda/eventsourcemapping/",
                    ),
                ),
            ),
            **dict.fromkeys(
                EVENT_SUBSCRIPTIONS,
                any_of(
                    present("deadLetterDestination.resourceId"),
                    present("deadLetterWithResourceIdentity.deadLetterDestination.resourceId"),
                ),
            ),
        },
        relations={SUBSCRIPTION: keeps_failed_messages},
    ),
)
