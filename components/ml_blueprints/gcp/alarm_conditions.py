"""Conditions of alert policies, as Cloud Monitoring takes them: what is counted, over which time, and what is too much.

Metrics: https://cloud.google.com/monitoring/api/metrics_gcp; filters: https://cloud.google.com/monitoring/api/v3/filters.
"""

import json
from dataclasses import dataclass

import pulumi
from pulumi_gcp import monitoring

WINDOW = "300s"

_REQUESTS = "run.googleapis.com/request_count"
_ERRORS, _PREDICTIONS = (
    f"aiplatform.googleapis.com/prediction/online/{name}_count" for name in ("error", "prediction")
)
_ENDPOINT = "aiplatform.googleapis.com/Endpoint"
_WORKFLOW = "workflows.googleapis.com/Workflow"
_FINISHED_RUNS = "workflows_googleapis_com:finished_execution_count"


@dataclass(frozen=True)
class Requests:
    """Filters of those that failed, and of all."""

    failed: pulumi.Output[str]
    all: pulumi.Output[str]


def of_service(service: pulumi.Output[str]) -> Requests:
    """The requests to a Cloud Run service; those failed that end in a server error."""
    kind, class_ = "cloud_run_revision", "5xx"
    return Requests(
        service.apply(
            lambda name: _filter(_REQUESTS, kind, resource_service_name=name, metric_response_code_class=class_)
        ),
        service.apply(lambda name: _filter(_REQUESTS, kind, resource_service_name=name)),
    )


def of_endpoint(endpoint: pulumi.Output[str], deployed: pulumi.Output[str] | None = None) -> Requests:
    """The predictions that an endpoint (its number) is asked for, or one deployment on it."""
    return Requests(_of_endpoint(_ERRORS, endpoint, deployed), _of_endpoint(_PREDICTIONS, endpoint, deployed))


def error_rate(requests: Requests, objective: float) -> monitoring.AlertPolicyConditionArgs:
    """The share of requests that fail, above an objective from 0 to 1."""
    return _share(requests.failed, requests.all, objective)


def burn_rate(objective: pulumi.Output[str], seconds: int, times: float) -> monitoring.AlertPolicyConditionArgs:
    """That an objective's error budget (its resource name) is used up so many times too fast.

    https://cloud.google.com/stackdriver/docs/solutions/slo-monitoring/alerting-on-budget-burn-rate
    """
    return monitoring.AlertPolicyConditionArgs(
        display_name=f"the error budget burns {times:g} times too fast over {seconds} s",
        condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter=objective.apply(lambda name: f'select_slo_burn_rate("{name}", "{seconds}s")'),
            comparison="COMPARISON_GT",
            threshold_value=times,
            duration="0s",
        ),
    )


def endpoint_latency(
    endpoint: pulumi.Output[str], milliseconds: int, deployed: pulumi.Output[str] | None = None
) -> monitoring.AlertPolicyConditionArgs:
    """The 99th percentile of an endpoint's latency, or of one deployment's, which is measured in microseconds."""
    return _above(
        f"99th percentile of the latency above {milliseconds} ms",
        1000 * milliseconds,
        _of_endpoint("aiplatform.googleapis.com/prediction/online/prediction_latencies", endpoint, deployed),
        "REDUCE_PERCENTILE_99",
    )


def _of_endpoint(metric: str, endpoint: pulumi.Output[str], deployed: pulumi.Output[str] | None) -> pulumi.Output[str]:
    if deployed is None:
        return endpoint.apply(lambda number: _filter(metric, _ENDPOINT, resource_endpoint_id=number))
    return pulumi.Output.all(endpoint, deployed).apply(
        lambda ids: _filter(metric, _ENDPOINT, resource_endpoint_id=ids[0], metric_deployed_model_id=ids[1])
    )


def _share(
    part: pulumi.Output[str], whole: pulumi.Output[str], objective: float
) -> monitoring.AlertPolicyConditionArgs:
    return monitoring.AlertPolicyConditionArgs(
        display_name=f"share of failed requests above {objective}",
        condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter=part,
            aggregations=[_aggregation("REDUCE_SUM")],
            denominator_filter=whole,
            denominator_aggregations=[
                monitoring.AlertPolicyConditionConditionThresholdDenominatorAggregationArgs(
                    alignment_period=WINDOW, per_series_aligner="ALIGN_DELTA", cross_series_reducer="REDUCE_SUM"
                )
            ],
            comparison="COMPARISON_GT",
            threshold_value=objective,
            duration="0s",
        ),
    )


