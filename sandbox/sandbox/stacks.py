"""Runs one Pulumi operation on many stacks side by side and follows each of them by the engine's own event log."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from sandbox import home, recovery
from sandbox.errors import SandboxError
from sandbox.session import Session

_POLL_SECONDS = 0.1

# What these messages say, those before them have said better, and the table says it once more.
_EMPTY_ERROR = re.compile(
    r"(update|preview|destroy) failed|Resource monitor has terminated, shutting down"
    r"|.*Program exited with non-zero exit code: \d+"
)


class Operation(Enum):
    """What is done to the stacks; the value is the Pulumi command and its arguments."""

    UP = ("up", "--yes", "--skip-preview")
    PREVIEW = ("preview",)
    DOWN = ("destroy", "--yes", "--skip-preview", "--remove")


class Phase(Enum):
    """Where a stack is; the value is what the user reads."""

    WAITING = "waiting"
    CREATING = "creating the stack"
    RECOVERING = "recovering from an interruption"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self in (Phase.DONE, Phase.FAILED, Phase.STOPPED)


@dataclass(slots=True)
class StackRun:
    """One stack under one operation, as far as it has come; `seen` and `changed` are URNs of its resources."""

    name: str
    phase: Phase = Phase.WAITING
    seen: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    started: float | None = None
    finished: float | None = None
    changes: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        if self.started is None:
            return 0.0
        return (self.finished or time.monotonic()) - self.started

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the engine (the format is apitype.EngineEvent in Pulumi's Go SDK)."""
        if outcome := event.get("resOutputsEvent"):
            metadata = outcome["metadata"]
            # The engine counts no providers, and a component comes twice: registered, then with its outputs.
            if not metadata["type"].startswith("pulumi:providers:"):
                self.seen.add(metadata["urn"])
                if metadata["op"] not in ("same", "read", "refresh"):
                    self.changed.add(metadata["urn"])
            if metadata["type"] == "pulumi:pulumi:Stack":
                self.outputs = (metadata.get("new") or {}).get("outputs") or {}
        elif diagnostic := event.get("diagnosticEvent"):
            if diagnostic["severity"] == "error":
                self._add_error(diagnostic["message"].strip(), diagnostic.get("urn", ""))
        elif summary := event.get("summaryEvent"):
            self.changes = summary["resourceChanges"] or {}

    def _add_error(self, message: str, urn: str) -> None:
        resource = urn.rpartition("::")[2] if urn and "pulumi:pulumi:Stack" not in urn else ""
        text = f"{resource}: {message}" if resource else message
        if text not in self.errors and not _EMPTY_ERROR.fullmatch(message):
            self.errors.append(text)


