"""Features in the stream: the values of each event, from a small state that is kept for its entity.

A `Plan` is compiled from the same Ibis expressions that DuckDB and Spark run (see `incremental.py`), and needs nothing
but the standard library, since a cold start pays for each import. Values equal those of the other executions: integers,
strings and truth exactly, floats to 1e-9. They depend on the admitted events alone, never on when a state was written
down and read back: sums are exact before they are rounded.
"""

import hashlib
import json
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple, Self

from ml_pipelines.features.aggregates import AGGREGATES, CountRows
from ml_pipelines.features.scalars import compile_list, compile_mapping

_FORMAT = 1
# One millisecond in the unit of keys. See `admission.py` for what a key is.
_KEYS_PER_MS = 1000
_BEFORE_ALL = -(2**63)
# What decides on the contents of a state; a feature may be computed of them anew.
_KEPT = ("workload", "entity", "event_time", "event_id", "remembered_ms", "columns", "frames", "aggregates")
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False)
_COMPRESSED_FROM = 16_384
_TRIMMED_FROM = 64


class Status(StrEnum):
    """What became of an event. All but the admitted ones change nothing."""

    ADMITTED = "admitted"
    DUPLICATE = "duplicate"
    LATE = "late"
    FAR_FUTURE = "far_future"
    ANNOUNCED = "announced"


class Update(NamedTuple):
    """What an event led to: the values of all features by name if it was admitted, else none."""

    status: Status
    values: dict[str, Any]


_DUPLICATE = Update(Status.DUPLICATE, {})
_LATE = Update(Status.LATE, {})
_FAR_FUTURE = Update(Status.FAR_FUTURE, {})
_ANNOUNCED = Update(Status.ANNOUNCED, {})


class StateError(ValueError):
    """A state that this plan can't continue; the message says why and what to do."""


class State:
    """What is kept of one entity: its admitted events as far back as they matter, and the running aggregates of them.

    `keys`, `ids` and the `inputs` of aggregates are parallel lists, in order of arrival. Ids are known from position
    `known` on.
    """

    __slots__ = ("clock", "frames", "ids", "inputs", "key", "keys", "known", "seen", "trim_at")

    def __init__(self, plan: "Plan") -> None:
        self.key = _BEFORE_ALL
        self.clock = _BEFORE_ALL
        self.keys: list[int] = []
        self.ids: list[Any] = []
        self.inputs: list[list[Any]] = [[] for _ in range(plan.columns)]
        self.seen: set[Any] = set()
        self.known = 0
        columns = [self.keys, *self.inputs]
        self.frames = [_Frame(frame, plan.aggregates, columns) for frame in plan.frames]
        self.trim_at = _TRIMMED_FROM

    @property
    def oldest(self) -> int:
        """The position of the oldest event that matters."""
        return min([self.known, *(frame.low for frame in self.frames)])

    def __len__(self) -> int:
        """How many events matter."""
        return len(self.keys) - self.oldest

    def trim(self) -> None:
        """Cut off what matters no more."""
        oldest = self.oldest
        for column in (self.keys, self.ids, *self.inputs):
            del column[:oldest]
        self.known -= oldest
        for frame in self.frames:
            frame.low -= oldest
            frame.high -= oldest
        self.trim_at = 2 * len(self.keys) + _TRIMMED_FROM


