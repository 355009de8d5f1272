"""Contracts from version to version: what each mode lets through, who breaks, what stays as it was published."""

import json
import shutil
from pathlib import Path
from typing import Any

import avro.compatibility
import avro.schema
import fastavro
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_blueprints import contracts
from ml_blueprints.compatibility import Rule, differences
from ml_blueprints.errors import BlueprintError
from ml_blueprints.workload import Workload

REPOSITORY = Path(__file__).parents[2]
CONTRACTS = REPOSITORY / "pipelines" / "ml_pipelines" / "contracts"
MODES = ("BACKWARD", "FORWARD", "FULL")


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    """A record; a field is its name and its type, or whole."""
    whole = [field if isinstance(field, dict) else {"name": field[0], "type": field[1]} for field in fields]
    return {"type": "record", "name": name, "fields": whole, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def fixed(size: int, name: str = "F") -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def map_of(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def one(avro_type: Any, **more: Any) -> dict[str, Any]:
    """A record with one field."""
    return record({"name": "a", "type": avro_type, **more})


INT, OPTIONAL = ("a", "int"), {"name": "b", "type": ["null", "int"], "default": None}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
UUID = {"type": "string", "logicalType": "uuid"}
INNER = record(("x", "int"), name="Inner")
TEXT = record(("x", "string"), name="Inner")
NODE = record(("x", "int"), {"name": "next", "type": ["null", "N"], "default": None}, name="N")
NODE_TEXT = record(("x", "string"), {"name": "next", "type": ["null", "N"], "default": None}, name="N")
FINE = None

# older; newer; what keeps the newer from reading the older (BACKWARD), and the older the newer (FORWARD), as the
# field and the rule of Avro's resolution; FULL is both.
PAIRS = {
    "nothing": (one("int"), one("int"), FINE, FINE),
    "documentation": (one("int"), one("int", doc="words"), FINE, FINE),
    "order of fields": (record(INT, ("b", "string")), record(("b", "string"), INT), FINE, FINE),
    "field added": (record(INT), record(INT, ("b", "int")), ("b", Rule.DEFAULT), FINE),
    "field added with a default": (record(INT), record(INT, OPTIONAL), FINE, FINE),
    "field removed": (record(INT, ("b", "int")), record(INT), FINE, ("b", Rule.DEFAULT)),
    "field removed that had a default": (record(INT, OPTIONAL), record(INT), FINE, FINE),
    "field renamed": (one("int"), record(("b", "int")), ("b", Rule.DEFAULT), ("a", Rule.DEFAULT)),
    "field renamed with an alias": (
        one("int"),
        record({"name": "b", "type": "int", "aliases": ["a"]}),
        FINE,
        ("a", Rule.DEFAULT),
    ),
    "alias of another": (
        one("int"),
        record({"name": "b", "type": "int", "aliases": ["c"]}),
        ("b", Rule.DEFAULT),
        ("a", Rule.DEFAULT),
    ),
    "default added": (one("int"), one("int", default=1), FINE, FINE),
    "enumeration added that has a default of its own": (
        record(INT),
        record(INT, ("b", enum("A", default="A"))),
        ("b", Rule.DEFAULT),
        FINE,
    ),
    "int to long": (one("int"), one("long"), FINE, ("a", Rule.TYPE)),
    "int to float": (one("int"), one("float"), FINE, ("a", Rule.TYPE)),
    "int to double": (one("int"), one("double"), FINE, ("a", Rule.TYPE)),
    "long to float": (one("long"), one("float"), FINE, ("a", Rule.TYPE)),
    "long to double": (one("long"), one("double"), FINE, ("a", Rule.TYPE)),
    "float to double": (one("float"), one("double"), FINE, ("a", Rule.TYPE)),
    "string to bytes": (one("string"), one("bytes"), FINE, FINE),
    "double to string": (one("double"), one("string"), ("a", Rule.TYPE), ("a", Rule.TYPE)),
    "boolean to int": (one("boolean"), one("int"), ("a", Rule.TYPE), ("a", Rule.TYPE)),
    "null to int": (one("null"), one("int"), ("a", Rule.TYPE), ("a", Rule.TYPE)),
    "bytes to fixed": (one("bytes"), one(fixed(4)), ("a", Rule.TYPE), ("a", Rule.TYPE)),
    "int to array of int": (one("int"), one(array("int")), ("a", Rule.TYPE), ("a", Rule.TYPE)),
    "array to map": (one(array("int")), one(map_of("int")), ("a", Rule.TYPE), ("a", Rule.TYPE)),
    "items wider": (one(array("int")), one(array("long")), FINE, ("a[]", Rule.TYPE)),
    "items of another type": (one(array("int")), one(array("string")), ("a[]", Rule.TYPE), ("a[]", Rule.TYPE)),
    "values wider": (one(map_of("float")), one(map_of("double")), FINE, ("a{}", Rule.TYPE)),
    "values deep inside": (one(map_of(array("int"))), one(map_of(array("long"))), FINE, ("a{}[]", Rule.TYPE)),
    "symbol added": (one(enum("A")), one(enum("A", "B")), FINE, ("a", Rule.SYMBOLS)),
    "symbol removed": (one(enum("A", "B")), one(enum("A")), ("a", Rule.SYMBOLS), FINE),
    "symbol removed, with a default": (one(enum("A", "B")), one(enum("A", default="A")), FINE, FINE),
    "symbol added where there is a default": (
        one(enum("A", default="A")),
        one(enum("A", "B", default="A")),
        FINE,
        FINE,
    ),
    "symbols in another order": (one(enum("A", "B")), one(enum("B", "A")), FINE, FINE),
    "enumeration to string": (one(enum("A")), one("string"), ("a", Rule.TYPE), ("a", Rule.TYPE)),
    "enumeration renamed": (
        one(enum("A")),
        one({**enum("A"), "name": "G"}),
        ("a", Rule.NAME),
        ("a", Rule.NAME),
    ),
    "size of a fixed": (one(fixed(4)), one(fixed(8)), ("a", Rule.SIZE), ("a", Rule.SIZE)),
    "fixed renamed": (one(fixed(4)), one(fixed(4, "G")), ("a", Rule.NAME), ("a", Rule.NAME)),
    "made optional": (one("int"), one(["null", "int"]), FINE, ("a", Rule.BRANCH)),
    "made required": (one(["null", "int"]), one("int"), ("a", Rule.BRANCH), FINE),
    "optional and wider": (one(["null", "int"]), one(["null", "long"]), FINE, ("a", Rule.TYPE)),
    "optional, the other way around": (one(["null", "int"]), one(["int", "null"]), FINE, FINE),
    "branch added": (one(["null", "int"]), one(["null", "int", "string"]), FINE, ("a", Rule.BRANCH)),
    "branch that widens": (one(["null", "int"]), one(["null", "double", "string"]), FINE, ("a", Rule.BRANCH)),
    "union to its widest": (one(["int", "long"]), one("long"), FINE, FINE),
    "union of others": (one(["int", "string"]), one(["boolean", "null"]), ("a", Rule.BRANCH), ("a", Rule.BRANCH)),
    "field in a record": (one(INNER), one(TEXT), ("a.x", Rule.TYPE), ("a.x", Rule.TYPE)),
    "field in an optional record": (
        one(["null", INNER]),
        one(["null", {**INNER, "fields": [{"name": "x", "type": "long"}]}]),
        FINE,
        ("a.x", Rule.TYPE),
    ),
    "field in the records of an array": (
        one(array(INNER)),
        one(array(TEXT)),
        ("a[].x", Rule.TYPE),
        ("a[].x", Rule.TYPE),
    ),
    "field in one of many branches": (
        one(["null", "string", INNER]),
        one(["null", "string", TEXT]),
        ("a.x", Rule.TYPE),
        ("a.x", Rule.TYPE),
    ),
    "named type used twice": (
        record(("a", INNER), ("b", "Inner")),
        record(("a", TEXT), ("b", "Inner")),
        ("a.x", Rule.TYPE),
        ("a.x", Rule.TYPE),
    ),
    "type that holds itself": (one(NODE), one(NODE), FINE, FINE),
    "field in a type that holds itself": (one(NODE), one(NODE_TEXT), ("a.x", Rule.TYPE), ("a.x", Rule.TYPE)),
    "record renamed": (one("int"), {**one("int"), "name": "S"}, ("", Rule.NAME), ("", Rule.NAME)),
    "record renamed with an alias": (one("int"), {**one("int"), "name": "S", "aliases": ["R"]}, FINE, ("", Rule.NAME)),
    "record renamed with an alias in its namespace": (
        {**one("int"), "namespace": "n"},
        {**one("int"), "namespace": "n", "name": "S", "aliases": ["R"]},
        FINE,
        ("", Rule.NAME),
    ),
    "record renamed with an alias in another namespace": (
        {**one("int"), "namespace": "n"},
        {**one("int"), "namespace": "n", "name": "S", "aliases": ["m.R"]},
        ("", Rule.NAME),
        ("", Rule.NAME),
    ),
    "namespace changed": ({**one("int"), "namespace": "n"}, {**one("int"), "namespace": "m"}, FINE, FINE),
    "milliseconds to microseconds": (one(MILLIS), one(MICROS), ("a", Rule.LOGICAL_TYPE), ("a", Rule.LOGICAL_TYPE)),
    "number to time": (one("long"), one(MILLIS), ("a", Rule.LOGICAL_TYPE), ("a", Rule.LOGICAL_TYPE)),
    "date to number": (one(DATE), one("long"), ("a", Rule.LOGICAL_TYPE), ("a", Rule.TYPE)),
    "string to UUID": (one("string"), one(UUID), ("a", Rule.LOGICAL_TYPE), ("a", Rule.LOGICAL_TYPE)),
    "optional time of another unit": (
        one(["null", MILLIS]),
        one(["null", MICROS]),
        ("a", Rule.LOGICAL_TYPE),
        ("a", Rule.LOGICAL_TYPE),
    ),
    "scale of a decimal": (
        one(decimal(9, 2)),
        one(decimal(9, 3)),
        ("a", Rule.LOGICAL_TYPE),
        ("a", Rule.LOGICAL_TYPE),
    ),
    "scale of nought, written or not": (
        one(decimal(9, 0)),
        one({key: value for key, value in decimal(9, 0).items() if key != "scale"}),
        FINE,
        FINE,
    ),
}
# Where Apache's checker, asked alone, gives another verdict than the specification or than is wanted here.
OWN_VERDICT = {
    "record renamed with an alias in its namespace",
    *(name for name, pair in PAIRS.items() if any(found and found[1] is Rule.LOGICAL_TYPE for found in pair[2:])),
}


def found(reader: dict, writer: dict) -> list[tuple[str, Rule]]:
    return [(difference.field, difference.rule) for difference in differences(reader, writer)]


def test_the_table_is_as_long_as_it_should_be():
    assert len(PAIRS) * len(MODES) >= 120


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("mode", MODES)
def test_a_change_is_let_through_or_stopped_with_its_field_and_rule(tmp_path, name, mode):
    older, newer, backward, forward = PAIRS[name]
    expected = [] if mode == "FORWARD" else [(newer, older, backward)]
    expected += [] if mode == "BACKWARD" else [(older, newer, forward)]
    for reader, writer, difference in expected:
        # A type that is used twice is told of at both places.
        assert found(reader, writer)[:1] == ([difference] if difference else [])
    history = written(tmp_path, mode, older, newer)
    wrong = [reason for reason in history.wrong() if "should hold an Avro record" not in reason]
    if history.wrong() != wrong:
        return  # a type that holds itself is none for a contract: only the pair can be looked at
    assert bool(wrong) == any(difference for *_, difference in expected)
    for reason in wrong:
        assert mode in reason
        assert "version 1" in reason
        assert "version 2" in reason


@pytest.mark.parametrize("name", PAIRS)
def test_apaches_checker_agrees(name):
    older, newer, *_ = PAIRS[name]
    checker = avro.compatibility.ReaderWriterCompatibilityChecker
    for reader, writer in ((newer, older), (older, newer)):
        read, written_ = (avro.schema.parse(json.dumps(schema)) for schema in (reader, writer))
        verdict = checker().get_compatibility(read, written_).compatibility.name == "compatible"
        if name not in OWN_VERDICT:
            assert verdict == (not found(reader, writer))


@pytest.mark.parametrize("name", [name for name in PAIRS if "itself" not in name])
def test_fastavro_reads_what_passes(name):
    """Whatever is let through is really resolved, by the library that the platforms read with."""
    older, newer, backward, forward = PAIRS[name]

    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def read(data):
        for reader, writer, difference in ((newer, older, backward), (older, newer, forward)):
            if difference or name == "string to bytes":
                continue
            event = {field["name"]: data.draw(_values(field["type"], writer)) for field in writer["fields"]}
            source = data.draw(st.just(_bytes(writer, event)))
            fastavro.schemaless_reader(source, fastavro.parse_schema(reader | {}), None) if reader == writer else (
                fastavro.schemaless_reader(
                    source, fastavro.parse_schema(writer | {}), fastavro.parse_schema(reader | {})
                )
            )

    read()


def _bytes(schema: dict, event: dict) -> Any:
    import io

    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(schema)), event)
    out.seek(0)
    return out


