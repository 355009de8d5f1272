"""The feature set as Azure's feature store takes it: types, how late features are there, and when they are kept."""

import json
from pathlib import Path

import pytest
from ml_blueprints.azure import feature_set
from ml_blueprints.azure.feature_set import index_type
from ml_blueprints.workload import Workload

WORKLOADS = Path(__file__).parents[3] / "stacks" / "workloads"


@pytest.mark.parametrize(
    ("avro", "type_"),
    [
        ("string", "String"),
        ("int", "Integer"),
        ("long", "Long"),
        ("double", "String"),
        ("bytes", "String"),
        (["null", "long"], "Long"),
        (["int", "null"], "Integer"),
        (["null", {"type": "long", "logicalType": "timestamp-millis"}], "Long"),
        ({"type": "string", "logicalType": "uuid"}, "String"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "String"),
    ],
)
def test_an_entitys_column_has_the_type_of_the_contract(avro, type_):
    record = {"fields": [{"name": "before", "type": "boolean"}, {"name": "entity", "type": avro}]}
    assert index_type(record, "entity") == type_


@pytest.fixture
def workload():
    """Fraud detection, with another schedule of its feature job."""

    def scheduled(expression: str) -> Workload:
        found = Workload.load(WORKLOADS / "fraud_detection.yaml")
        return found.model_copy(update={"features": found.features.model_copy(update={"schedule": expression})})

    return scheduled


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("0 0 * * *", 0),
        ("*/15 * * * *", 0),
        ("30 2 * * 1", 7),
        ("30 2 * * 1-5", 7),
        ("0 3 1 * *", 31),
        ("0 3 1 1 *", 366),
        ("0 3 * 6 *", 366),
    ],
)
def test_features_are_as_late_as_the_job_is_rare_and_as_events_may_be(workload, schedule, days):
    assert feature_set.delay(schedule) == {"days": days, "hours": 6, "minutes": 0}
    assert feature_set.since(schedule) == f"{days + 2}d"
    assert feature_set.specification(workload(schedule), "abfss://f@l/")["source"]["source_delay"]["days"] == days


@pytest.mark.parametrize(
    ("schedule", "hour", "minute"),
    [
        ("0 0 * * *", 4, 0),
        ("15 22 * * *", 2, 15),
        ("0 */6 * * *", 4, 0),
        ("*/10 1-3 * * *", 4, 0),
        ("5 20 * * 0", 0, 5),
    ],
)
def test_features_are_materialized_four_hours_after_the_job_began(workload, schedule, hour, minute):
    settings = feature_set.materialization(workload(schedule))
    assert (settings.schedule.schedule.hours, settings.schedule.schedule.minutes) == ([hour], [minute])


@pytest.mark.parametrize("name", [path.name for path in sorted(WORKLOADS.glob("*.yaml"))])
def test_every_workload_has_a_specification_with_its_entity_time_and_features(name):
    found = Workload.load(WORKLOADS / name)
    written = feature_set.specification(found, "abfss://features@lake/offline/")
    assert [feature["name"] for feature in written["features"]] == [one.name for one in found.features.definitions]
    assert {feature["type"] for feature in written["features"]} <= {"long", "double", "string", "boolean"}
    assert written["index_columns"][0]["name"] == found.data.entity
    assert written["source"]["timestamp_column"]["name"] == found.data.event_time
    assert written["source"]["kwargs"]["source_path"] == "abfss://features@lake/offline/"


def test_the_code_that_a_specification_names_is_published_where_it_says(workload):
    written = feature_set.specification(workload("0 0 * * *"), "abfss://features@lake/offline/")
    files = feature_set.files(written)
    named = written["source"]["source_process_code"]
    module, _, class_ = named["process_class"].partition(".")
    assert f"class {class_}:" in files[f"{named['path'].removeprefix('./')}/{module}.py"]
    assert json.loads(files["FeatureSetSpec.yaml"]) == written
