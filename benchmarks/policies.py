"""What the policy pack costs: beside Checkov, beside Pulumi's own SDK for packs, and in a preview."""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sandbox import home
from sandbox.errors import SandboxError
from sandbox.session import Session
from sandbox.stacks import Operation

from benchmarks import checkov
from benchmarks.measure import Bench, PeakMemory, pulumi, run_together

_STACK = "aws-streaming"
_PREVIEWED = ("aws-streaming", "gcp-streaming", "azure-streaming")
_SIZES = (100, 1_000, 10_000)
_SDK_SIZES = (100, 1_000)
_CHECKOV_OPTIONS = ["--framework", "terraform_plan", "--skip-download", "--quiet", "--compact", "--output", "json"]
_SDK_COLUMNS = ("resources", "our protocol s", "SDK s", "ratio")
_PREVIEW_COLUMNS = ("stack", "without s", "empty pack s", "ours s", "ours adds s", "share")
_LONGEST_SECONDS = 1_800
_POLICIES = home.REPOSITORY / "policies"

# Packs of the SDK's: one with all of our rules, and one with a policy that finds nothing.
_SDK_PROJECT = "{name: sdk, version: 0.0.1, runtime: {name: python, options: {toolchain: pip, virtualenv: .venv}}}"
_SDK_PACK = f"""
import sys
sys.path.insert(0, {str(_POLICIES)!r})
from ml_policies.crossguard import policies
from pulumi_policy import PolicyPack
PolicyPack("sdk", policies=policies())
"""
_EMPTY_PACK = """
from pulumi_policy import PolicyPack, ResourceValidationPolicy
PolicyPack("sdk", policies=[ResourceValidationPolicy("none", "Finds nothing.", lambda args, report: None)])
"""


def policies(console: Console, bench: Bench, runs: int) -> None:
    """All tables, on one stack's state repeated to the sizes that are asked for, and on previews of three stacks."""
    with tempfile.TemporaryDirectory(prefix="ml-blueprints-policies-") as folder:
        place = Path(folder)
        _in_previews(console, bench.ours, runs, place)
        run_together(bench.ours, Operation.UP, [_STACK], 1)
        state = json.loads(pulumi(bench.ours, "stack", "export", "--stack", _STACK)[1])
        _beside_checkov(console, bench.ours, state, place)
        _beside_the_sdk(console, bench.ours, state, place)


def _beside_checkov(console: Console, session: Session, state: Mapping[str, Any], place: Path) -> None:
    try:
        console.print("installing Checkov ...", style="dim")
        command = checkov.install(place / "checkov")
    except checkov.UnavailableError as error:
        console.print(f"Checkov is left out: {error}.", highlight=False)
        command = None
    table = _table(
        "The pack beside Checkov, whole processes on the same resources",
        *("resources", "pack s", "CPU s", "MiB", "in engine s", "Checkov s", "CPU s", "MiB", "judged", "ratio of CPU"),
    )
    for size in _SIZES:
        console.print(f"{size} resources ...", style="dim")
        grown = _grown(state, size)
        export, plan = place / f"{size}.json", place / f"plan-{size}.json"
        export.write_text(json.dumps(grown))
        plan.write_text(json.dumps(checkov.plan(_of_aws(grown))))
        ours = _run([sys.executable, "-m", "ml_policies", "check", str(export), "--format", "json"])
        engine = _run(_analysis(session, export, _POLICIES), session)
        row = [str(size), f"{ours.seconds:.1f}", f"{ours.cpu:.1f}", f"{ours.mebibytes:.0f}", f"{engine.seconds:.1f}"]
        if command:
            theirs = _run([str(command), "--file", str(plan), *_CHECKOV_OPTIONS])
            row += [f"{theirs.seconds:.1f}", f"{theirs.cpu:.1f}", f"{theirs.mebibytes:.0f}"]
            row += [str(checkov.resources(theirs.printed)), f"{theirs.cpu / ours.cpu:.1f}"]
        table.add_row(*row)
    console.print(table)


