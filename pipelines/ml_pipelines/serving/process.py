"""The scoring service as a process of its own on this machine, for drills: started, asked, and told another table."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_pipelines.serving.settings import ROUTING_FILE

PATIENCE_SECONDS = 20.0


class ProcessError(Exception):
    """What the service should have done and didn't."""


@dataclass(frozen=True)
class Process:
    """A service that runs. `token` is a tenant's, where it has tenants."""

    port: int
    routing: Path
    token: str | None = None

    def route(self, table: Mapping[str, Any]) -> None:
        """Put a routing table in place of the one before, as a whole. The service takes it within a second."""
        put_table(self.routing, table)

    def read(self, path: str) -> bytes | None:
        """What it answers to a GET; None where it doesn't."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path, headers=self.headers)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()

    @property
    def headers(self) -> dict[str, str]:
        """What a request brings along to be known."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def listed(self) -> dict[str, Any]:
        """What it says of the versions that it serves, by version."""
        said = json.loads(self.read("/v1/models") or b'{"models": []}')
        return {one["version"]: one for one in said["models"]}

    def metric(self, name: str) -> float:
        """A line of its metrics; 0 where it has none."""
        lines = (self.read("/metrics") or b"").decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def until(self, what: str, there: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
        """Wait for something. Raises ProcessError where it doesn't come."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not there():
            if time.monotonic() > end:
                raise ProcessError(f"nothing was {what} in {PATIENCE_SECONDS:g} s: {list(self.listed())} {why()}")
            time.sleep(0.02)


def put_table(file: Path, table: Mapping[str, Any]) -> None:
    """Write a routing table, as a whole."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(table))
    part.replace(file)


@contextlib.contextmanager
def running(folder: Path, routing: Path, variables: Mapping[str, str], token: str | None = None) -> Generator[Process]:
    """A service that is ready, by a routing table that is there; what it logs is in service.log of the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = Process(free.getsockname()[1], routing, token)
    log = folder / "service.log"
    told = {ROUTING_FILE: str(routing), "PORT": str(made.port), "DRAIN_SECONDS": "0", "WORKERS": "1", **variables}
    with log.open("wb") as output:
        started = subprocess.Popen([sys.executable, "-m", "ml_pipelines.serving"], env=os.environ | told, stderr=output)
    try:
        made.until("started", lambda: made.read("/health") is not None, lambda: log.read_text()[-2000:])
        yield made
    finally:
        started.terminate()
        started.wait(30)
