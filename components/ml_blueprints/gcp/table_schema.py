"""Schemas of BigQuery tables, computed from the workload: of the contract's records, and of the features."""

from typing import Any

from ml_blueprints.gcp import facts
from ml_blueprints.workload import Workload


def of_record(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The columns of a table that holds records of an Avro schema."""
    return [column(field["name"], field["type"], field.get("doc", "")) for field in record["fields"]]


def of_features(workload: Workload) -> list[dict[str, Any]]:
    """The columns of the table of features: the entity, when the values were valid, and one column per feature."""
    types = {field["name"]: field["type"] for field in workload.data.contract.record["fields"]}
    entity = workload.data.entity
    return [
        column(entity, types[entity], "Whom the features are about"),
        {"name": facts.FEATURE_TIME, "type": "TIMESTAMP", "mode": "REQUIRED"},
        *(
            {
                "name": feature.name,
                "type": facts.FEATURE_TYPES[feature.type],
                "mode": "NULLABLE",
                "description": feature.description,
            }
            for feature in workload.features.definitions
        ),
    ]


def column(name: str, avro: Any, description: str = "", mode: str = "REQUIRED") -> dict[str, Any]:
    """One column from an Avro field: a union with null may be null, an array is repeated, a record is nested.

    https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#avro_conversions
    """
    base = {"name": name, "mode": mode} | ({"description": description} if description else {})
    if isinstance(avro, list):
        return column(name, next(branch for branch in avro if branch != "null"), description, "NULLABLE")
    if isinstance(avro, dict):
        if avro.get("logicalType", "").startswith("timestamp"):
            return base | {"type": "TIMESTAMP"}
        if avro["type"] == "array":
            return column(name, avro["items"], description, "REPEATED")
        if avro["type"] == "record":
            return base | {"type": "RECORD", "fields": of_record(avro)}
        avro = avro["type"]
    return base | {"type": facts.COLUMN_TYPES.get(avro, "STRING")}
