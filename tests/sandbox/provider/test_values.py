"""Property values on their way between the engine's messages and Python."""

import math
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime import rpc
from sandbox.provider.values import from_struct, to_struct
from sandbox.schema import UNKNOWN


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "Grüße, 世界",
        True,
        False,
        0,
        -7,
        2**53,
        0.25,
        [],
        [1, "a", [True, {"b": []}]],
        {},
        {"a": {"b": {"c": [1, 2]}}},
        UNKNOWN,
        [UNKNOWN, {"a": UNKNOWN}],
    ],
)
def test_values_come_back_as_they_were(value: Any) -> None:
    back = from_struct(to_struct({"value": value}))["value"]
    assert back == value
    assert type(back) is type(value)


def test_whole_numbers_are_whole_and_others_are_not() -> None:
    struct = Struct()
    struct.update({"whole": 3.0, "half": 0.5, "endless": math.inf})
    values = from_struct(struct)
    assert (values["whole"], type(values["whole"])) == (3, int)
    assert values["half"] == 0.5
    assert values["endless"] == math.inf


def test_null_is_left_out_of_objects_and_keeps_its_place_in_lists() -> None:
    struct = Struct()
    struct.update({"gone": None, "list": [1, None, 3], "object": {"gone": None, "here": 1}})
    assert from_struct(struct) == {"list": [1, None, 3], "object": {"here": 1}}
    assert from_struct(to_struct({"list": [None]})) == {"list": [None]}


def test_an_unknown_value_is_written_as_pulumi_itself_writes_it() -> None:
    assert to_struct({"id": UNKNOWN}).fields["id"] == Value(string_value=rpc.UNKNOWN)


@pytest.mark.parametrize("content", ["hunter2", 5, {"user": "a"}, ["a"], UNKNOWN])
def test_a_secret_is_taken_out_of_its_envelope(content: Any) -> None:
    secret = {rpc._special_sig_key: rpc._special_secret_sig, "value": content}
    assert from_struct(to_struct({"password": secret, "list": [secret]})) == {"password": content, "list": [content]}


def test_a_secret_without_a_value_is_no_value() -> None:
    struct = Struct()
    struct.update({"list": [{rpc._special_sig_key: rpc._special_secret_sig, "value": None}]})
    assert from_struct(struct) == {"list": [None]}


@pytest.mark.parametrize(
    ("envelope", "content"),
    [
        ({"value": "a", "secret": True, "dependencies": ["urn"]}, "a"),
        ({"value": {"b": 1}}, {"b": 1}),
        ({"dependencies": ["urn"]}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_an_output_is_its_value_or_unknown_if_it_has_none(envelope: dict[str, Any], content: Any) -> None:
    output = {rpc._special_sig_key: rpc._special_output_value_sig, **envelope}
    assert from_struct(to_struct({"from": output})) == {"from": content}


def test_an_asset_stays_as_it_is() -> None:
    asset = {rpc._special_sig_key: rpc._special_asset_sig, "text": "print()", "hash": "abc"}
    assert from_struct(to_struct({"code": asset})) == {"code": asset}
