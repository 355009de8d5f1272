"""Previews stacks with a policy pack, as `pulumi preview --policy-pack` does, and counts what the pack finds."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox.errors import SandboxError
from sandbox.progress import Progress
from sandbox.session import open_session
from sandbox.stacks import Batch, Operation, Phase, StackRun, log_file

_VIOLATIONS_SHOWN = 50
# Short enough for a terminal of eighty columns.
_NUMBERS = ("resources", "policies", "violated", "advised", "undecided", "exempted", "seconds")

# What our pack says of a value that a preview can't know, and of an exemption that it used.
_UNDECIDED = ": decided at deployment"
_EXEMPTED = re.compile(r"\S+ is exempted on ")


@dataclass(slots=True)
class PolicyRun(StackRun):
    """One stack's preview with the pack. violations: of mandatory rules, each as rule, resource and message."""

    policies: set[str] = field(default_factory=set)
    violations: list[tuple[str, str, str]] = field(default_factory=list)
    advisories: int = 0
    undecided: int = 0
    exempted: int = 0

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the engine, those about policies too."""
        StackRun.take(self, event)
        if found := event.get("policyEvent"):
            if found["enforcementLevel"] == "mandatory":
                resource = found.get("resourceUrn", "").rpartition("::")[2]
                self.violations.append((found["policyName"], resource, found["message"].strip()))
            elif _UNDECIDED in found["message"]:
                self.undecided += 1
            else:
                self.advisories += 1
        elif summary := event.get("policyAnalyzeSummaryEvent") or event.get("policyAnalyzeStackSummaryEvent"):
            self.policies.update(summary.get("passed") or (), summary.get("failed") or ())
        elif diagnostic := event.get("diagnosticEvent"):
            self.exempted += bool(_EXEMPTED.match(diagnostic["message"]))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Its row in the table."""
        found = (len(self.violations), self.advisories, self.undecided, self.exempted)
        counts = (len(self.seen), len(self.policies), *found)
        return (*map(str, counts), f"{self.seconds:.1f}")


def check(stacks: list[str], pack: Path, configuration: Path | None, parallel: int) -> int:
    """Preview the stacks with the pack and print what it found; 1 if a stack violates a mandatory rule or fails."""
    if not (pack / "PulumiPolicy.yaml").exists():
        raise SandboxError(f"{pack} is no policy pack: it has no PulumiPolicy.yaml")
    console = Console()
    runs = [PolicyRun(stack) for stack in stacks]
    options = ("--policy-pack", str(pack), *(("--policy-pack-config", str(configuration)) if configuration else ()))
    batch = Batch(open_session(console), Operation.PREVIEW, parallel, options=options)
    started = time.monotonic()
    with Progress(console, runs) as progress:
        completed = batch.run(list(runs), progress.show)
    _print_table(console, runs, time.monotonic() - started)
    if not completed:
        raise KeyboardInterrupt
    return int(any(run.violations or run.phase is not Phase.DONE for run in runs))


def _print_table(console: Console, runs: list[PolicyRun], seconds: float) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("stack", *_NUMBERS):
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for run in runs:
        table.add_row(run.name, *run.numbers, style="" if run.phase is Phase.DONE else "red")
    console.print(table)
    for run in runs:
        if run.phase is Phase.DONE:
            continue
        console.print(f"\n{run.name}:", style="red", highlight=False)
        for rule, resource, message in run.violations[:_VIOLATIONS_SHOWN]:
            console.print(Text(f"  {rule} on {resource}: " + message.replace("\n", "\n    ")), soft_wrap=True)
        if len(run.violations) > _VIOLATIONS_SHOWN:
            console.print(f"  and {len(run.violations) - _VIOLATIONS_SHOWN} more violations")
        # A preview that was refused for its violations has said so; of any other the reason is told.
        for error in () if run.violations else run.errors:
            console.print(Text("  " + error.replace("\n", "\n  ")), soft_wrap=True)
        console.out(f"  Everything that Pulumi printed: {log_file(run.name)}", style="dim", highlight=False)
    passing = sum(run.phase is Phase.DONE for run in runs)
    console.print(f"{passing} of {len(runs)} pass, in {seconds:.0f} s.", highlight=False)
