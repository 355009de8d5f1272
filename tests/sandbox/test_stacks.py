"""Operations on many stacks: the commands that run, what is learnt from the engine's events, failures, and Ctrl-C."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbox.errors import SandboxError
from sandbox.session import Session
from sandbox.stacks import Batch, Operation, Phase, StackRun, existing_stacks, log_file

STACK = "pulumi:pulumi:Stack"
BUCKET = "aws:s3/bucket:Bucket"
# For the `pulumi` of a test: finds the event log and the stack among its arguments.
FIND = """
while [ $# -gt 0 ]; do
  [ "$1" = --event-log ] && events=$2
  [ "$1" = --stack ] && stack=$2
  shift
done
"""

Execute = Callable[..., dict[str, StackRun]]


@pytest.fixture
def existing(pulumi) -> Callable[..., None]:
    """Says which stacks the backend has; none unless it is called."""
    pulumi.on("stack init", "")

    def these(*names: str) -> None:
        pulumi.on("stack ls", f"echo '{json.dumps([{'name': name} for name in names])}'")

    these()
    return these


@pytest.fixture
def execute(session: Session, existing) -> Execute:
    """Runs an operation on stacks, and returns what became of each."""

    def run(operation: Operation, *stacks: str, parallel: int = 1, **options: Any) -> dict[str, StackRun]:
        runs = [StackRun(stack) for stack in stacks]
        observe = options.pop("observe", lambda runs: None)
        assert Batch(session, operation, parallel, **options).run(runs, lambda: observe(runs))
        return {run.name: run for run in runs}

    return run


def test_what_the_engine_did_is_learnt_from_its_events() -> None:
    run = StackRun("dev")
    run.take(outcome("create", BUCKET, "lake"))
    run.take(outcome("same", BUCKET, "pond"))
    run.take(outcome("read", BUCKET, "sea"))
    run.take(outcome("create", "pulumi:providers:aws", "default"))
    run.take(outcome("update", STACK, "stack", new={"outputs": {"url": "https://"}}))
    run.take({"summaryEvent": {"resourceChanges": {"create": 1, "same": 2}}})
    assert run.seen == {urn(BUCKET, "lake"), urn(BUCKET, "pond"), urn(BUCKET, "sea"), urn(STACK, "stack")}
    assert run.changed == {urn(BUCKET, "lake"), urn(STACK, "stack")}
    assert (run.outputs, run.changes) == ({"url": "https://"}, {"create": 1, "same": 2})
    run.take(outcome("delete", STACK, "stack", new=None))
    run.take({"summaryEvent": {"resourceChanges": None}})
    assert (run.outputs, run.changes) == ({}, {})


def test_errors_name_the_resource_and_are_taken_once_and_only_if_they_say_something() -> None:
    run = StackRun("dev")
    for message, of in (
        ("it exists already\n", urn(BUCKET, "lake")),
        ("it exists already", urn(BUCKET, "lake")),
        ("the workload is wrong", urn(STACK, "acme-dev")),
        ("no such host", ""),
        ("update failed", ""),
        ("Resource monitor has terminated, shutting down", ""),
        ("Running program failed: Program exited with non-zero exit code: 1", urn(STACK, "acme-dev")),
    ):
        run.take(diagnostic("error", message, of))
    run.take(diagnostic("warning", "it is slow", ""))
    assert run.errors == ["lake: it exists already", "the workload is wrong", "no such host"]


def test_a_stack_that_does_not_exist_is_created_then_brought_up(pulumi, execute: Execute) -> None:
    pulumi.on("up", FIND + log_events(outcome("create", BUCKET, "lake"), summary(create=1)))
    run = execute(Operation.UP, "dev")["dev"]
    assert (run.phase, run.changes, run.errors) == (Phase.DONE, {"create": 1}, [])
    assert pulumi.calls == [
        "stack ls --json",
        "stack init dev --no-select",
        f"up --yes --skip-preview --stack dev --event-log {log_file('dev').with_suffix('.events.jsonl')}",
    ]


@pytest.mark.parametrize(
    ("operation", "command"),
    [(Operation.PREVIEW, "preview --stack"), (Operation.DOWN, "destroy --yes --skip-preview --remove --stack")],
)
def test_a_stack_that_exists_is_not_created(
    pulumi, existing, execute: Execute, operation: Operation, command: str
) -> None:
    existing("dev", "other")
    pulumi.on(command.split()[0], FIND + log_events(summary(same=1)))
    assert execute(operation, "dev")["dev"].phase is Phase.DONE
    assert [call.split(" --event-log")[0] for call in pulumi.calls[1:]] == [f"{command} dev"]


def test_a_stack_that_does_not_exist_needs_no_destruction(pulumi, execute: Execute) -> None:
    run = execute(Operation.DOWN, "dev")["dev"]
    assert (run.phase, run.notes) == (Phase.DONE, ["there was nothing to destroy"])
    assert pulumi.calls == ["stack ls --json"]


def test_a_stack_is_seen_to_grow_while_the_engine_is_at_work(pulumi, execute: Execute, tmp_path: Path) -> None:
    seen_it = tmp_path / "seen"
    wait = f'for try in $(seq 500); do [ -e "{seen_it}" ] && exit 0; sleep 0.02; done; exit 1\n'
    half_a_line = "printf '%s' '{\"unfinished' >> $events\n"
    pulumi.on("up", FIND + log_events(outcome("create", BUCKET, "lake")) + half_a_line + wait)
    states = []

    def observe(runs: list[StackRun]) -> None:
        states.append((runs[0].phase, len(runs[0].seen)))
        if runs[0].seen:
            seen_it.touch()

    assert execute(Operation.UP, "dev", observe=observe)["dev"].phase is Phase.DONE
    assert (Phase.RUNNING, 1) in states
    assert states[-1] == (Phase.DONE, 1)


def test_what_pulumi_printed_is_kept_for_the_last_run_only(pulumi, execute: Execute) -> None:
    pulumi.on("stack init", "echo created")
    for text in ("first", "second"):
        pulumi.on("up", f"echo {text}; echo aside >&2")
        execute(Operation.UP, "dev")
        assert log_file("dev").read_text() == f"created\n{text}\naside\n"
    assert [file.name for file in log_file("dev").parent.iterdir()] == ["dev.log"]


def test_checkpoints_are_skipped_unless_they_are_wanted(pulumi, execute: Execute) -> None:
    pulumi.on("up", "echo $PULUMI_SKIP_CHECKPOINTS")
    for wanted, skipped in ((False, "true"), (True, "false")):
        execute(Operation.UP, "dev", checkpoints=wanted)
        assert log_file("dev").read_text() == f"{skipped}\n"


def test_a_failure_is_told_by_the_engines_events(pulumi, execute: Execute) -> None:
    pulumi.on(
        "up", FIND + log_events(diagnostic("error", "it exists", urn(BUCKET, "lake"))) + "echo error: no\nexit 255"
    )
    run = execute(Operation.UP, "dev")["dev"]
    assert (run.phase, run.errors) == (Phase.FAILED, ["lake: it exists"])


@pytest.mark.parametrize(
    ("script", "errors"),
    [
        ("echo more; echo error: no stack; echo error: try again", ["no stack", "try again"]),
        ("echo one; echo; echo two; echo three; echo four", ["two", "three", "four"]),
        ("", []),
    ],
)
def test_a_failure_without_events_is_told_by_what_pulumi_printed(
    pulumi, execute: Execute, script: str, errors: list[str]
) -> None:
    pulumi.on("up", f"{script}\nexit 255")
    run = execute(Operation.UP, "dev")["dev"]
    assert (run.phase, run.errors) == (Phase.FAILED, errors)


def test_a_stack_that_cannot_be_created_is_not_brought_up_and_the_others_go_on(pulumi, execute: Execute) -> None:
    pulumi.on("stack init", '[ "$3" = good ] || { echo error: a wrong name; exit 1; }')
    pulumi.on("up", "")
    runs = execute(Operation.UP, "bad", "good")
    assert (runs["bad"].phase, runs["bad"].errors) == (Phase.FAILED, ["a wrong name"])
    assert runs["good"].phase is Phase.DONE
    assert not [call for call in pulumi.calls if call.startswith("up") and " bad " in call]


def test_an_engine_that_cannot_be_run_fails_the_stack_in_words(pulumi, existing, execute: Execute) -> None:
    pulumi.on("stack ls", f"echo '[]'; rm {pulumi.folder / 'pulumi'}")
    run = execute(Operation.UP, "dev")["dev"]
    assert run.phase is Phase.FAILED
    assert run.errors == [f"[Errno 2] No such file or directory: '{pulumi.folder / 'pulumi'}'"]


def test_the_stacks_of_an_unusable_backend_cannot_be_told(pulumi, session: Session) -> None:
    pulumi.on("stack ls", "echo error: no backend >&2; exit 255")
    with pytest.raises(SandboxError, match=r"^`pulumi stack ls` failed in /.*: error: no backend$"):
        existing_stacks(session)


@pytest.mark.parametrize("parallel", [1, 2])
def test_no_more_stacks_are_at_work_than_allowed(pulumi, execute: Execute, tmp_path: Path, parallel: int) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = 'touch "{0}/$stack"; ls "{0}" | wc -l; sleep 0.2; rm "{0}/$stack"'
    pulumi.on("up", FIND + script.format(work))
    runs = execute(Operation.UP, "a", "b", "c", "d", parallel=parallel)
    assert {run.phase for run in runs.values()} == {Phase.DONE}
    assert max(int(log_file(name).read_text()) for name in runs) == parallel


def test_a_stack_whose_engine_was_killed_is_recovered_first(
    pulumi, existing, execute: Execute, sandbox_home: Path, dead_process: int
) -> None:
    existing("dev")
    lock = sandbox_home / "backend" / ".pulumi" / "locks" / "organization" / "acme" / "dev" / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": dead_process, "hostname": socket.gethostname()}))
    pulumi.on("cancel", f"rm {lock}")
    pulumi.on("stack export", """echo '{"deployment": {}}'""")
    pulumi.on("refresh", "")
    pulumi.on("up", "")
    run = execute(Operation.UP, "dev")["dev"]
    assert run.phase is Phase.DONE
    assert "the last run was interrupted" in run.notes[0]
    assert [call.split(" --event-log")[0] for call in pulumi.calls] == [
        "stack ls --json",
        "cancel --yes dev",
        "stack export --stack dev",
        "refresh --stack dev --yes --skip-preview --clear-pending-creates",
        "up --yes --skip-preview --stack dev",
    ]


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_stops_what_runs_once_for_each_press_and_starts_nothing_more(
    pulumi, session: Session, existing, tmp_path: Path, presses: int
) -> None:
    heard = tmp_path / "heard"
    wait = f"for try in $(seq 200); do [ $(wc -l < {heard}) -ge {presses} ] && exit 1; sleep 0.05; done"
    pulumi.on("up", f"trap 'echo x >> {heard}' INT; echo ready; {wait}")
    heard.touch()
    runs = [StackRun("running"), StackRun("waiting")]

    def press_when_ready() -> None:
        ready = log_file("running").exists() and "ready" in log_file("running").read_text()
        pressed = len(heard.read_text().splitlines())
        if ready and pressed == len(sent) and pressed < presses:
            sent.append(pressed)
            raise KeyboardInterrupt

    sent: list[int] = []
    assert Batch(session, Operation.UP, parallel=1).run(runs, press_when_ready) is False
    assert [run.phase for run in runs] == [Phase.STOPPED, Phase.STOPPED]
    assert len(heard.read_text().splitlines()) == presses
    assert not [call for call in pulumi.calls if "waiting" in call]


def test_ctrl_c_reaches_what_runs_while_other_stacks_are_still_on_their_way(
    pulumi, session: Session, existing, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    pulumi.on("up", f"trap 'exit 1' INT; touch {ready}; for try in $(seq 200); do sleep 0.05; done")

    class PressedBetween(list[StackRun]):
        def __iter__(self) -> Iterator[StackRun]:
            yield self[0]
            while not ready.exists():
                time.sleep(0.02)
            raise KeyboardInterrupt

    runs = PressedBetween([StackRun("first"), StackRun("second")])
    assert Batch(session, Operation.UP, parallel=2).run(runs, lambda: None) is False
    assert runs[0].phase is Phase.STOPPED


def test_the_terminals_own_ctrl_c_does_not_reach_the_engine_a_second_time(pulumi, execute: Execute) -> None:
    pulumi.on("up", f"exec {sys.executable} -c 'import os; print(os.getpgrp())'")
    execute(Operation.UP, "dev")
    assert int(log_file("dev").read_text()) != os.getpgrp()


def urn(type_: str, name: str) -> str:
    return f"urn:pulumi:dev::acme::{type_}::{name}"


def outcome(step: str, type_: str, name: str, new: Any = None) -> dict[str, Any]:
    return {"resOutputsEvent": {"metadata": {"op": step, "type": type_, "urn": urn(type_, name), "new": new}}}


def diagnostic(severity: str, message: str, of: str) -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": severity, "message": message} | ({"urn": of} if of else {})}


def summary(**changes: int) -> dict[str, Any]:
    return {"summaryEvent": {"resourceChanges": changes}}


def log_events(*events: dict[str, Any]) -> str:
    """Shell that writes events as the engine does, with the debugging that surrounds them."""
    debugging = json.dumps(diagnostic("debug", "it is 'fine'", ""), separators=(",", ":"))
    lines = [line.replace("'", "'\\''") for event in events for line in (debugging, json.dumps(event))]
    return "".join(f"echo '{line}' >> $events\n" for line in lines)