def _values(avro_type: Any, whole: dict) -> st.SearchStrategy:
    if isinstance(avro_type, list):
        return st.one_of([_values(branch, whole) for branch in avro_type])
    if avro_type == "Inner":
        return _values(next(f["type"] for f in whole["fields"] if isinstance(f["type"], dict)), whole)
    if isinstance(avro_type, str):
        return {
            "null": st.none(),
            "boolean": st.booleans(),
            "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**53), 2**53),
            "float": st.floats(width=32, allow_nan=False),
            "double": st.floats(allow_nan=False),
            "string": st.text(),
            "bytes": st.binary(),
        }[avro_type]
    match avro_type["type"]:
        case "record":
            return st.fixed_dictionaries({f["name"]: _values(f["type"], whole) for f in avro_type["fields"]})
        case "array":
            return st.lists(_values(avro_type["items"], whole), max_size=3)
        case "map":
            return st.dictionaries(st.text(), _values(avro_type["values"], whole), max_size=3)
        case "enum":
            return st.sampled_from(avro_type["symbols"])
        case "fixed":
            return st.binary(min_size=avro_type["size"], max_size=avro_type["size"])
    if avro_type.get("logicalType") == "decimal":
        return st.decimals(-99, 99, places=0, allow_nan=False)
    return st.integers(0, 10_000) if avro_type["type"] != "string" else st.uuids()


