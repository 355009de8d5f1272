"""One page of what a platform does: charts of what it has, and of nothing else, its alarms, and where to go from it.

The format is that of Cloud Monitoring (https://cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from ml_blueprints.gcp import metrics

# A page has 48 columns, of which a chart takes half.
COLUMNS, WIDTH, HEIGHT = 48, 24, 16
LINKS_HEIGHT = 8
PERIOD = "300s"


@dataclass(frozen=True)
class Line:
    """Lines of a chart: the filter of what is measured, how values of a time and of several series become one, and by
    which labels they stay apart."""

    filter: pulumi.Input[str]
    aligner: str = "ALIGN_DELTA"
    reducer: str = "REDUCE_SUM"
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A title, and what is drawn below it."""

    title: str
    lines: Sequence[Line]


def of_requests(asked: Sequence[metrics.Requests]) -> list[Chart]:
    """How much is asked, how much fails, and how long it takes, by version."""
    return [
        Chart("Requests, by version", [Line(one.all, by=(one.version,)) for one in asked]),
        Chart("Errors, by version", [Line(one.failed, by=(one.version,)) for one in asked]),
        *(
            Chart(
                f"Latency, 99th percentile, by version ({'ms' if unit == 1 else 'µs'})",
                [
                    Line(one.latency, reducer="REDUCE_PERCENTILE_99", by=(one.version,))
                    for one in asked
                    if one.milliseconds == unit
                ],
            )
            for unit in sorted({one.milliseconds for one in asked})
        ),
    ]


def of_waiting(subscriptions: Sequence[pulumi.Output[str]]) -> Chart:
    """How long the oldest event waits."""
    by = ("resource.label.subscription_id",)
    lines = [Line(metrics.waiting(one), "ALIGN_MAX", "REDUCE_MAX", by) for one in subscriptions]
    return Chart("Oldest event that waits (s)", lines)


def of_runs(title: str, workflows: Sequence[pulumi.Output[str]]) -> Chart:
    """Which runs have ended, and how."""
    by = ("resource.label.workflow_id", "metric.label.status")
    return Chart(title, [Line(metrics.finished_runs(one), by=by) for one in workflows])


def of_messages(title: str, topic: pulumi.Output[str]) -> Chart:
    """What is published to a topic."""
    return Chart(title, [Line(metrics.published(topic))])


def page(
    title: str,
    charts: Sequence[Chart],
    alarms: Sequence[pulumi.Input[str]],
    links: Mapping[str, pulumi.Input[str]],
    labels: Mapping[str, str],
) -> pulumi.Output[str]:
    """The page as JSON: where to go, what the alarms say (their resource names), and two charts in a row."""
    words = pulumi.Output.all(**links).apply(
        lambda urls: "\n".join(f"- [{name}]({url})" for name, url in sorted(urls.items()))
    )
    tiles = [
        _tile(0, 0, {"title": "Elsewhere", "text": {"content": words, "format": "MARKDOWN"}}, LINKS_HEIGHT),
        _tile(WIDTH, 0, {"title": "Alarms", "incidentList": {"policyNames": list(alarms)}}, LINKS_HEIGHT),
        *(
            _tile(WIDTH * (place % 2), LINKS_HEIGHT + HEIGHT * (place // 2), _chart(chart), HEIGHT)
            for place, chart in enumerate(charts)
        ),
    ]
    return pulumi.Output.json_dumps(
        {"displayName": title, "labels": dict(labels), "mosaicLayout": {"columns": COLUMNS, "tiles": tiles}}
    )


def _tile(x: int, y: int, widget: dict[str, Any], height: int) -> dict[str, Any]:
    """A place on the page; what is zero is left out, as the API does."""
    at = {name: place for name, place in (("xPos", x), ("yPos", y)) if place}
    return {**at, "width": WIDTH, "height": height, "widget": widget}


def _chart(chart: Chart) -> dict[str, Any]:
    sets = [
        {
            "plotType": "LINE",
            "targetAxis": "Y1",
            "timeSeriesQuery": {
                "timeSeriesFilter": {
                    "filter": line.filter,
                    "aggregation": {
                        "alignmentPeriod": PERIOD,
                        "perSeriesAligner": line.aligner,
                        "crossSeriesReducer": line.reducer,
                        **({"groupByFields": list(line.by)} if line.by else {}),
                    },
                }
            },
        }
        for line in chart.lines
    ]
    return {"title": chart.title, "xyChart": {"dataSets": sets, "chartOptions": {"mode": "COLOR"}}}
