"""Events to bytes and back: every value survives, versions are resolved, and whatever is wrong has its reason."""

import io
import json
import math
import struct
import tracemalloc

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.catalog import Contract
from ml_pipelines.contracts.codec import HEADER, MARKER, MAXIMUM_BYTES, Codec, ContractError, Reason
from ml_pipelines.contracts.values import LATEST, SchemaError

VERSIONS = [(name, version) for name in catalog.names() for version in catalog.contract(name).versions]
EVERYTHING = {
    "type": "record",
    "name": "Everything",
    "namespace": "tests",
    "fields": [
        {"name": "whole", "type": "int"},
        {"name": "real", "type": "float"},
        {"name": "raw", "type": "bytes"},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
        {"name": "amounts", "type": {"type": "map", "values": ["null", "double"]}},
        {"name": "place", "type": ["null", {"type": "record", "name": "Place", "fields": [
            {"name": "latitude", "type": "double"},
            {"name": "seen", "type": {"type": "array", "items": {"type": "long", "logicalType": "timestamp-millis"}}},
        ]}], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "again", "type": "Kind"},
        {"name": "either", "type": ["null", "string", "double", "int"]},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    ],
}  # fmt: skip
WHOLE = {
    "whole": 7,
    "real": 0.5,
    "raw": b"\x00\xff",
    "hash": b"abcd",
    "amounts": {"a": 1.5, "b": None},
    "place": {"latitude": 52.5, "seen": [0, 1]},
    "kind": "A",
    "again": "B",
    "either": "x",
    "day": 19_000,
}


def codec(name: str, version: int, **options: int) -> Codec:
    return Codec(catalog.contract(name), version, **options)


def of(*versions: dict, reader: int = 1) -> Codec:
    """A codec of a contract that only this test knows."""
    return Codec(Contract("tested", dict(enumerate(versions, start=1))), reader)


def record(*fields: dict) -> dict:
    return {"type": "record", "name": "Tested", "fields": list(fields)}


