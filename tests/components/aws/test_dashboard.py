"""The dashboard on AWS: widgets of what a platform has, each of which is there and seen whole."""

import itertools
import json

import pytest

PLATFORMS = ("streaming", "batch", "hybrid")


def widgets(built) -> list[dict]:
    (dashboard,) = built.of_type("aws:cloudwatch/dashboard:Dashboard")
    return json.loads(dashboard.inputs["dashboardBody"])["widgets"]


def graphs(built) -> dict[str, list]:
    return {
        one["properties"]["title"]: one["properties"]["metrics"] for one in widgets(built) if one["type"] == "metric"
    }


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nothing_lies_upon_another(request, platform):
    shown = widgets(request.getfixturevalue(platform))
    for one in shown:
        assert one["x"] + one["width"] <= 24
    for one, other in itertools.combinations(shown, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        below = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or below


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_alarm_that_tells_somebody_is_on_the_page(request, platform):
    built = request.getfixturevalue(platform)
    (page,) = (one for one in widgets(built) if one["type"] == "alarm")
    telling = [
        alarm.inputs.get("alarmName", alarm.id)
        for kind in ("metricAlarm:MetricAlarm", "compositeAlarm:CompositeAlarm")
        for alarm in built.of_type(f"aws:cloudwatch/{kind}")
        if any(":sns:" in action for action in alarm.inputs.get("alarmActions", []))
    ]
    shown = [arn.rpartition(":alarm:")[2] for arn in page["properties"]["alarms"]]
    assert sorted(shown) == sorted(telling)
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    assert len(shown) <= 100


def test_each_version_is_told_by_its_name(hybrid):
    of_all, canary, of_partners = (line[-1]["label"] for line in graphs(hybrid)["Requests"])
    assert of_all == "champion: gradient-boosting 4.0.0"
    assert canary == "canary: gradient-boosting 4.1.0"
    assert of_partners.startswith("champion-partners: ")


def test_a_page_has_only_what_its_platform_has(streaming, batch, hybrid):
    common = {"Failed runs", "Looks for drift that ended"}
    asked = {"Requests", "Server errors", "Latency, p99 in microseconds"}
    waiting = {
        "Events that wait for the processor, in milliseconds",
        "Events that wait for the archive, in seconds",
        "Dead letters",
    }
    assert set(graphs(batch)) == common
    assert set(graphs(streaming)) == common | asked | waiting | {"Changes in the stream"}
    assert set(graphs(hybrid)) == common | asked | waiting | {"Router: requests, errors, throttles"}
    assert {line[-1]["label"] for line in graphs(hybrid)["Failed runs"]} == {"retraining", "batch", "feedback"}


def test_changes_in_the_stream_are_counted_where_the_processor_logs_them(streaming, named):
    processor = named(streaming, "aws:lambda/function:Function", "fraud-detection-processor").inputs
    counted = named(streaming, "aws:cloudwatch/logMetricFilter:LogMetricFilter", "fraud-detection-changes").inputs
    assert processor["environment"]["variables"]["WATCH"] == "learn"
    assert counted["logGroupName"] == processor["loggingConfig"]["logGroup"]
    assert processor["loggingConfig"]["logFormat"] == "JSON"
    assert counted["pattern"] == '{ $.message = "drift: *" }'
    ((namespace, name, _),) = graphs(streaming)["Changes in the stream"]
    assert counted["metricTransformation"]["namespace"] == namespace
    assert counted["metricTransformation"]["name"] == name


def test_what_is_not_scored_from_a_stream_is_not_watched(hybrid, named):
    processor = named(hybrid, "aws:lambda/function:Function", "delivery-eta-processor").inputs
    assert "WATCH" not in processor["environment"]["variables"]
    assert not hybrid.of_type("aws:cloudwatch/logMetricFilter:LogMetricFilter")