def _beside_the_sdk(console: Console, session: Session, state: Mapping[str, Any], place: Path) -> None:
    """`pulumi policy analyze`, with the rules served by ourselves and as policies of the SDK."""
    pack = _sdk_pack(place / "sdk", _SDK_PACK)
    table = _table("The engine's analysis of a saved state", *_SDK_COLUMNS)
    for size in _SDK_SIZES:
        export = place / f"{size}.json"
        ours, theirs = (
            _run(_analysis(session, export, _POLICIES), session),
            _run(_analysis(session, export, pack), session),
        )
        ratio = theirs.seconds / ours.seconds
        table.add_row(str(size), f"{ours.seconds:.1f}", f"{theirs.seconds:.1f}", f"{ratio:.1f}")
    console.print(table)


def _in_previews(console: Console, session: Session, runs: int, place: Path) -> None:
    # Whatever the rules say of a stack today, its preview is to be measured to the end.
    advice = place / "advice.json"
    advice.write_text(json.dumps({"all": "advisory"}))
    ours = ("--policy-pack", str(_POLICIES), "--policy-pack-config", str(advice))
    empty = ("--policy-pack", str(_sdk_pack(place / "empty", _EMPTY_PACK)))
    table = _table(f"A preview with the pack (median of {runs})", *_PREVIEW_COLUMNS)
    for stack in _PREVIEWED:
        console.print(f"{stack} ...", style="dim")
        pulumi(session, "stack", "init", stack, "--no-select")
        taken: list[list[float]] = [[], [], []]
        for _ in range(runs + 1):
            for seconds, options in zip(taken, ((), empty, ours), strict=True):
                seconds.append(pulumi(session, "preview", "--stack", stack, *options)[0])
        # The first ones warm up what the others find.
        plain, floor, judged = (statistics.median(seconds[1:]) for seconds in taken)
        numbers = (plain, floor, judged, judged - plain)
        table.add_row(stack, *(f"{number:.2f}" for number in numbers), f"{(judged - plain) / plain:.0%}")
    console.print(table)


def _sdk_pack(folder: Path, program: str) -> Path:
    """A pack of the SDK's in a new folder, in the environment of ours."""
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text(_SDK_PROJECT)
    (folder / "__main__.py").write_text(program)
    (folder / ".venv").symlink_to(_POLICIES / ".venv")
    return folder


def _grown(state: Mapping[str, Any], size: int) -> dict[str, Any]:
    """A state with so many resources of AWS: those of a real stack, again and again under other names."""
    resources = state["deployment"]["resources"]
    fixed = [one for one in resources if one["type"] == "pulumi:pulumi:Stack" or "pulumi:providers:" in one["type"]]
    real = [one for one in resources if one["type"].startswith("aws:")]
    urns = {one["urn"] for one in real}
    grown = list(fixed)
    for number in range(size):
        copy, one = divmod(number, len(real))
        text = json.dumps({**real[one], "parent": fixed[0]["urn"]})
        for urn in (real[one]["urn"], *_needed(real[one])) if copy else ():
            if urn in urns:
                text = text.replace(json.dumps(urn), json.dumps(f"{urn}-{copy}"))
        grown.append(json.loads(text))
    return {**state, "deployment": {**state["deployment"], "resources": grown}}


def _needed(resource: Mapping[str, Any]) -> set[str]:
    by_property = resource.get("propertyDependencies") or {}
    return {*(resource.get("dependencies") or ()), *(urn for urns in by_property.values() for urn in urns or ())}


def _of_aws(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in state["deployment"]["resources"] if one["type"].startswith("aws:")]


def _analysis(session: Session, export: Path, pack: Path) -> list[str]:
    command = [session.pulumi, "policy", "analyze", "--file", str(export), "--policy-pack", str(pack)]
    return [*command, "--json", "--non-interactive"]


@dataclass(frozen=True, slots=True)
class _Run:
    """What a command took; `cpu` are the seconds of its processes together, which other work on the machine spares."""

    seconds: float
    cpu: float
    mebibytes: float
    printed: str


def _run(command: Sequence[str], session: Session | None = None) -> _Run:
    """Run a command that may find something wrong. Raises SandboxError."""
    before, started = _cpu_of_children(), time.perf_counter()
    with PeakMemory() as memory:
        answer = subprocess.run(
            command,
            env=session.environment if session else None,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
        )
    seconds = time.perf_counter() - started
    if answer.returncode not in (0, 1, 255) or not answer.stdout:
        raise SandboxError(f"{' '.join(command)} failed: {answer.stderr.strip()}")
    return _Run(seconds, _cpu_of_children() - before, memory.mebibytes, answer.stdout)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column == "stack" else "right")
    return table
