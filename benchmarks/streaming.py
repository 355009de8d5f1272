"""What the event processor takes: events a second, time of an event, and memory, beside plain decoding."""

import io
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Bench

if TYPE_CHECKING:
    from ml_pipelines.contracts.codec import Codec
    from ml_pipelines.features.online import Plan
    from ml_pipelines.streaming.core import Record

EVENTS = 100_000
BATCH = 100
# Events that come one by one after that, each of which is timed.
ALONE = 20_000
_ENTITIES = (10, 1_000, 100_000)
_START = 1_767_225_600_000


class Nowhere:
    """A sink that takes everything and keeps nothing."""

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        return {}

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
        return {}

    def bury(self, letters: Sequence[Any]) -> Mapping[int, str]:
        return {}


def streaming(console: Console, bench: Bench, runs: int) -> None:
    """The fraud windows in one process, without a scorer: in batches of 100, then one by one for the time of an event.

    Each row is measured in a process of its own.
    """
    table = Table(title=f"Event processor, {EVENTS:,} card payments on one core")
    for column in ("entities", "state", "events/s", "decoding alone", "ratio", "p50 µs", "p99 µs", "peak MiB"):
        table.add_column(column, justify="right")
    context = multiprocessing.get_context("spawn")
    for entities in _ENTITIES:
        for state in ("memory", "sqlite"):
            console.print(f"{entities} entities, {state} ...", style="dim")
            with context.Pool(1) as pool:
                rate, floor, middle, high, peak = pool.apply(_measure, (entities, state))
            table.add_row(
                f"{entities:,}",
                state,
                f"{rate:,.0f}",
                f"{floor:,.0f}",
                f"{floor / rate:.1f}",
                f"{middle:.0f}",
                f"{high:.0f}",
                f"{peak:.0f}",
            )
    console.print(table)


def _measure(entities: int, state: str) -> tuple[float, float, float, float, float]:
    """Events a second, those that decoding alone takes, median and 99th percentile of an event in µs, peak MiB.

    Each entity pays once in ten minutes, whatever their number, so that windows hold what they hold in practice.
    """
    import fastavro
    from ml_pipelines.features.online import Plan
    from ml_pipelines.streaming.core import Processor
    from ml_pipelines.streaming.environment import spare_the_collector
    from ml_pipelines.streaming.state.store import open_store

    plan = Plan.load("fraud-detection")
    codec, records = payments(plan, entities, EVENTS + ALONE)
    schema = fastavro.parse_schema(dict(codec.contract.versions[plan.version]))
    spare_the_collector()
    started = time.perf_counter()
    for record in records[:EVENTS]:
        source = io.BytesIO(record.payload)
        source.seek(10)
        fastavro.schemaless_reader(source, schema, None)
    floor = EVENTS / (time.perf_counter() - started)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store("memory:" if state == "memory" else f"sqlite://{folder}/state.db")
        nowhere = Nowhere()
        processor = Processor(plan, lambda record: codec.decode(record.payload), store, nowhere, nowhere)
        started = time.perf_counter()
        for first in range(0, EVENTS, BATCH):
            processor.process(records[first : first + BATCH])
        rate = EVENTS / (time.perf_counter() - started)
        times = []
        for record in records[EVENTS:]:
            begun = time.perf_counter()
            processor.process([record])
            times.append((time.perf_counter() - begun) * 1e6)
    times.sort()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return rate, floor, times[len(times) // 2], times[int(len(times) * 0.99)], peak


def payments(plan: "Plan", entities: int, count: int) -> tuple["Codec", "list[Record]"]:
    """Payments of so many cards, each of which pays once in ten minutes, and the codec that encoded them."""
    from ml_pipelines.contracts import catalog
    from ml_pipelines.contracts.codec import Codec
    from ml_pipelines.streaming.core import Record

    codec = Codec(catalog.contract(plan.contract), plan.version)
    draw = random.Random(0)  # noqa: S311 (for a measurement)
    step = 600_000 / entities
    records = []
    for number in range(count):
        at = _START + int(number * step)
        event = {
            "event_id": f"event-{number}",
            "card_id": f"card-{draw.randrange(entities)}",
            "event_time": at,
            "amount": draw.random() * 100,
            "currency": "EUR",
            "merchant_id": f"merchant-{draw.randrange(300)}",
            "merchant_category": "5411",
            "country": "DE",
            "card_present": True,
            "channel": "chip",
        }
        records.append(Record(codec.encode(event), at + 20, f"shard-0/{number}"))
    return codec, records
