"""Records of any contract, drawn at random by its schema."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import strategies as st
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.values import EARLIEST, LATEST

VERSIONS = [(name, version) for name in catalog.names() for version in catalog.contract(name).versions]

_PRIMITIVES: Mapping[str, st.SearchStrategy] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(),
    "bytes": st.binary(),
}


def values(avro: Any) -> st.SearchStrategy:
    """Values of an Avro type."""
    if isinstance(avro, list):
        return st.one_of([values(branch) for branch in avro])
    if isinstance(avro, str):
        return _PRIMITIVES[avro]
    match avro["type"]:
        case "record":
            return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in avro["fields"]})
        case "array":
            return st.lists(values(avro["items"]), max_size=5)
        case "map":
            return st.dictionaries(st.text(), values(avro["values"]), max_size=5)
        case "enum":
            return st.sampled_from(avro["symbols"])
        case "fixed":
            return st.binary(min_size=avro["size"], max_size=avro["size"])
    if avro.get("logicalType") == "timestamp-millis":
        return st.integers(EARLIEST, LATEST)
    return _PRIMITIVES[avro["type"]]


@pytest.fixture
def records() -> Callable[[Mapping[str, Any]], st.SearchStrategy]:
    """The strategy of a schema's records."""
    return values


@pytest.fixture
def payment() -> dict[str, Any]:
    """A card payment by version 2."""
    return {
        "event_id": "e-1",
        "card_id": "c-1",
        "event_time": 1_700_000_000_000,
        "amount": 12.5,
        "currency": "EUR",
        "merchant_id": "m-1",
        "merchant_category": "5411",
        "country": "DE",
        "card_present": True,
        "channel": "chip",
    }
