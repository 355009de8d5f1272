"""Schemas of BigQuery tables: Avro types, nullability, nesting, and the columns of features."""

from pathlib import Path

import pytest
from ml_blueprints.gcp import table_schema
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


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_features_have_their_entity_their_time_and_one_column_each(path):
    workload = Workload.load(path)
    columns = table_schema.of_features(workload)
    assert columns[0]["name"] == workload.data.entity
    assert columns[1] == {"name": "feature_timestamp", "type": "TIMESTAMP", "mode": "REQUIRED"}
    assert [column["name"] for column in columns[2:]] == [feature.name for feature in workload.features.definitions]
