"""What Cloud Monitoring measures of a platform, as filters of time series: alarms and the dashboard look at the same.

Metrics: https://cloud.google.com/monitoring/api/metrics_gcp; filters: https://cloud.google.com/monitoring/api/v3/filters.
"""

from dataclasses import dataclass

import pulumi

ENDPOINT = "aiplatform.googleapis.com/Endpoint"
REVISION = "cloud_run_revision"
WORKFLOW = "workflows.googleapis.com/Workflow"


@dataclass(frozen=True)
class Requests:
    """Filters of the requests to what answers: those that failed, all, and how long each took.

    version: the label that tells versions apart; milliseconds: how many of the latency's unit are one.
    """

    failed: pulumi.Output[str]
    all: pulumi.Output[str]
    latency: pulumi.Output[str]
    version: str
    milliseconds: int


def of_service(service: pulumi.Output[str]) -> Requests:
    """The requests to a Cloud Run service; those failed that end in a server error."""
    count, took = (f"run.googleapis.com/request_{name}" for name in ("count", "latencies"))
    return Requests(
        service.apply(
            lambda name: filter_of(count, REVISION, resource_service_name=name, metric_response_code_class="5xx")
        ),
        service.apply(lambda name: filter_of(count, REVISION, resource_service_name=name)),
        service.apply(lambda name: filter_of(took, REVISION, resource_service_name=name)),
        "resource.label.revision_name",
        1,
    )


def of_endpoint(endpoint: pulumi.Output[str], deployed: pulumi.Output[str] | None = None) -> Requests:
    """The predictions that an endpoint (its number) is asked for, or one deployment on it, whose latency is in µs."""
    named = pulumi.Output.all(endpoint, *([deployed] if deployed is not None else []))

    def of(name: str) -> pulumi.Output[str]:
        metric, labels = f"aiplatform.googleapis.com/prediction/online/{name}", ("resource_endpoint_id", _DEPLOYED)
        return named.apply(lambda ids: filter_of(metric, ENDPOINT, **dict(zip(labels, ids, strict=False))))

    return Requests(
        of("error_count"), of("prediction_count"), of("prediction_latencies"), "metric.label.deployed_model_id", 1000
    )


def finished_runs(workflow: pulumi.Output[str], **labels: str) -> pulumi.Output[str]:
    """Runs of a workflow that have ended, such as those with `metric_status="FAILED"`."""
    metric = "workflows.googleapis.com/finished_execution_count"
    return workflow.apply(lambda name: filter_of(metric, WORKFLOW, resource_workflow_id=name, **labels))


def published(topic: pulumi.Output[str]) -> pulumi.Output[str]:
    """Messages that were published to a topic."""
    metric = "pubsub.googleapis.com/topic/send_message_operation_count"
    return topic.apply(lambda name: filter_of(metric, "pubsub_topic", resource_topic_id=name))


def waiting(subscription: pulumi.Output[str]) -> pulumi.Output[str]:
    """The age, in seconds, of the oldest message of a subscription that nobody has taken."""
    metric = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
    return subscription.apply(lambda name: filter_of(metric, "pubsub_subscription", resource_subscription_id=name))


def logged(metric: pulumi.Output[str]) -> pulumi.Output[str]:
    """Lines of a Cloud Run service's log that a metric of ours counts."""
    return metric.apply(lambda name: filter_of(f"logging.googleapis.com/user/{name}", REVISION))


def filter_of(metric: str, resource: str, **labels: str) -> str:
    """A filter of time series; a label's name begins with what has it, `resource_` or `metric_`."""
    parts = [f'metric.type="{metric}"', f'resource.type="{resource}"']
    for name, value in labels.items():
        owner, _, label = name.partition("_")
        parts.append(f'{owner}.labels.{label}="{value}"')
    return " AND ".join(parts)


_DEPLOYED = "metric_deployed_model_id"
