"""What goes wrong in the middle of an `up`: the engine killed, a creation refused, a cloud that throttles."""

import os
import signal
import time

import pytest
from sandbox.stacks import Phase


def killed_in_the_middle(playground, stack: str, enough: int, **variables: str) -> None:
    """Start an `up` and kill the engine and its children when that many things exist."""
    playground.pulumi("stack", "init", stack, "--no-select")
    engine = playground.start("up", "--yes", "--skip-preview", "--stack", stack, **variables)
    deadline = time.monotonic() + 60
    while len(playground.things()) < enough:
        assert engine.poll() is None, "the engine ended before it could be killed"
        assert time.monotonic() < deadline, "the engine made nothing in a minute"
        time.sleep(0.02)
    os.killpg(engine.pid, signal.SIGKILL)
    engine.wait()


@pytest.mark.parametrize("skip_checkpoints", ["false", "true"])
def test_a_killed_engine_is_followed_by_an_up_that_finishes(playground, skip_checkpoints):
    # Slowed down, so that the engine is surely at work when it is killed.
    assert playground.command("fault", "aws", "--delay", "30")[0] == 0
    killed_in_the_middle(playground, "aws-batch", enough=30, PULUMI_SKIP_CHECKPOINTS=skip_checkpoints)
    made_before = len(playground.things())
    assert playground.command("fault", "aws", "--clear")[0] == 0
    code, out, err = playground.command("up", "aws-batch")
    assert code == 0, out + err
    assert "the last run was interrupted" in out
    assert len(playground.things()) > made_before
    again = playground.up("aws-batch")
    assert again.changes.keys() == {"same"}
    playground.command("down", "aws-batch")
    assert not playground.things()


def test_plain_pulumi_goes_on_too_after_it_cancelled_the_dead_engines_lock(playground):
    assert playground.command("fault", "aws", "--delay", "30")[0] == 0
    killed_in_the_middle(playground, "aws-batch", enough=30, PULUMI_SKIP_CHECKPOINTS="false")
    assert playground.command("fault", "aws", "--clear")[0] == 0
    playground.pulumi("cancel", "--yes", "aws-batch")
    playground.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", "aws-batch")
    # What was made in the last moment isn't in the state: as on a real cloud, it is for the user to find and delete.
    known = playground.state("aws-batch")
    for thing in playground.things():
        if thing.urn not in known:
            assert playground.command("delete", "aws", thing.id, "--type", thing.type)[0] == 0
    code, out, err = playground.command("up", "aws-batch")
    assert code == 0, out + err
    assert playground.up("aws-batch").changes.keys() == {"same"}


def test_a_stack_at_work_is_left_alone(playground):
    assert playground.command("fault", "aws", "--delay", "100")[0] == 0
    playground.pulumi("stack", "init", "aws-batch", "--no-select")
    engine = playground.start("up", "--yes", "--skip-preview", "--stack", "aws-batch")
    try:
        while not playground.things():
            assert engine.poll() is None
            time.sleep(0.05)
        second = playground.up("aws-batch")
    finally:
        os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()
    assert second.phase is Phase.FAILED
    assert f"is being changed by process {engine.pid}" in second.errors[0]


def test_a_refused_creation_is_said_in_one_error_and_the_next_up_goes_on(playground, no_traceback):
    assert playground.command("fault", "gcp", "--type", "gcp:pubsub/topic:Topic", "--fail-create", "1")[0] == 0
    code, out, err = playground.command("up", "gcp-batch")
    assert code == 1
    assert "gcp-batch failed:" in out
    assert "gcp:pubsub/topic:Topic" in out
    no_traceback(out + err)
    run = playground.up("gcp-batch")
    assert run.phase is Phase.DONE, run.errors
    assert playground.up("gcp-batch").changes.keys() == {"same"}
