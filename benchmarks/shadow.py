"""What a shadow costs those who are answered: the same service with and without one, in many short turns.

Two services without a shadow are among them: as far as these differ, the machine does, and nothing smaller can be told.
What others do on it reaches every percentile; the processor's time that the answering process takes for a request it
reaches far less, and least of all its lower quartile.
"""

import random
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sandbox import home

from benchmarks.measure import Bench
from benchmarks.serving import ROUTER, Ground, Server

SECONDS, TURNS = 0.5, 40
# Percent of the requests of which the shadow sees copies. With all of them its cost is large enough to be seen.
SHARES = (20, 100)
# How they are asked: clients that never pause, or requests a second that arrive at fixed times.
WAYS: Sequence[tuple[str, float | None]] = (("16 clients", None), ("1,000/s", 1000.0))
_CLIENTS = 16


def shadow(console: Console, bench: Bench, runs: int) -> None:
    """p99 over all turns, and the processor's time of a request, beside the service without a shadow."""
    with home.temporary() as folder, ExitStack() as running:
        ground = Ground(folder)
        shadowed = [
            ground.ours(f"shadow {share}%", [("1.0.0", "champion", 100), ("1.2.0", "shadow", share)])
            for share in SHARES
        ]
        servers = [ground.ours(ROUTER), ground.ours("the same again"), *shadowed]
        for server in servers:
            running.enter_context(ground.running(server))
            ground.loaded(server, 4, SECONDS)
        for way, arrivals in WAYS:
            console.print(f"{way} ...", style="dim")
            _print(console, way, servers, _Turns(ground, servers, arrivals, TURNS * runs))


class _Turns:
    """Latencies in ms over all turns, and what each turn gave, by server."""

    def __init__(self, ground: Ground, servers: Sequence[Server], arrivals: float | None, turns: int):
        file = ground.folder / "latencies"
        self.latencies: dict[str, list[float]] = {server.name: [] for server in servers}
        self.cpu: dict[str, list[float]] = {server.name: [] for server in servers}
        self.rates: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(turns):
            for server in random.sample(servers, len(servers)):
                found = ground.loaded(server, _CLIENTS, SECONDS, arrivals=arrivals, latencies=file)
                self.latencies[server.name] += _read(file)
                self.cpu[server.name].append(found["own_cpu_us"])
                self.rates[server.name].append(found["rate"])


def _read(file: Path) -> list[float]:
    return [float(line) for line in file.read_text().splitlines()]


def _print(console: Console, way: str, servers: Sequence[Server], turns: _Turns) -> None:
    table = Table(title=f"A shadow, {way}", title_justify="left", box=None)
    table.add_column("service")
    columns = ("requests/s", "p50 ms", "p99 ms", "over router", "own CPU µs a request", "over router")
    for column in columns:
        table.add_column(column, justify="right")
    first = servers[0].name
    p99 = {name: statistics.quantiles(found, n=100)[98] for name, found in turns.latencies.items()}
    cpu = {name: statistics.quantiles(found, n=4)[0] for name, found in turns.cpu.items()}
    for name in p99:
        table.add_row(
            name,
            f"{statistics.median(turns.rates[name]):,.0f}",
            f"{statistics.median(turns.latencies[name]):.2f}",
            f"{p99[name]:.2f}",
            f"{p99[name] / p99[first] - 1:+.1%}",
            f"{cpu[name]:.1f}",
            f"{cpu[name] / cpu[first] - 1:+.1%}",
        )
    console.print(table)
