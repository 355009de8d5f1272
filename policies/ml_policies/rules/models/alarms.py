"""Alarms on what scores: which there must be, and that they reach people."""

from ml_policies.checks import Check, all_of, any_of, matches, mentions, none_of, one_of, present, some
from ml_policies.relations import Finder, chain, dependencies, dependents, either, naming, related, where
from ml_policies.rule import Relation, Rule, Severity
from ml_policies.scoring import (
    AWS_ENDPOINT,
    AWS_PIPELINE,
    AZURE_BATCH_ENDPOINT,
    AZURE_ENDPOINT,
    AZURE_WORKSPACE,
    GCP_ENDPOINT,
    GCP_SERVICE,
    GCP_WORKFLOW,
    of_scorers,
)

METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TOPIC = "aws:sns/topic:Topic"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
ALERT_POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"
CHANNEL = "gcp:monitoring/notificationChannel:NotificationChannel"
METRIC_ALERT = "azure-native:monitor:MetricAlert"
QUERY_RULE = "azure-native:monitor:ScheduledQueryRule"
ACTION_GROUP = "azure-native:monitor:ActionGroup"

# Every kind of receiver that is a person or what pages one.
_RECEIVERS = ("email", "sms", "voice", "azureAppPush", "armRole", "webhook", "logicApp", "azureFunction", "itsm")

subscribed = related(either(dependents(SUBSCRIPTION), naming(SUBSCRIPTION, "topic", "name")), "nobody is subscribed")
# A topic without subscribers tells nobody; one that isn't in the stack has them elsewhere.
topic_is_heard = related(
    dependencies(TOPIC), "its alarms go to a topic that nobody is subscribed to", then=subscribed, elsewhere=True
)
_channel_is_open = related(
    dependencies(CHANNEL), "its alarms go to a channel that is off", none_of("enabled", [False]), elsewhere=True
)
_group_is_heard = related(
    dependencies(ACTION_GROUP),
    "its alarms go to an action group that tells nobody",
    all_of(none_of("enabled", [False]), any_of(*(present(f"{receiver}Receivers") for receiver in _RECEIVERS))),
    elsewhere=True,
)

_tells_aws = all_of(
    none_of("actionsEnabled", [False]),
    some("alarmActions[]", matches("", r"arn:[\w-]+:(sns|ssm-incidents|ssm):.+", "a topic"), "a topic to tell"),
)
_tells_gcp = all_of(none_of("enabled", [False]), present("notificationChannels"))
_tells_azure = all_of(
    none_of("enabled", [False]),
    any_of(some("actions[]", present("actionGroupId"), "an action group to tell"), present("actions.actionGroups")),
)


def aws_alarm(finder: Finder, metrics: tuple[str, ...], lacking: str) -> Relation:
    """One of the alarms that a finder finds is on one of these metrics, and reaches people."""
    metric = any_of(
        one_of("metricName", metrics),
        some("metricQueries[]", one_of("metric.metricName", metrics), "one of its metrics"),
    )
    return related(either(finder, dependents(METRIC_ALARM)), lacking, all_of(metric, _tells_aws), topic_is_heard)


def gcp_alarm(finder: Finder, pattern: str, lacking: str) -> Relation:
    """One of the alert policies that a finder finds watches what a pattern says, and reaches people."""
    watches = mentions("conditions", pattern, lacking)
    return related(either(finder, dependents(ALERT_POLICY)), lacking, all_of(watches, _tells_gcp), _channel_is_open)


def azure_alarm(finder: Finder, pattern: str, lacking: str) -> Relation:
    """One of the alert rules that a finder finds watches what a pattern says, and reaches people."""
    check: Check = all_of(mentions("criteria", pattern, lacking), _tells_azure)
    return related(finder, lacking, check, _group_is_heard)


_of_endpoint = naming(METRIC_ALARM, "dimensions.EndpointName", "name")
_of_pipeline = naming(METRIC_ALARM, "dimensions.PipelineName", "pipelineName")
_of_service = naming(ALERT_POLICY, "conditions", "name")
_of_azure_endpoint = either(
    dependents(METRIC_ALERT, QUERY_RULE),
    naming(METRIC_ALERT, "scopes", "endpointName"),
    naming(QUERY_RULE, "criteria", "endpointName"),
)
of_workspace = chain(dependencies(AZURE_WORKSPACE), dependents(METRIC_ALERT, QUERY_RULE))

_NO_ERRORS = "no alarm on its failed requests reaches anybody"
_NO_LATENCY = "no alarm on its latency reaches anybody"
_NO_FAILED_RUNS = "no alarm on its failed runs reaches anybody"

# https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
_ERROR_METRICS = ("Invocation5XXErrors", "Invocation4XXErrors", "InvocationModelErrors")
_LATENCY_METRICS = ("ModelLatency", "OverheadLatency")

# The metric of a workspace, or the tables of what became of its runs.
# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-metrics
FAILED_RUNS = r"Failed Runs|AmlRunStatusChangedEvent|AmlComputeJobEvent"

# Steps of pipelines, and calls in workflows, that score in batches.
scores_in_batches = mentions("pipelineDefinition", r'"Type":\s*"Transform"|\bbatch_score\b', "a step that scores")
workflow_scores = mentions("sourceContents", r"batchPredictionJobs|\bscore\b|batch-scoring", "a call that scores")

RULES = (
    Rule(
        "MLB-MOD-006",
        "Failed requests of an endpoint raise an alarm that reaches people.",
        Severity.HIGH,
        "Add an alarm on the endpoint's server errors, with an action that somebody is subscribed to.",
        relations={
            AWS_ENDPOINT: aws_alarm(_of_endpoint, _ERROR_METRICS, _NO_ERRORS),
            GCP_ENDPOINT: gcp_alarm(_of_service, r"error_count|response_code", _NO_ERRORS),
            GCP_SERVICE: of_scorers(gcp_alarm(_of_service, r"response_code|5xx", _NO_ERRORS)),
            AZURE_ENDPOINT: azure_alarm(_of_azure_endpoint, r"(?i)response_?code|status_?code|error", _NO_ERRORS),
        },
    ),
    Rule(
        "MLB-MOD-007",
        "Slow answers of an endpoint raise an alarm that reaches people.",
        Severity.MEDIUM,
        "Add an alarm on a high percentile of the endpoint's latency, with an action that somebody is subscribed to.",
        relations={
            AWS_ENDPOINT: aws_alarm(_of_endpoint, _LATENCY_METRICS, _NO_LATENCY),
            GCP_ENDPOINT: gcp_alarm(_of_service, r"latenc", _NO_LATENCY),
            GCP_SERVICE: of_scorers(gcp_alarm(_of_service, r"latenc", _NO_LATENCY)),
            AZURE_ENDPOINT: azure_alarm(_of_azure_endpoint, r"(?i)latency|duration", _NO_LATENCY),
        },
    ),
    Rule(
        "MLB-MOD-008",
        "A batch scoring that fails raises an alarm that reaches people.",
        Severity.HIGH,
        "Add an alarm on the failed runs of the pipeline that scores.",
        relations={
            AWS_PIPELINE: where(scores_in_batches, aws_alarm(_of_pipeline, ("ExecutionFailed",), _NO_FAILED_RUNS)),
            GCP_WORKFLOW: where(workflow_scores, gcp_alarm(_of_service, r"(?i)failed", _NO_FAILED_RUNS)),
            AZURE_BATCH_ENDPOINT: azure_alarm(of_workspace, FAILED_RUNS, _NO_FAILED_RUNS),
        },
    ),
)