class Plan:
    """How the features of a workload are kept up to date, event by event.

    `horizon_ms` is how long the state of an entity matters after its last event: the longest window, the lateness and a
    day that a stream may hold an event up. `remembered_ms` is how long event ids are known, and so how long a decision
    must be.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Raises ValueError for a document of another format."""
        if document.get("format") != _FORMAT:
            raise ValueError(
                f"the plan has format {document.get('format')!r}, this version reads {_FORMAT}: compile it again"
            )
        self.workload: str = document["workload"]
        self.contract: str = document["contract"]
        self.version: int = document["version"]
        self.entity: str = document["entity"]
        self.event_time: str = document["event_time"]
        self.event_id: tuple[str, ...] = tuple(document["event_id"])
        self._one_id = self.event_id[0] if len(self.event_id) == 1 else None
        self.allowed_lateness_ms: int = document["allowed_lateness_ms"]
        self.future_tolerance_ms: int = document["future_tolerance_ms"]
        self.remembered_ms: int = document["remembered_ms"]
        self.horizon_ms: int = document["horizon_ms"]
        # The fields of an event that models take beside its features: never an outcome, which isn't known then.
        self.inputs: tuple[str, ...] = tuple(document.get("inputs", ()))
        self.features: dict[str, str] = {name: feature["type"] for name, feature in document["features"].items()}
        self.complete: str | None = document.get("complete")
        kept = {name: document[name] for name in (*_KEPT, *(["complete"] if self.complete else []))}
        self.fingerprint = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
        self.columns = len(document["columns"])
        self._inputs = compile_list(document["columns"])
        self.frames = document["frames"]
        self.aggregates = document["aggregates"]
        self._values = compile_mapping({name: feature["value"] for name, feature in document["features"].items()})
        self._remembered = self.remembered_ms * _KEYS_PER_MS
        self._frames_of_column = [
            sorted({aggregate["frame"] for aggregate in self.aggregates if aggregate["column"] == position})
            for position in range(1, self.columns + 1)
        ]

    @classmethod
    def load(cls, workload: str) -> Self:
        """The plan of one of the package's workloads, such as `fraud-detection`. Raises LookupError for another."""
        folder = resources.files("ml_pipelines.features") / "plans"
        file = folder / f"{workload.replace('-', '_')}.json"
        if not file.is_file():
            known = sorted(entry.name.removesuffix(".json").replace("_", "-") for entry in folder.iterdir())
            raise LookupError(f"workload `{workload}` has no features; those that have are {', '.join(known)}")
        return cls(json.loads(file.read_text(encoding="utf-8")))

    def new_state(self) -> State:
        """The state of an entity of which nothing is known."""
        return State(self)

    def id_of(self, event: Mapping[str, Any]) -> Any:
        """The id of an event within its entity; where several fields make it up, they are joined as JSON."""
        if self._one_id:
            return event[self._one_id]
        return json.dumps([event[name] for name in self.event_id], ensure_ascii=False)

    def update(self, state: State, event: Mapping[str, Any], arrived_at: int) -> Update:
        """Take the next event of the state's entity. `arrived_at` is when the stream took it, in ms since 1970."""
        if self.complete is not None and event[self.complete] is None:
            return _ANNOUNCED
        time = event[self.event_time]
        if time > arrived_at + self.future_tolerance_ms:
            return _FAR_FUTURE
        event_id = event[self._one_id] if self._one_id else self.id_of(event)
        if event_id in state.seen:
            return _DUPLICATE
        clock = state.clock
        if time < clock - self.allowed_lateness_ms:
            return _LATE
        if time > clock:
            clock = time
        key = clock * _KEYS_PER_MS
        if key <= state.key:
            key = state.key + 1
        inputs = self._inputs(event, clock, key, arrived_at, None)
        # From here on nothing fails, so that an event is admitted as a whole.
        state.clock, state.key = clock, key
        keys, ids, seen = state.keys, state.ids, state.seen
        keys.append(key)
        ids.append(event_id)
        seen.add(event_id)
        for column, value in zip(state.inputs, inputs, strict=False):
            column.append(value)
        results = [None] * len(self.aggregates)
        for frame in state.frames:
            frame.advance(keys, key, results)
        unknown = key - self._remembered
        known = state.known
        while keys[known] < unknown:
            seen.discard(ids[known])
            known += 1
        state.known = known
        if len(keys) >= state.trim_at:
            state.trim()
        return Update(Status.ADMITTED, self._values(event, clock, key, arrived_at, results))

    def dump(self, state: State) -> bytes:
        """The state as bytes: JSON, compressed where it is long. Equal states give equal bytes."""
        keys = state.keys[state.oldest :]
        steps = [after - before for before, after in pairwise(keys)]
        columns = [
            column[min(state.frames[frame].low for frame in frames) :]
            for column, frames in zip(state.inputs, self._frames_of_column, strict=True)
        ]
        content = [self.fingerprint, state.clock, state.key, steps, state.ids[state.known :], columns]
        data = _ENCODER.encode(content).encode()
        return zlib.compress(data, 1) if len(data) >= _COMPRESSED_FROM else data

    def load_state(self, data: bytes) -> State:
        """The state that `dump` wrote. Raises StateError if another plan wrote it, or nobody did."""
        try:
            content = json.loads(data if data[:1] == b"[" else zlib.decompress(data))
            fingerprint, clock, key, steps, ids, columns = content
        except (ValueError, TypeError, zlib.error, RecursionError) as error:
            raise StateError(f"these {len(data)} bytes are no state of `{self.workload}`: {error}") from None
        if fingerprint != self.fingerprint:
            raise StateError(
                f"the state is of plan {fingerprint}, and `{self.workload}` now has plan {self.fingerprint}: its "
                f"windows changed. Keep states by plan (the fingerprint in their keys) and replay the last "
                f"{self.horizon_ms // 3_600_000} hours of the log, or start with empty states"
            )
        state = self.new_state()
        if key == _BEFORE_ALL:
            return state
        keys = [key]
        for step in reversed(steps):
            keys.append(keys[-1] - step)
        keys.reverse()
        state.clock, state.key = clock, key
        state.keys.extend(keys)
        state.seen = set(ids)
        state.known = len(keys) - len(ids)
        state.ids = [None] * state.known + ids
        for kept, column in zip(state.inputs, columns, strict=True):
            kept.extend([None] * (len(keys) - len(column)) + column)
        for frame in state.frames:
            frame.rebuild(state.keys, key)
        state.trim_at = 2 * len(keys) + _TRIMMED_FROM
        return state


