"""Schemas of BigQuery tables, computed from the workload: of the contract's records, and of the features."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_blueprints.gcp import facts
from ml_blueprints.workload import Contract, Workload

Columns = list[dict[str, Any]]


def of_log(contract: Contract, arrivals: bool) -> Columns:
    """The columns of the table that keeps events of all versions of a contract, with their arrival where it is told.

    A table takes new columns, and may allow for nothing where it didn't; it loses none and asks for no more than
    before (https://cloud.google.com/bigquery/docs/managing-table-schemas). So a field that not every version has, or
    not always, may be missing, and what an earlier version had stays.
    """
    columns: Columns = []
    for number, record in enumerate(contract.published.values() or (contract.record,)):
        columns = merged(columns, of_record(record)) if number else of_record(record)
    return (_arrival_columns() if arrivals else []) + columns


def of_record(record: Mapping[str, Any]) -> Columns:
    """The columns of a table that holds records of an Avro schema."""
    return [column(field["name"], field["type"], field.get("doc", "")) for field in record["fields"]]


def of_features(workload: Workload, keys: Sequence[str]) -> Columns:
    """The columns of the table of features: what tells an event, when it arrived, and one column per feature.

    All may be missing as far as the table is concerned, since Spark writes no others by the Storage Write API.
    """
    types = {field["name"]: field["type"] for field in workload.data.contract.record["fields"]}
    return [
        *(column(key, types[key], mode="NULLABLE") for key in keys),
        {"name": facts.ARRIVED_AT, "type": "TIMESTAMP", "mode": "NULLABLE", "description": "When the event arrived"},
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


def merged(older: Columns, newer: Columns) -> Columns:
    """The columns that hold rows of both: the older in their order, then what is new."""
    before, after = ({column["name"]: column for column in columns} for columns in (older, newer))
    return [
        *(_both(column, after[name]) if name in after else _optional(column) for name, column in before.items()),
        *(_optional(column) for name, column in after.items() if name not in before),
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


def _arrival_columns() -> Columns:
    return [{"name": name, "type": type_, "mode": "NULLABLE"} for name, type_ in facts.ARRIVAL_COLUMNS.items()]


def _both(older: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    if "NULLABLE" in (older["mode"], newer["mode"]):
        newer = _optional(newer)
    if "fields" in older and "fields" in newer:
        return newer | {"fields": merged(older["fields"], newer["fields"])}
    return newer


def _optional(column: dict[str, Any]) -> dict[str, Any]:
    return column | {"mode": "NULLABLE"} if column["mode"] == "REQUIRED" else column
