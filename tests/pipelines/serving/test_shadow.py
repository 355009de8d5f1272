"""Shadows: what they are handed, the process that scores it, and what becomes of both when one is slow or ends."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace

import orjson
import psutil
import pytest
from ml_pipelines.serving import shadow
from ml_pipelines.serving.models import load
from ml_pipelines.serving.shadow import Copy, Shadows
from ml_pipelines.serving.shadow_process import NICENESS, Scorer
from ml_pipelines.serving.trust import ModelError, Trust
from ml_pipelines.steps import manifest

from .conftest import KEY, graph, register

TREES = ("trees", "1.0.0")
COPY = Copy(("trees/1.0.0",), None, "card-1", "event-1", {"amount": 1.0}, "a/1.0.0", 0.5)
# What takes longer has come to nothing.
PATIENCE_SECONDS = 60

pytestmark = pytest.mark.anyio


def variables(registry):
    return {"MODELS": str(registry), "TRUSTED_KEYS": manifest.as_word(KEY.public_key())}


class Shadowing:
    """Shadows with their process, and what was counted."""

    def __init__(self, registry, **changed):
        self.counted = Counter()
        self.shadows = Shadows(variables(registry), self._count, **changed)

    def _count(self, key, outcome, rows):
        self.counted[outcome] += rows

    @property
    def process(self):
        return psutil.Process(self.shadows._process.pid)

    async def until(self, there):
        end = time.monotonic() + PATIENCE_SECONDS
        while not there():
            assert time.monotonic() < end, self.counted
            await asyncio.sleep(0.02)

    async def ready(self):
        """The first copy comes back once all is imported and loaded."""
        self.shadows.offer(COPY)
        await self.until(lambda: self.counted["scored"])
        self.counted.clear()


async def test_a_process_that_is_slow_keeps_nobody_waiting_and_what_finds_no_room_is_dropped(registry):
    held = Shadowing(registry, most=100_000)
    await held.shadows.take([TREES], [])
    await held.ready()
    held.process.send_signal(signal.SIGSTOP)
    started, longest = time.perf_counter(), 0.0
    for _ in range(20_000):
        before = time.thread_time()
        held.shadows.offer(COPY)
        longest = max(longest, time.thread_time() - before)
    assert time.perf_counter() - started < 10
    assert longest < 0.1
    # The system's buffers hold some beside ours.
    assert held.counted["dropped"] > 10_000
    held.process.send_signal(signal.SIGCONT)
    await held.shadows.close(PATIENCE_SECONDS)
    assert held.counted["scored"] + held.counted["dropped"] == 20_000


async def test_the_process_has_a_low_priority_and_is_there_for_shadows_alone(registry):
    held = Shadowing(registry)
    await held.shadows.take([], [])
    assert held.shadows._process is None
    await held.shadows.take([TREES], [])
    await held.ready()
    assert held.process.nice() == min(psutil.Process().nice() + NICENESS, 19)
    await held.shadows.close(PATIENCE_SECONDS)
    assert held.shadows._process.returncode == 0


async def test_a_process_that_ended_is_started_again_and_copies_between_are_counted(registry, monkeypatch, caplog):
    monkeypatch.setattr(shadow, "AGAIN_SECONDS", 0.05)
    held = Shadowing(registry)
    await held.shadows.take([TREES], [])
    await held.ready()
    first = held.process
    first.kill()
    await held.until(lambda: held.shadows._transport is None)
    held.shadows.offer(COPY)
    assert held.counted == {"dropped": 1}
    await held.until(lambda: held.shadows._transport is not None)
    await held.ready()
    assert held.process.pid != first.pid
    await held.shadows.close(PATIENCE_SECONDS)
    assert "the process of shadows has ended" in caplog.text


async def test_where_the_process_cant_be_started_it_is_tried_again_and_answers_go_on(registry, monkeypatch, caplog):
    monkeypatch.setattr(shadow, "AGAIN_SECONDS", 0.05)
    held, spawn, tries = Shadowing(registry), Shadows._spawn, []

    def scarce(self, service):
        tries.append(service)
        if len(tries) == 1:
            raise OSError("no memory")
        return spawn(self, service)

    monkeypatch.setattr(Shadows, "_spawn", scarce)
    await held.shadows.take([TREES], [])
    held.shadows.offer(COPY)
    assert held.counted == {"dropped": 1}
    # A table that comes meanwhile starts no second one.
    await asyncio.gather(held.shadows.take([TREES], []), held.shadows.take([TREES], []))
    await held.ready()
    await asyncio.sleep(0.2)
    assert len(tries) == 2
    await held.shadows.close(PATIENCE_SECONDS)
    assert "can't be started: no memory" in caplog.text


async def test_a_copy_that_cant_be_handed_over_is_counted_and_no_other_is_lost(registry, caplog):
    held = Shadowing(registry)
    await held.shadows.take([TREES], [])
    for row in ({"amount": 1.0}, {"amount": object()}, {"amount": 2.0}):
        held.shadows.offer(replace(COPY, row=row))
    await held.shadows.close(PATIENCE_SECONDS)
    assert held.counted == {"scored": 2, "failed": 1}
    assert "a copy can't be handed over" in caplog.text


async def test_another_table_is_taken_between_two_copies(registry):
    register(registry, "trees", "2.0.0", bias=1.0)
    held = Shadowing(registry)
    await held.shadows.take([TREES], [])
    held.shadows.offer(COPY)
    await held.shadows.take([("trees", "2.0.0")], [])
    held.shadows.offer(replace(COPY, shadows=("trees/2.0.0",)))
    held.shadows.offer(COPY)
    await held.shadows.close(PATIENCE_SECONDS)
    assert held.counted == {"scored": 2, "failed": 1}


async def test_a_process_that_hangs_ends_with_the_service(registry, caplog):
    held = Shadowing(registry)
    await held.shadows.take([TREES], [])
    await held.ready()
    held.process.send_signal(signal.SIGSTOP)
    held.shadows.offer(COPY)
    await held.shadows.close(0.2)
    assert held.shadows._process.returncode == -signal.SIGKILL
    assert "what they haven't seen is lost" in caplog.text


def test_the_process_ends_with_a_service_that_is_gone(registry):
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "ml_pipelines.serving.shadow_process"],
            stdin=theirs.fileno(),
            env=variables(registry),
        )
    ours.close()
    assert process.wait(PATIENCE_SECONDS) == 0


class Written:
    """A Scorer, what it wrote and what it counted."""

    def __init__(self, registry, *versions):
        self.lines, self.counted = [], Counter()
        self.scorer = Scorer(self._fetch(registry), self.lines.extend, self._count)
        self.scorer.take(versions or [TREES], [])

    @staticmethod
    def _fetch(registry):
        return lambda name, version: load(name, version, registry / name / version, Trust([KEY.public_key()]))

    def _count(self, key, outcome, rows):
        self.counted[outcome] += rows


def test_a_copy_that_fails_is_alone_in_it(registry):
    register(registry, "trees", "3.0.0", content=graph(fails=True))
    written = Written(registry, ("trees", "3.0.0"))
    copies = [replace(COPY, shadows=("trees/3.0.0",), row={"amount": amount}) for amount in (-1.0, 1.0, -2.0)]
    written.scorer.score([asdict(copy) for copy in copies])
    assert [line["failure"] is None for line in written.lines] == [True, False, True]
    assert written.counted == {"scored": 2, "failed": 1}


def test_a_shadow_that_cant_be_loaded_fails_its_copies_and_no_others(registry, caplog):
    written = Written(registry, TREES, ("trees", "9.0.0"))
    written.scorer.score([asdict(replace(COPY, shadows=("trees/1.0.0", "trees/9.0.0")))])
    assert [line["shadow"] for line in written.lines if line["failure"] is None] == ["trees/1.0.0"]
    assert "trees/9.0.0" in next(line["failure"] for line in written.lines if line["failure"])
    assert "a shadow sees nothing" in caplog.text


def test_a_model_that_is_there_isnt_loaded_again(registry):
    written = Written(registry)

    def fetch(name, version):
        raise ModelError("asked for again")

    written.scorer._fetch = fetch
    written.scorer.take([TREES], ["beside"])
    written.scorer.score([asdict(replace(COPY, row={"amount": 1.0, "beside": 2}))])
    assert written.counted == {"scored": 1}


def test_the_process_lives_through_what_nobody_thought_of(registry, caplog):
    written = Written(registry)
    tries = []

    def write(lines):
        tries.append(lines)
        if len(tries) == 1:
            raise OSError("no disk")

    written.scorer._write = write
    ours, theirs = socket.socketpair()
    with theirs, ours:
        for copy in (COPY, replace(COPY, event_id="event-2")):
            ours.sendall(orjson.dumps({"versions": [TREES], "names": []}) + b"\n" + orjson.dumps(copy) + b"\n")
        ours.shutdown(socket.SHUT_WR)
        with caplog.at_level(logging.ERROR):
            written.scorer.serve(theirs)
    assert [line["event_id"] for line in tries[1]] == ["event-2"]
    assert tries[1][0]["shadow_score"] == pytest.approx(0.525, abs=0.001)
    assert "a group of copies is lost" in caplog.text
