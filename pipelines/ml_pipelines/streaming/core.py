"""The core of the event processor: what becomes of each event, so that none is lost and none is decided twice.

An event is decoded by its contract, taken into the windows of its entity, scored, and answered with a decision. Windows
and decisions of an entity are one item of the state store, and are replaced together, only if nobody else replaced
them meanwhile. Only then are decision and features handed on, and only then is the event done. Whatever ends in
between, the event comes again, its id is known, and the same decision is handed on once more.
"""

import json
import logging
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from ml_pipelines.contracts.errors import ContractError, Reason
from ml_pipelines.features.online import Plan, State, Status
from ml_pipelines.streaming.dead_letters import DeadLetter, DeadLetters
from ml_pipelines.streaming.scorers import Scorer
from ml_pipelines.streaming.sinks import FeatureStore, Publisher, SinkError
from ml_pipelines.streaming.state.store import StateStore, StoreError

log = logging.getLogger(__name__)

# How often a lost race for an entity is run again before the event is left for a later delivery.
ATTEMPTS = 5

# From this size on an entity's item is compressed.
COMPRESSED_FROM = 2048

# Made once: `json.dumps` makes an encoder for each call that asks for other separators.
_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Record:
    """What a stream hands over. `arrived_at`: when it took the event, in ms since 1970. `position`: where it lies.

    `attributes` are what the stream says beside the payload, such as the id of a schema.
    """

    payload: bytes
    arrived_at: int
    position: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Outcome(StrEnum):
    """What became of an event. All but the failed ones are done."""

    DECIDED = "decided"
    REPEATED = "repeated"
    DEAD_LETTERED = "dead_lettered"
    FAILED = "failed"


@dataclass(slots=True)
class Result:
    """What became of a record, why if it isn't a decision, and the decision as it was handed on."""

    outcome: Outcome
    reason: str = ""
    decision: bytes | None = None


class Decode(Protocol):
    """Reads the event of a record by its contract. Raises ContractError."""

    def __call__(self, record: Record) -> Mapping[str, Any]: ...


class _Entity:
    """What is kept of an entity: its windows, what was decided by event id, and the version of the item they came from.

    What was decided is JSON: event time, arrival, the values of the features in the plan's order, and the answer.
    """

    __slots__ = ("decided", "state", "touched", "version")

    def __init__(self, state: State, decided: dict[str, str], version: int | None):
        self.state, self.decided, self.version = state, decided, version
        self.touched = 0


@dataclass(slots=True)
class _Step:
    """An event on its way through a batch."""

    index: int
    record: Record
    event: Mapping[str, Any]
    event_id: str
    result: Result | None = None
    document: dict[str, Any] | None = None