def written(folder: Path, mode: str, *versions: dict, **terms: Any) -> contracts.History:
    """The history of a contract with these versions, all of them published but where `published` says otherwise."""
    for number, schema in enumerate(versions, start=1):
        (folder / f"{number}.avsc").write_text(json.dumps(schema))
    published = {number: contracts.fingerprint(schema) for number, schema in enumerate(versions, start=1)}
    content = {"owner": "us@example.com", "compatibility": mode, "published": published, **terms}
    (folder / contracts.TERMS).write_text(yaml.safe_dump(content))
    return contracts.load(folder)


KEPT = ("kept", "int")


def whole(avro_type: str, default: Any) -> dict[str, Any]:
    """A field `a` with a default."""
    return {"name": "a", "type": avro_type, "default": default}


RETYPED = (record(KEPT), record(KEPT, whole("int", 1)), record(KEPT), record(KEPT, whole("string", "")))
THREE = (record(INT, ("b", "int")), record(INT, OPTIONAL), record(INT))


@pytest.mark.parametrize(
    ("mode", "versions", "wrong"),
    [
        # What the first wrote as an int must still be read by the third, which wants text.
        (
            "BACKWARD",
            RETYPED,
            [],
        ),
        (
            "BACKWARD_ALL",
            RETYPED,
            ["field `a`: version 4 reads `string` where version 2 wrote `int`; BACKWARD_ALL lets consumers read all"],
        ),
        ("FORWARD", (*THREE[1:], record(INT, ("b", "string"))), []),
        (
            "FORWARD_ALL",
            (*THREE[1:], record(INT, ("b", "string"))),
            ["field `b`: version 1 reads `null or int` where version 3 wrote `string`; FORWARD_ALL lets producers"],
        ),
        ("FULL", (record(INT, OPTIONAL), record(INT), record(INT, {**OPTIONAL, "type": ["null", "string"]})), []),
        (
            "FULL_ALL",
            (record(INT, OPTIONAL), record(INT), record(INT, {**OPTIONAL, "type": ["null", "string"]})),
            [
                "field `b`: version 3 reads `string` where version 1 wrote `int`; FULL_ALL lets",
                "field `b`: version 1 reads `int` where version 3 wrote `string`; FULL_ALL lets",
            ],
        ),
    ],
)
def test_a_transitive_mode_looks_at_all_versions_before(tmp_path, mode, versions, wrong):
    reasons = written(tmp_path, mode, *versions).wrong()
    assert len(reasons) == len(wrong)
    for reason, expected in zip(reasons, wrong, strict=True):
        assert reason.startswith(expected)


