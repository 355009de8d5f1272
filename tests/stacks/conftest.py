"""The real engine on a sandbox of its own for each test, with a copy of the project that the test may edit."""

import contextlib
import fcntl
import io
import json
import os
import pickle
import re
import shutil
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from sandbox import home, policy, project
from sandbox.__main__ import main
from sandbox.session import PLUGINS, Session, open_session
from sandbox.stacks import Batch, Operation, Phase, StackRun, existing_stacks
from sandbox.store import Record, Store

REPOSITORY = Path(__file__).parents[2]

# The state is written when a command ends, as `make up` has it: to write it with each step takes twice as long.
SAVED_ONCE = {"PULUMI_SKIP_CHECKPOINTS": "true"}


@dataclass
class Playground:
    """A project, a sandbox and the engine."""

    repository: Path

    def session(self) -> Session:
        """The session in which commands run, with the mirror of the project brought in step."""
        return open_session(Console(file=io.StringIO()))

    def pulumi(self, *arguments: str, fails: bool = False) -> str:
        """Run a plain `pulumi` command and return all that it printed."""
        session = self.session()
        answer = subprocess.run(
            [session.pulumi, *arguments, "--non-interactive", "--color", "never"],
            cwd=session.project,
            env={**session.environment, **SAVED_ONCE},
            capture_output=True,
            text=True,
            timeout=240,
        )
        printed = answer.stdout + answer.stderr
        assert (answer.returncode != 0) is fails, printed
        return printed

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a plain `pulumi` command in a process group of its own."""
        session = self.session()
        return subprocess.Popen(
            [session.pulumi, *arguments, "--non-interactive", "--color", "never"],
            cwd=session.project,
            env={**session.environment, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def run(self, operation: Operation, *stacks: str, checkpoints: bool = False) -> dict[str, StackRun]:
        """Run an operation as `make up` and its like do, and return what became of each stack."""
        runs = [StackRun(stack) for stack in stacks]
        Batch(self.session(), operation, parallel=2, checkpoints=checkpoints).run(runs, lambda: None)
        return {run.name: run for run in runs}

    def up(self, stack: str, **options: Any) -> StackRun:
        """Bring one stack up."""
        return self.run(Operation.UP, stack, **options)[stack]

    def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run `python -m sandbox` in this process: exit code, standard output, standard error."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = main(arguments)
        return code, out.getvalue(), err.getvalue()

    def things(self, type_pattern: str = "*") -> list[Record]:
        """What exists on all clouds of the sandbox."""
        found = []
        for package in PLUGINS:
            if home.cloud_state(package).exists():
                store = Store(home.cloud_state(package))
                found += store.find(type_pattern)
                store.close()
        return found

    def edit_workload(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a workload file."""
        _edit(self.repository / "stacks" / "workloads" / f"{name}.yaml", change)

    def edit_stack(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the `config` of a stack's file."""
        _edit(self.repository / "stacks" / f"Pulumi.{name}.yaml", lambda content: change(content["config"]))

    def state(self, stack: str) -> dict[str, dict[str, Any]]:
        """The resources of a stack's state by URN."""
        exported = json.loads(self.pulumi("stack", "export", "--stack", stack))
        return {resource["urn"]: resource for resource in exported["deployment"].get("resources", ())}


def _edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))


# What the workloads refer to.
_READ = ("contracts", "features/jobs", "platforms/compiled")


@contextlib.contextmanager
def opened(folder: Path) -> Generator[Playground]:
    """A sandbox of its own in an empty folder, and a copy of the project beside it."""
    repository = folder / "repository"
    shutil.copytree(REPOSITORY / "stacks", repository / "stacks", ignore=shutil.ignore_patterns("__pycache__", ".venv"))
    for named in (Path("pipelines", "ml_pipelines", part) for part in _READ):
        shutil.copytree(REPOSITORY / named, repository / named)
    shutil.copy(REPOSITORY / "Pulumi.yaml", repository)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, "REPOSITORY", repository)
        patch.setenv("ML_BLUEPRINTS_SANDBOX", str(folder / "sandbox"))
        yield Playground(repository)


@pytest.fixture
def playground(tmp_path: Path) -> Generator[Playground]:
    """A sandbox of its own, and a copy of the project beside it."""
    with opened(tmp_path) as playground:
        yield playground


@pytest.fixture
def standing(playground: Playground, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StackRun]:
    """Gives the playground, which has nothing yet, a stack as it is after its first up; returns that.

    It is brought up once, whoever of the workers asks first, and copied with its sandbox from then on.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def get(stack: str) -> StackRun:
        kept = shared / f"standing-{stack}"
        with (shared / f"{kept.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (kept / "run").exists():
                shutil.rmtree(kept, ignore_errors=True)
                kept.mkdir()
                with opened(kept) as own:
                    run = own.up(stack)
                assert run.phase is Phase.DONE, run.errors
                (kept / "run").write_bytes(pickle.dumps(run))
        shutil.copytree(kept / "sandbox", home.home(), symlinks=True)
        return pickle.loads((kept / "run").read_bytes())  # noqa: S301 (our own)

    return get


# Each cloud and each architecture once: that nothing changes, the preview says of all nine.
AGAIN = ("aws-streaming", "azure-batch", "gcp-hybrid")


@dataclass(frozen=True)
class Nine:
    """What became of all nine stacks: brought up, left alone, judged, and destroyed; each command as (code, printed).

    again: of the stacks of AGAIN, brought up a second time; previewed: what the preview saw of each that the policies
    judged; exports: the saved state of each, in a file; left: what the clouds and the backend have in the end.
    """

    first: tuple[int, str]
    again: tuple[int, str]
    previewed: dict[str, StackRun]
    exports: dict[str, Path]
    policies: tuple[int, str]
    gone: tuple[int, str]
    left: tuple[list[Record], set[str]]


@pytest.fixture(scope="session")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Nine:
    """One life of all nine stacks, shared by the tests of the group `nine`."""
    folder = tmp_path_factory.mktemp("nine")
    stacks = project.stack_names(REPOSITORY)
    exports = {stack: folder / f"{stack}.json" for stack in stacks}
    previewed: dict[str, StackRun] = {}
    with opened(folder) as playground, pytest.MonkeyPatch.context() as patch:
        first, again = playground.command("up"), playground.command("up", *AGAIN)
        for stack, file in exports.items():
            playground.pulumi("stack", "export", "--stack", stack, "--file", str(file))
        own = policy.PolicyRun
        patch.setattr(policy, "PolicyRun", lambda stack: previewed.setdefault(stack, own(stack)))
        policies = playground.command("policy", "--pack", str(REPOSITORY / "policies"))
        gone = playground.command("down")
        left = playground.things(), existing_stacks(playground.session())
        return Nine(first[:2], again[:2], previewed, exports, policies[:2], gone[:2], left)


@pytest.fixture
def no_traceback() -> Callable[[str], None]:
    """Assert that what a user reads holds no traceback."""

    def check(printed: str) -> None:
        assert not re.search(r"Traceback|File \".*\", line \d+|panic:", printed), printed

    return check
