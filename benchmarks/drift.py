"""Drift beside evidently and river in one run: speed, memory, the same numbers; delays and false alarms in streams."""

import json
import logging
import multiprocessing
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sandbox import home
from sandbox.errors import SandboxError

from benchmarks import drift_scenarios as scenarios
from benchmarks.environments import programs
from benchmarks.measure import Bench

ROWS, MANY, COLUMNS = 1_000_000, 10_000_000, 20
SEEDS = 20
EVIDENTLY, RIVER = "evidently", "river"
_PACKAGES = {EVIDENTLY: ("evidently==0.7.23", "pandas<3"), RIVER: ("river==0.26.1",)}
# What evidently calls our metrics, and which of our numbers its own is. Its reports are what it is used by; `alone` is
# the function of a statistic without one.
_METHODS = {
    "psi": ("population_stability_index", "population_stability_index"),
    "jensenshannon": ("jensen_shannon", "jensen_shannon"),
    "ks": ("kolmogorov_smirnov", "kolmogorov_smirnov_p"),
    "wasserstein": ("wasserstein", "wasserstein"),
    "jensenshannon alone": ("jensen_shannon", "jensen_shannon"),
    "wasserstein alone": ("wasserstein", "wasserstein"),
}
_CHUNK = 250_000
_WINDOWS, _WATCH = "ours, windows of 1,000", "ours, watch (ADWIN)"
# So long after an event its outcome comes, and of so many the performance is told.
_DELAY, _LABELLED = 500, 2_000
_EVENTS, _TURNS = 30_000, 6


def drift(console: Console, bench: Bench, runs: int) -> None:
    """Tables of a million and of ten million rows, streams with drift at a known event, then the watch's cost."""
    with home.temporary() as folder:
        console.print("environments of the peers, tables of a million rows ...", style="dim")
        for name, packages in _PACKAGES.items():
            programs(name, packages)
        _print_million(console, folder)
        console.print("tables of ten million rows ...", style="dim")
        _print_many(console, folder)
        console.print(f"{len(scenarios.SCENARIOS)} kinds of streams, {SEEDS} of each ...", style="dim")
        _print_scenarios(console, folder)
        _print_cost(console)


def _tables(folder: Path, rows: int) -> list[Path]:
    """Two tables that differ in some columns; written in parts, so that they are never held."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = []
    for number, name in enumerate(("reference", "current")):
        files.append(folder / f"{name}-{rows}.parquet")
        draw = np.random.default_rng(number)
        writer = None
        for start in range(0, rows, _CHUNK):
            size = min(_CHUNK, rows - start)
            part = pa.table(
                {
                    # Every other group of four columns moves.
                    f"column_{place}": _MAKES[place % 4](draw, size, 0.2 * number * (place // 4 % 2))
                    for place in range(COLUMNS)
                }
            )
            writer = writer or pq.ParquetWriter(files[-1], part.schema)
            writer.write_table(part)
        if writer is not None:
            writer.close()
    return files


# What columns hold, one after the other.
_MAKES: Sequence[Callable[[np.random.Generator, int, float], np.ndarray]] = (
    lambda draw, size, move: draw.normal(move, 1, size),
    lambda draw, size, move: draw.exponential(1 + move, size),
    lambda draw, size, move: draw.random(size) ** (1 + move),
    lambda draw, size, move: draw.poisson(40 + move, size).astype(float),
)


def _alone(function: Any, *arguments: Any) -> Any:
    """What a function answers in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _exact(files: Sequence[Path], metric: str) -> tuple["_Cost", dict[str, dict[str, float]]]:
    _import_all()
    from ml_pipelines.monitoring import exact

    cost = _Cost.begin()
    found = dict(exact.compared(files[0], files[1], metrics=[metric]))
    return cost.end(), found


def _baseline(file: Path, to: Path) -> "_Cost":
    """A baseline of a table, column by column."""
    import pyarrow.parquet as pq
    from ml_pipelines.steps.drift_baseline import described

    cost = _Cost.begin()
    rows = pq.read_metadata(file).num_rows
    names = pq.read_schema(file).names
    columns = {name: described(pq.read_table(file, columns=[name]).column(0).to_numpy()) for name in names}
    said = {"format": 1, "task": "made-up", "rows": rows, "inputs": columns}
    said |= {"scores": columns[names[0]], "outcomes": columns[names[0]]}
    to.write_text(json.dumps(said))
    return cost.end()


def _counted(baseline: Path, file: Path, metric: str) -> tuple["_Cost", int]:
    _import_all()
    from ml_pipelines.monitoring import duckdb_counting
    from ml_pipelines.monitoring.baseline import Baseline
    from ml_pipelines.monitoring.compare import compare
    from ml_pipelines.monitoring.report import Settings

    cost = _Cost.begin()
    before = Baseline.read("drift", baseline)
    report = compare(before, duckdb_counting.count(before, file), Settings(metric=metric))
    return cost.end(), len(report.findings)


