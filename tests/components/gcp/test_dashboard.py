"""The page of a platform on Google Cloud: what is drawn is what the platform has."""

import json
import logging
from itertools import combinations

import pytest
from ml_blueprints.gcp import facts
from ml_pipelines.streaming.environment import LEARN
from ml_pipelines.streaming.watch import log

DASHBOARD = "gcp:monitoring/dashboard:Dashboard"
ALARM = "gcp:monitoring/alertPolicy:AlertPolicy"


@pytest.fixture
def page():
    """The page of a platform, as the API takes it."""

    def read(built) -> dict:
        (found,) = built.of_type(DASHBOARD)
        return json.loads(found.inputs["dashboardJson"])

    return read


def charts(page: dict) -> dict[str, list[dict]]:
    """What is drawn, by title."""
    widgets = [tile["widget"] for tile in page["mosaicLayout"]["tiles"]]
    return {
        widget["title"]: [line["timeSeriesQuery"]["timeSeriesFilter"] for line in widget["xyChart"]["dataSets"]]
        for widget in widgets
        if "xyChart" in widget
    }


def test_a_streaming_platform_shows_its_requests_events_runs_and_changes(streaming, page):
    drawn = charts(page(streaming))
    assert list(drawn) == [
        "Requests, by version",
        "Errors, by version",
        "Latency, 99th percentile, by version (µs)",
        "Oldest event that waits (s)",
        "Dead letters",
        "Runs that ended",
        "Looks for drift",
        "Drift that was found",
        "Changes in the stream",
    ]
    (requests,) = drawn["Requests, by version"]
    assert requests["aggregation"]["groupByFields"] == ["metric.label.deployed_model_id"]
    assert {"archive", "processor"} == {
        one["filter"].partition('subscription_id="fraud-detection-')[2].partition("-")[0]
        for one in drawn["Oldest event that waits (s)"]
    }


def test_each_endpoint_is_drawn_where_a_router_asks_them(hybrid, page):
    drawn = charts(page(hybrid))
    numbers = {one.inputs["name"] for one in hybrid.of_type("gcp:vertex/aiEndpoint:AiEndpoint")}
    assert len(numbers) == 2
    for title in ("Requests, by version", "Errors, by version"):
        asked = {one["filter"].partition('endpoint_id="')[2].rstrip('"') for one in drawn[title]}
        assert asked == numbers
    assert "Changes in the stream" not in drawn


def test_a_batch_has_runs_and_neither_requests_nor_events(batch, page):
    drawn = charts(page(batch))
    assert list(drawn) == ["Runs that ended", "Looks for drift", "Drift that was found"]
    workflows = {one["filter"].partition('workflow_id="credit-scoring-')[2] for one in drawn["Runs that ended"]}
    assert {name.partition("-")[0] for name in workflows} == {"features", "training", "retraining", "batch", "feedback"}


def test_all_alarms_and_the_way_to_spending_are_on_the_page(streaming, page):
    words, alarms = (tile["widget"] for tile in page(streaming)["mosaicLayout"]["tiles"][:2])
    assert sorted(alarms["incidentList"]["policyNames"]) == sorted(one.id for one in streaming.of_type(ALARM))
    (budget,) = streaming.of_type("gcp:billing/budget:Budget")
    assert f"/billing/{budget.inputs['billingAccount']}/budgets" in words["text"]["content"]


def test_nothing_on_the_page_lies_over_something_else(streaming, page):
    layout = page(streaming)["mosaicLayout"]
    places = [(tile.get("xPos", 0), tile.get("yPos", 0), tile["width"], tile["height"]) for tile in layout["tiles"]]
    assert all(x + width <= layout["columns"] for x, _, width, _ in places)
    for (x, y, width, height), (left, top, wide, high) in combinations(places, 2):
        assert x + width <= left or left + wide <= x or y + height <= top or top + high <= y


def test_lines_of_the_watch_over_the_stream_are_counted(streaming, named, caplog):
    metric = named(streaming, "gcp:logging/metric:Metric", "fraud-detection-changes").inputs
    told = {
        one["name"]: one["value"]
        for one in named(streaming, "gcp:cloudrunv2/service:Service", "fraud-detection-processor").inputs["template"][
            "containers"
        ][0]["envs"]
    }
    assert told["WATCH"] == LEARN
    assert 'service_name="fraud-detection-processor' in metric["filter"]
    with caplog.at_level(logging.WARNING):
        log.warning("drift: %s", "income changed")
    (record,) = caplog.records
    assert facts.CHANGE_LINE in logging.Formatter("%(levelname)s %(name)s: %(message)s").format(record)
    assert f'textPayload:"{facts.CHANGE_LINE}"' in metric["filter"]
