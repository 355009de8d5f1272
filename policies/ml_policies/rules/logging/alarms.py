"""Who hears of it: alarms that reach people, and dead letters that somebody looks at."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ml_policies.checks import (
    Check,
    Result,
    Scope,
    Undecided,
    Wrong,
    all_of,
    any_of,
    matches,
    mentions,
    none_of,
    present,
    texts_in,
)
from ml_policies.relations import (
    Finder,
    chain,
    dependencies,
    dependents,
    either,
    itself,
    naming,
    one_relation,
    related,
    where,
)
from ml_policies.resource import MISSING, UNKNOWN, Resource, Stack
from ml_policies.rule import Relation, Rule, Severity

_REGISTRY = "https://www.pulumi.com/registry/packages/"

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
ALERT = "gcp:monitoring/alertPolicy:AlertPolicy"
METRIC_ALERT = "azure-native:monitor:MetricAlert"
QUERY_ALERT = "azure-native:monitor:ScheduledQueryRule"

# What an action group can reach. https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups
_RECEIVERS = (
    "emailReceivers",
    "smsReceivers",
    "armRoleReceivers",
    "azureAppPushReceivers",
    "voiceReceivers",
    "webhookReceivers",
    "logicAppReceivers",
    "azureFunctionReceivers",
    "automationRunbookReceivers",
    "eventHubReceivers",
    "itsmReceivers",
    "incidentReceivers",
)


def _enabled(path: str, source: str) -> Check:
    """Not switched off; what isn't said is on."""
    return none_of(path, (False,), default=True, source=_REGISTRY + source)


# What acts on an alarm by itself: a rollout goes back, a composite alarm tells of it, a policy scales.
_ACTING = (
    "aws:sagemaker/endpoint:Endpoint",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm",
    "aws:codedeploy/deploymentGroup:DeploymentGroup",
)