@dataclass(frozen=True)
class _Cost:
    """Seconds, those of the processor, and the peak of this process's memory in MiB."""

    seconds: float
    processor: float
    mebibytes: float = 0.0

    @classmethod
    def begin(cls) -> "_Cost":
        return cls(time.perf_counter(), time.process_time())

    def end(self) -> "_Cost":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return _Cost(time.perf_counter() - self.seconds, time.process_time() - self.processor, peak)

    def cells(self) -> tuple[str, str, str]:
        return f"{self.seconds:.1f}", f"{self.processor:.1f}", f"{self.mebibytes:,.0f}"


def _import_all() -> float:
    """Import what comparisons use, as the peers do before the clock runs; returns the seconds."""
    begun = time.perf_counter()
    # Imported where its distribution is asked for, which would count for one metric alone.
    import scipy.stats  # noqa: F401
    from ml_pipelines.monitoring import compare, duckdb_counting, exact  # noqa: F401

    return time.perf_counter() - begun


def _peer(name: str, script: str, *arguments: object) -> dict[str, Any]:
    command = [str(programs(name, _PACKAGES[name]) / "python"), str(Path(__file__).parent / "peers" / script)]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SandboxError(f"{name}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _print_million(console: Console, folder: Path) -> None:
    files = _tables(folder, ROWS)
    baseline = folder / "baseline.json"
    _alone(_baseline, files[0], baseline)
    table = _table(
        f"{ROWS:,} rows x {COLUMNS} columns, reading included (seconds, those of the processor, MiB)",
        *("evidently's", "its s", "CPU s", "MiB", "all values s", "CPU s", "MiB", "times", "CPU times"),
        *("largest difference", "counted s", "CPU s", "MiB"),
    )
    imported = 0.0
    for method, (metric, number) in _METHODS.items():
        console.print(f"{method} ...", style="dim")
        ours, found = _alone(_exact, files, metric)
        quick, _ = _alone(_counted, baseline, files[1], metric)
        said = _peer(EVIDENTLY, "evidently_drift.py", *files, method)
        answer, imported = said["methods"][method], said["import"]
        theirs = _Cost(answer["seconds"], answer["processor"], answer["mebibytes"])
        apart = max(abs(answer["values"][name] - one[number]) for name, one in found.items())
        times = f"{theirs.seconds / ours.seconds:.0f}", f"{theirs.processor / ours.processor:.0f}"
        table.add_row(method, *theirs.cells(), *ours.cells(), *times, f"{apart:.1e}", *quick.cells())
    console.print(table)
    console.print(f"Imports, beside that: evidently {imported:.1f} s, ours {_alone(_import_all):.1f} s")


def _print_many(console: Console, folder: Path) -> None:
    files = _tables(folder, MANY)
    baseline = folder / "baseline.json"
    table = _table(f"{MANY:,} rows x {COLUMNS} columns", "what", "seconds", "CPU s", "peak MiB")
    table.add_row("baseline of the reference, once", *_alone(_baseline, files[0], baseline).cells())
    cost, findings = _alone(_counted, baseline, files[1], "population_stability_index")
    table.add_row(f"window counted and compared, {findings} findings", *cost.cells())
    for metric, _ in _METHODS.values():
        table.add_row(f"{metric} of all values", *_alone(_exact, files, metric)[0].cells())
    console.print(table)


def _print_scenarios(console: Console, folder: Path) -> None:
    jobs = [(scenario, seed) for scenario in scenarios.SCENARIOS for seed in range(SEEDS)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        ours = pool.starmap(_ours, jobs)
    told: dict[str, dict[str, list[tuple[int | None, int]]]] = {}
    for (scenario, seed), one in zip(jobs, ours, strict=True):
        for detector, places in one.items():
            told.setdefault(detector, {}).setdefault(scenario, []).append(scenarios.told(places, seed))
    arrays = {}
    for scenario, seed in jobs:
        made = scenarios.stream(scenario, seed)
        arrays[f"{scenario}/{seed}"] = np.column_stack([made.ranks(), np.abs(made.outcomes - made.scores)])
    np.savez(folder / "streams.npz", allow_pickle=False, **arrays)
    answer = _peer(RIVER, "river_drift.py", folder / "streams.npz")
    for scenario, seed in jobs:
        for detector, places in answer["found"][f"{scenario}/{seed}"].items():
            name = f"river, {detector}"
            told.setdefault(name, {}).setdefault(scenario, []).append(scenarios.told(places, seed))
    table = _table(
        f"{SEEDS} streams of each kind, {scenarios.EVENTS:,} events x {COLUMNS} features, drift from some event after "
        f"{scenarios.BEGINS:,} on",
        *("detector", "drift", "found", "delay, median", "delay, worst", "streams with false alarms"),
    )
    for detector, kinds in told.items():
        for scenario, found in kinds.items():
            delays = [delay for delay, _ in found if delay is not None]
            false = sum(early > 0 or (scenario == "none" and delay is not None) for delay, early in found)
            is_none = scenario == "none"
            table.add_row(
                *(detector, scenario, "" if is_none else f"{len(delays)} of {len(found)}"),
                f"{statistics.median(delays):,.0f}" if delays and not is_none else "",
                f"{max(delays):,}" if delays and not is_none else "",
                f"{false} of {len(found)}",
            )
    console.print(table)
    each = ", ".join(f"{name} {micros:.2f}" for name, micros in answer["microseconds"].items())
    console.print(f"river, microseconds for a value: {each}; it is shown errors of labels beside features and scores")


def _ours(scenario: str, seed: int) -> dict[str, list[int]]:
    """Where alarms are told: windows at their end, the watch at the event that it looked at last."""
    import pyarrow as pa
    from ml_pipelines.monitoring.baseline import Baseline
    from ml_pipelines.monitoring.compare import compare
    from ml_pipelines.monitoring.counting import count
    from ml_pipelines.monitoring.performance import decays, performance
    from ml_pipelines.monitoring.report import Settings
    from ml_pipelines.steps.drift_baseline import described
    from ml_pipelines.streaming.watch import Watch
    from ml_pipelines.tasks.credit import CREDIT as TASK

    logging.disable(logging.CRITICAL)
    # What a model was trained on: the same source, without drift.
    past = scenarios.stream("none", 1000 + seed)
    part = {"scores": described(past.scores), "outcomes": described(past.outcomes), "rows": scenarios.EVENTS}
    inputs = {name: described(values) for name, values in past.columns.items()}
    before = Baseline.of({"format": 1, "task": TASK.name, "inputs": inputs, **part})
    reached = performance(TASK, past.outcomes, past.scores)
    now = scenarios.stream(scenario, seed)
    table = pa.table({**now.columns, "score": now.scores, "segment": pa.array(now.segments, pa.string())})
    settings = Settings(segments=("segment",))
    windows = []
    for start in range(0, scenarios.EVENTS, scenarios.WINDOW):
        end = start + scenarios.WINDOW
        known = slice(max(0, end - _DELAY - _LABELLED), max(0, end - _DELAY))
        found = tuple(decays(TASK, reached, now.outcomes[known], now.scores[known]))
        window = count(before, table.slice(start, scenarios.WINDOW), settings.segments)
        if compare(before, window, settings, found).alarm:
            windows.append(end)
    kinds = {name: "string" if values.dtype == object else "float" for name, values in now.columns.items()}
    watch, changes = Watch("made-up", kinds, quiet_ms=0), []
    rows = list(zip(*(values.tolist() for values in now.columns.values()), strict=True))
    for place in range(0, scenarios.EVENTS, 100):
        decisions = [
            {
                "features": dict(zip(kinds, row, strict=True)),
                "answer": {"score": now.scores[place + offset]},
                "arrived_at": place + offset,
            }
            for offset, row in enumerate(rows[place : place + 100])
        ]
        changes += [shift.at for shift in watch.see(decisions)]
    return {_WINDOWS: windows, _WATCH: changes}


def _print_cost(console: Console) -> None:
    """What of the event processor's time its watch takes, measured where it is called; the best of some turns."""
    console.print("the watch's cost ...", style="dim")
    whole, watching = _alone(_cost)
    table = _table("Event processor, card payments on one core", "watch", "events/s of processor time")
    table.add_row("without", f"{_EVENTS / (whole - watching):,.0f}")
    table.add_row(f"with, {watching / whole:.1%} of the time", f"{_EVENTS / whole:,.0f}")
    console.print(table)


def _cost() -> tuple[float, float]:
    """Seconds of the processor for all events, and those within the watch."""
    from ml_pipelines.features.online import Plan
    from ml_pipelines.streaming.core import Processor
    from ml_pipelines.streaming.environment import spare_the_collector
    from ml_pipelines.streaming.state.store import open_store
    from ml_pipelines.streaming.watch import Watch

    from benchmarks.streaming import BATCH, Nowhere, payments

    logging.disable(logging.CRITICAL)
    plan = Plan.load("fraud-detection")
    codec, records = payments(plan, 1_000, _EVENTS)
    spare_the_collector()
    found = []
    for _ in range(_TURNS):
        watch, nowhere = _Timed(Watch(plan.workload, plan.features)), Nowhere()
        processor = Processor(
            plan, lambda record: codec.decode(record.payload), open_store("memory:"), nowhere, nowhere, watch=watch
        )
        begun = time.process_time()
        for first in range(0, _EVENTS, BATCH):
            processor.process(records[first : first + BATCH])
        found.append((time.process_time() - begun, watch.seconds))
    return min(found)


class _Timed:
    """A watch with the time that it takes."""

    def __init__(self, watch: Any):
        self._watch, self.seconds = watch, 0.0

    def see(self, decisions: Sequence[Any]) -> Sequence[Any]:
        begun = time.process_time()
        found = self._watch.see(decisions)
        self.seconds += time.process_time() - begun
        return found


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        words = ("metric", "what", "detector", "drift", "watch")
        table.add_column(column, justify="left" if column in words else "right")
    return table
