"""What contracts cost: a check of 1,000 pairs of versions, and decoding, each beside the library that it stands on."""

import copy
import io
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import fastavro
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Bench

PAIRS = 1_000
EVENTS = 100_000
_TYPES = ("int", "long", "double", "string", "boolean")
_TIME = 1_767_225_600_000


def contracts(console: Console, bench: Bench, runs: int) -> None:
    """Both tables; each figure is the median of the runs, taken in turns with the library's."""
    _check(console, runs)
    _decode(console, runs)


def _check(console: Console, runs: int) -> None:
    """Pairs that nobody has seen before, so that parsing the schemas counts too, as it does in a preview."""
    # Avro is imported by who compares, and the SDKs of the clouds by nobody here.
    import avro.schema
    from avro.compatibility import ReaderWriterCompatibilityChecker
    from ml_blueprints.compatibility import differences

    ours, theirs, broken = [], [], 0
    for run in range(runs):
        pairs = list(_pairs(run))
        started = time.perf_counter()
        broken = sum(bool(differences(new, old)) for old, new in pairs)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        for old, new in pairs:
            reader, writer = avro.schema.parse(json.dumps(new)), avro.schema.parse(json.dumps(old))
            ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
        theirs.append(time.perf_counter() - started)
    seconds, floor = statistics.median(ours), statistics.median(theirs)
    table = _table(
        f"Check of {PAIRS:,} pairs of versions", "pairs/s", "ms a pair", "Apache's checker ms", "ratio", "breaks"
    )
    table.add_row(
        f"{PAIRS / seconds:,.0f}",
        f"{1000 * seconds / PAIRS:.2f}",
        f"{1000 * floor / PAIRS:.2f}",
        f"{seconds / floor:.2f}",
        str(broken),
    )
    console.print(table)


def _pairs(seed: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Records of some twenty fields, and the same with a change: a field more, a field less, or another type."""
    draw = random.Random(seed)  # noqa: S311 (no secret)
    for number in range(PAIRS):
        fields: list[dict[str, Any]] = [
            {"name": f"field_{seed}_{number}_{position}", "type": draw.choice(_TYPES)} for position in range(20)
        ]
        older = {"type": "record", "name": "Measured", "fields": fields}
        newer = copy.deepcopy(older)
        match draw.choice(("more", "less", "other")):
            case "more":
                newer["fields"].append({"name": "more", "type": ["null", "double"], "default": None})
            case "less":
                newer["fields"].pop(draw.randrange(20))
            case "other":
                newer["fields"][draw.randrange(20)]["type"] = draw.choice(_TYPES)
        yield older, newer


def _decode(console: Console, runs: int) -> None:
    from ml_pipelines.contracts import catalog
    from ml_pipelines.contracts.codec import HEADER, Codec
    from ml_pipelines.contracts.values import without_logical_types

    contract = catalog.contract("card_transaction")
    codec = Codec(contract, contract.newest)
    # Times stay integers on both sides: to make datetimes of them costs fastavro as much again.
    parsed = {
        version: fastavro.parse_schema(without_logical_types(schema)) for version, schema in contract.versions.items()
    }
    columns = ("written by", "events/s", "µs an event", "fastavro µs", "ratio")
    table = _table(f"Decoding of {EVENTS:,} card payments by version {contract.newest}", *columns)
    for version in sorted(contract.versions, reverse=True):
        payloads = [codec.encode(_payment(number, contract.versions[version]), version) for number in range(1000)]
        bodies = [payload[HEADER:] for payload in payloads]
        writer, resolved = parsed[version], None if version == contract.newest else parsed[contract.newest]

        def plain(body: bytes, writer: Any = writer, resolved: Any = resolved) -> Any:
            return fastavro.schemaless_reader(io.BytesIO(body), writer, resolved)

        ours, theirs = [], []
        for _ in range(runs):
            ours.append(_seconds(codec.decode, payloads))
            theirs.append(_seconds(plain, bodies))
        seconds, floor = statistics.median(ours), statistics.median(theirs)
        table.add_row(
            f"version {version}",
            f"{EVENTS / seconds:,.0f}",
            f"{1e6 * seconds / EVENTS:.1f}",
            f"{1e6 * floor / EVENTS:.1f}",
            f"{seconds / floor:.2f}",
        )
    console.print(table)


def _seconds(decode: Callable[[bytes], Any], payloads: list[bytes]) -> float:
    started = time.perf_counter()
    for _ in range(EVENTS // len(payloads)):
        for payload in payloads:
            decode(payload)
    return time.perf_counter() - started


def _payment(number: int, schema: Any) -> dict[str, Any]:
    """A card payment, with the fields of one version."""
    values = {
        "event_id": f"{number:032x}",
        "card_id": f"card-{number % 97}",
        "event_time": _TIME + 1000 * number,
        "amount": 0.01 * number,
        "currency": "EUR",
        "merchant_id": f"merchant-{number % 31}",
        "merchant_category": "5411",
        "country": "DE",
        "card_present": number % 2 == 0,
        "channel": "online",
    }
    return {field["name"]: values[field["name"]] for field in schema["fields"]}


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column == "written by" else "right")
    return table
