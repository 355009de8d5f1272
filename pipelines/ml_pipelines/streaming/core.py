"""The core of the event processor: what becomes of each event, so that none is lost and none is decided twice.

An event is decoded by its contract, taken into the windows of its entity, scored, and answered with a decision. Windows
and decisions of an entity are one item of the state store, and are replaced together, only if nobody else replaced
them meanwhile. Only then are decision and features handed on, and only then is the event done. Whatever ends in
between, the event comes again, its id is known, and the same decision is handed on once more.
"""

import contextlib
import json
import logging
import threading
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from ml_pipelines.contracts.errors import ContractError, Reason
from ml_pipelines.features.online import Plan, State, StateError, Status
from ml_pipelines.streaming.dead_letters import DeadLetter, DeadLetters
from ml_pipelines.streaming.scorers import RefusedError, Scorer
from ml_pipelines.streaming.sinks import FeatureStore, Publisher, SinkError
from ml_pipelines.streaming.state.store import StateStore, StoreError

log = logging.getLogger(__name__)

# How often a lost race for an entity is run again before the event is left for a later delivery.
ATTEMPTS = 5

# An entity's name is a part of keys, of which DynamoDB's are the shortest (2,048 bytes).
LONGEST_ENTITY = 1024

# What can be wrong with an event beside its contract.
NOT_COMPUTABLE, SCORER_REFUSED = "not_computable", "scorer_refused"
STATE_UNREADABLE, STATE_TOO_LARGE = "state_unreadable", "state_too_large"

# So many times a scorer that doesn't answer is waited for in a batch; then the rest of it waits for a later delivery.
PATIENCE = 3

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
    """What became of an event. All but the failed ones are done.

    An announced one isn't complete: it changes nothing, and comes again with its outcome.
    """

    DECIDED = "decided"
    REPEATED = "repeated"
    ANNOUNCED = "announced"
    DEAD_LETTERED = "dead_lettered"
    FAILED = "failed"


@dataclass(slots=True)
class Result:
    """What became of a record, why if it isn't a decision, and the decision as it was handed on."""

    outcome: Outcome
    reason: str = ""
    decision: bytes | None = None
    detail: str = ""


class Decode(Protocol):
    """Reads the event of a record by its contract. Raises ContractError."""

    def __call__(self, record: Record) -> Mapping[str, Any]: ...


class Watch(Protocol):
    """Looks at decisions as they are handed on, each once; what it finds it tells by itself, and returns."""

    def see(self, decisions: Sequence[Mapping[str, Any]]) -> Sequence[Any]: ...


class _Row(NamedTuple):
    """What was decided about an event. `order` says which of an entity's events is the later one.

    `answer` is a list of the scorer's answer, or None as long as there is none.
    """

    event_time: int
    arrived_at: int
    order: int
    values: list[Any]
    answer: list[Any] | None


class _Entity:
    """What is kept of an entity: its windows, what was decided by event id, and the version of the item they came from.

    What was decided is a row, and as soon as it was written down the JSON of that row.
    """

    __slots__ = ("decided", "state", "touched", "version")

    def __init__(self, state: State, decided: dict[str, _Row | str], version: int | None):
        self.state, self.decided, self.version = state, decided, version
        self.touched = 0


@dataclass(slots=True)
class _Batch:
    """What the entities of a batch have in common: how often the scorer didn't answer."""

    unanswered: int = 0


class _NotComputableError(Exception):
    """An event of which features can't be computed. Nothing that keeps to its contract should be one."""

    def __init__(self, step: "_Step", detail: str):
        super().__init__(detail)
        self.step, self.detail = step, detail