class Commands:
    """The Pulumi commands that run now, so that all can be told to stop."""

    def __init__(self, session: Session):
        self._session = session
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopping = False

    def run(self, arguments: Iterable[str], log: Path, variables: Mapping[str, str], poll: Callable[[], None]) -> int:
        """Run one command to its end, appending what it prints to the log; calls `poll` ten times a second."""
        with log.open("ab") as output, self._lock:
            if self.stopping:
                return -signal.SIGINT
            # A process group of its own: Ctrl-C reaches it through `stop` alone, once for each time it is pressed.
            command = subprocess.Popen(
                [self._session.pulumi, *arguments, "--non-interactive", "--color", "never"],
                cwd=self._session.project,
                env={**self._session.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            self._running.add(command)
        try:
            while True:
                try:
                    return command.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    poll()
        finally:
            poll()
            with self._lock:
                self._running.discard(command)

    def stop(self) -> None:
        """Ask as Ctrl-C does: the first time commands finish what is under way, the second time they end at once."""
        with self._lock:
            self.stopping = True
            for command in self._running:
                command.send_signal(signal.SIGINT)


def existing_stacks(session: Session) -> set[str]:
    """The names of the stacks that the sandbox's backend has."""
    answer = subprocess.run(
        [session.pulumi, "stack", "ls", "--json"],
        cwd=session.project,
        env=session.environment,
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        raise SandboxError(f"`pulumi stack ls` failed in {session.project}: {answer.stderr.strip()}")
    return {stack["name"] for stack in json.loads(answer.stdout)}


@dataclass(frozen=True, slots=True)
class Batch:
    """One operation on several stacks, `parallel` of them at a time; `checkpoints` saves the state at each step.

    `options` are further ones of the Pulumi command.
    """

    session: Session
    operation: Operation
    parallel: int
    checkpoints: bool = False
    options: tuple[str, ...] = ()

    def run(self, runs: list[StackRun], observe: Callable[[], None]) -> bool:
        """Bring every run to a final phase, calling `observe` some times a second. False if the user stopped it."""
        commands = Commands(self.session)
        existing = existing_stacks(self.session)
        with ThreadPoolExecutor(self.parallel) as workers:
            work: list[Future[None]] = []
            waiting = iter(runs)
            while True:
                try:
                    # Within `try`: from the first one on, there is something that Ctrl-C must reach.
                    for run in waiting:
                        work.append(workers.submit(self._run_one, run, run.name in existing, commands))
                    while wait(work, timeout=0.25).not_done:
                        observe()
                    break
                except KeyboardInterrupt:
                    commands.stop()
        for done in work:
            done.result()
        observe()
        return not commands.stopping

    def _run_one(self, run: StackRun, exists: bool, commands: Commands) -> None:
        run.started = time.monotonic()
        try:
            succeeded = self._steps(run, exists, commands)
        except (SandboxError, OSError) as error:
            run.errors.append(str(error))
            succeeded = False
        run.finished = time.monotonic()
        run.phase = Phase.DONE if succeeded else Phase.STOPPED if commands.stopping else Phase.FAILED

    def _steps(self, run: StackRun, exists: bool, commands: Commands) -> bool:
        log = log_file(run.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        if not exists:
            if self.operation is Operation.DOWN:
                run.notes.append("there was nothing to destroy")
                return True
            run.phase = Phase.CREATING
            if commands.run(["stack", "init", run.name, "--no-select"], log, {}, lambda: None) != 0:
                return _failed(run, log)
        elif recovery.was_interrupted(self.session, run.name):
            run.phase = Phase.RECOVERING
            run.notes += recovery.clear_lock_and_leftovers(self.session, run.name)
            refresh = ["refresh", "--stack", run.name, "--yes", "--skip-preview", "--clear-pending-creates"]
            if commands.run(refresh, log, {}, lambda: None) != 0:
                return _failed(run, log)
        run.phase = Phase.RUNNING
        return self._operate(run, log, commands)

    def _operate(self, run: StackRun, log: Path, commands: Commands) -> bool:
        events = log.with_suffix(".events.jsonl")
        events.write_bytes(b"")
        variables = {
            # It is this variable that makes --event-log an option of the CLI.
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_SKIP_CHECKPOINTS": "false" if self.checkpoints else "true",
        }
        with events.open("rb") as written:
            reader = _LineReader(written.read)
            code = commands.run(
                [*self.operation.value, *self.options, "--stack", run.name, "--event-log", str(events)],
                log,
                variables,
                lambda: _take_all(run, reader.lines()),
            )
        events.unlink()
        return code == 0 or _failed(run, log)


def log_file(stack: str) -> Path:
    """Where everything lies that Pulumi printed in the stack's last run."""
    return home.home() / "logs" / f"{stack}.log"


def _take_all(run: StackRun, lines: Iterable[bytes]) -> None:
    for line in lines:
        # Most of the log is debugging; looking before parsing keeps the follower out of the engine's way.
        if b'"severity":"debug"' not in line[-100:]:
            run.take(json.loads(line))


def _failed(run: StackRun, log: Path) -> bool:
    """Where the engine had no event for it, the reason is what the CLI printed."""
    if not run.errors:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        run.errors += [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines[-3:]
    return False


class _LineReader:
    """Complete lines of a file that is still being written."""

    def __init__(self, read: Callable[[], bytes]):
        self._read = read
        self._rest = b""

    def lines(self) -> list[bytes]:
        *complete, self._rest = (self._rest + self._read()).split(b"\n")
        return complete
