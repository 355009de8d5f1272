"""Schemas of BigQuery tables: Avro types, nullability, nesting, versions of a contract, and the columns of features."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from ml_blueprints.gcp import feature_job, table_schema
from ml_blueprints.workload import Workload

WORKLOADS = sorted((Path(__file__).parents[3] / "stacks" / "workloads").glob("*.yaml"))


@pytest.mark.parametrize(
    ("avro", "type_", "mode"),
    [
        ("string", "STRING", "REQUIRED"),
        ("int", "INTEGER", "REQUIRED"),
        ("long", "INTEGER", "REQUIRED"),
        ("double", "FLOAT", "REQUIRED"),
        ("boolean", "BOOLEAN", "REQUIRED"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "TIMESTAMP", "REQUIRED"),
        (["null", {"type": "long", "logicalType": "timestamp-micros"}], "TIMESTAMP", "NULLABLE"),
        (["null", "double"], "FLOAT", "NULLABLE"),
        (["string", "null"], "STRING", "NULLABLE"),
        ({"type": "array", "items": "string"}, "STRING", "REPEATED"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "STRING", "REQUIRED"),
    ],
)
def test_an_avro_type_has_its_column(avro, type_, mode):
    assert table_schema.column("c", avro) == {"name": "c", "type": type_, "mode": mode}


def test_a_nested_record_is_a_nested_column():
    avro = {"type": "record", "name": "Place", "fields": [{"name": "country", "type": ["null", "string"]}]}
    assert table_schema.column("place", avro) == {
        "name": "place",
        "type": "RECORD",
        "mode": "REQUIRED",
        "fields": [{"name": "country", "type": "STRING", "mode": "NULLABLE"}],
    }


def test_descriptions_come_from_the_contract():
    assert table_schema.of_record({"fields": [{"name": "a", "type": "int", "doc": "Age."}]}) == [
        {"name": "a", "type": "INTEGER", "mode": "REQUIRED", "description": "Age."}
    ]


def version(*fields: tuple) -> dict:
    return {"type": "record", "name": "Event", "fields": [{"name": name, "type": avro} for name, avro in fields]}


def log(*versions: dict, arrivals: bool = False) -> dict[str, tuple[str, str]]:
    """The columns of a log of these versions of a contract, the last one in use."""
    contract = SimpleNamespace(published=dict(enumerate(versions, start=1)), record=versions[-1])
    return {column["name"]: (column["type"], column["mode"]) for column in table_schema.of_log(contract, arrivals)}


ID, AMOUNT, COUNTRY = ("id", "string"), ("amount", "double"), ("country", "string")


def test_a_log_may_lack_what_not_every_version_has():
    assert log(version(ID), version(ID, AMOUNT)) == {"id": ("STRING", "REQUIRED"), "amount": ("FLOAT", "NULLABLE")}


def test_a_log_keeps_its_columns_and_their_order_when_a_field_goes():
    columns = log(version(ID, AMOUNT, COUNTRY), version(COUNTRY, ID))
    assert columns == {"id": ("STRING", "REQUIRED"), "amount": ("FLOAT", "NULLABLE"), "country": ("STRING", "REQUIRED")}
    assert list(columns) == ["id", "amount", "country"]


def test_a_field_that_may_be_null_once_may_be_null_in_the_log():
    optional = ("amount", ["null", "double"])
    for versions in ((version(AMOUNT), version(optional)), (version(optional), version(AMOUNT))):
        assert log(*versions) == {"amount": ("FLOAT", "NULLABLE")}


def test_versions_are_merged_inside_of_nested_records_too():
    def place(*fields: tuple) -> tuple:
        return ("place", version(*fields))

    contract = SimpleNamespace(published={1: version(place(COUNTRY)), 2: version(place(COUNTRY, AMOUNT))})
    (column,) = table_schema.of_log(contract, arrivals=False)
    assert [(inner["name"], inner["mode"]) for inner in column["fields"]] == [
        ("country", "REQUIRED"),
        ("amount", "NULLABLE"),
    ]


def test_a_contract_without_a_history_has_the_columns_of_its_one_record():
    contract = SimpleNamespace(published={}, record=version(ID))
    assert table_schema.of_log(contract, arrivals=False) == [{"name": "id", "type": "STRING", "mode": "REQUIRED"}]


def test_a_log_of_a_stream_has_what_pubsub_writes_beside_the_event():
    assert list(log(version(ID), arrivals=True)) == [
        "subscription_name",
        "message_id",
        "publish_time",
        "attributes",
        "id",
    ]


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_features_have_the_columns_that_the_job_writes(path):
    workload = Workload.load(path)
    keys = feature_job.keys(workload)
    columns = table_schema.of_features(workload, keys)
    assert [column["name"] for column in columns] == [
        *keys,
        "arrived_at",
        *(feature.name for feature in workload.features.definitions),
    ]
    types = {column["name"]: column["type"] for column in columns}
    assert types[workload.data.event_time] == types["arrived_at"] == "TIMESTAMP"
    # Spark writes nothing else directly: its columns may be null, and so must those be that it writes to.
    assert {column["mode"] for column in columns} == {"NULLABLE"}