def test_the_sentence_of_a_change_names_field_types_and_reason(tmp_path):
    (reason,) = written(tmp_path, "BACKWARD", one("double"), one("string")).wrong()
    assert reason == (
        "field `a`: version 2 reads `string` where version 1 wrote `double`; BACKWARD lets consumers upgrade first, "
        "while producers still write the version before, so version 2 must understand what version 1 writes"
    )


@pytest.mark.parametrize(
    "name",
    sorted(folder.name for folder in CONTRACTS.iterdir() if folder.is_dir() and (folder / contracts.TERMS).exists()),
)
def test_the_contracts_of_the_repository_hold(name):
    history = contracts.load(CONTRACTS / name)
    assert history.wrong() == []
    assert list(history.published) == list(history.versions), "each version in the repository is published"


@pytest.fixture
def payments(tmp_path) -> Path:
    """A copy of the contract of card payments, for a test to change."""
    return Path(shutil.copytree(CONTRACTS / "card_transaction", tmp_path / "card_transaction"))


def change(file: Path, edit: Any) -> None:
    """Edit a schema or the terms."""
    read, write = (yaml.safe_load, yaml.safe_dump) if file.suffix == ".yaml" else (json.loads, json.dumps)
    content = read(file.read_text())
    edit(content)
    file.write_text(write(content))


