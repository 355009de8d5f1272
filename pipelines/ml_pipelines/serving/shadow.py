"""Shadows see copies of requests after these were answered, and score them in a process of their own.

So Python's lock is never theirs, and processors are as far as answers leave some: the process has a low priority. What
waits for it is bounded: what finds no room is counted and dropped.
"""

import asyncio
import logging
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

log = logging.getLogger(__name__)

# So many bytes of copies wait at most, which is some ten thousand of them.
MOST_BYTES = 8 * 2**20
# So long copies are gathered, or so many, before they are handed over together.
GATHERED_SECONDS, GROUP = 0.05, 16
# A process that has ended is started again after so long.
AGAIN_SECONDS = 10.0
# So long an ending service waits for copies that were handed over.
LAST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Copy:
    """A row of a request as shadows see it, by their names and versions, with the answer that was given."""

    shadows: tuple[str, ...]
    tenant: str | None
    entity: str | None
    event_id: str | None
    row: Mapping[str, Any]
    champion: str
    score: float


class Shadows(asyncio.Protocol):
    """What is handed to the process, and what comes back. All of it is called where requests are answered.

    `count` is told what becomes of copies, by shadow: scored, failed or dropped. `variables` are those of the service.
    """

    def __init__(self, variables: Mapping[str, str], count: Callable[[str, str, int], None], most: int = MOST_BYTES):
        self._variables, self._count, self._most = variables, count, most
        self._gathered: list[Copy] = []
        self._timer: asyncio.TimerHandle | None = None
        self._told = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: Any = None
        self._starting: asyncio.Task[None] | None = None
        self._rest = b""
        self._closing = False
        self._lost, self._connecting = asyncio.Event(), asyncio.Lock()

    @staticmethod
    def sampled(shares: Sequence[tuple[str, float]]) -> tuple[str, ...]:
        """The shadows that see this request, each by its percent."""
        return tuple(key for key, share in shares if share >= 100 or random.random() * 100 < share)  # noqa: S311

    async def take(self, versions: Collection[tuple[str, str]], names: Collection[str]) -> None:
        """Score for these versions from now on; `names` are what rows may bring beside their inputs.

        The process is started for the first of them.
        """
        if not versions and self._transport is None:
            return
        self._told = orjson.dumps({"versions": sorted(versions), "names": sorted(names)}) + b"\n"
        if self._transport is None:
            await self._connect()
        else:
            self._send()
            self._transport.write(self._told)

    def offer(self, copy: Copy) -> None:
        """Take a copy, or drop it where too many wait. Never waits."""
        if self._transport is None or self._transport.get_write_buffer_size() > self._most:
            for key in copy.shadows:
                self._count(key, "dropped", 1)
            return
        self._gathered.append(copy)
        if len(self._gathered) >= GROUP:
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHERED_SECONDS, self._send)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        copies, self._gathered = self._gathered, []
        if copies:
            self._transport.write(b"".join(map(self._line, copies)))

    def _line(self, copy: Copy) -> bytes:
        try:
            return orjson.dumps(copy, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError as error:
            # It is sent where a request is answered, which has nothing to do with it.
            log.error("a copy can't be handed over: %s", error)
            for key in copy.shadows:
                self._count(key, "failed", 1)
            return b""

    async def _connect(self) -> None:
        """Start the process where none is there, one at a time. It is told what was said last."""
        async with self._connecting:
            if self._transport is None:
                await self._start()

    async def _start(self) -> None:
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # To start it takes the time of some answers.
                self._process = await asyncio.to_thread(self._spawn, theirs)
            except OSError as error:
                ours.close()
                log.error("the process of shadows can't be started: %s", error)
                self._later()
                return
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)

    def _spawn(self, service: socket.socket) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "ml_pipelines.serving.shadow_process"]
        return subprocess.Popen(command, stdin=service.fileno(), env={**os.environ, **self._variables})

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        self._transport, self._rest = transport, b""
        self._lost.clear()
        self._transport.write(self._told)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. What became of copies comes in lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._count(*orjson.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. Answers go on without shadows until the process is there again."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for copy in self._gathered:
            for key in copy.shadows:
                self._count(key, "dropped", 1)
        self._gathered = []
        self._lost.set()
        if not self._closing:
            log.error("the process of shadows has ended")
            self._later()

    def _later(self) -> None:
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._again)

    def _again(self) -> None:
        if not self._closing:
            self._starting = asyncio.get_running_loop().create_task(self._connect())

    async def close(self, seconds: float = LAST_SECONDS) -> None:
        """Wait for what was handed over, but no longer than so many seconds, and end the process."""
        self._closing = True
        if self._process is None:
            return
        if self._transport is not None:
            self._send()
            self._transport.write_eof()
            try:
                await asyncio.wait_for(self._lost.wait(), seconds)
            except TimeoutError:
                log.warning("shadows aren't done after %g s; what they haven't seen is lost", seconds)
                self._process.kill()
        await asyncio.to_thread(self._process.wait)
