"""A sandbox of its own for each test: its home, its clouds, the things that a test makes on them, a `pulumi`."""

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sandbox import __main__ as sandbox
from sandbox.engine import Engine
from sandbox.provider.cloud import Cloud
from sandbox.provider.clouds import CLOUDS
from sandbox.provider.control_plane import ControlPlane, Naming
from sandbox.session import Session, environment
from sandbox.store import Store

REGION_OF_AWS = "eu-west-1"
SETTINGS = {
    "aws": {"region": REGION_OF_AWS},
    "gcp": {"project": "acme-ml", "region": "europe-west1"},
    "azure-native": {"location": "westeurope"},
}
CREDENTIALS = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "ARM_", "AZURE_")


@dataclass(frozen=True)
class Thing:
    """One resource that a test has made."""

    type: str
    urn: str
    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class World:
    """One cloud, spoken to as the engine does: each resource is checked, then created."""

    def __init__(self, cloud: Cloud):
        self.cloud, self.store, self.plane = cloud, cloud.store, ControlPlane(cloud)

    def urn(self, type_: str, name: str = "thing") -> str:
        return f"urn:pulumi:dev::ml-blueprints::{type_}::{name}"

    def refusals(self, type_: str, inputs: dict[str, Any], naming: Naming | None = None) -> list[str]:
        """What the cloud says against these inputs, in the words that the user sees."""
        _, failures = self.plane.check(self.urn(type_), {}, inputs, naming or Naming())
        return [f"{failure.path}: {failure.reason}" for failure in failures]

    def make(self, type_: str, inputs: dict[str, Any], name: str = "thing", random: str = "a1b2c3d4e5f6a7b8") -> Thing:
        checked, failures = self.plane.check(self.urn(type_, name), {}, inputs, Naming(random=random))
        assert failures == []
        id_, outputs = self.plane.create(self.urn(type_, name), checked)
        return Thing(type_, self.urn(type_, name), id_, checked, outputs)

    def exists(self, thing: Thing) -> bool:
        return self.plane.read(thing.type, thing.id, thing.outputs) is not None

    def delete(self, thing: Thing) -> None:
        self.plane.delete(thing.type, thing.id, thing.outputs)


class Pulumi:
    """A `pulumi` that answers a command as the test says, in shell, and notes how it was called."""

    version = "3.999.0"

    def __init__(self, folder: Path):
        self.folder, self._calls, self._answers = folder, folder / "calls", folder / "answers"
        self._answers.mkdir(parents=True)
        self._calls.touch()
        for name in ("pulumi", "pulumi-language-python"):
            (folder / name).write_text(
                f'#!/bin/sh\necho "$*" >> {self._calls}\n'
                f'[ "$1" = stack ] && answer="stack $2" || answer=$1\n. "{self._answers}/$answer"\n'
            )
            (folder / name).chmod(0o755)
        self.on("version", f"echo v{self.version}")

    def on(self, command: str, script: str) -> None:
        """Say what `pulumi <command>` does; `$*` are its arguments."""
        (self._answers / command).write_text(script + "\n")

    @property
    def calls(self) -> list[str]:
        """The arguments of each call so far, without what every call has."""
        lines = self._calls.read_text().splitlines()
        return [line.partition(" --non-interactive")[0] for line in lines if line != "version"]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH: a shell and what its scripts need, and whatever else a test puts there."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for tool in ("sh", "chmod", "sleep", "touch"):
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def go(tools: Path) -> Callable[[str], Path]:
    """Puts a `go` on PATH that does what a shell script says; returns the file of its calls."""

    def install(script: str) -> Path:
        calls = tools.parent / "go-calls"
        calls.touch()
        (tools / "go").write_text(f'#!/bin/sh\necho "$*" >> {calls}\n{script}\n')
        (tools / "go").chmod(0o755)
        return calls

    return install


@pytest.fixture
def working_go(go: Callable[[str], Path], tmp_path: Path) -> Path:
    """A `go` on PATH that builds a `pulumi` which knows its version; this is the file of its calls."""
    module = tmp_path / "module"
    for script in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        (module / script).parent.mkdir(parents=True)
        (module / script).write_text("#!/bin/sh\n")
    return go(
        'case "$1 $2" in\n'
        f"  'list -m') echo {module};;\n"
        "  'list -deps') echo 'go: downloading example.org/module v1.0.0' >&2; echo a; echo b;;\n"
        "  'build -v') version=${4##*=}; folder=$6; sleep 0.2; echo example.org/package >&2\n"
        "    printf '#!/bin/sh\\necho v%s\\n' $version > $folder/pulumi; touch $folder/pulumi-language-python\n"
        "    chmod 755 $folder/pulumi;;\n"
        "esac"
    )


@pytest.fixture
def console() -> Console:
    """A console that is no terminal and keeps what is printed in its `file`."""
    return Console(file=io.StringIO(), width=80)


@pytest.fixture
def pulumi(tmp_path: Path) -> Pulumi:
    return Pulumi(tmp_path / "engine")


@pytest.fixture
def session(pulumi: Pulumi, tmp_path: Path, sandbox_home: Path) -> Session:
    """A session on an empty project, in which `pulumi` is the test's own."""
    engine = Engine(pulumi.folder, pulumi.version, "found on PATH")
    (tmp_path / "project").mkdir()
    return Session(engine, tmp_path / "project", "acme", environment(engine, os.environ))


@pytest.fixture
def dead_process() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen(["/bin/true"]) as process:
        pass
    return process.pid


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs one command of `python -m sandbox`: its exit code, what it printed, and what it said on stderr."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def command(*arguments: str) -> tuple[int, str, str]:
        code = sandbox.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def interruptible() -> None:
    """In a shell's background Ctrl-C is ignored, also by every process that is started from there, which tests need."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def sandbox_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sandbox's private folder, which nothing outside the test knows; no variable of the shell names a cloud."""
    for name in [name for name in os.environ if name.startswith(CREDENTIALS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def open_world(sandbox_home: Path) -> Iterator[Callable[..., World]]:
    """Opens a cloud of the sandbox, by the name of its provider, under the settings given or those of SETTINGS."""
    stores = []

    def world(package: str, settings: dict[str, Any] | None = None) -> World:
        store = Store(sandbox_home / "clouds" / f"{package}.sqlite")
        stores.append(store)
        cloud = CLOUDS[package](store)
        cloud.configuration = SETTINGS[package] if settings is None else settings
        return World(cloud)

    yield world
    for store in stores:
        store.close()


@pytest.fixture
def aws(open_world: Callable[..., World]) -> World:
    return open_world("aws")


@pytest.fixture
def gcp(open_world: Callable[..., World]) -> World:
    return open_world("gcp")


@pytest.fixture
def azure(open_world: Callable[..., World]) -> World:
    return open_world("azure-native")
