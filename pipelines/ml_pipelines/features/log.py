"""The log of events: the fields of a contract, when each event arrived, and a string that sorts by arrival."""

import json
from collections.abc import Mapping
from typing import Any

from ml_pipelines.contracts import catalog

ARRIVED_AT = "arrived_at"
SEQUENCE = "sequence"

# Numbers are widened, so that every engine computes with the same 64 bits as Python does.
_TYPES = {
    "boolean": "boolean",
    "int": "int64",
    "long": "int64",
    "float": "float64",
    "double": "float64",
    "string": "string",
    "enum": "string",
}


def contract_schema(contract: str, version: int) -> dict[str, str]:
    """The fields of a contract and their Ibis types. Raises ValueError for a type that features can't be made of."""
    columns = {}
    for field in catalog.contract(contract).versions[version]["fields"]:
        columns[field["name"]] = _type(field["type"], f"contract {contract} version {version}, field `{field['name']}`")
    return columns


def _type(avro: Any, where: str) -> str:
    if isinstance(avro, list):
        options = [option for option in avro if option != "null"]
        if len(options) == 1:
            return _type(options[0], where)
    elif isinstance(avro, Mapping):
        if avro["type"] == "array":
            return f"array<{_type(avro['items'], where)}>"
        return _type(avro["type"], where)
    elif avro in _TYPES:
        return _TYPES[avro]
    raise ValueError(f"{where}: features can't be made of {json.dumps(avro)}; they can of {', '.join(_TYPES)}, arrays")