def field_of(schema: dict, name: str) -> dict:
    return next(field for field in schema["fields"] if field["name"] == name)


@pytest.mark.parametrize(
    "edit",
    [
        lambda schema: field_of(schema, "amount").update(type="string"),
        lambda schema: field_of(schema, "amount").update(doc="Other words."),
        lambda schema: field_of(schema, "channel").update(default="chip"),
        lambda schema: schema["fields"].pop(),
    ],
)
def test_a_published_version_that_was_edited_is_refused(payments, edit):
    change(payments / "2.avsc", edit)
    (reason,) = contracts.load(payments).wrong()
    assert reason.startswith("version 2 is not what was published")
    assert reason.endswith("put 2.avsc back as it was, and make the change in 3.avsc")


def test_the_layout_of_a_published_version_may_change(payments):
    (payments / "2.avsc").write_text(json.dumps(json.loads((payments / "2.avsc").read_text()), indent=7))
    assert contracts.load(payments).wrong() == []


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda folder: (folder / "1.avsc").unlink(), "1.avsc is missing in"),
        (lambda folder: (folder / "2.avsc").unlink(), "has the fingerprint of version 2, and 2.avsc is missing in"),
        (lambda folder: (folder / "2.avsc").write_text("{}"), "2.avsc should hold an Avro record: its `type` is"),
        (
            lambda folder: change(folder / "2.avsc", lambda schema: field_of(schema, "channel").update(default="x")),
            "the default of field `channel` is of its type",
        ),
    ],
)
def test_versions_that_are_missing_or_no_schemas_are_refused(payments, edit, expected):
    edit(payments)
    (reason,) = contracts.load(payments).wrong()
    assert expected in reason


def breaking(folder: Path) -> None:
    """A draft of a version 3 in which the amount is text."""
    schema = json.loads((folder / "2.avsc").read_text())
    field_of(schema, "amount")["type"] = "string"
    (folder / "3.avsc").write_text(json.dumps(schema))


def test_a_change_of_a_participant_shows_who_breaks(tmp_path):
    versions = (one("double"), one("string"), record(("b", "int")))
    producers = {"gateway": {"owner": "acquiring@example.com", "writes": [1, 3]}}
    consumers = {
        "reports": {"owner": "ops@example.com", "reads": [2]},
        "fraud": {"owner": "risk@example.com", "reads": [1, 3]},
    }
    history = written(tmp_path, "BACKWARD", *versions, producers=producers, consumers=consumers)
    breaks = [reason for reason in history.wrong() if "breaks" in reason]
    assert breaks == [
        "reports (ops@example.com) reads version 2 and breaks on version 1, which gateway (acquiring@example.com) "
        "writes: field `a`: version 2 reads `string` where version 1 wrote `double`",
        "reports (ops@example.com) reads version 2 and breaks on version 3, which gateway (acquiring@example.com) "
        "writes: field `a`: version 2 reads it and has no default, and version 3 doesn't write it",
    ]
    (used,) = [
        reason
        for reason in history.wrong_in_use(2, "scorer")
        if reason.startswith("scorer") and "on version 1" in reason
    ]
    assert "scorer (not declared) reads version 2 and breaks on version 1" in used


