"""Makes a stack usable again after the engine was killed in the middle of an operation.

A killed CLI leaves its lock and, where checkpoints were skipped, a state that knows nothing of what the run had made.
On a real cloud one imports such things or deletes them by hand. The sandbox may simply forget them, so that the next
`up` finds their names free; a refresh then brings the state in line with what does exist.
"""

import json
import os
import socket
import subprocess
from pathlib import Path

from sandbox import home
from sandbox.errors import SandboxError
from sandbox.session import PLUGINS, Session
from sandbox.store import Store


def was_interrupted(session: Session, stack: str) -> bool:
    """Whether the last operation on the stack was killed. Raises SandboxError while another one is at work on it."""
    owners = [owner for lock in _locks(session, stack) if (owner := _owner(lock, stack))]
    for pid, host in owners:
        if host != socket.gethostname() or _is_alive(pid):
            raise SandboxError(
                f"stack {stack} is being changed by process {pid} on {host}; wait for its end, or if that is not a"
                f" Pulumi command any more, run: make shell, then pulumi cancel {stack}"
            )
    return bool(owners) or _has_pending_operations(session, stack)


def clear_lock_and_leftovers(session: Session, stack: str) -> list[str]:
    """Take the dead owner's lock away and forget what the stack's state doesn't know; returns what was done, in words.

    The state is to be refreshed next.
    """
    if _locks(session, stack):
        _pulumi(session, "cancel", "--yes", stack)
    deployment = json.loads(_pulumi(session, "stack", "export", "--stack", stack))["deployment"]
    prefix = f"urn:pulumi:{stack}::{session.project_name}::"
    # Not the URN: after a change of a name or a parent, the state has the new one and the cloud was told nothing.
    recorded = {(resource["type"], resource.get("id")) for resource in deployment.get("resources", ())}
    forgotten = sum(_forget_unrecorded(package, prefix, recorded) for package in PLUGINS)
    return [f"the last run was interrupted; things that it had made but not recorded, now removed: {forgotten}"]


def _forget_unrecorded(package: str, prefix: str, recorded: set[tuple[str, str | None]]) -> int:
    path = home.cloud_state(package)
    if not path.exists():
        return 0
    store = Store(path)
    try:
        with store.change():
            leftovers = [
                record
                for record in store.find()
                if record.urn.startswith(prefix) and (record.type, record.id) not in recorded
            ]
            for record in leftovers:
                store.remove(record.key)
    finally:
        store.close()
    return len(leftovers)


def _backend() -> Path:
    return home.home() / "backend" / ".pulumi"


def _locks(session: Session, stack: str) -> list[Path]:
    """The file backend's locks (backend/diystate/lock.go in Pulumi's sources): JSON with the owner's pid and host."""
    return sorted((_backend() / "locks" / "organization" / session.project_name / stack).glob("*.json"))


def _owner(lock: Path, stack: str) -> tuple[int, str] | None:
    """The pid and the host of who holds a lock, or None if it was released meanwhile."""
    try:
        content = json.loads(lock.read_text())
        return content["pid"], content["hostname"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError):
        raise SandboxError(
            f"stack {stack} is locked by {lock}, which does not say by whom; if no Pulumi command is at work on it,"
            f" run: make shell, then pulumi cancel {stack}"
        ) from None


def _has_pending_operations(session: Session, stack: str) -> bool:
    checkpoint = _backend() / "stacks" / session.project_name / f"{stack}.json"
    return checkpoint.exists() and '"pending_operations"' in checkpoint.read_text()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # In a container without an init, a killed process may stay as a zombie for good.
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


def _pulumi(session: Session, *arguments: str) -> str:
    answer = subprocess.run(
        [session.pulumi, *arguments, "--non-interactive"],
        cwd=session.project,
        env=session.environment,
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        raise SandboxError(f"`pulumi {' '.join(arguments)}` failed: {answer.stderr.strip()}")
    return answer.stdout
