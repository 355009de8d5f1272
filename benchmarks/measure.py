"""Runs Pulumi operations on our stacks and on the floor, and takes their time and memory."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import yaml
from rich.console import Console
from sandbox import home
from sandbox.errors import SandboxError
from sandbox.session import Session, open_session
from sandbox.stacks import Batch, Operation, Phase, StackRun

FLOOR = Path(__file__).parent / "floor"
_SAMPLE_SECONDS = 0.1
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Bench:
    """A sandbox of its own with two projects: ours, and the floor as a peer."""

    ours: Session
    floor: Session

    def set_floor(self, stack: str, resources: int) -> None:
        """Say how many trivial resources a stack of the floor has; its own `pulumi:pulumi:Stack` counts too."""
        file = self.floor.project / f"Pulumi.{stack}.yaml"
        content = yaml.safe_load(file.read_text()) if file.exists() else {}
        content["config"] = {"floor:count": resources - 1}
        file.write_text(yaml.safe_dump(content))


@contextlib.contextmanager
def open_bench() -> Generator[Bench]:
    """A Bench in a temporary folder, whose sandbox nothing else uses. Raises SandboxError without an engine."""
    with home.temporary() as folder:
        ours = open_session(Console(stderr=True))
        # Both projects belong to one backend, in which stacks are told apart by their project.
        floor = replace(ours, project=Path(shutil.copytree(FLOOR, folder / "floor")), project_name="floor")
        plugin = home.home() / "pulumi" / "plugins" / "resource-nothing-v1.0.0" / "pulumi-resource-nothing"
        plugin.parent.mkdir()
        plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FLOOR / "provider.py"}" "$@"\n')
        plugin.chmod(0o755)
        yield Bench(ours, floor)


def pulumi(session: Session, *arguments: str) -> tuple[float, str]:
    """Run one command; returns its seconds and what it printed. Raises SandboxError if it fails."""
    started = time.perf_counter()
    answer = subprocess.run(
        [session.pulumi, *arguments, "--non-interactive", "--color", "never"],
        cwd=session.project,
        env={**session.environment, "PULUMI_SKIP_CHECKPOINTS": "true", "PULUMI_DEBUG_COMMANDS": "true"},
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if answer.returncode != 0:
        raise SandboxError(
            f"`pulumi {' '.join(arguments)}` failed in {session.project}:\n{answer.stdout}{answer.stderr}"
        )
    return seconds, answer.stdout


def run_together(session: Session, operation: Operation, stacks: Sequence[str], parallel: int) -> dict[str, StackRun]:
    """Run an operation on stacks side by side, as `make up` does. Raises SandboxError if one fails."""
    runs = [StackRun(stack) for stack in stacks]
    Batch(session, operation, parallel).run(runs, lambda: None)
    for run in runs:
        if run.phase is not Phase.DONE:
            raise SandboxError(f"{run.name} in {session.project} {run.phase.value}: {'; '.join(run.errors)}")
    return {run.name: run for run in runs}


def resources(session: Session, stack: str) -> int:
    """How many resources a stack has, without its providers."""
    _, printed = pulumi(session, "stack", "export", "--stack", stack)
    found = json.load(io.StringIO(printed))["deployment"].get("resources", [])
    return sum(not resource["type"].startswith("pulumi:providers:") for resource in found)


class PeakMemory:
    """A context that watches what this process's children hold in memory together; `mebibytes` is their peak.

    It is the sum of resident sets, in which pages that processes share count once for each.
    """

    def __init__(self) -> None:
        self.mebibytes = 0.0
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._stop.wait(_SAMPLE_SECONDS):
            held = 0
            for child in this.children(recursive=True):
                # A child may end between being listed and being asked.
                with contextlib.suppress(psutil.NoSuchProcess):
                    held += child.memory_info().rss
            self.mebibytes = max(self.mebibytes, held / _MEBIBYTE)