def test_a_participant_of_a_version_that_is_not_there_is_refused(payments):
    change(payments / contracts.TERMS, lambda terms: terms["producers"]["acquirer-gateway"].update(writes=[2, 7]))
    assert contracts.load(payments).wrong() == [
        "contract.yaml: producer acquirer-gateway writes version 7, and there is no 7.avsc"
    ]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda terms: terms.pop("owner"), "owner: found nothing; this field is required"),
        (lambda terms: terms.update(compatibility="SOME"), "compatibility: found `\"SOME\"`; one of 'BACKWARD'"),
        (lambda terms: terms.update(colour="red"), "colour: found"),
        (lambda terms: terms["consumers"]["fraud-detection"].update(reads=[]), "consumers.fraud-detection.reads"),
        (lambda terms: terms["consumers"]["fraud-detection"].pop("owner"), "consumers.fraud-detection.owner"),
        (lambda terms: terms.update(published={"one": "x"}), "published.one"),
    ],
)
def test_terms_that_are_wrong_name_their_field(payments, edit, expected):
    change(payments / contracts.TERMS, edit)
    with pytest.raises(BlueprintError) as refused:
        contracts.load(payments)
    assert expected in str(refused.value)
    assert str(payments / contracts.TERMS) in str(refused.value)


def test_files_that_are_no_versions_are_refused(payments):
    (payments / "01.avsc").write_text("{}")
    with pytest.raises(BlueprintError, match=r"01.avsc.*a version is 1.avsc, 2.avsc"):
        contracts.load(payments)
    (payments / "01.avsc").rename(payments / "3.avsc").write_text("{")
    with pytest.raises(BlueprintError, match=r"3.avsc.*an Avro schema is JSON"):
        contracts.load(payments)


@pytest.fixture
def workload(tmp_path, payments) -> Path:
    """The workload of fraud detection, on the copy of its contract."""
    source = REPOSITORY / "stacks" / "workloads" / "fraud_detection.yaml"
    content = yaml.safe_load(source.read_text())
    content["data"]["contract"]["path"] = "card_transaction/2.avsc"
    (tmp_path / "job.py").write_text((source.parent / content["features"]["job"]).read_text())
    content["features"]["job"] = "job.py"
    content["pipelines"] = str(source.parent / content["pipelines"])
    file = tmp_path / "workload.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def use(workload: Path, version: int) -> None:
    change(workload, lambda content: content["data"]["contract"].update(path=f"card_transaction/{version}.avsc"))


