"""The dashboard on Azure: a page with charts of what the platform has, and of nothing else."""

import json
import uuid

import pytest
from ml_pipelines.streaming import watch

WORKBOOK = "azure-native:applicationinsights:Workbook"


def parts(built) -> dict[str, dict]:
    """What is on the page, by title."""
    (page,) = built.of_type(WORKBOOK)
    document = json.loads(page.inputs["serializedData"])
    assert document["version"] == "Notebook/1.0"
    contents = [item["content"] for item in document["items"]]
    return {content["title"]: content for content in contents if "title" in content}


@pytest.mark.parametrize(
    ("platform", "of_requests", "of_events"),
    [
        ("streaming", ["all"], True),
        ("hybrid", ["all", "partners", "router"], True),
        ("batch", [], False),
    ],
)
def test_only_what_the_platform_has_is_shown(request, platform, of_requests, of_events):
    shown = parts(request.getfixturevalue(platform))
    expected = {f"Requests and failures: {whose}" for whose in of_requests}
    expected |= {f"Latency in ms, 50th and 99th percentile: {whose}" for whose in of_requests}
    expected |= {"Runs by experiment", "Looks for drift: those that found some failed", "Failed runs in time", "Alarms"}
    if of_events:
        expected |= {"Events and dead letters by hub", "Replicas of the event processor"}
        expected |= {"Memory of the online features in percent"}
    if platform == "streaming":
        expected |= {"Changes that the watch over the stream told"}
    assert set(shown) == expected


def test_charts_ask_the_platforms_logs_and_resources(streaming):
    shown = parts(streaming)
    (logs,) = streaming.of_type("azure-native:operationalinsights:Workspace")
    (namespace,) = streaming.of_type("azure-native:eventhub:Namespace")
    assert shown["Runs by experiment"]["crossComponentResources"] == [logs.id]
    events = shown["Events and dead letters by hub"]
    assert events["resourceIds"] == [namespace.id]
    assert {(one["metric"], one["splitBy"]) for one in events["metrics"]} == {
        ("microsoft.eventhub/namespaces--IncomingMessages", "EntityName"),
        ("microsoft.eventhub/namespaces--OutgoingMessages", "EntityName"),
    }
    group = streaming.named("azure-native:resources:ResourceGroup", "fraud-detection-platform")
    assert f"startswith '{group.id}/'" in shown["Alarms"]["query"]
    (page,) = streaming.of_type(WORKBOOK)
    assert page.inputs["sourceId"] == logs.id
    assert uuid.UUID(page.inputs["resourceName"])
    assert f"resource{group.id}/costanalysis" in page.inputs["serializedData"]


def test_looks_for_drift_are_those_of_all_checks(hybrid):
    query = parts(hybrid)["Looks for drift: those that found some failed"]["query"]
    assert "in ('delivery-eta-drift', 'delivery-eta-partners-drift')" in query


def test_changes_of_the_stream_are_counted_as_the_watch_logs_them(streaming):
    query = parts(streaming)["Changes that the watch over the stream told"]["query"]
    assert f"'processor-{streaming.platform.context.token}'" in query
    assert f"Log contains '{watch.log.name}: drift: '" in query