class _Frame:
    """The events of one entity in a range of keys before the newest one: positions from `low`, and before `high`."""

    __slots__ = ("_enter", "_leave", "_results", "_since", "_until", "high", "low")

    def __init__(
        self, frame: Mapping[str, int], aggregates: Sequence[Mapping[str, Any]], columns: Sequence[list[Any]]
    ) -> None:
        self.low = self.high = 0
        self._since, self._until = frame["since"], frame["until"]
        self._enter: list[tuple[Callable[[int, Any], None], list[Any]]] = []
        self._leave: list[tuple[Callable[[int, Any], None], list[Any]]] = []
        self._results: list[tuple[int, Callable[[Sequence[Any], int, int], Any], list[Any]]] = []
        for position, aggregate in enumerate(aggregates):
            if aggregate["frame"] == frame["number"]:
                column, running = columns[aggregate["column"]], AGGREGATES[aggregate["kind"]]()
                self._results.append((position, running.result, column))
                if not isinstance(running, CountRows):
                    self._enter.append((running.enter, column))
                    self._leave.append((running.leave, column))

    def advance(self, keys: Sequence[int], newest: int, results: list[Any]) -> None:
        """Move on to the newest event, and put each aggregate's result in its place."""
        high, low, count = self.high, self.low, len(keys)
        entering = newest - self._until
        while high < count and (key := keys[high]) <= entering:
            for enter, column in self._enter:
                enter(key, column[high])
            high += 1
        self.high = high
        leaving = newest - self._since
        while low < high and (key := keys[low]) < leaving:
            for leave, column in self._leave:
                leave(key, column[low])
            low += 1
        self.low = low
        for position, result, column in self._results:
            results[position] = result(column, low, high)

    def rebuild(self, keys: Sequence[int], newest: int) -> None:
        """Take in the events of a state that was written down."""
        self.low = bisect_left(keys, newest - self._since)
        self.high = bisect_right(keys, newest - self._until)
        for enter, column in self._enter:
            for position in range(self.low, self.high):
                enter(keys[position], column[position])
