"""Shows how far each stack is: a live table on a terminal, plain lines elsewhere, and a closing table on both."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sandbox.stacks import Operation, Phase, StackRun, log_file

_PLAIN_LINE_SECONDS = 15
_ERRORS_SHOWN = 20
_STYLES = {Phase.DONE: "green", Phase.FAILED: "red", Phase.STOPPED: "yellow", Phase.WAITING: "dim"}

# The engine's names for steps (apitype.OpType in Pulumi's Go SDK) and what the user reads, before and after the fact.
_CHANGES = {
    "create": ("to create", "created"),
    "update": ("to change", "changed"),
    "replace": ("to replace", "replaced"),
    "delete": ("to delete", "deleted"),
    "import": ("to import", "imported"),
    "read": ("to read", "read"),
}


class Progress:
    """A context in which `show` keeps the user informed of the runs."""

    def __init__(self, console: Console, runs: Sequence[StackRun]):
        self._console = console
        self._runs = runs
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._said: dict[str, Phase] = {}
        self._last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self) -> None:
        """Bring what the user sees up to date; cheap enough to call some times a second."""
        if self._live:
            self._live.update(self._table(), refresh=True)
            return
        due = time.monotonic() - self._last_line >= _PLAIN_LINE_SECONDS
        for run in self._runs:
            if self._said.get(run.name, Phase.WAITING) != run.phase or (due and run.phase is Phase.RUNNING):
                self._said[run.name] = run.phase
                self._last_line = time.monotonic()
                self._console.print(f"{run.name}: {run.phase.value}{_so_far(run)}", highlight=False)

    def _table(self) -> Table:
        table = Table("stack", "phase", "resources", "changed", "seconds", box=None, pad_edge=False)
        for run in self._runs:
            numbers = (str(len(run.seen)), str(len(run.changed)), f"{run.seconds:.0f}") if run.started else ("", "", "")
            table.add_row(run.name, Text(run.phase.value, _STYLES.get(run.phase, "cyan")), *numbers)
        return table


def print_summary(console: Console, operation: Operation, runs: Sequence[StackRun], seconds: float) -> None:
    """The closing table; the errors of each failed stack stand beneath it, in full up to twenty."""
    table = Table(box=None, pad_edge=False)
    for name in ("stack", "resources", "seconds", "capabilities", "outcome"):
        table.add_column(name, justify="right" if name in ("resources", "seconds") else "left", overflow="fold")
    for run in runs:
        outcome = Text(describe_outcome(operation, run), _STYLES.get(run.phase, ""))
        total = sum(count for step, count in run.changes.items() if step != "delete" or operation is Operation.DOWN)
        table.add_row(run.name, str(total), f"{run.seconds:.1f}", describe_capabilities(run.outputs), outcome)
    console.print(table)
    for run in runs:
        for note in run.notes:
            console.out(f"{run.name}: {note}", style="dim", highlight=False)
        if run.phase is Phase.FAILED:
            console.print(f"\n{run.name} failed:", style="red", highlight=False)
            for error in run.errors[:_ERRORS_SHOWN]:
                console.print(Text("  " + error.replace("\n", "\n  ")), soft_wrap=True)
            if len(run.errors) > _ERRORS_SHOWN:
                console.print(f"  and {len(run.errors) - _ERRORS_SHOWN} more errors")
            console.out(f"  Everything that Pulumi printed: {log_file(run.name)}", style="dim", highlight=False)
    if operation is Operation.UP and all(run.phase is Phase.DONE and not _changes(run) for run in runs):
        console.print("Nothing changed: every stack is as it should be.", highlight=False)
    console.print(f"{len(runs)} stack{'s' * (len(runs) != 1)} in {seconds:.0f} s.", highlight=False)


def describe_outcome(operation: Operation, run: StackRun) -> str:
    """The result of one run in a few words, such as `created 61, changed 2` or `unchanged`."""
    if run.phase is Phase.FAILED:
        reason = "\n".join(run.errors).strip().partition("\n")[0]
        return f"failed: {reason}" if reason else "failed"
    if run.phase is not Phase.DONE:
        return run.phase.value
    changes = _changes(run)
    if not changes:
        return "nothing to destroy" if operation is Operation.DOWN else "unchanged"
    tense = 0 if operation is Operation.PREVIEW else 1
    return ", ".join(f"{_CHANGES[step][tense]} {count}" for step, count in changes.items())


def describe_capabilities(outputs: Mapping[str, object]) -> str:
    """`n of m`: how many of the capabilities that the stack's architecture asks for have a resource behind them."""
    asked, realised = outputs.get("capabilitiesAsked"), outputs.get("capabilities")
    if not isinstance(asked, list) or not isinstance(realised, dict):
        return ""
    return f"{sum(bool(realised.get(capability)) for capability in asked)} of {len(asked)}"


def _changes(run: StackRun) -> dict[str, int]:
    return {step: run.changes[step] for step in _CHANGES if run.changes.get(step)}


def _so_far(run: StackRun) -> str:
    if run.phase in (Phase.WAITING, Phase.CREATING, Phase.RECOVERING):
        return ""
    return f", {len(run.seen)} resources, {len(run.changed)} changed, {run.seconds:.0f} s"
