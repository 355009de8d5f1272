"""`python -m benchmarks`: what a preview and an up cost, each beside the floor that was measured in the same run.

The floor is the same number of trivial resources through the same engine, with a provider that does nothing. Absolute
times differ from machine to machine and from hour to hour; the ratios say what is ours.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from sandbox import home, project
from sandbox.errors import SandboxError
from sandbox.stacks import Operation

from benchmarks.contracts import contracts
from benchmarks.drift import drift
from benchmarks.features import features
from benchmarks.measure import Bench, PeakMemory, open_bench, pulumi, resources, run_together
from benchmarks.policies import policies
from benchmarks.serving import serving, soak
from benchmarks.shadow import shadow
from benchmarks.streaming import streaming
from benchmarks.training import training

_GROWTH_STACKS = ("aws-batch", "gcp-batch", "azure-batch")
_GROWTH_MODELS = (1, 10, 100, 1000)
_PARALLEL = 2
_USAGE_ERROR = 2
_WIDTH = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"some of {', '.join(_TABLES)} (default: all)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="previews of one stack (default: 3)")
    options = parser.parse_args(arguments)
    if unknown := [table for table in options.tables if table not in _TABLES]:
        parser.error(f"there is no table {', '.join(unknown)}; the tables are {', '.join(_TABLES)}")
    if options.runs < 1:
        parser.error(f"--runs is {options.runs}; it must be at least 1")
    # Where nothing says how wide the output is, rich takes 80 columns and cuts names off.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    try:
        for table in options.tables or _TABLES:
            with open_bench() as bench:
                _TABLES[table](console, bench, options.runs)
    except (SandboxError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return _USAGE_ERROR
    return 0


def one_by_one(console: Console, bench: Bench, runs: int) -> None:
    """Each stack alone: up, then the unchanged preview while everything is warm, in turns with the floor."""
    table = _table(
        f"One stack (preview: median of {runs})",
        *("stack", "resources", "up s", "floor s", "ratio", "preview s", "floor s", "ratio", "peak MiB"),
    )
    for stack in project.stack_names(home.REPOSITORY):
        console.print(f"{stack} ...", style="dim")
        up = run_together(bench.ours, Operation.UP, [stack], 1)[stack].seconds
        count = resources(bench.ours, stack)
        bench.set_floor(stack, count)
        up_floor = run_together(bench.floor, Operation.UP, [stack], 1)[stack].seconds
        preview, preview_floor, peak = _previews(bench, stack, runs)
        numbers = (*_beside(up, up_floor), *_beside(preview, preview_floor))
        table.add_row(stack, str(count), *numbers, f"{peak:.0f}")
        for session in (bench.ours, bench.floor):
            run_together(session, Operation.DOWN, [stack], 1)
    console.print(table)


def all_together(console: Console, bench: Bench, runs: int) -> None:
    """All stacks from nothing, two at a time, as `make up` does; then once more without a change, then down."""
    stacks = project.stack_names(home.REPOSITORY)
    table = _table(
        f"All {len(stacks)} stacks, {_PARALLEL} at a time", "operation", "seconds", "floor s", "ratio", "peak MiB"
    )
    for title, operation in (("up", Operation.UP), ("unchanged up", Operation.UP), ("down", Operation.DOWN)):
        console.print(f"{title} ...", style="dim")
        started = time.perf_counter()
        with PeakMemory() as memory:
            run_together(bench.ours, operation, stacks, _PARALLEL)
        ours = time.perf_counter() - started
        if title == "up":
            for stack in stacks:
                bench.set_floor(stack, resources(bench.ours, stack))
        started = time.perf_counter()
        run_together(bench.floor, operation, stacks, _PARALLEL)
        table.add_row(title, *_beside(ours, time.perf_counter() - started), f"{memory.mebibytes:.0f}")
    console.print(table)


def growth(console: Console, bench: Bench, runs: int) -> None:
    """More and more models in one workload. What a model costs should not depend on how many there are."""
    table = _table(
        "Models in one workload",
        *(
            "stack",
            "models",
            "resources",
            "up s",
            "floor s",
            "ratio",
            "preview s",
            "floor s",
            "ratio",
            "up ms/resource",
        ),
    )
    for stack in _GROWTH_STACKS:
        for models in _GROWTH_MODELS:
            console.print(f"{stack}, {models} models ...", style="dim")
            _set_models(bench, stack, models)
            up = run_together(bench.ours, Operation.UP, [stack], 1)[stack].seconds
            count = resources(bench.ours, stack)
            bench.set_floor(stack, count)
            up_floor = run_together(bench.floor, Operation.UP, [stack], 1)[stack].seconds
            preview, preview_floor, _ = _previews(bench, stack, 1)
            numbers = (*_beside(up, up_floor), *_beside(preview, preview_floor))
            table.add_row(stack, str(models), str(count), *numbers, f"{1000 * up / count:.0f}")
            for session in (bench.ours, bench.floor):
                run_together(session, Operation.DOWN, [stack], 1)
    console.print(table)


def _previews(bench: Bench, stack: str, runs: int) -> tuple[float, float, float]:
    """Median seconds of our preview and of the floor's, taken in turns, and the peak memory of ours."""
    ours, floor, peak = [], [], 0.0
    for _ in range(runs):
        with PeakMemory() as memory:
            ours.append(pulumi(bench.ours, "preview", "--stack", stack)[0])
        floor.append(pulumi(bench.floor, "preview", "--stack", stack)[0])
        peak = max(peak, memory.mebibytes)
    return statistics.median(ours), statistics.median(floor), peak


def _set_models(bench: Bench, stack: str, models: int) -> None:
    """Give the stack's workload so many models, all but the champion challengers, in a file beside the original."""
    file = home.REPOSITORY / "stacks" / f"Pulumi.{stack}.yaml"
    settings = yaml.safe_load(file.read_text())
    source = home.REPOSITORY / "stacks" / settings["config"]["ml-blueprints:workload"]
    workload = yaml.safe_load(source.read_text())
    workload["data"]["contract"]["path"] = str(source.parent / workload["data"]["contract"]["path"])
    champion = next(model for model in workload["models"] if model["role"] == "champion")
    challengers = [
        {"name": f"challenger-{number}", "version": "0.1.0", "role": "challenger"} for number in range(1, models)
    ]
    grown = Path(bench.ours.project) / f"grown-{stack}.yaml"
    grown.write_text(yaml.safe_dump(workload | {"models": [champion, *challengers]}))
    settings["config"]["ml-blueprints:workload"] = str(grown)
    (bench.ours.project / "stacks" / file.name).write_text(yaml.safe_dump(settings))


def _beside(ours: float, floor: float) -> tuple[str, str, str]:
    return f"{ours:.2f}", f"{floor:.2f}", f"{ours / floor:.2f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("stack", "operation") else "right")
    return table


_TABLES: Mapping[str, Callable[[Console, Bench, int], None]] = {
    "stacks": one_by_one,
    "nine": all_together,
    "growth": growth,
    "policies": policies,
    "contracts": contracts,
    "features": features,
    "streaming": streaming,
    "training": training,
    "serving": serving,
    "shadow": shadow,
    "soak": soak,
    "drift": drift,
}


if __name__ == "__main__":
    sys.exit(main())
