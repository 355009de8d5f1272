"""Shadows see copies of requests after these were answered, in a thread and a queue of their own.

The queue is bounded: what finds it full is counted and dropped. What a shadow says is written down beside the
champion's answers for `comparison.py`.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_pipelines.serving.models import Model, ScoreError
from ml_pipelines.serving.refusal import RefusedError

log = logging.getLogger(__name__)

QUEUE = 4096
# So long copies are gathered, and so many are scored at a time. While their columns and lines are made, Python's lock
# is held, and answers wait for it: with eight of them for a tenth of a millisecond.
GATHERED_SECONDS, GROUP = 0.05, 8


@dataclass(frozen=True, slots=True)
class Copy:
    """A request as a shadow sees it, with the answer that was given."""

    shadows: tuple[Model, ...]
    tenant: str | None
    entity: str | None
    event_id: str | None
    rows: Sequence[Mapping[str, Any]]
    champion: str
    scores: Sequence[float]


# Takes what was compared: a mapping for each row.
Write = Callable[[Sequence[Mapping[str, Any]]], None]


class Shadows:
    """The queue and its thread. `count` is told what becomes of copies, by shadow: scored, failed or dropped."""

    def __init__(self, write: Write, count: Callable[[str, str, int], None], queue: int = QUEUE):
        self._write, self._count, self._limit = write, count, queue
        self._queue: deque[Copy] = deque()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def sampled(self, shares: Sequence[tuple[Model, float]]) -> tuple[Model, ...]:
        """The shadows that see this request, each by its percent."""
        return tuple(model for model, share in shares if share >= 100 or random.random() * 100 < share)  # noqa: S311

    def offer(self, copy: Copy) -> None:
        """Queue a copy, or drop it where the queue is full. Never waits."""
        if len(self._queue) >= self._limit:
            for model in copy.shadows:
                self._count(model.key, "dropped", len(copy.rows))
            return
        self._queue.append(copy)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shadows", daemon=True)
            self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Score what is queued, but no longer than so many seconds, and end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        while not (self._stopped.wait(GATHERED_SECONDS) and not self._queue):
            while self._queue:
                group: list[Copy] = []
                while self._queue and len(group) < GROUP:
                    group.append(self._queue.popleft())
                try:
                    self._score(group)
                except Exception:
                    # Whatever a shadow does, the next copies are looked at, and answers don't depend on it.
                    log.exception("shadows: a group of copies is lost")

    def _score(self, group: Sequence[Copy]) -> None:
        by_model: dict[str, tuple[Model, list[Copy]]] = {}
        for copy in group:
            for model in copy.shadows:
                by_model.setdefault(model.key, (model, []))[1].append(copy)
        written: list[Mapping[str, Any]] = []
        for model, copies in by_model.values():
            lines = self._lines(model, copies)
            if lines[0]["failure"] and len(copies) > 1:
                # Which of them it was is told by asking for each.
                lines = [line for copy in copies for line in self._lines(model, [copy])]
            failed = sum(line["failure"] is not None for line in lines)
            for outcome, count in (("failed", failed), ("scored", len(lines) - failed)):
                if count:
                    self._count(model.key, outcome, count)
            written += lines
        self._write(written)

    @staticmethod
    def _lines(model: Model, copies: Sequence[Copy]) -> list[Mapping[str, Any]]:
        """What a shadow says to copies, all asked at once: Python's lock changes hands once, and not for each."""
        rows = [row for copy in copies for row in copy.rows]
        started = time.perf_counter()
        failure: str | None = None
        scores: Sequence[float | None] = [None] * len(rows)
        try:
            scores = model.score(model.schema.columns(rows)[0])
        except (ScoreError, RefusedError) as error:
            failure = str(error)
        mean_ms = 1000 * (time.perf_counter() - started) / len(rows)
        given = [(copy, score) for copy in copies for score in copy.scores]
        return [
            {
                "at": round(time.time() * 1000),
                "tenant": copy.tenant,
                "entity": copy.entity,
                "event_id": copy.event_id,
                "champion": copy.champion,
                "score": score,
                "shadow": model.key,
                "shadow_score": shadow_score,
                "shadow_ms": round(mean_ms, 4),
                "failure": failure,
            }
            for (copy, score), shadow_score in zip(given, scores, strict=True)
        ]