def refused(call, *arguments) -> ContractError:
    with pytest.raises(ContractError) as error:
        call(*arguments)
    assert str(error.value) == f"{error.value.reason}: {error.value.detail}"
    return error.value


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_every_record_of_every_contract_survives(name, version, records):
    tested = codec(name, version)

    @settings(deadline=None, max_examples=50)
    @given(records(tested.contract.versions[version]))
    def survives(event):
        payload = tested.encode(event)
        assert payload[:2] == MARKER
        assert tested.decode(payload) == event
        assert tested.decode_body(payload[HEADER:], version) == event

    survives()


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_bytes_are_those_of_fastavro_with_the_header_of_the_specification(name, version, records):
    tested = codec(name, version)

    @settings(deadline=None, max_examples=20)
    @given(records(tested.contract.versions[version]))
    def alike(event):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(dict(tested.contract.versions[version])), event)
        assert tested.encode(event) == MARKER + tested.contract.fingerprint(version) + out.getvalue()

    alike()


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_whatever_comes_in_nothing_but_a_contract_error_comes_out(name, version, records):
    tested = codec(name, version)
    told: list[Reason] = []

    def take(payload: bytes) -> None:
        for attempt in (
            tested.decode,
            lambda b: tested.decode_body(b, version),
            lambda b: tested.decode_json(b, version),
        ):
            try:
                event = attempt(payload)
            except ContractError as error:
                told.append(error.reason)
            else:
                # What comes through is worth writing again: it is by the contract.
                tested.encode(event)

    header = MARKER + tested.contract.fingerprint(version)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=200))
    def random_bytes(noise):
        take(noise)
        take(header + noise)

    @settings(deadline=None, max_examples=50)
    @given(records(tested.contract.versions[version]), st.data())
    def damaged(event, data):
        payload = bytearray(tested.encode(event))
        take(bytes(payload[: data.draw(st.integers(0, len(payload) - 1))]))
        for _ in range(data.draw(st.integers(1, 8))):
            bit = data.draw(st.integers(0, 8 * len(payload) - 1))
            payload[bit // 8] ^= 1 << bit % 8
        take(bytes(payload))

    random_bytes()
    damaged()
    assert {Reason.TRUNCATED, Reason.UNKNOWN_SCHEMA} <= {*told}


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_an_event_cut_anywhere_is_truncated(name, version, records):
    tested = codec(name, version)

    @settings(deadline=None, max_examples=10)
    @given(records(tested.contract.versions[version]))
    def cut(event):
        payload = tested.encode(event)
        for length in range(len(payload)):
            assert refused(tested.decode, payload[:length]).reason is Reason.TRUNCATED

    cut()


def test_an_older_version_gets_the_default_and_a_newer_one_is_read_without_its_field(payment):
    old, new = codec("card_transaction", 1), codec("card_transaction", 2)
    first = {name: value for name, value in payment.items() if name != "channel"}
    assert new.decode(old.encode(first)) == {**first, "channel": "unknown"}
    assert old.decode(new.encode(payment)) == first
    assert new.encode(first, version=1) == old.encode(first)


def test_a_missing_field_with_a_default_is_written_as_the_default(payment):
    del payment["channel"]
    tested = codec("card_transaction", 2)
    assert tested.decode(tested.encode(payment)) == {**payment, "channel": "unknown"}


def test_types_are_promoted_and_symbols_have_defaults():
    first = record(
        {"name": "a", "type": "int"},
        {"name": "b", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}},
        {"name": "gone", "type": "double"},
    )
    second = record(
        {"name": "a", "type": ["null", "double"]},
        {"name": "b", "type": {"type": "enum", "name": "E", "symbols": ["X"], "default": "X"}},
        {"name": "c", "type": "bytes", "default": "\u00ff"},
        {"name": "d", "type": "double", "default": 1},
        {"name": "e", "type": record({"name": "x", "type": "int", "default": 4}) | {"name": "Inner"}, "default": {}},
        {"name": "f", "type": {"type": "array", "items": "string"}, "default": []},
    )
    tested = of(first, second, reader=2)
    event = tested.decode(tested.encode({"a": 3, "b": "Y", "gone": 0.0}, version=1))
    assert event == {"a": 3.0, "b": "X", "c": b"\xff", "d": 1.0, "e": {"x": 4}, "f": []}
    assert isinstance(event["a"], float)
    assert isinstance(event["d"], float)


def test_what_a_reader_leaves_out_is_looked_at_too():
    tested = of(
        record({"name": "a", "type": "int"}, {"name": "b", "type": "double"}),
        record({"name": "a", "type": "int"}),
        reader=2,
    )
    header = MARKER + tested.contract.fingerprint(1)
    assert tested.decode(header + b"\x02" + struct.pack("<d", 0.5)) == {"a": 1}
    assert refused(tested.decode, header + b"\x02" + struct.pack("<d", math.nan)).reason is Reason.NOT_FINITE
    assert refused(tested.decode, header + b"\x02" + bytes(7)).reason is Reason.TRUNCATED


def test_versions_that_cannot_be_resolved_are_a_wrong_type():
    tested = of(record({"name": "a", "type": "string"}), record({"name": "a", "type": "int"}), reader=2)
    error = refused(tested.decode, tested.encode({"a": "x"}, version=1))
    assert error.reason is Reason.WRONG_TYPE
    assert "version 1 can't be read as version 2" in error.detail


def test_versions_that_are_written_alike_are_read_by_the_readers_own():
    """A default changes nothing of what is written, so that both versions have one fingerprint."""
    first = record({"name": "a", "type": "int"})
    second = record({"name": "a", "type": "int", "default": 5})
    tested = of(first, second)
    assert tested.contract.fingerprint(1) == tested.contract.fingerprint(2)
    for version in (1, 2):
        assert tested.decode(tested.encode({"a": 3}, version)) == {"a": 3}


