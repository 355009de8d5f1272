"""Small programs of rollouts on the real engine: what it does when a workload file names other versions."""

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.store import Record
from tests.stacks.conftest import SAVED_ONCE, Playground

WORKLOAD = "delivery_eta"
PROGRAMS = Path(__file__).parent / "programs"


class Done(NamedTuple):
    """An operation that ended; `name` is the logical name without the workload's."""

    operation: str
    type: str
    name: str


class Rollout:
    """A cloud's small program, brought up; `up` changes its workload file and tells what the engine then did.

    types: with what the types of resources begin that are told of, so that components aren't.
    """

    def __init__(self, playground: Playground, folder: Path, cloud: str, types: tuple[str, ...]):
        self.playground, self.log = playground, folder / "events.jsonl"
        self.stack, self.types = f"{cloud}-hybrid", types
        # It starts as the stacks' own does.
        program = playground.repository / "stacks" / "__main__.py"
        start, platform, _ = program.read_text().partition("\nfrom ml_blueprints import platform")
        assert platform
        program.write_text(start + "\n" + (PROGRAMS / f"{cloud}_rollout.py").read_text())
        playground.edit_workload(WORKLOAD, lambda workload: workload["serving"].update(size="small"))
        playground.pulumi("stack", "init", self.stack, "--no-select")
        self.first = self.up()

    def up(self, change: Callable[[dict[str, Any]], None] = lambda workload: None, *arguments: str) -> list[Done]:
        """Operations that ended, in their order."""
        self.playground.edit_workload(WORKLOAD, change)
        session = self.playground.session()
        self.log.write_bytes(b"")
        command = ["up", "--yes", "--skip-preview", "--stack", self.stack, "--event-log", str(self.log), *arguments]
        answer = subprocess.run(
            [session.pulumi, *command],
            cwd=session.project,
            env={**session.environment, **SAVED_ONCE, "PULUMI_DEBUG_COMMANDS": "true"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        done = [event["resOutputsEvent"]["metadata"] for event in events if "resOutputsEvent" in event]
        return [
            Done(one["op"], one["type"], one["urn"].rpartition("::")[2].removeprefix("delivery-eta-"))
            for one in done
            if one["op"] not in ("same", "refresh") and one["type"].startswith(self.types)
        ]

    def one(self, type_: str, name: str = "endpoint") -> Record:
        """The one thing of a type and logical name on the cloud."""
        (found,) = [one for one in self.playground.things(type_) if one.urn.endswith(f"::delivery-eta-{name}")]
        return found


def in_order(done: list[Done], *wanted: tuple[str, str, str]) -> None:
    """Assert that some operations ended in this order."""
    places = [done.index(Done(*one)) for one in wanted]
    assert all(first < second for first, second in pairwise(places)), done
