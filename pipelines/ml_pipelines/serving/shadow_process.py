"""The process of shadows: reads copies from its standard input, a socket, scores them, and writes what shadows said.

`shadow.py` starts it, with the variables of the service. It loads models as the service does, and ends when the service
does. What shadows say is written down beside the champion's answers for `comparison.py`.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from ml_pipelines.serving import places, telemetry
from ml_pipelines.serving.captured import EVERY_SECONDS, Captured
from ml_pipelines.serving.models import Model, ScoreError, load
from ml_pipelines.serving.refusal import RefusedError
from ml_pipelines.serving.settings import trusted
from ml_pipelines.serving.trust import ModelError

log = logging.getLogger(__name__)

# A tenth of what others get of a processor that all want.
NICENESS = 10
# So many copies are scored at a time.
GROUP = 64
_CHUNK = 2**20

# Takes what was compared: a mapping for each row.
Write = Callable[[Sequence[Mapping[str, Any]]], None]


class Scorer:
    """The shadows' models. `count` is told what becomes of copies, by shadow: scored or failed."""

    def __init__(self, fetch: Callable[[str, str], Model], write: Write, count: Callable[[str, str, int], None]):
        self._fetch, self._write, self._count = fetch, write, count
        self._models: dict[str, Model] = {}
        self._lacking: dict[str, str] = {}

    def take(self, versions: Sequence[Sequence[str]], names: Sequence[str]) -> None:
        """Have these models. One that can't be loaded fails all of its copies."""
        there, self._models, self._lacking = self._models, {}, {}
        for name, version in versions:
            key = f"{name}/{version}"
            try:
                self._models[key] = (there.get(key) or self._fetch(name, version)).beside(names)
            except ModelError as error:
                # The service has loaded it a moment ago.
                log.error("a shadow sees nothing: %s", error)
                self._lacking[key] = str(error)

    def score(self, copies: Sequence[Mapping[str, Any]]) -> None:
        """Ask the shadows, and write down what they say."""
        by_shadow: dict[str, list[Mapping[str, Any]]] = {}
        for copy in copies:
            for key in copy["shadows"]:
                by_shadow.setdefault(key, []).append(copy)
        written: list[Mapping[str, Any]] = []
        for key, seen in by_shadow.items():
            lines = self._lines(key, seen)
            if lines[0]["failure"] and len(seen) > 1:
                # Which of them it was is told by asking for each.
                lines = [line for copy in seen for line in self._lines(key, [copy])]
            failed = sum(line["failure"] is not None for line in lines)
            for outcome, count in (("failed", failed), ("scored", len(lines) - failed)):
                if count:
                    self._count(key, outcome, count)
            written += lines
        self._write(written)

    def _lines(self, key: str, copies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """What a shadow says to copies, all asked at once."""
        model = self._models.get(key)
        started = time.perf_counter()
        failure: str | None = None
        scores: Sequence[float | None] = [None] * len(copies)
        if model is None:
            failure = self._lacking.get(key, "it isn't among the shadows any more")
        else:
            try:
                scores = model.score(model.schema.columns([copy["row"] for copy in copies])[0])
            except (ScoreError, RefusedError) as error:
                failure = str(error)
        mean_ms = round(1000 * (time.perf_counter() - started) / len(copies), 4)
        at = round(time.time() * 1000)
        return [
            {
                "at": at,
                **{name: copy[name] for name in ("tenant", "entity", "event_id", "champion", "score")},
                "shadow": key,
                "shadow_score": score,
                "shadow_ms": mean_ms,
                "failure": failure,
            }
            for copy, score in zip(copies, scores, strict=True)
        ]

    def serve(self, source: socket.socket) -> None:
        """Do what comes in, until nobody is there who could send more."""
        rest = b""
        while chunk := source.recv(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            said = [orjson.loads(line) for line in lines]
            waiting: list[Mapping[str, Any]] = []
            for one in said:
                if "versions" in one:
                    self._score_all(waiting)
                    waiting = []
                    self.take(one["versions"], one["names"])
                else:
                    waiting.append(one)
            self._score_all(waiting)

    def _score_all(self, copies: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(copies), GROUP):
            try:
                self.score(copies[start : start + GROUP])
            except Exception:
                # Whatever a shadow does, the next copies are looked at.
                log.exception("shadows: a group of copies is lost")


def _not_kept(_: Any) -> None:
    """Without CAPTURED what shadows say is counted, and kept nowhere."""


def main(variables: Mapping[str, str] = os.environ) -> int:
    """Score copies until the service ends."""
    telemetry.set_up_logging()
    os.nice(NICENESS)
    # The service says when all is done.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
    find, trust = places.finder(variables), trusted(variables)
    every = float(variables.get("CAPTURED_SECONDS") or EVERY_SECONDS)
    captured = Captured(variables["CAPTURED"], "comparisons", every) if variables.get("CAPTURED") else None
    with socket.socket(fileno=sys.stdin.fileno()) as service:

        def count(key: str, outcome: str, rows: int) -> None:
            service.sendall(orjson.dumps([key, outcome, rows], option=orjson.OPT_APPEND_NEWLINE))

        def fetch(name: str, version: str) -> Model:
            return load(name, version, find(name, version), trust)

        Scorer(fetch, captured or _not_kept, count).serve(service)
        if captured is not None:
            captured.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
