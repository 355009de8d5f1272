"""The pages of the architectures: boxes and arrows of given states; that they are fresh, tests/stacks checks."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from docs import architectures
from ml_blueprints.capabilities import CAPABILITIES, Layer
from ml_blueprints.layers import Zone
from ml_blueprints.workload import ArchitectureKind

# What the pages don't draw: what stands around the data, and how models and the platform itself are made.
NOT_ON_THE_WAY = {
    *("image-registry", "experiment-tracking", "model-signing", "workbench"),
    *("budget", "autoscaling", "federated-deployment"),
    # Ways of requests, which bring no data into the lake, and what holds or divides them.
    *("router", "api", "tenant-quotas", "dedicated-placement", "automatic-rollback"),
    *("asynchronous-scoring", "ensemble"),
    # What people look at, and what tells of monitors.
    *("silence", "error-budget", "dashboard", "usage", "model-quality", "audit-trail", "state-backend"),
    "stack-deployment",
}

TYPES = {
    "stream": "aws:kinesis/stream:Stream",
    "bucket": "aws:s3/bucket:Bucket",
    "table": "aws:glue/catalogTable:CatalogTable",
    "queue": "aws:sqs/queue:Queue",
    "mapping": "aws:lambda/eventSourceMapping:EventSourceMapping",
    "function": "aws:lambda/function:Function",
    "role": "aws:iam/role:Role",
    "grant": "aws:iam/rolePolicy:RolePolicy",
    "group": "aws:sagemaker/featureGroup:FeatureGroup",
    "endpoint": "aws:sagemaker/endpoint:Endpoint",
    "pipeline": "aws:sagemaker/pipeline:Pipeline",
    "alarm": "aws:cloudwatch/metricAlarm:MetricAlarm",
    "schedule": "aws:scheduler/schedule:Schedule",
}


def urn(name: str) -> str:
    """`kind:name` -> the URN of such a resource."""
    kind, _, rest = name.partition(":")
    return f"urn:pulumi:aws-streaming::ml-blueprints::ml-blueprints:aws:Layer${TYPES[kind]}::fraud-{rest}"


def state(refers: Mapping[str, list[str]], waits: Mapping[str, list[str]], **realised: list[str]) -> Mapping[str, Any]:
    """The state of a stack: what refers to what, what waits for what, and what realises each capability."""
    names = {
        *refers,
        *waits,
        *(name for named in (*refers.values(), *waits.values(), *realised.values()) for name in named),
    }
    resources = [
        {
            "urn": urn(name),
            "type": TYPES[name.partition(":")[0]],
            "dependencies": [urn(other) for other in (*refers.get(name, ()), *waits.get(name, ()))],
            "propertyDependencies": {"one": [urn(other) for other in refers.get(name, ())], "two": None},
        }
        for name in sorted(names)
    ]
    capabilities = {name.replace("_", "-"): [urn(one) for one in named] for name, named in realised.items()}
    outputs = {"workload": "fraud", "capabilities": capabilities}
    stack = {"urn": "urn:pulumi:s::p::pulumi:pulumi:Stack::s", "type": "pulumi:pulumi:Stack", "outputs": outputs}
    return {"deployment": {"resources": [stack, *resources]}}


def arrows(found: architectures.Way) -> set[tuple[str, str]]:
    """The arrows by the names of the resources at their ends."""
    return {(", ".join(found.boxes[left]), ", ".join(found.boxes[right])) for left, right in found.arrows}


def test_a_reference_by_way_of_what_is_not_drawn_is_an_arrow():
    found = architectures.way(
        state(
            {"mapping:processor": ["stream:events", "function:f"], "function:f": ["group:online", "role:r"]},
            {},
            stream_ingest=["stream:events"],
            stream_scoring=["mapping:processor"],
            online_features=["group:online"],
        )
    )
    assert arrows(found) == {("events", "processor"), ("processor", "online")}


def test_a_reference_ends_at_the_first_box():
    found = architectures.way(
        state(
            {"endpoint:e": ["group:online"], "group:online": ["bucket:features"]},
            {},
            real_time_scoring=["endpoint:e"],
            online_features=["group:online"],
            data_lake=["bucket:features"],
        )
    )
    assert arrows(found) == {("features", "online"), ("online", "e")}


def test_rights_count_for_what_acts_and_not_for_stores():
    rights = {"grant:g": ["bucket:raw"]}
    waits = {"schedule:job": ["grant:g"], "group:store": ["grant:g"]}
    realised = {
        "feature_engineering": ["schedule:job"],
        "offline_features": ["group:store"],
        "data_lake": ["bucket:raw"],
    }
    assert arrows(architectures.way(state(rights, waits, **realised))) == {("raw", "job")}


def test_what_ties_just_two_boxes_is_an_arrow():
    refers = {"function:tie": ["table:raw", "function:version"], "function:version": ["bucket:raw"]}
    found = architectures.way(state(refers, {}, data_catalog=["table:raw"], data_lake=["bucket:raw"]))
    assert arrows(found) == {("raw", "raw")}


@pytest.mark.parametrize(
    "refers",
    [
        {"grant:g": ["table:raw", "bucket:raw"]},
        {"function:f": ["table:raw", "bucket:raw", "queue:dead"]},
        {"function:f": ["table:raw", "bucket:raw"], "queue:dead": ["function:f"]},
    ],
    ids=["rights", "three", "a part of another box"],
)
def test_what_does_more_or_gives_rights_ties_nothing(refers):
    found = architectures.way(
        state(refers, {}, data_catalog=["table:raw"], data_lake=["bucket:raw"], dead_letters=["queue:dead"])
    )
    assert ("raw", "raw") not in arrows(found)


def test_what_leads_back_does():
    found = architectures.way(
        state(
            {"schedule:anew": ["pipeline:training", "bucket:models"], "queue:dead": ["bucket:raw"]},
            {},
            retraining_trigger=["schedule:anew"],
            retraining_pipeline=["pipeline:training"],
            dead_letters=["queue:dead"],
            data_lake=["bucket:raw", "bucket:models"],
        )
    )
    assert arrows(found) == {("anew", "training"), ("dead", "raw")}


def test_alarms_watch_what_acts_and_no_lake():
    found = architectures.way(
        state(
            {"alarm:a": ["bucket:raw", "endpoint:e"]},
            {},
            alarms=["alarm:a"],
            real_time_scoring=["endpoint:e"],
            data_lake=["bucket:raw"],
        )
    )
    assert arrows(found) == {("e", "a")}


def test_resources_of_a_type_share_a_box_but_zones_do_not():
    found = architectures.way(
        state({}, {}, alarms=["alarm:a", "alarm:b", "alarm:c"], data_lake=["bucket:raw", "bucket:models"])
    )
    assert sorted(found.boxes.values()) == [["a", "b", "c"], ["models"], ["raw"]]
    assert '["a and 2 more<br/><i>cloudwatch.MetricAlarm</i>"]' in "\n".join(architectures.diagram(found))


def test_a_resource_of_several_capabilities_stands_where_the_data_comes_first():
    found = architectures.way(state({}, {}, stream_archive=["stream:events"], stream_ingest=["stream:events"]))
    (box,) = found.boxes
    assert box.capabilities == ("stream-ingest", "stream-archive")


def test_the_foundation_is_not_drawn():
    assert not architectures.way(state({}, {}, identity_per_purpose=["role:r"])).boxes


def test_every_capability_is_a_step_or_stands_around():
    drawn = {name.partition(":")[0] for step in architectures.STEPS for name in step.capabilities}
    around = {name for name, one in CAPABILITIES.items() if one.layer is Layer.FOUNDATION} | NOT_ON_THE_WAY
    assert drawn | around == set(CAPABILITIES)
    assert not drawn & around


def test_every_zone_of_the_lake_is_a_step():
    assert all(
        any(f"data-lake: {zone}" in step.capabilities for step in architectures.STEPS) for zone in Zone
    )  # fmt: skip


@pytest.fixture
def page() -> str:
    """The page of an architecture with the same three resources everywhere."""
    same = state(
        {"table:raw": ["bucket:raw"], "endpoint:e": ["bucket:models"]},
        {},
        data_lake=["bucket:raw", "bucket:models"],
        data_catalog=["table:raw"],
        real_time_scoring=["endpoint:e"],
    )
    return architectures.page(ArchitectureKind.BATCH, dict.fromkeys(architectures.CLOUDS, same))


def test_a_page_has_a_diagram_for_each_cloud_with_its_columns_in_order(page):
    diagrams = re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL)
    assert len(diagrams) == 3
    for text in diagrams:
        assert re.findall(r"subgraph (\w+)", text) == ["Archive", "Train", "Serve"]
        assert re.findall(r"(box\d) --> (box\d)", text) == [("box0", "box1"), ("box2", "box3")]
        assert re.findall(r"(box\d) ~~~ (.*)", text) == [("box0", "box2"), ("box2", "box3")]


def test_a_page_tells_each_step_and_what_does_it_on_each_cloud(page):
    for step in architectures.STEPS:
        assert f"**{step.title}.** {step.text}" in page
    assert "| Archive | data-catalog | `glue.CatalogTable` | `glue.CatalogTable` | `glue.CatalogTable` |" in page
    assert f"- **data-lake**: {CAPABILITIES['data-lake'].sentence}" in page
    assert "stream-ingest" not in page


def test_what_a_cloud_lacks_is_said():
    has, lacks = state({}, {}, data_catalog=["table:raw"]), state({}, {})
    page = architectures.page(ArchitectureKind.BATCH, {"aws": has, "gcp": lacks, "azure": lacks})
    assert "| Archive | data-catalog | `glue.CatalogTable` | none | none |" in page
