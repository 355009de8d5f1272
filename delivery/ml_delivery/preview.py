"""Tries a change of the stacks on a sandbox of its own: brings up what the change is of, and previews what it would do.

Both are the real engine on the sandbox's clouds, with the program and the components of the base and of the change. No
credential is needed or seen, and the user's own sandbox isn't touched.
"""

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from sandbox import home, project
from sandbox.progress import Progress
from sandbox.session import Session, open_session
from sandbox.stacks import Batch, Operation, Phase, StackRun

from ml_delivery.errors import DeliveryError
from ml_delivery.plan import Plan

# Folders whose code a program imports; each is a package of its own.
_IMPORTED = ("components", "pipelines")


def of_change(base: str, stacks: Sequence[str], policy_config: Path | None, parallel: int) -> list[Plan]:
    """What the stacks of the repository, or those that are named, would become from what they are at `base`."""
    console = Console(stderr=True)
    after = project.stack_names(home.REPOSITORY)
    with home.temporary(), _checked_out(base) as old:
        before = project.stack_names(old)
        chosen = _chosen(stacks, before, after)
        up = [StackRun(stack) for stack in chosen if stack in before]
        plans = [
            Plan(stack, is_new=stack not in before, is_gone=stack not in after, phase=Phase.WAITING) for stack in chosen
        ]
        if up:
            _bring_up(_session_of(old, console), up, parallel, console)
            if failed := [run for run in up if run.phase is not Phase.DONE]:
                told = "; ".join(f"{run.name}: {run.errors[0] if run.errors else run.phase.value}" for run in failed)
                raise DeliveryError(f"{base} itself does not come up, so that no change of it can be told ({told})")
        pack = home.REPOSITORY / "policies"
        options = ("--policy-pack", str(pack)) if (pack / "PulumiPolicy.yaml").exists() else ()
        if options and policy_config:
            options += ("--policy-pack-config", str(policy_config.absolute()))
        current: list[StackRun] = [plan for plan in plans if not plan.is_gone]
        batch = Batch(open_session(console), Operation.PREVIEW, parallel, options=options)
        with Progress(console, current) as progress:
            if not batch.run(current, progress.show):
                raise KeyboardInterrupt
    return plans


def _chosen(stacks: Sequence[str], before: Sequence[str], after: Sequence[str]) -> list[str]:
    known = sorted({*before, *after})
    if unknown := [stack for stack in stacks if stack not in known]:
        raise DeliveryError(f"there is no stack {', '.join(unknown)}; the stacks are {', '.join(known)}")
    return list(dict.fromkeys(stacks)) or known


@contextmanager
def _checked_out(ref: str) -> Iterator[Path]:
    """A folder with the repository's files as they are at a commit; git's own records don't change."""
    archived = subprocess.run(["git", "archive", ref], cwd=home.REPOSITORY, capture_output=True)
    if archived.returncode != 0:
        said = archived.stderr.decode(errors="replace").strip().splitlines()
        raise DeliveryError(f"{ref} can't be read from {home.REPOSITORY}: {said[-1] if said else 'git says nothing'}")
    with tempfile.TemporaryDirectory(prefix="ml-delivery-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def _session_of(repository: Path, console: Console) -> Session:
    """A session on another state of the repository, whose program imports that state's own components."""
    session = open_session(console, repository)
    folders = [str(repository / part) for part in _IMPORTED if (repository / part).is_dir()]
    return replace(session, environment={**session.environment, "PYTHONPATH": os.pathsep.join(folders)})


def _bring_up(session: Session, runs: list[StackRun], parallel: int, console: Console) -> None:
    with Progress(console, runs) as progress:
        if not Batch(session, Operation.UP, parallel).run(runs, progress.show):
            raise KeyboardInterrupt