def test_every_type_survives():
    tested = of(EVERYTHING)
    assert tested.decode(tested.encode(WHOLE)) == WHOLE


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"whole": 2**31}, Reason.OUT_OF_RANGE, "field `whole` is 2147483648; from -2147483648 to 2147483647"),
        ({"whole": True}, Reason.WRONG_TYPE, "field `whole` is a value of type bool, a int is expected"),
        ({"whole": 1.0}, Reason.WRONG_TYPE, "type float"),
        ({"whole": None}, Reason.WRONG_TYPE, "field `whole` is nothing"),
        ({"real": "1"}, Reason.WRONG_TYPE, "type str"),
        ({"real": math.inf}, Reason.NOT_FINITE, "field `real` is inf"),
        ({"real": 1e39}, Reason.OUT_OF_RANGE, "field `real` is 1.000e+39"),
        ({"real": 10**400}, Reason.OUT_OF_RANGE, "field `real` is too large"),
        ({"raw": "text"}, Reason.WRONG_TYPE, "field `raw` is a value of type str, a bytes is expected"),
        ({"hash": b"abc"}, Reason.WRONG_TYPE, "field `hash` has 3 bytes, 4 are expected"),
        ({"amounts": {"a": math.nan}}, Reason.NOT_FINITE, "field `amounts.a` is nan"),
        ({"amounts": {1: 1.0}}, Reason.WRONG_TYPE, "field `amounts` has the key 1, text is expected"),
        ({"amounts": {"\ud800": 1.0}}, Reason.INVALID_UTF8, "field `amounts` holds U+D800"),
        ({"amounts": {"a": "x"}}, Reason.WRONG_TYPE, "field `amounts.a` is a value of type str"),
        ({"place": {"latitude": 1.0}}, Reason.MISSING_FIELD, "Place needs `place.seen`"),
        ({"place": {"latitude": 1.0, "seen": [], "x": 1}}, Reason.EXTRA_FIELD, "Place has no field `place.x`"),
        ({"place": {"latitude": 1.0, "seen": [LATEST + 1]}}, Reason.OUT_OF_RANGE, "field `place.seen[0]`"),
        ({"kind": "C"}, Reason.WRONG_TYPE, "field `kind` is none of A, B"),
        ({"either": b"x"}, Reason.WRONG_TYPE, "field `either`"),
        ({"either": "\udfff"}, Reason.INVALID_UTF8, "U+DFFF"),
        ({"day": 10**7}, Reason.OUT_OF_RANGE, "field `day` is 10000000"),
        ({"more": 1, "less": 2}, Reason.EXTRA_FIELD, "Everything has no field `less`, `more`"),
    ],
)
def test_what_breaks_the_contract_is_not_written(change, reason, detail):
    error = refused(of(EVERYTHING).encode, {**WHOLE, **change})
    assert error.reason is reason
    assert detail in error.detail


def test_a_missing_field_is_not_written(payment):
    del payment["amount"], payment["card_id"]
    error = refused(codec("card_transaction", 2).encode, payment)
    assert (error.reason, error.detail) == (Reason.MISSING_FIELD, "CardTransaction needs `card_id`, `amount`")


def unchecked(tested: Codec, event: dict) -> bytes:
    """The bytes of a writer that looks at nothing."""
    out = io.BytesIO()
    out.write(MARKER + tested.contract.fingerprint(1))
    fastavro.schemaless_writer(out, tested._schemas[1], event)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"real": math.nan}, Reason.NOT_FINITE, "field `real` is nan"),
        ({"real": -math.inf}, Reason.NOT_FINITE, "field `real` is -inf"),
        ({"whole": 2**40}, Reason.OUT_OF_RANGE, "field `whole`"),
        ({"amounts": {"a": 1.0, "b": math.inf}}, Reason.NOT_FINITE, "inf"),
        ({"place": {"latitude": math.nan, "seen": []}}, Reason.NOT_FINITE, "place.latitude"),
        ({"place": {"latitude": 1.0, "seen": [0, LATEST + 1]}}, Reason.OUT_OF_RANGE, "place.seen"),
        ({"either": math.nan}, Reason.NOT_FINITE, "field `either`"),
        ({"day": -(2**31)}, Reason.OUT_OF_RANGE, "field `day`"),
    ],
)
def test_what_avro_can_say_and_the_contract_does_not_allow_is_not_read(change, reason, detail):
    tested = of(EVERYTHING)
    error = refused(tested.decode, unchecked(tested, {**WHOLE, **change}))
    assert error.reason is reason
    assert detail in error.detail


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_payment_of_no_amount_is_refused(payment, value):
    tested = codec("card_transaction", 2)
    payload = bytearray(tested.encode(payment))
    at = bytes(payload).index(struct.pack("<d", 12.5))
    payload[at : at + 8] = struct.pack("<d", value)
    error = refused(tested.decode, bytes(payload))
    assert (error.reason, error.detail) == (Reason.NOT_FINITE, f"field `amount` is {value}")


