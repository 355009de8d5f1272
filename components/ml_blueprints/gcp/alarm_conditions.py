"""Conditions of alert policies: what is counted (metrics.py), over which time, and what is too much."""

import json

import pulumi
from pulumi_gcp import monitoring

from ml_blueprints.gcp import metrics

WINDOW = "300s"

_FINISHED_RUNS = "workflows_googleapis_com:finished_execution_count"


def error_rate(requests: metrics.Requests, objective: float) -> monitoring.AlertPolicyConditionArgs:
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


def latency(requests: metrics.Requests, milliseconds: int) -> monitoring.AlertPolicyConditionArgs:
    """The 99th percentile of the time that requests take, above an objective."""
    return _above(
        f"99th percentile of the latency above {milliseconds} ms",
        milliseconds * requests.milliseconds,
        requests.latency,
        "REDUCE_PERCENTILE_99",
    )


def failed_runs(workflow: pulumi.Output[str]) -> monitoring.AlertPolicyConditionArgs:
    """A run of a workflow that failed."""
    return _above("failed runs", 0, metrics.finished_runs(workflow, metric_status="FAILED"))


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
                    f"(sum(increase({_FINISHED_RUNS}{{monitored_resource={json.dumps(metrics.WORKFLOW)},"
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
    return _above("messages published", 0, metrics.published(topic))


def waiting(subscription: pulumi.Output[str], seconds: int) -> monitoring.AlertPolicyConditionArgs:
    """A message that waits in a subscription for longer than this, which is an age, and no count."""
    meaning = f"a message waits for more than {seconds} s"
    return _above(meaning, seconds, metrics.waiting(subscription), "REDUCE_MAX", "ALIGN_MAX")


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
