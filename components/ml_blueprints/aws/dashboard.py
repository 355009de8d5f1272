"""The dashboard on AWS: what is asked and answered, what waits, what ran, and which alarms are on, on one page.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import sagemaker

from ml_blueprints.aws.serving import Serving
from ml_blueprints.layers import Context

# Where money that was spent is told.
SPENDING = "https://console.aws.amazon.com/costmanagement/home#/budgets"

# The namespace of pipelines' metrics in its own spelling, in which the case counts.
# https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
RUNS = "AWS/Sagemaker/ModelBuildingPipeline"

_COLUMNS, _WIDTH, _HEIGHT = 24, 8, 6


@dataclass(frozen=True)
class Counted:
    """A metric without dimensions, which is made of lines of a log."""

    namespace: str
    name: str


def body(
    context: Context,
    region: pulumi.Input[str],
    serving: Serving,
    dead_letters: pulumi.Input[str] | None,
    changes: Counted | None,
    pipelines: Mapping[str, sagemaker.Pipeline],
    looks: Mapping[str, sagemaker.Pipeline],
    alarms: Sequence[pulumi.Input[str]],
) -> pulumi.Output[str]:
    """The text of a dashboard with widgets of what a platform has.

    dead_letters: the queue's name; changes: what the watch over the stream has told; pipelines, looks (for drift): by
    what they are called on the page; alarms: ARNs.
    """
    failed = [RUNS, "ExecutionFailed", "PipelineName"]
    shown = [
        *_answers(serving),
        *_stream(serving, dead_letters, changes),
        _graph(
            "Failed runs",
            "Sum",
            [[*failed, one.pipeline_name, _as(name)] for name, one in pipelines.items()],
        ),
        _graph(
            "Looks for drift that ended",
            "Sum",
            [
                [RUNS, f"Execution{how}", "PipelineName", one.pipeline_name, _as(f"{name}: {said}")]
                for name, one in looks.items()
                for how, said in (("Succeeded", "no drift"), ("Failed", "drift, or broken"))
            ],
        ),
    ]
    told = f"# {context.name}\n{context.workload.description.strip()}\n\n[What is spent]({SPENDING})"
    widgets = [
        {"type": "text", "x": 0, "y": 0, "width": _WIDTH, "height": _HEIGHT, "properties": {"markdown": told}},
        {
            "type": "alarm",
            "x": _WIDTH,
            "y": 0,
            "width": _COLUMNS - _WIDTH,
            "height": _HEIGHT,
            "properties": {"title": "Alarms", "alarms": list(alarms)},
        },
    ]
    across = _COLUMNS // _WIDTH
    for place, properties in enumerate(shown):
        at = {"x": place % across * _WIDTH, "y": (place // across + 1) * _HEIGHT, "width": _WIDTH, "height": _HEIGHT}
        widgets.append({"type": "metric", **at, "properties": properties | {"region": region}})
    return pulumi.Output.json_dumps({"widgets": widgets})


def _answers(serving: Serving) -> Iterator[dict[str, Any]]:
    """What each version is asked, fails at, and takes; and the router before them."""
    for title, metric, how in (
        ("Requests", "Invocations", "Sum"),
        ("Server errors", "Invocation5XXErrors", "Sum"),
        ("Latency, p99 in microseconds", "ModelLatency", "p99"),
    ):
        lines = [
            [
                *("AWS/SageMaker", metric, "EndpointName", endpoint.endpoint.name, "VariantName", variant.name),
                _as(f"{endpoint.fleet.part(variant.name)}: {variant.models[0].name} {variant.models[0].version}"),
            ]
            for endpoint in serving.endpoints.values()
            for variant in endpoint.fleet.live
        ]
        if lines:
            yield _graph(title, how, lines)
    if serving.router is not None:
        function = ("FunctionName", serving.router.function.name)
        yield _graph(
            "Router: requests, errors, throttles",
            "Sum",
            [["AWS/Lambda", metric, *function] for metric in ("Invocations", "Errors", "Throttles")],
        )


def _stream(
    serving: Serving, dead_letters: pulumi.Input[str] | None, changes: Counted | None
) -> Iterator[dict[str, Any]]:
    if serving.stream_processor is not None:
        processor = ["AWS/Lambda", "IteratorAge", "FunctionName", serving.stream_processor.name]
        yield _graph("Events that wait for the processor, in milliseconds", "Maximum", [[*processor, _as("age")]])
        archive = ["AWS/Firehose", "DeliveryToS3.DataFreshness", "DeliveryStreamName", serving.archive.delivery.name]
        yield _graph("Events that wait for the archive, in seconds", "Maximum", [[*archive, _as("age")]])
    if dead_letters is not None:
        letters = ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", dead_letters]
        yield _graph("Dead letters", "Maximum", [[*letters, _as("letters")]])
    if changes is not None:
        yield _graph("Changes in the stream", "Sum", [[changes.namespace, changes.name, _as("changes")]])


def _as(label: str) -> dict[str, str]:
    return {"label": label}


def _graph(title: str, how: str, lines: list[list[Any]]) -> dict[str, Any]:
    return {"title": title, "stat": how, "period": 300, "view": "timeSeries", "metrics": lines}