@pytest.mark.parametrize("time", [LATEST + 1, 2**63 - 1, -(2**63)])
def test_a_time_beyond_the_calendar_is_out_of_range(payment, time):
    tested = codec("card_transaction", 2)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, tested._schemas[2], {**payment, "event_time": time})
    error = refused(tested.decode_body, out.getvalue(), 2)
    assert error.reason is Reason.OUT_OF_RANGE
    assert str(time) in error.detail or "a larger number" in error.detail


def test_bytes_after_the_last_field_are_refused(payment):
    tested = codec("card_transaction", 2)
    error = refused(tested.decode, tested.encode(payment) + b"\x00\x01")
    assert error.reason is Reason.TRAILING_BYTES
    assert "2 bytes are left" in error.detail


def test_text_that_is_not_utf8_is_refused(payment):
    tested = codec("card_transaction", 2)
    error = refused(tested.decode, tested.encode(payment).replace(b"m-1", b"\xff\xfe\xfd"))
    assert error.reason is Reason.INVALID_UTF8


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        (b"", Reason.TRUNCATED, "0 bytes"),
        (b"\xc3", Reason.TRUNCATED, "1 bytes"),
        (MARKER + b"1234567", Reason.TRUNCATED, "9 bytes"),
        (b"{}", Reason.UNKNOWN_SCHEMA, "it begins with 7b7d"),
        (b"\x03\x00" + bytes(30), Reason.UNKNOWN_SCHEMA, "it begins with 0300"),
        (MARKER + b"12345678" + b"rest", Reason.UNKNOWN_SCHEMA, "has the fingerprint 3132333435363738"),
    ],
)
def test_what_no_version_wrote_is_an_unknown_schema(payload, reason, detail):
    error = refused(codec("card_transaction", 2).decode, payload)
    assert error.reason is reason
    assert detail in error.detail


def test_a_version_that_is_not_there_is_an_unknown_schema():
    error = refused(codec("card_transaction", 2).decode_body, b"", 3)
    assert (error.reason, error.detail) == (Reason.UNKNOWN_SCHEMA, "card_transaction has no version 3; it has 1, 2")
    assert refused(codec("card_transaction", 2).encode, {}, 3).reason is Reason.UNKNOWN_SCHEMA
    with pytest.raises(LookupError, match="card_transaction has no version 3; it has 1, 2"):
        codec("card_transaction", 3)


@pytest.mark.parametrize("size", [MAXIMUM_BYTES + 1, 10 * 2**20])
def test_a_payload_that_is_too_large_is_refused_before_it_is_read(size):
    tested = codec("card_transaction", 2)
    header = MARKER + tested.contract.fingerprint(2)
    for decode in (tested.decode, lambda b: tested.decode_body(b, 2), lambda b: tested.decode_json(b, 2)):
        error = refused(decode, header + bytes(size - HEADER))
        assert error.reason is Reason.TOO_LARGE
        assert error.detail == f"{size} bytes; an event has at most {MAXIMUM_BYTES}"


