"""Several processes of the service on one port, a processor each, which start, drain and end together.

The system shares connections among them. Each loads the models for itself, and has its part of each tenant's rate and
bulkhead. One that dies is started again; one that doesn't get ready at the start ends all.
"""

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

# Tells a process that it is one of several, and which.
WORKER = "WORKER"
# Where prometheus_client keeps the counters of several processes. https://prometheus.github.io/client_python/multiprocess/
_COUNTERS = "PROMETHEUS_MULTIPROC_DIR"
_LOOKED_AT_SECONDS = 0.1
# Who ends before is one that can't start.
_STARTED_SECONDS = 10.0
# Longer than a process drains after it has said so.
_ENDING_SECONDS = 30.0
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def processors(quota: Path = _CPU_QUOTA) -> int:
    """How many processors this container may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        most, period = quota.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return there
    return there if most == "max" else max(1, min(there, math.ceil(int(most) / int(period))))


def listening(port: int, host: str = "0.0.0.0") -> socket.socket:  # noqa: S104 (platforms reach in)
    """A socket of this process on a port that several share."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    return made


def is_worker() -> bool:
    """Whether this process is one of several."""
    return WORKER in os.environ


def run(count: int, metrics_port: int | None, drain_seconds: float) -> int:
    """Run so many processes of the service until told to end; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="serving-") as counters:
        if metrics_port is not None:
            _serve_metrics(metrics_port, counters)
        return _Workers(count, counters, drain_seconds).run()


def _serve_metrics(port: int, counters: str) -> None:
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, counters)
    start_http_server(port, registry=registry)


class _Workers:
    def __init__(self, count: int, counters: str, drain_seconds: float):
        self._count, self._counters, self._drain_seconds = count, counters, drain_seconds
        self._processes: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._ending_at: float | None = None
        self._code = 0

    def run(self) -> int:
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._told)
        for number in range(self._count):
            self._start(number)
        while self._processes:
            time.sleep(_LOOKED_AT_SECONDS)
            for number, (process, started) in list(self._processes.items()):
                if (code := process.poll()) is not None:
                    self._ended(number, code, started)
            if self._ending_at is not None and time.monotonic() > self._ending_at:
                for process, _ in self._processes.values():
                    process.kill()
        return self._code

    def _start(self, number: int) -> None:
        told = {WORKER: str(number), _COUNTERS: self._counters}
        # Counters that are sent are those of one process each.
        said = os.environ.get("OTEL_RESOURCE_ATTRIBUTES")
        told["OTEL_RESOURCE_ATTRIBUTES"] = f"{said + ',' if said else ''}service.instance.id={os.getpid()}-{number}"
        process = subprocess.Popen([sys.executable, "-m", "ml_pipelines.serving"], env=os.environ | told)
        self._processes[number] = process, time.monotonic()

    def _ended(self, number: int, code: int, started: float) -> None:
        del self._processes[number]
        if self._ending_at is not None:
            return
        if time.monotonic() - started < _STARTED_SECONDS:
            self._code = code if code > 0 else 1
            log.error("process %d of the service ended with %d before it got ready", number, code)
            self._end(signal.SIGTERM)
            return
        log.error("process %d of the service ended with %d, and is started again", number, code)
        self._start(number)

    def _told(self, sign: int, frame: FrameType | None) -> None:
        self._end(sign)

    def _end(self, sign: int) -> None:
        self._ending_at = time.monotonic() + self._drain_seconds + _ENDING_SECONDS
        for process, _ in self._processes.values():
            process.send_signal(sign)