def latency(service: pulumi.Output[str], milliseconds: int) -> monitoring.AlertPolicyConditionArgs:
    """The 99th percentile of a Cloud Run service's latency, above an objective in milliseconds."""
    return _above(
        f"99th percentile of the latency above {milliseconds} ms",
        milliseconds,
        service.apply(
            lambda name: _filter(
                "run.googleapis.com/request_latencies", "cloud_run_revision", resource_service_name=name
            )
        ),
        "REDUCE_PERCENTILE_99",
    )


def failed_runs(workflow: pulumi.Output[str]) -> monitoring.AlertPolicyConditionArgs:
    """A run of a workflow that failed."""
    return _above(
        "failed runs",
        0,
        workflow.apply(
            lambda name: _filter(
                "workflows.googleapis.com/finished_execution_count",
                _WORKFLOW,
                resource_workflow_id=name,
                metric_status="FAILED",
            )
        ),
    )


def no_run(workflow: pulumi.Output[str], hours: int) -> monitoring.AlertPolicyConditionArgs:
    """That no run of a workflow has ended for so many hours, and one more: nothing counted is none.

    A policy looks back over 25 hours at most. Metrics have other names in its language.
    https://cloud.google.com/monitoring/promql/promql-mapping
    """
    return monitoring.AlertPolicyConditionArgs(
        display_name=f"no run has ended for {hours + 1} h",
        condition_prometheus_query_language=monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs(
            query=workflow.apply(
                lambda name: (
                    f"(sum(increase({_FINISHED_RUNS}{{monitored_resource={json.dumps(_WORKFLOW)},"
                    f"workflow_id={json.dumps(name)}}}[{hours}h])) or vector(0)) < 1"
                )
            ),
            duration="3600s",
            evaluation_interval="300s",
            # There is no such metric before the first run.
            disable_metric_validation=True,
        ),
    )


def messages(topic: pulumi.Output[str]) -> monitoring.AlertPolicyConditionArgs:
    """A message on a topic where none means that all is well."""
    return _above(
        "messages published",
        0,
        topic.apply(
            lambda name: _filter(
                "pubsub.googleapis.com/topic/send_message_operation_count", "pubsub_topic", resource_topic_id=name
            )
        ),
    )


def waiting(subscription: pulumi.Output[str], seconds: int) -> monitoring.AlertPolicyConditionArgs:
    """A message that waits in a subscription for longer than this."""
    return _above(
        f"a message waits for more than {seconds} s",
        seconds,
        subscription.apply(
            lambda name: _filter(
                "pubsub.googleapis.com/subscription/oldest_unacked_message_age",
                "pubsub_subscription",
                resource_subscription_id=name,
            )
        ),
        "REDUCE_MAX",
        # It is an age, and no count.
        "ALIGN_MAX",
    )


def _above(
    meaning: str,
    threshold: float,
    filter_: pulumi.Output[str],
    reducer: str = "REDUCE_SUM",
    aligner: str = "ALIGN_DELTA",
) -> monitoring.AlertPolicyConditionArgs:
    return monitoring.AlertPolicyConditionArgs(
        display_name=meaning,
        condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter=filter_,
            aggregations=[_aggregation(reducer, aligner)],
            comparison="COMPARISON_GT",
            threshold_value=threshold,
            duration="0s",
        ),
    )


def _aggregation(
    reducer: str, aligner: str = "ALIGN_DELTA"
) -> monitoring.AlertPolicyConditionConditionThresholdAggregationArgs:
    return monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
        alignment_period=WINDOW, per_series_aligner=aligner, cross_series_reducer=reducer
    )


def _filter(metric: str, resource: str, **labels: str) -> str:
    """A filter of time series; a label's name begins with what has it, `resource_` or `metric_`."""
    parts = [f'metric.type="{metric}"', f'resource.type="{resource}"']
    for name, value in labels.items():
        owner, _, label = name.partition("_")
        parts.append(f'{owner}.labels.{label}="{value}"')
    return " AND ".join(parts)
