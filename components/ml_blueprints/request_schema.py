"""What a request for a score looks like, as the JSON schema by which a cloud's API refuses what is none.

Names and types are those of the workload's features and of its contract. What a model takes besides is in its manifest,
which the scoring service holds each value against; so that other names pass here.
"""

from typing import Any

from ml_blueprints.workload import Workload

# As the scoring service has them (`ml_pipelines.serving.protocols`).
MOST_ROWS = 1000
LONGEST_NAME = 1024

_FEATURES = {"integer": "integer", "float": "number", "string": "string", "boolean": "boolean"}
_PRIMITIVES = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "string": "string",
}


def request_schema(workload: Workload, nullable: bool = False) -> dict[str, Any]:
    """A request for one row, or for several as `instances`.

    nullable: how what may be missing says that it may be null: by OpenAPI 3.0's word, or else by a second type, as JSON
    Schema has it.
    """
    known = {
        field["name"]: _type_of(field["type"])
        for field in workload.data.contract.record["fields"]
        if field["name"] not in (workload.data.entity, workload.data.event_time)
    }
    known |= {feature.name: _FEATURES[feature.type] for feature in workload.features.definitions}
    text = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    one = {
        "entity": text,
        "event_id": text,
        "features": {
            "type": "object",
            "properties": {name: _missing(type_, nullable) if type_ else {} for name, type_ in known.items()},
        },
    }
    several = {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_ROWS,
        "items": {"type": "object", "properties": one},
    }
    return {"type": "object", "properties": {**one, "instances": several}}


def _type_of(avro: Any) -> str | None:
    """The JSON type of an Avro one; None for one of several, of parts, or that is written in more than one way."""
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch != "null"]
        return _type_of(branches[0]) if len(branches) == 1 else None
    if isinstance(avro, dict):
        if avro.get("type") == "enum":
            return "string"
        return None if "logicalType" in avro else _PRIMITIVES.get(avro.get("type", ""))
    return _PRIMITIVES.get(avro)


def _missing(type_: str, nullable: bool) -> dict[str, Any]:
    return {"type": type_, "nullable": True} if nullable else {"type": [type_, "null"]}