def _acting(source: str) -> Relation:
    """An alarm is switched on, and has an action or is what something else acts on."""
    acts = one_relation(itself(present("alarmActions")), related(dependents(*_ACTING), "something that acts on it"))
    is_on = itself(_enabled("actionsEnabled", source))

    def relation(alarm: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        yield from is_on(alarm, stack, parameters)
        yield from acts(alarm, stack, parameters)

    return relation


_ACTIONS = ("alarmActions", "okActions", "insufficientDataActions")


def _goes_to(alarm: Resource, topic: Resource) -> bool:
    """Whether an alarm's actions name a topic. An alarm of an endpoint depends on the topics of its answers, too."""
    scope = Scope(alarm, alarm.properties)
    texts = [text for path in _ACTIONS for _, value in scope.values(path) for text in texts_in(value)]
    return _named(topic, texts) or (UNKNOWN in texts and topic.urn in alarm.depends_on)


def _topic_is_heard(topic: Resource, stack: Stack, _: Mapping[str, Any]) -> Iterator[Result]:
    """A topic that alarms go to has a subscription."""
    alarmed = any(_goes_to(alarm, topic) for alarm in stack.dependents(topic, ALARM, COMPOSITE))
    if alarmed and not any(stack.dependents(topic, "aws:sns/topicSubscription:TopicSubscription")):
        yield Wrong("", MISSING, "a TopicSubscription, as alarms go to this topic")


# By type of what hands over messages that it can't deliver, the property that names where they go.
_TO_QUEUES = {
    "aws:lambda/eventSourceMapping:EventSourceMapping": "destinationConfig",
    "aws:lambda/function:Function": "deadLetterConfig",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": "destinationConfig.onFailure",
    "aws:scheduler/schedule:Schedule": "target.deadLetterConfig",
    "aws:cloudwatch/eventTarget:EventTarget": "deadLetterConfig",
    "aws:sns/topicSubscription:TopicSubscription": "redrivePolicy",
    "aws:sqs/queue:Queue": "redrivePolicy",
}
_TO_TOPICS = {"gcp:pubsub/subscription:Subscription": "deadLetterPolicy"}


def _watched(ways: Mapping[str, str], alarms: Finder, lacking: str) -> Relation:
    """What dead letters are handed over to has an alarm; whether it is that is what others say of it."""
    has_alarm = related(alarms, lacking)

    def relation(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        results = list(has_alarm(resource, stack, parameters))
        if not results:
            return
        opened: str | None = None
        for one in stack.of_type(*ways):
            texts = [text for _, value in Scope(one, one.properties).values(ways[one.type]) for text in texts_in(value)]
            if _named(resource, texts):
                yield from results
                return
            if UNKNOWN in texts and resource.urn in one.depends_on:
                opened = opened or f"{one.name}: {ways[one.type]}"
        if opened:
            yield Undecided(opened)

    return relation


def _named(resource: Resource, texts: list[Any]) -> bool:
    """Whether a text names the resource: it is its name, or ends with it, as ARNs and ids do."""
    name = resource.properties.get("name")
    if not isinstance(name, str) or not name:
        return False
    ends = re.compile(rf"(.*[:/\"])?{re.escape(name)}(\".*)?", re.DOTALL)
    return any(isinstance(text, str) and ends.fullmatch(text) for text in texts)


_HUB_OF_DEAD_LETTERS = matches("eventHubName", r"(?i).*(dead-?_?letter|dlq).*", "a hub of dead letters")
_DEAD_LETTERED = mentions("criteria", r"(?i)dead-?letter", "an alert on its DeadletteredMessages")

RULES = (
    Rule(
        "MLB-LOG-008",
        "Alarms are switched on and reach somebody.",
        Severity.HIGH,
        "Give the alarm an action, and what the action notifies a receiver.",
        checks={
            ALERT: all_of(present("notificationChannels"), _enabled("enabled", "gcp/api-docs/monitoring/alertpolicy/")),
            "gcp:monitoring/notificationChannel:NotificationChannel": _enabled(
                "enabled", "gcp/api-docs/monitoring/notificationchannel/"
            ),
            METRIC_ALERT: all_of(
                present("actions"),
                present("actions[].actionGroupId"),
                _enabled("enabled", "azure-native/api-docs/monitor/metricalert/"),
            ),
            QUERY_ALERT: all_of(
                present("actions.actionGroups"),
                _enabled("enabled", "azure-native/api-docs/monitor/scheduledqueryrule/"),
            ),
            "azure-native:monitor:ActivityLogAlert": all_of(
                present("actions.actionGroups"), _enabled("enabled", "azure-native/api-docs/monitor/activitylogalert/")
            ),
            "azure-native:monitor:ActionGroup": all_of(
                any_of(*(present(receivers) for receivers in _RECEIVERS)),
                _enabled("enabled", "azure-native/api-docs/monitor/actiongroup/"),
            ),
        },
        relations={
            ALARM: _acting("aws/api-docs/cloudwatch/metricalarm/"),
            COMPOSITE: _acting("aws/api-docs/cloudwatch/compositealarm/"),
            "aws:sns/topic:Topic": _topic_is_heard,
        },
        references=("checkov:CKV_AWS_319",),
    ),
    Rule(
        "MLB-LOG-009",
        "Messages that couldn't be processed raise an alarm.",
        Severity.MEDIUM,
        "Add an alarm on the number of messages where dead letters arrive.",
        relations={
            "aws:sqs/queue:Queue": _watched(
                _TO_QUEUES,
                either(dependents(ALARM), naming(ALARM, "dimensions", "name")),
                "an alarm on its ApproximateNumberOfMessagesVisible",
            ),
            "gcp:pubsub/topic:Topic": _watched(
                _TO_TOPICS,
                either(dependents(ALERT), naming(ALERT, "conditions", "name")),
                "an alert policy on what is published to it",
            ),
            # An event hub has no dead letters of its own: one is one by its name only.
            "azure-native:eventhub:EventHub": where(
                _HUB_OF_DEAD_LETTERS,
                related(
                    either(
                        dependents(METRIC_ALERT, QUERY_ALERT),
                        naming(METRIC_ALERT, "criteria", "eventHubName"),
                        naming(QUERY_ALERT, "criteria", "eventHubName"),
                    ),
                    "an alert on its IncomingMessages",
                ),
            ),
            "azure-native:servicebus:Queue": related(
                chain(dependencies("azure-native:servicebus:Namespace"), dependents(METRIC_ALERT, QUERY_ALERT)),
                "an alert on the DeadletteredMessages of its namespace",
                _DEAD_LETTERED,
            ),
        },
    ),
)
