"""Load for drills and measurements: `python -m ml_pipelines.serving.load URL --bodies FILE --clients 16 --seconds 5`.

So many clients ask one after the other, each on a connection that it keeps. With `--arrivals` requests arrive at fixed
times instead, whether those before are answered or not, and one that finds no free connection has waited since it
arrived. It prints one line of JSON.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_CLOSED = 0


class _Client(asyncio.Protocol):
    """A connection: the next request is sent when the answer to the last one is whole."""

    def __init__(self, run: "Load", place: int):
        self._run, self._place = run, place
        self._transport: Any = None
        self._buffer = b""
        self._started = 0.0

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        if self._run.ended:
            self._transport.close()
        elif self._run.arrivals is None:
            self.ask(time.perf_counter())
        elif self._run.waiting:
            self.ask(self._run.waiting.popleft())
        else:
            self._run.idle.append(self)

    def ask(self, arrived: float) -> None:
        """Send the next request, which arrived at this time."""
        self._buffer = b""
        self._started = arrived
        self._transport.write(self._run.next_request())
        self._run.asked += 1

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            if len(body) < int(lower[at + 15 :].split(b"\r\n", 1)[0]):
                return
        elif not body.endswith(b"0\r\n\r\n"):
            return
        self._run.note(int(head[9:12]), time.perf_counter() - self._started, body)
        if b"connection: close" in lower:
            self._transport.close()
        elif self._run.pause:
            asyncio.get_running_loop().call_later(self._run.pause, self._ask)
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. A connection that breaks in the middle of a request is a failed request."""
        self._run.lost(exc is not None or (self._run.asked > self._run.answered and not self._run.ended))


class Load:
    """A run: latencies of answered requests and their statuses; status 0 is a connection that broke."""

    def __init__(
        self,
        url: str,
        bodies: Sequence[bytes],
        token: str | None = None,
        rate: float | None = None,
        arrivals: float | None = None,
    ):
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        authorisation = f"Authorization: Bearer {token}\r\n" if token else ""
        head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
            f"{authorisation}Content-Length: "
        ).encode()
        self._requests = [head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies]
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.models: Counter[str] = Counter()
        self.asked = self.answered = 0
        self.ended, self.seconds = False, 0.0
        self._rate, self.pause = rate, 0.0
        # Requests a second that arrive; those that wait for a connection, by their time; and connections that wait.
        self.arrivals = arrivals
        self.waiting: deque[float] = deque()
        self.idle: list[_Client] = []

    def next_request(self) -> bytes:
        """The next of the bodies, in turns."""
        return self._requests[self.asked % len(self._requests)]

    def note(self, status: int, seconds: float, body: bytes) -> None:
        """An answer has come."""
        self.answered += 1
        self.statuses[status] += 1
        self.latencies.append(seconds)
        at = body.find(b'"model":"')
        if at >= 0:
            self.models[body[at + 9 : body.index(b'"', at + 9)].decode()] += 1

    def lost(self, failed: bool) -> None:
        """A connection has ended."""
        if failed and not self.ended:
            self.statuses[_CLOSED] += 1

    async def run(self, clients: int, seconds: float) -> None:
        """Ask for so long. Raises OSError where nobody listens."""
        loop = asyncio.get_running_loop()
        self.pause = clients / self._rate if self._rate else 0.0
        made = [
            await loop.create_connection(lambda place=place: _Client(self, place), self.host, self.port)
            for place in range(clients)
        ]
        stopped = asyncio.Event()
        # Whoever ends it before its time is told what was found until then.
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        started = time.perf_counter()
        arriving = loop.create_task(self._arrive(self.arrivals)) if self.arrivals else None
        # Nobody ended it before its time: then it ends by itself.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), seconds)
        self.seconds = time.perf_counter() - started
        self.ended = True
        if arriving is not None:
            arriving.cancel()
        # Answers that are on their way.
        await asyncio.sleep(0.3)
        for transport, _ in made:
            transport.close()

    async def _arrive(self, rate: float) -> None:
        began, count = time.perf_counter(), 0
        while True:
            now = time.perf_counter()
            # Timers are a millisecond late or so: what is sent at once has arrived now.
            while count < (now - began) * rate:
                count += 1
                if self.idle:
                    self.idle.pop().ask(now)
                else:
                    self.waiting.append(now)
            await asyncio.sleep(0.0005)

    def summary(self) -> dict[str, Any]:
        """Requests a second, percentiles in ms, statuses, and which versions answered how many."""
        ordered = sorted(self.latencies) or [float("nan")]

        def percentile(share: float) -> float:
            return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

        return {
            "rate": self.answered / self.seconds,
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "models": dict(self.models),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.serving.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--bodies", type=Path, required=True, help="a request's body in each line")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--token", help="a bearer token")
    parser.add_argument("--rate", type=float, help="requests a second of all clients, about (default: as many as go)")
    parser.add_argument("--arrivals", type=float, help="requests a second that arrive, answered or not")
    parser.add_argument("--latencies", type=Path, help="where the ms of each answer are put, a line each")
    options = parser.parse_args(arguments)
    load = Load(options.url, options.bodies.read_bytes().splitlines(), options.token, options.rate, options.arrivals)
    try:
        uvloop.run(load.run(options.clients, options.seconds))
    except OSError as error:
        print(f"load: {options.url}: {error}", file=sys.stderr)
        return 2
    if options.latencies is not None:
        options.latencies.write_text("".join(f"{1000 * seconds:.4f}\n" for seconds in load.latencies))
    print(json.dumps(load.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