class Processor:
    """Processes events in batches. What it can't finish it reports as failed, for the stream to deliver again.

    `scorer` and `decisions` are None where events only keep the features up to date. `states` is None where windows
    needn't outlive the process. Otherwise `cached_entities` entities are kept decoded: that saves reading them again
    where one processor has its entities for itself, and does no harm where it doesn't, since the store refuses what was
    changed from an old version.
    """

    def __init__(
        self,
        plan: Plan,
        decode: Decode,
        states: StateStore | None,
        dead_letters: DeadLetters,
        features: FeatureStore,
        scorer: Scorer | None = None,
        decisions: Publisher | None = None,
        cached_entities: int = 10_000,
    ):
        self.plan, self.decode, self.states = plan, decode, states
        self.dead_letters, self.features = dead_letters, features
        self.scorer, self.decisions = scorer, decisions
        self.cached_entities = cached_entities
        self.counts: Counter[str] = Counter()
        self._cache: OrderedDict[str, _Entity] = OrderedDict()

    def process(self, records: Sequence[Record]) -> list[Result]:
        """What becomes of each record, in their order. Events of one entity are taken in that order."""
        results: list[Result | None] = [None] * len(records)
        letters: list[tuple[int, DeadLetter]] = []
        groups: dict[str, list[_Step]] = {}
        for index, record in enumerate(records):
            try:
                event = self.decode(record)
            except ContractError as error:
                letters.append((index, DeadLetter.of(record, self.plan.workload, error.reason, error.detail)))
                continue
            entity = str(event[self.plan.entity])
            groups.setdefault(entity, []).append(_Step(index, record, event, str(self.plan.id_of(event))))
        for entity, steps in groups.items():
            self._entity(entity, steps)
        steps = sorted((step for group in groups.values() for step in group), key=lambda step: step.index)
        for step in steps:
            if step.result is not None and step.result.outcome is Outcome.DEAD_LETTERED:
                detail = _refusals(self.plan, step)
                letters.append((step.index, DeadLetter.of(step.record, self.plan.workload, step.result.reason, detail)))
        self._hand_on(steps)
        for step in steps:
            results[step.index] = step.result
        self._bury(letters, results)
        finished = [result or Result(Outcome.FAILED, "not processed") for result in results]
        for result in finished:
            named = result.outcome in (Outcome.DEAD_LETTERED, Outcome.FAILED)
            self.counts[f"{result.outcome}.{result.reason}" if named else str(result.outcome)] += 1
        return finished

    def _entity(self, entity: str, steps: list[_Step]) -> None:
        """Take an entity's events into its windows, and write these down with the decisions."""
        for attempt in range(ATTEMPTS):
            try:
                kept = self._load(entity, fresh=attempt > 0)
                changed = self._take(entity, kept, steps)
                if not changed or self._store(entity, kept):
                    return
            except StoreError as error:
                self._cache.pop(entity, None)
                _fail(steps, f"state: {error}")
                return
            for step in steps:
                step.result = step.document = None
            self.counts["races"] += 1
        _fail(steps, f"another processor changed `{entity}` {ATTEMPTS} times meanwhile")

    def _take(self, entity: str, kept: _Entity, steps: list[_Step]) -> bool:
        """Whether an event changed what is kept. Ends at the first one that the scorer has no answer for."""
        changed = False
        for position, step in enumerate(steps):
            if (decided := kept.decided.get(step.event_id)) is not None:
                step.document = self._document(entity, step.event_id, *json.loads(decided))
                step.result = Result(Outcome.REPEATED, decision=_json(step.document).encode())
                continue
            status, values = self.plan.update(kept.state, step.event, step.record.arrived_at)
            if status is Status.DUPLICATE:
                step.result = Result(Outcome.REPEATED)
            elif status is not Status.ADMITTED:
                step.result = Result(Outcome.DEAD_LETTERED, str(status))
            else:
                try:
                    answer = self.scorer.score(entity, step.event_id, values) if self.scorer else None
                except SinkError as error:
                    # The windows have the event by now and mustn't: what is in memory is forgotten, and what was done
                    # before it in this batch is done again from what is stored.
                    self._cache.pop(entity, None)
                    _fail(steps[position:], f"scorer: {error}")
                    return position > 0 and self._again(entity, kept, steps[:position])
                row = [step.event[self.plan.event_time], step.record.arrived_at, list(values.values()), answer]
                kept.decided[step.event_id] = _json(row)
                kept.touched = step.record.arrived_at
                step.document = self._document(entity, step.event_id, *row)
                step.result = Result(Outcome.DECIDED, decision=_json(step.document).encode())
                changed = True
        return changed

    def _document(
        self, entity: str, event_id: str, event_time: int, arrived_at: int, values: list[Any], answer: Any
    ) -> dict[str, Any]:
        """A decision as it is handed on. It holds nothing that another run would write differently."""
        return {
            "workload": self.plan.workload,
            "entity": entity,
            "event_id": event_id,
            "event_time": event_time,
            "arrived_at": arrived_at,
            "features": dict(zip(self.plan.features, values, strict=True)),
            "answer": answer,
        }

    def _again(self, entity: str, kept: _Entity, steps: list[_Step]) -> bool:
        """Take the events before one that failed from the beginning, with the decisions that they were given."""
        stored = self._load(entity, fresh=True)
        changed = False
        for step in steps:
            if step.event_id in stored.decided:
                continue
            status, _ = self.plan.update(stored.state, step.event, step.record.arrived_at)
            if status is Status.ADMITTED:
                stored.decided[step.event_id] = kept.decided[step.event_id]
                changed = True
        kept.state, kept.decided, kept.version = stored.state, stored.decided, stored.version
        return changed

    def _load(self, entity: str, fresh: bool) -> _Entity:
        if fresh:
            self._cache.pop(entity, None)
        elif (cached := self._cache.get(entity)) is not None:
            self._cache.move_to_end(entity)
            return cached
        found = self.states.get(entity) if self.states is not None else None
        if found is None:
            return _Entity(self.plan.new_state(), {}, None)
        data, version = found
        state, decided = _unpacked(data)
        return _Entity(self.plan.load_state(state), decided, version)

    def _store(self, entity: str, kept: _Entity) -> bool:
        """Replace the entity's item, unless somebody else did; then it is forgotten here."""
        known = kept.state.seen
        if len(kept.decided) > 1.25 * len(known) + 16:
            kept.decided = {event_id: text for event_id, text in kept.decided.items() if _remembered(event_id, known)}
        if self.states is not None:
            data = _packed(self.plan.dump(kept.state), kept.decided)
            version = self.states.put(entity, data, kept.version, self.plan.horizon_ms)
            if version is None:
                self._cache.pop(entity, None)
                return False
            kept.version = version
        self._cache[entity] = kept
        self._cache.move_to_end(entity)
        self._forget(kept.touched)
        return True

    def _forget(self, now: int) -> None:
        """Let go of what is in the store, or where there is none, of entities whose windows are empty by now."""
        if self.states is not None:
            while len(self._cache) > self.cached_entities:
                self._cache.popitem(last=False)
            return
        while next(iter(self._cache.values())).touched < now - self.plan.horizon_ms:
            self._cache.popitem(last=False)

    def _hand_on(self, steps: Iterable[_Step]) -> None:
        """Publish decisions, those of repeated events too: nobody knows whether they were published before."""
        done = [step for step in steps if step.document is not None]
        if not done:
            return
        documents = [step.document for step in done if step.document is not None]
        failed: dict[int, str] = {}
        if (publisher := self.decisions) is not None:
            messages = [
                (document["entity"], step.result.decision)
                for step, document in zip(done, documents, strict=True)
                if step.result is not None and step.result.decision is not None
            ]
            failed |= _attempt("decisions", lambda: publisher.publish(messages))
        failed |= _attempt("features", lambda: self.features.write(documents))
        everything = failed.pop(-1, None)
        for index, step in enumerate(done):
            reason = everything or failed.get(index)
            if reason:
                step.result = Result(Outcome.FAILED, reason)

    def _bury(self, letters: list[tuple[int, DeadLetter]], results: list[Result | None]) -> None:
        if not letters:
            return
        failed = _attempt("dead letters", lambda: self.dead_letters.bury([letter for _, letter in letters]))
        everything = failed.pop(-1, None)
        for position, (index, letter) in enumerate(letters):
            reason = everything or failed.get(position)
            results[index] = Result(Outcome.FAILED, reason) if reason else Result(Outcome.DEAD_LETTERED, letter.reason)


