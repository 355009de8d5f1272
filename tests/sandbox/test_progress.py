"""What the user reads while stacks are at work and when they are through."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sandbox.progress import Progress, describe_capabilities, describe_outcome, print_summary
from sandbox.stacks import Operation, Phase, StackRun


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time in seconds, which a test sets."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def plain() -> Console:
    return Console(file=io.StringIO(), width=80)


def test_a_log_has_one_line_for_each_phase_that_a_stack_enters(plain: Console, clock: list[float]) -> None:
    run = StackRun("dev")
    with Progress(plain, [run]) as progress:
        progress.show()
        assert said(plain) == ""
        run.started = clock[0]
        for phase in (Phase.CREATING, Phase.RUNNING, Phase.DONE):
            run.phase = phase
            progress.show()
            progress.show()
            run.seen.add(f"urn of {phase}")
            clock[0] += 2
    assert said(plain).splitlines() == [
        "dev: creating the stack",
        "dev: running, 1 resources, 0 changed, 2 s",
        "dev: done, 2 resources, 0 changed, 4 s",
    ]


def test_a_log_hears_of_each_running_stack_every_fifteen_seconds(plain: Console, clock: list[float]) -> None:
    runs = [started("dev", Phase.RUNNING), started("prod", Phase.RUNNING), started("test", Phase.FAILED)]
    with Progress(plain, runs) as progress:
        progress.show()
        before = said(plain)
        clock[0] += 14.9
        progress.show()
        assert said(plain) == before
        clock[0] += 0.1
        progress.show()
    assert said(plain).removeprefix(before).splitlines() == [
        "dev: running, 0 resources, 0 changed, 15 s",
        "prod: running, 0 resources, 0 changed, 15 s",
    ]


def test_a_terminal_has_a_table_that_disappears_in_the_end(clock: list[float]) -> None:
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    runs = [started("dev", Phase.RUNNING), StackRun("prod")]
    runs[0].seen |= {"a", "b", "c"}
    runs[0].changed |= {"a", "b"}
    clock[0] += 7
    with Progress(terminal, runs) as progress:
        progress.show()
        shown = [line.split() for line in said(terminal).splitlines()]
        assert ["dev", "running", "3", "2", "7"] in shown
        assert ["prod", "waiting"] in shown
    # Last, the cursor goes up the table's three lines and erases each.
    assert said(terminal).endswith("\r" + "\x1b[1A\x1b[2K" * 3)


@pytest.mark.parametrize(
    ("operation", "changes", "outcome"),
    [
        (Operation.UP, {"create": 61}, "created 61"),
        (Operation.UP, {"same": 40, "delete": 1, "update": 2, "create": 3}, "created 3, changed 2, deleted 1"),
        (Operation.UP, {"same": 40}, "unchanged"),
        (Operation.UP, {"replace": 1, "create-replacement": 1, "delete-replaced": 1}, "replaced 1"),
        (Operation.UP, {"import": 1, "read": 2}, "imported 1, read 2"),
        (Operation.PREVIEW, {"create": 61, "replace": 1}, "to create 61, to replace 1"),
        (Operation.PREVIEW, {"same": 61}, "unchanged"),
        (Operation.DOWN, {"delete": 61}, "deleted 61"),
        (Operation.DOWN, {}, "nothing to destroy"),
    ],
)
def test_an_outcome_says_what_was_or_would_be_done(operation: Operation, changes: dict[str, int], outcome: str) -> None:
    assert describe_outcome(operation, StackRun("dev", Phase.DONE, changes=changes)) == outcome


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (StackRun("dev", Phase.STOPPED, changes={"create": 3}), "stopped"),
        (StackRun("dev", Phase.FAILED), "failed"),
        (StackRun("dev", Phase.FAILED, errors=["lake: it exists\nalready", "other"]), "failed: lake: it exists"),
        (StackRun("dev", Phase.FAILED, errors=["", "\nlate"]), "failed: late"),
    ],
)
def test_an_outcome_says_why_there_is_none(run: StackRun, outcome: str) -> None:
    assert describe_outcome(Operation.UP, run) == outcome


@pytest.mark.parametrize(
    ("outputs", "described"),
    [
        ({"capabilitiesAsked": ["train", "serve"], "capabilities": {"train": ["urn"], "serve": []}}, "1 of 2"),
        ({"capabilitiesAsked": ["train"], "capabilities": {"train": ["urn"], "beyond": ["urn"]}}, "1 of 1"),
        ({"capabilitiesAsked": ["train"], "capabilities": {}}, "0 of 1"),
        ({"capabilitiesAsked": "train", "capabilities": {}}, ""),
        ({}, ""),
    ],
)
def test_capabilities_count_if_they_are_asked_for_and_have_a_resource(outputs: dict[str, Any], described: str) -> None:
    assert describe_capabilities(outputs) == described


def test_a_summary_has_a_line_for_each_stack(plain: Console) -> None:
    outputs = {"capabilitiesAsked": ["train"], "capabilities": {"train": ["urn"]}}
    good = finished("dev", Phase.DONE, 12.34, changes={"create": 2, "same": 3, "delete": 4}, outputs=outputs)
    print_summary(plain, Operation.UP, [good, finished("prod", Phase.STOPPED, 1.0)], 13.4)
    header, *lines, last = said(plain).splitlines()
    assert header.split() == ["stack", "resources", "seconds", "capabilities", "outcome"]
    assert [" ".join(line.split()) for line in lines] == [
        "dev 5 12.3 1 of 1 created 2, deleted 4",
        "prod 0 1.0 stopped",
    ]
    assert last == "2 stacks in 13 s."


def test_resources_of_a_destroyed_stack_are_those_that_it_had(plain: Console) -> None:
    print_summary(plain, Operation.DOWN, [finished("dev", Phase.DONE, 1.0, changes={"delete": 61})], 1.0)
    assert said(plain).splitlines()[1].split() == ["dev", "61", "1.0", "deleted", "61"]
    assert said(plain).splitlines()[-1] == "1 stack in 1 s."


@pytest.mark.parametrize(
    ("operation", "runs", "told"),
    [
        (Operation.UP, [{"same": 3}, {"same": 4}], True),
        (Operation.UP, [{"same": 3}, {"same": 4, "update": 1}], False),
        (Operation.PREVIEW, [{"same": 3}], False),
        (Operation.DOWN, [{}], False),
    ],
)
def test_that_nothing_changed_is_said_in_words(
    plain: Console, operation: Operation, runs: list[dict[str, int]], told: bool
) -> None:
    print_summary(plain, operation, [finished("dev", Phase.DONE, 1.0, changes=changes) for changes in runs], 1.0)
    assert ("Nothing changed: every stack is as it should be." in said(plain)) is told


def test_a_failed_stack_is_not_called_unchanged(plain: Console) -> None:
    print_summary(plain, Operation.UP, [finished("dev", Phase.FAILED, 1.0, changes={"same": 3})], 1.0)
    assert "Nothing changed" not in said(plain)


def test_errors_stand_beneath_the_table_in_full_and_as_they_are(plain: Console) -> None:
    errors = ["lake: the tag [bold] is wrong\nsecond line [/]", "x" * 200]
    print_summary(plain, Operation.UP, [finished("dev", Phase.FAILED, 1.0, errors=errors)], 1.0)
    beneath = said(plain).partition("\n\n")[2].splitlines()
    assert beneath[0] == "dev failed:"
    assert beneath[1:4] == ["  lake: the tag [bold] is wrong", "  second line [/]", "  " + "x" * 200]


def test_of_many_errors_twenty_are_shown_and_the_others_counted(plain: Console) -> None:
    errors = [f"error {number:02}" for number in range(23)]
    print_summary(plain, Operation.UP, [finished("dev", Phase.FAILED, 1.0, errors=errors)], 1.0)
    lines = [line.strip() for line in said(plain).splitlines()]
    assert "error 19" in lines
    assert "error 20" not in lines
    assert "and 3 more errors" in lines


def test_paths_are_whole_however_long_and_whatever_is_in_them(plain: Console, sandbox_home: Path, monkeypatch) -> None:
    home = sandbox_home / "[work]" / ("long" * 30)
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", str(home))
    run = finished("dev", Phase.FAILED, 1.0, errors=["no"], notes=[f"see {home}"])
    print_summary(plain, Operation.UP, [run], 1.0)
    lines = said(plain).splitlines()
    assert f"  Everything that Pulumi printed: {home}/logs/dev.log" in lines
    assert f"dev: see {home}" in lines


def started(name: str, phase: Phase) -> StackRun:
    return StackRun(name, phase, started=time.monotonic())


def finished(name: str, phase: Phase, seconds: float, **what: Any) -> StackRun:
    return StackRun(name, phase, started=50.0, finished=50.0 + seconds, **what)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