def test_an_event_that_is_too_large_is_not_written(payment):
    error = refused(codec("card_transaction", 2, maximum_bytes=100).encode, {**payment, "merchant_id": "m" * 100})
    assert error.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("avro", "body"),
    [
        ("string", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("bytes", b"\x80\x80\x80\x80\x80\x80\x01"),
        ("string", b"\x01abc"),
        ({"type": "array", "items": "double"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ({"type": "array", "items": "boolean"}, b"\xfd\xff\xff\xff\x0f\xfe\xff\xff\xff\x0f"),
        ({"type": "map", "values": "null"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ],
)
def test_a_length_that_is_only_claimed_takes_no_memory(avro, body):
    tested = of(record({"name": "a", "type": avro}))
    tracemalloc.start()
    error = refused(tested.decode_body, body, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.reason is Reason.TRUNCATED
    assert peak < 2**20


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (record({"name": "next", "type": ["null", "Tested"]}), "type `Tested` holds itself"),
        (record({"name": "a", "type": {"type": "array", "items": "null"}}), "items that take no bytes"),
        (
            record({"name": "a", "type": {"type": "array", "items": record() | {"name": "E"}}}),
            "items that take no bytes",
        ),
        (record({"name": "a", "type": "int", "default": "x"}), "Default value <x> must match schema type: int"),
    ],
)
def test_a_contract_that_bytes_could_misuse_is_refused(schema, reason):
    with pytest.raises(SchemaError, match=reason):
        of(schema)


def test_json_is_read_as_avro_writes_it():
    tested = of(EVERYTHING)
    text = {
        **WHOLE,
        "raw": "\u0000\u00ff",
        "hash": "abcd",
        "amounts": {"a": {"double": 1.5}, "b": None},
        "place": {"tests.Place": WHOLE["place"]},
        "either": {"string": "x"},
    }
    assert tested.decode_json(json.dumps(text), 1) == WHOLE
    assert tested.decode_json(json.dumps(text).encode(), 1) == WHOLE
    bare = {**text, "amounts": {"a": 1.5, "b": None}, "either": 2.5}
    assert tested.decode_json(json.dumps(bare), 1) == {**WHOLE, "either": 2.5}


def test_json_of_an_older_version_is_resolved(payment):
    del payment["channel"]
    assert codec("card_transaction", 2).decode_json(json.dumps(payment), 1) == {**payment, "channel": "unknown"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.TRUNCATED),
        ('{"event_id": "e', Reason.TRUNCATED),
        ('{"event_id": "e-1"', Reason.TRUNCATED),
        ("{} {}", Reason.TRAILING_BYTES),
        ("{'event_id': 1}", Reason.WRONG_TYPE),
        ("[]", Reason.WRONG_TYPE),
        ("null", Reason.WRONG_TYPE),
        (b"\xff{}", Reason.INVALID_UTF8),
        ("[" * 100_000, Reason.WRONG_TYPE),
        ("{}", Reason.MISSING_FIELD),
    ],
)
def test_json_that_is_none_of_an_event_has_its_reason(text, reason):
    assert refused(codec("card_transaction", 2).decode_json, text, 2).reason is reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('"amount": NaN', Reason.NOT_FINITE),
        ('"amount": -Infinity', Reason.NOT_FINITE),
        ('"amount": 1e999', Reason.NOT_FINITE),
        ('"amount": 1' + "0" * 400, Reason.OUT_OF_RANGE),
        ('"event_time": 1' + "0" * 5000, Reason.OUT_OF_RANGE),
        ('"event_time": 1' + "0" * 30, Reason.OUT_OF_RANGE),
        ('"event_time": "now"', Reason.WRONG_TYPE),
        ('"event_time": 1.5', Reason.WRONG_TYPE),
        ('"card_present": 1', Reason.WRONG_TYPE),
        ('"card_id": null', Reason.WRONG_TYPE),
        ('"channel": "pigeon"', Reason.WRONG_TYPE),
        ('"merchant_id": "\\ud800"', Reason.INVALID_UTF8),
        ('"colour": "red"', Reason.EXTRA_FIELD),
    ],
)
def test_json_that_breaks_the_contract_has_its_reason(payment, change, reason):
    name = json.loads("{" + change.split(":")[0] + ": 0}").popitem()[0]
    rest = json.dumps({key: value for key, value in payment.items() if key != name})
    assert refused(codec("card_transaction", 2).decode_json, "{" + change + ", " + rest[1:], 2).reason is reason


def test_json_with_a_field_twice_is_refused(payment):
    text = '{"amount": 1, ' + json.dumps(payment)[1:]
    error = refused(codec("card_transaction", 2).decode_json, text, 2)
    assert (error.reason, error.detail) == (Reason.EXTRA_FIELD, "field `amount` is there twice")