def _attempt(what: str, action: Callable[[], Mapping[int, str]]) -> dict[int, str]:
    """Which of several things failed and why, by their index; -1 stands for all of them."""
    try:
        return {index: f"{what}: {reason}" for index, reason in action().items()}
    except SinkError as error:
        return {-1: f"{what}: {error}"}


def _fail(steps: Iterable[_Step], reason: str) -> None:
    log.warning("left for a later delivery: %s", reason)
    for step in steps:
        step.result, step.document = Result(Outcome.FAILED, reason), None


def _refusals(plan: Plan, step: _Step) -> str:
    time = step.event[plan.event_time]
    if step.result is not None and step.result.reason == Reason.FAR_FUTURE:
        ahead = time - step.record.arrived_at
        return f"`{plan.event_time}` is {ahead} ms after its arrival; {plan.future_tolerance_ms} ms are allowed"
    return f"`{plan.event_time}` is {time}, more than {plan.allowed_lateness_ms} ms before an event that came earlier"


def _remembered(event_id: str, known: set[Any]) -> bool:
    """Whether the windows still know an event, whose id is a number in some contracts."""
    return event_id in known or (event_id.lstrip("-").isdigit() and int(event_id) in known)


def _packed(state: bytes, decided: Mapping[str, str]) -> bytes:
    """An entity's item: the length of the state, the state, and what was decided; compressed where it is long."""
    text = "{" + ",".join([f"{_json(event_id)}:{row}" for event_id, row in decided.items()]) + "}"
    data = len(state).to_bytes(4, "big") + state + text.encode()
    return b"z" + zlib.compress(data, 1) if len(data) >= COMPRESSED_FROM else b"p" + data


def _unpacked(data: bytes) -> tuple[bytes, dict[str, str]]:
    content = zlib.decompress(data[1:]) if data[:1] == b"z" else data[1:]
    length = int.from_bytes(content[:4], "big")
    decided = json.loads(content[4 + length :])
    return content[4 : 4 + length], {event_id: _json(row) for event_id, row in decided.items()}