def problems(workload: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(BlueprintError) as refused:
        Workload.load(workload)
    return [(problem.field, problem.found, problem.right) for problem in refused.value.problems]


def test_a_workload_knows_its_version_and_all_that_is_published(workload):
    contract = Workload.load(workload).data.contract
    assert contract.version == 2
    assert list(contract.published) == [1, 2]
    assert contract.published[2] == contract.record


def test_a_schema_by_itself_has_no_history(workload, payments):
    (workload.parent / "alone").mkdir()
    shutil.copy(payments / "2.avsc", workload.parent / "alone" / "payment.avsc")
    change(workload, lambda content: content["data"]["contract"].update(path="alone/payment.avsc"))
    contract = Workload.load(workload).data.contract
    assert (contract.version, dict(contract.published), contract.history) == (None, {}, None)


def test_an_incompatible_version_in_use_is_refused_with_field_rule_and_who_breaks(workload, payments):
    breaking(payments)
    use(workload, 3)
    told = problems(workload)
    assert {(field, value) for field, value, _ in told} == {("data.contract.path", "`card_transaction/3.avsc`")}
    reasons = [reason for *_, reason in told]
    assert reasons[0].startswith(
        "field `amount`: version 3 reads `string` where version 2 wrote `double`; BACKWARD lets consumers upgrade first"
    )
    assert "fraud-detection (payments-risk@example.com) reads version 3 and breaks on version 1, which" in reasons[1]
    assert "acquirer-gateway (acquiring@example.com) writes: field `amount`" in reasons[1]
    assert reasons[-1].startswith(
        "contract.yaml says that fraud-detection reads version 2; say there what it reads now"
    )


def test_a_draft_that_is_not_in_use_stops_nobody(workload, payments):
    breaking(payments)
    assert Workload.load(workload).data.contract.version == 2
    assert contracts.load(payments).wrong(), "and CI sees it"


def test_a_version_that_is_not_published_is_not_used(workload, payments):
    shutil.copy(payments / "2.avsc", payments / "3.avsc")
    change(payments / contracts.TERMS, lambda terms: terms["consumers"]["fraud-detection"].update(reads=[3]))
    use(workload, 3)
    ((_, _, reason),) = problems(workload)
    assert reason.startswith("version 3 is not published; `python -m ml_blueprints.contracts publish")
    assert contracts.main(["publish", str(payments)]) == 0
    assert Workload.load(workload).data.contract.version == 3


def test_another_mode_than_the_contracts_is_refused(workload):
    change(workload, lambda content: content["data"]["contract"].update(compatibility="FULL"))
    ((field, value, reason),) = problems(workload)
    assert (field, value) == ("data.contract.compatibility", "`FULL`")
    assert "contract.yaml says `BACKWARD`" in reason


def test_versions_without_terms_and_terms_beside_another_name_are_refused(workload, payments):
    shutil.copy(payments / "2.avsc", payments / "latest.avsc")
    change(workload, lambda content: content["data"]["contract"].update(path="card_transaction/latest.avsc"))
    assert "beside it lie versions" in problems(workload)[0][2]
    (payments / "latest.avsc").unlink()
    (payments / contracts.TERMS).unlink()
    use(workload, 2)
    assert "versions (2.avsc, 1.avsc) have terms" in problems(workload)[0][2]


def test_check_reports_each_contract_and_fails_with_reasons(payments, capsys):
    assert contracts.main(["check", str(CONTRACTS)]) == 0
    assert f"{CONTRACTS / 'card_transaction'}: versions 1, 2, BACKWARD" in capsys.readouterr().out
    breaking(payments)
    assert contracts.main(["check", str(payments.parent)]) == 1
    assert f"{payments}: field `amount`: version 3 reads `string`" in capsys.readouterr().err
    assert contracts.main(["check", str(payments / "none")]) == 2
    assert "no contract.yaml is in" in capsys.readouterr().err


def test_publish_adds_a_line_and_leaves_the_rest(payments, capsys):
    before = (payments / contracts.TERMS).read_text()
    shutil.copy(payments / "2.avsc", payments / "3.avsc")
    assert contracts.main(["publish", str(payments)]) == 0
    assert "version 3 published" in capsys.readouterr().out
    after = (payments / contracts.TERMS).read_text()
    assert after == f"{before}  3: {contracts.fingerprint(json.loads((payments / '3.avsc').read_text()))}\n"
    assert contracts.main(["publish", str(payments)]) == 0
    assert "nothing is new" in capsys.readouterr().out
    assert (payments / contracts.TERMS).read_text() == after


@pytest.mark.parametrize(
    "end",
    ["", "published: {}\n", "published: {} # none\n", "published:\n  1: OLD\n", "published:\n  1: OLD\n\n# end\n"],
)
def test_publish_finds_its_place_however_the_terms_are_written(payments, end):
    (payments / "2.avsc").unlink()
    old = contracts.fingerprint(json.loads((payments / "1.avsc").read_text()))
    text = "owner: us\n# a comment\ncompatibility: FULL\n" + end.replace("OLD", old)
    (payments / contracts.TERMS).write_text(text)
    shutil.copy(payments / "1.avsc", payments / "2.avsc")
    assert contracts.main(["publish", str(payments)]) == 0
    history = contracts.load(payments)
    assert history.terms.published == {1: old, 2: old}
    assert ("# end" in end) == ("# end" in (payments / contracts.TERMS).read_text())
    assert "# a comment" in (payments / contracts.TERMS).read_text()


def test_what_is_wrong_is_not_published(payments, capsys):
    breaking(payments)
    before = (payments / contracts.TERMS).read_text()
    assert contracts.main(["publish", str(payments)]) == 1
    assert "field `amount`" in capsys.readouterr().err
    assert (payments / contracts.TERMS).read_text() == before


def test_avro_is_imported_only_where_versions_differ():
    """A preview of a contract with one version doesn't wait for it."""
    import subprocess
    import sys

    program = (
        "import sys; from ml_blueprints.workload import Workload; "
        f"Workload.load({str(REPOSITORY / 'stacks' / 'workloads' / 'delivery_eta.yaml')!r}); "
        "assert 'avro.compatibility' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)