class _TooLargeError(Exception):
    """An entity of which more is to be kept than the store takes."""


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
    changed from an old version. `at_once` entities of a batch are taken at the same time, which saves waiting for a
    store and a scorer over the network. Several threads may use one processor. What `watch` finds is counted; where it
    fails, events are none the worse.
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
        at_once: int = 1,
        watch: Watch | None = None,
    ):
        self.plan, self.decode, self.states = plan, decode, states
        self.dead_letters, self.features = dead_letters, features
        self.scorer, self.decisions = scorer, decisions
        self.cached_entities, self.watch = cached_entities, watch
        self.counts: Counter[str] = Counter()
        # Windows change with their events, so that a plan with other ones begins with items of its own.
        self._prefix = f"{plan.workload}/{plan.fingerprint}/"
        self._cache: OrderedDict[str, _Entity] = OrderedDict()
        self._lock = threading.Lock()
        # Without a store there is nothing that would tell two threads of each other.
        self._turn = threading.Lock() if states is None else contextlib.nullcontext()
        self._pool = ThreadPoolExecutor(at_once, "entities") if at_once > 1 else None

    def process(self, records: Sequence[Record]) -> list[Result]:
        """What becomes of each record, in their order. Events of one entity are taken in that order."""
        with self._turn:
            return self._process(records)

    def _process(self, records: Sequence[Record]) -> list[Result]:
        results: list[Result] = [Result(Outcome.FAILED, "not processed")] * len(records)
        letters: list[tuple[int, DeadLetter]] = []
        steps: list[_Step] = []
        groups: dict[str, list[_Step]] = {}
        name, id_of = self.plan.entity, self.plan.id_of
        for index, record in enumerate(records):
            try:
                event = self.decode(record)
                entity = _named(str(event[name]))
            except ContractError as error:
                letters.append((index, DeadLetter.of(record, self.plan.workload, error.reason, error.detail)))
                continue
            except Exception as error:
                # A registry of schemas that isn't there says nothing about the event.
                log.exception("an event can't be decoded now")
                results[index] = Result(Outcome.FAILED, f"decode: {type(error).__name__}: {error}")
                continue
            step = _Step(index, record, event, str(id_of(event)))
            steps.append(step)
            if (group := groups.get(entity)) is None:
                groups[entity] = [step]
            else:
                group.append(step)
        batch = _Batch()
        if self._pool is None or len(groups) < 2:
            for entity, group in groups.items():
                self._entity(entity, group, batch)
        else:
            list(self._pool.map(self._entity, groups, groups.values(), [batch] * len(groups)))
        for step in steps:
            if step.result is not None and step.result.outcome is Outcome.DEAD_LETTERED:
                detail = step.result.detail or _refusal(self.plan, step)
                letters.append((step.index, DeadLetter.of(step.record, self.plan.workload, step.result.reason, detail)))
        if self.watch is not None:
            self._see(self.watch, steps)
        self._hand_on(steps)
        for step in steps:
            if step.result is not None:
                results[step.index] = step.result
        self._bury(letters, results)
        with self._lock:
            for result in results:
                named = result.outcome is Outcome.DEAD_LETTERED
                self.counts[f"{result.outcome}.{result.reason}" if named else result.outcome.value] += 1
        return results

    def _see(self, watch: Watch, steps: Sequence[_Step]) -> None:
        """Show the watch what was decided now; what is repeated it has seen, unless a processor was killed."""
        decided = [
            step.document
            for step in steps
            if step.document is not None and step.result is not None and step.result.outcome is Outcome.DECIDED
        ]
        if not decided:
            return
        try:
            changes = len(watch.see(decided))
        except Exception:
            log.exception("the watch over the stream failed")
            changes, failed = 0, 1
        else:
            failed = 0
        if changes or failed:
            with self._lock:
                self.counts["changes"] += changes
                self.counts["watch_failed"] += failed

    def _entity(self, entity: str, steps: list[_Step], batch: _Batch) -> None:
        """Take an entity's events into its windows, and write these down with the decisions."""
        try:
            self._settle(entity, steps, batch)
        except StoreError as error:
            _fail(steps, f"state: {error}")
        except StateError as error:
            _refuse(steps, STATE_UNREADABLE, str(error))
        except _TooLargeError as error:
            _refuse(steps, STATE_TOO_LARGE, str(error))
        except Exception as error:
            # What nobody thought of must not take the other entities of the batch with it.
            log.exception("an entity's events can't be processed")
            _fail(steps, f"{type(error).__name__}: {error}")

    def _settle(self, entity: str, steps: list[_Step], batch: _Batch) -> None:
        waiting, races = steps, 0
        while races < ATTEMPTS:
            kept = self._load(entity, fresh=races > 0)
            try:
                if not self._take(entity, kept, waiting, batch):
                    self._keep(entity, kept)
                    return
                if self._store(entity, kept, len(waiting)):
                    return
                races += 1
                with self._lock:
                    self.counts["races"] += 1
            except _NotComputableError as error:
                _refuse([error.step], NOT_COMPUTABLE, error.detail)
                waiting = [step for step in waiting if step is not error.step]
                if self.states is None:
                    self._keep(entity, kept)
            for step in waiting:
                step.result = step.document = None
        _fail(waiting, f"another processor changed `{entity}` {ATTEMPTS} times meanwhile")

    def _take(self, entity: str, kept: _Entity, steps: list[_Step], batch: _Batch) -> bool:
        """Whether an event changed what is kept. Ends at the first one that the scorer has no answer for.

        That one is in the windows, with the values that it will be scored by when it comes again.
        """
        changed = False
        for position, step in enumerate(steps):
            outcome = Outcome.REPEATED
            row = kept.decided.get(step.event_id)
            if isinstance(row, str):
                row = _Row(*json.loads(row))
            elif row is None:
                event_time, arrived_at = step.event[self.plan.event_time], step.record.arrived_at
                try:
                    status, values = self.plan.update(kept.state, step.event, arrived_at)
                except Exception as error:
                    raise _NotComputableError(step, f"{type(error).__name__}: {error}") from error
                if status is Status.DUPLICATE:
                    step.result = Result(Outcome.REPEATED)
                    continue
                if status is Status.ANNOUNCED:
                    # It comes again when it is complete. Until then nothing is known that windows could hold.
                    step.result = Result(Outcome.ANNOUNCED)
                    continue
                if status is not Status.ADMITTED:
                    step.result = Result(Outcome.DEAD_LETTERED, status.value)
                    continue
                if self.scorer is None:
                    # Nobody waits for decisions, and of the features the newest ones are what has to be handed on.
                    kept.decided.clear()
                answer = None if self.scorer else [None]
                row = _Row(event_time, arrived_at, kept.state.key, list(values.values()), answer)
                kept.decided[step.event_id], kept.touched = row, arrived_at
                outcome, changed = Outcome.DECIDED, True
            if row.answer is None and self.scorer is not None:
                try:
                    if batch.unanswered >= PATIENCE:
                        raise SinkError("no answer to others of this batch")
                    row = row._replace(answer=[self.scorer.score(entity, step.event_id, self._inputs(step.event, row))])
                except RefusedError as error:
                    _refuse([step], SCORER_REFUSED, str(error))
                    continue
                except SinkError as error:
                    batch.unanswered += 1
                    _fail(steps[position:], f"scorer: {error}")
                    return changed
                kept.decided[step.event_id] = row
                outcome, changed = Outcome.DECIDED, True
            step.document = self._document(entity, step.event_id, row)
            decision = _json(step.document).encode() if self.decisions is not None else None
            step.result = Result(outcome, decision=decision)
        return changed

    def _inputs(self, event: Mapping[str, Any], row: _Row) -> dict[str, Any]:
        """What a model is asked about: what the event itself says, and its features."""
        own = {name: event[name] for name in self.plan.inputs}
        return own | dict(zip(self.plan.features, row.values, strict=True))

    def _document(self, entity: str, event_id: str, row: _Row) -> dict[str, Any]:
        """A decision as it is handed on. It holds nothing that another run would write differently."""
        return {
            "workload": self.plan.workload,
            "entity": entity,
            "event_id": event_id,
            "event_time": row.event_time,
            "arrived_at": row.arrived_at,
            "order": row.order,
            "features": dict(zip(self.plan.features, row.values, strict=True)),
            "answer": row.answer[0] if row.answer else None,
        }

    def _load(self, entity: str, fresh: bool) -> _Entity:
        """What is kept of an entity. What comes from the cache leaves it, so that no other thread has it meanwhile."""
        with self._lock:
            cached = self._cache.pop(entity, None)
        if cached is not None and not fresh:
            return cached
        found = self.states.get(self._prefix + entity) if self.states is not None else None
        if found is None:
            return _Entity(self.plan.new_state(), {}, None)
        data, version = found
        state, decided = _unpacked(data)
        return _Entity(self.plan.load_state(state), decided, version)

    def _store(self, entity: str, kept: _Entity, fresh: int) -> bool:
        """Replace the entity's item, unless somebody else did; then it is forgotten here.

        fresh: how many of the decisions, the last ones, may not have been handed on yet.
        """
        known = kept.state.seen
        if len(kept.decided) > 1.25 * len(known) + 16:
            kept.decided = {event_id: row for event_id, row in kept.decided.items() if _remembered(event_id, known)}
        if self.states is not None:
            data = self._packed(entity, kept, fresh)
            version = self.states.put(self._prefix + entity, data, kept.version, self.plan.horizon_ms)
            if version is None:
                return False
            kept.version = version
        self._keep(entity, kept)
        return True

    def _packed(self, entity: str, kept: _Entity, fresh: int) -> bytes:
        """An entity's item. Where it is too large, old decisions go: their events stay known, and aren't decided again.

        Raises _TooLargeError where the windows alone are too large for the store.
        """
        if self.states is None:
            return b""
        for event_id, row in kept.decided.items():
            if not isinstance(row, str):
                kept.decided[event_id] = _json(row)
        state = self.plan.dump(kept.state)
        while len(data := _packed(state, kept.decided)) > self.states.maximum_bytes:
            if len(kept.decided) <= fresh:
                raise _TooLargeError(
                    f"`{entity}` has {len(kept.state)} events in its windows, for which {len(data)} bytes would be "
                    f"kept; the store takes {self.states.maximum_bytes}"
                )
            left = max(fresh, len(kept.decided) // 2)
            kept.decided = dict(list(kept.decided.items())[-left:])
        return data

    def _keep(self, entity: str, kept: _Entity) -> None:
        """Put an entity into the cache, for its next events."""
        with self._lock:
            self._cache[entity] = kept
            self._forget(kept.touched)

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

    def _bury(self, letters: list[tuple[int, DeadLetter]], results: list[Result]) -> None:
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


def _named(entity: str) -> str:
    """An entity's name. Raises ContractError if it is too long for a key."""
    if len(entity) > LONGEST_ENTITY // 4 and (size := len(entity.encode())) > LONGEST_ENTITY:
        raise ContractError(Reason.OUT_OF_RANGE, f"the entity's name has {size} bytes; at most {LONGEST_ENTITY}")
    return entity


def _refuse(steps: Iterable[_Step], reason: str, detail: str) -> None:
    for step in steps:
        step.result, step.document = Result(Outcome.DEAD_LETTERED, reason, detail=detail), None


def _fail(steps: Iterable[_Step], reason: str) -> None:
    log.warning("left for a later delivery: %s", reason)
    for step in steps:
        step.result, step.document = Result(Outcome.FAILED, reason), None


def _refusal(plan: Plan, step: _Step) -> str:
    time = step.event[plan.event_time]
    if step.result is not None and step.result.reason == Reason.FAR_FUTURE:
        ahead = time - step.record.arrived_at
        return f"`{plan.event_time}` is {ahead} ms after its arrival; {plan.future_tolerance_ms} ms are allowed"
    return f"`{plan.event_time}` is {time}, more than {plan.allowed_lateness_ms} ms before an event that came earlier"


def _remembered(event_id: str, known: set[Any]) -> bool:
    """Whether the windows still know an event, whose id is a number in some contracts."""
    return event_id in known or (event_id.lstrip("-").isdigit() and int(event_id) in known)


def _packed(state: bytes, decided: Mapping[str, _Row | str]) -> bytes:
    """An entity's item: the length of the state, the state, and what was decided; compressed where it is long."""
    text = "{" + ",".join([f"{_json(event_id)}:{row}" for event_id, row in decided.items()]) + "}"
    data = len(state).to_bytes(4, "big") + state + text.encode()
    return b"z" + zlib.compress(data, 1) if len(data) >= COMPRESSED_FROM else b"p" + data


def _unpacked(data: bytes) -> tuple[bytes, dict[str, _Row | str]]:
    try:
        content = zlib.decompress(data[1:]) if data[:1] == b"z" else data[1:]
        length = int.from_bytes(content[:4], "big")
        decided = json.loads(content[4 + length :])
        return content[4 : 4 + length], {event_id: _Row(*row) for event_id, row in decided.items()}
    except (zlib.error, ValueError, TypeError, AttributeError) as error:
        raise StateError(f"these {len(data)} bytes are no item of an entity: {error}") from None
