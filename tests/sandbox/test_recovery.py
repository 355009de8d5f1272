"""After a killed engine: whose lock it is, what the state doesn't know, and what must be left alone."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sandbox.errors import SandboxError
from sandbox.recovery import clear_lock_and_leftovers, was_interrupted
from sandbox.session import Session

BUCKET = "aws:s3/bucket:Bucket"
HERE = socket.gethostname()


@pytest.fixture
def backend(sandbox_home: Path) -> Path:
    return sandbox_home / "backend" / ".pulumi"


def test_a_stack_without_lock_and_pending_operations_was_not_interrupted(session: Session, backend: Path) -> None:
    assert not was_interrupted(session, "dev")
    checkpoint(backend, {"resources": [{"outputs": {"text": 'a "pending_operations" b'}}]})
    assert not was_interrupted(session, "dev")


def test_the_lock_of_a_process_that_is_no_more_means_an_interruption(
    session: Session, backend: Path, dead_process: int
) -> None:
    lock(backend, pid=dead_process, hostname=HERE)
    assert was_interrupted(session, "dev")
    assert not was_interrupted(session, "prod")


@pytest.mark.skipif(not Path("/proc").exists(), reason="only /proc tells a zombie from the living")
def test_the_lock_of_a_zombie_means_an_interruption(session: Session, backend: Path) -> None:
    with subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE) as process:
        lock(backend, pid=process.pid, hostname=HERE)
        with pytest.raises(SandboxError):
            was_interrupted(session, "dev")
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert was_interrupted(session, "dev")


def test_the_same_stack_of_another_project_is_not_meant(session: Session, backend: Path, dead_process: int) -> None:
    lock(backend, project="other", pid=dead_process, hostname=HERE)
    assert not was_interrupted(session, "dev")


def test_an_operation_that_is_pending_in_the_state_means_an_interruption(session: Session, backend: Path) -> None:
    checkpoint(backend, {"pending_operations": [{"type": "creating"}]})
    assert was_interrupted(session, "dev")


@pytest.mark.parametrize(
    ("pid", "host"),
    [(os.getpid(), HERE), (1, HERE), (None, "another-machine")],
    ids=["this process", "somebody else's process", "another machine"],
)
def test_a_stack_at_work_is_refused_with_who_works_on_it(
    session: Session, backend: Path, dead_process: int, pid: int | None, host: str
) -> None:
    # Whether a process of another machine lives cannot be told from here.
    owner = dead_process if pid is None else pid
    lock(backend, pid=owner, hostname=host)
    with pytest.raises(SandboxError) as refusal:
        was_interrupted(session, "dev")
    assert str(refusal.value).startswith(f"stack dev is being changed by process {owner} on {host}; wait for its end")
    assert str(refusal.value).endswith("run: make shell, then pulumi cancel dev")


@pytest.mark.parametrize("content", ["", '{"pid": 1', "{}"])
def test_a_lock_that_says_nothing_is_named_together_with_the_way_out(
    session: Session, backend: Path, content: str
) -> None:
    file = lock(backend)
    file.write_text(content)
    with pytest.raises(SandboxError) as refusal:
        was_interrupted(session, "dev")
    assert str(refusal.value) == (
        f"stack dev is locked by {file}, which does not say by whom; if no Pulumi command is at work on it,"
        " run: make shell, then pulumi cancel dev"
    )


def test_a_lock_that_goes_while_it_is_looked_at_is_none(session: Session, backend: Path) -> None:
    file = lock(backend)
    file.unlink()
    file.symlink_to("gone")
    assert not was_interrupted(session, "dev")


def test_the_dead_owners_lock_is_cancelled(pulumi, session: Session, backend: Path, dead_process: int) -> None:
    lock(backend, pid=dead_process, hostname=HERE)
    pulumi.on("cancel", "")
    states(pulumi)
    clear_lock_and_leftovers(session, "dev")
    assert pulumi.calls == ["cancel --yes dev", "stack export --stack dev"]


def test_without_a_lock_nothing_is_cancelled(pulumi, session: Session) -> None:
    states(pulumi)
    clear_lock_and_leftovers(session, "dev")
    assert pulumi.calls == ["stack export --stack dev"]


def test_what_the_state_knows_stays_and_the_rest_is_forgotten_on_every_cloud(
    pulumi, session: Session, aws, gcp, azure
) -> None:
    kept = {"urn": make(aws, "recorded"), "type": BUCKET, "id": "recorded"}
    make(aws, "unrecorded")
    topic = urn("gcp:pubsub/topic:Topic", "events")
    gcp.plane.create(topic, {"name": "events"})
    group = urn("azure-native:resources:ResourceGroup", "ml")
    azure.plane.create(group, {"resourceGroupName": "ml", "location": "westeurope"})
    states(pulumi, kept, {"urn": urn("pulumi:pulumi:Stack", "acme"), "type": "pulumi:pulumi:Stack"})
    notes = clear_lock_and_leftovers(session, "dev")
    assert notes == ["the last run was interrupted; things that it had made but not recorded, now removed: 3"]
    assert [record.id for world in (aws, gcp, azure) for record in world.store.find()] == ["recorded"]


def test_a_forgotten_things_name_is_free(pulumi, session: Session, aws) -> None:
    make(aws, "lake")
    states(pulumi)
    assert clear_lock_and_leftovers(session, "dev")[0].endswith(" removed: 1")
    make(aws, "lake")


def test_things_of_other_stacks_and_projects_stay(pulumi, session: Session, aws) -> None:
    for stack, project in (("prod", "acme"), ("dev", "other"), ("dev-2", "acme")):
        make(aws, f"{stack}-{project}", stack, project)
    states(pulumi)
    assert clear_lock_and_leftovers(session, "dev")[0].endswith(" removed: 0")
    assert len(aws.store.find()) == 3


def test_what_the_state_knows_by_a_new_name_stays(pulumi, session: Session, aws) -> None:
    make(aws, "lake")
    # No provider is told of a change of the logical name or the parent with an alias.
    states(pulumi, {"urn": urn(BUCKET, "renamed"), "type": BUCKET, "id": "lake"})
    clear_lock_and_leftovers(session, "dev")
    assert [record.id for record in aws.store.find()] == ["lake"]


def test_of_a_replacement_old_and_new_stay_if_the_state_knows_both(pulumi, session: Session, aws) -> None:
    for id_ in ("old", "new"):
        aws.plane.create(urn(BUCKET, "lake"), {"bucket": id_})
    one = {"urn": urn(BUCKET, "lake"), "type": BUCKET}
    states(pulumi, {**one, "id": "new"}, {**one, "id": "old", "delete": True})
    clear_lock_and_leftovers(session, "dev")
    assert [record.id for record in aws.store.find()] == ["new", "old"]
    states(pulumi, {**one, "id": "old"})
    clear_lock_and_leftovers(session, "dev")
    assert [record.id for record in aws.store.find()] == ["old"]


def test_clouds_that_nothing_was_made_on_are_not_brought_into_being(pulumi, session: Session, sandbox_home) -> None:
    states(pulumi)
    clear_lock_and_leftovers(session, "dev")
    assert not (sandbox_home / "clouds").exists()


def test_a_state_that_cannot_be_read_leaves_everything_as_it_is(pulumi, session: Session, aws) -> None:
    make(aws, "lake")
    pulumi.on("stack export", "echo error: it is damaged >&2; exit 255")
    with pytest.raises(SandboxError, match=r"^`pulumi stack export --stack dev` failed: error: it is damaged$"):
        clear_lock_and_leftovers(session, "dev")
    assert len(aws.store.find()) == 1


def urn(type_: str, name: str, stack: str = "dev", project: str = "acme") -> str:
    return f"urn:pulumi:{stack}::{project}::{type_}::{name}"


def make(aws, id_: str, stack: str = "dev", project: str = "acme") -> str:
    """Make a bucket for a stack; returns its URN."""
    aws.plane.create(urn(BUCKET, id_, stack, project), {"bucket": id_})
    return urn(BUCKET, id_, stack, project)


def states(pulumi, *resources: dict[str, Any]) -> None:
    """Let `pulumi stack export` answer with these resources."""
    deployment = {"resources": resources} if resources else {}
    pulumi.on("stack export", f"echo '{json.dumps({'version': 3, 'deployment': deployment})}'")


def lock(backend: Path, project: str = "acme", **owner: Any) -> Path:
    """Lock the stack dev as Pulumi's file backend does."""
    file = backend / "locks" / "organization" / project / "dev" / "0b5c.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({**owner, "username": "me", "timestamp": "2025-01-01T00:00:00Z"}))
    return file


def checkpoint(backend: Path, latest: dict[str, Any]) -> None:
    file = backend / "stacks" / "acme" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
