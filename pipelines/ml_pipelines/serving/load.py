"""Load for drills and measurements: `python -m ml_pipelines.serving.load URL --bodies FILE --clients 16 --seconds 5`.

So many clients ask one after the other, each on a connection that it keeps. It prints one line of JSON.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import Counter
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
            return
        self._buffer = b""
        self._started = time.perf_counter()
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

    def __init__(self, url: str, bodies: Sequence[bytes], token: str | None = None, rate: float | None = None):
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
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), seconds)
        self.seconds = time.perf_counter() - started
        self.ended = True
        # Answers that are on their way.
        await asyncio.sleep(0.3)
        for transport, _ in made:
            transport.close()

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
    options = parser.parse_args(arguments)
    load = Load(options.url, options.bodies.read_bytes().splitlines(), options.token, options.rate)
    try:
        uvloop.run(load.run(options.clients, options.seconds))
    except OSError as error:
        print(f"load: {options.url}: {error}", file=sys.stderr)
        return 2
    print(json.dumps(load.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
