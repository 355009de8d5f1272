"""The private environment: what of the user's shell gets in, what the sandbox sets, and which providers it installs."""

import io
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console
from sandbox import home
from sandbox.engine import Engine
from sandbox.session import PLUGINS, environment, install_plugins, open_session

ENGINE = Engine(Path("/opt/pulumi"), "3.999.0", "found on PATH")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "repository"
    (folder / "stacks").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: acme\n")
    (folder / "stacks" / "Pulumi.dev.yaml").write_text("config: {}\n")
    monkeypatch.setattr(home, "REPOSITORY", folder)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GCLOUD_PROJECT",
        "CLOUDSDK_CONFIG",
        "ARM_CLIENT_SECRET",
        "AZURE_CONFIG_DIR",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_STACK",
    ],
)
def test_nothing_of_the_users_clouds_or_backend_gets_in(name: str) -> None:
    assert name not in environment(ENGINE, {name: "mine"})


@pytest.mark.parametrize("name", ["PULUMI_BACKEND_URL", "PULUMI_HOME", "PULUMI_CONFIG_PASSPHRASE"])
def test_what_the_user_set_for_pulumi_gives_way_to_the_sandboxs_own(name: str) -> None:
    assert environment(ENGINE, {name: "mine"})[name] not in ("mine", "")


def test_the_rest_of_the_shell_stays(sandbox_home: Path) -> None:
    inside = environment(ENGINE, {"HOME": "/home/me", "LANG": "C.UTF-8"})
    assert (inside["HOME"], inside["LANG"]) == ("/home/me", "C.UTF-8")


@pytest.mark.parametrize("name", ["PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"])
def test_compiled_bytecode_is_written_where_every_sandbox_finds_it(name: str) -> None:
    assert name not in environment(ENGINE, {name: "1"})


def test_engine_and_python_come_before_what_is_on_path() -> None:
    own = ["/opt/pulumi", str(Path(sys.executable).parent)]
    assert environment(ENGINE, {"PATH": "/bin:/usr/bin"})["PATH"].split(":") == [*own, "/bin", "/usr/bin"]
    assert environment(ENGINE, {})["PATH"].split(":") == [*own, *os.defpath.split(":")]


def test_all_that_is_written_lies_in_the_sandboxs_home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", str(tmp_path / "a home"))
    inside = environment(ENGINE, {})
    assert inside["ML_BLUEPRINTS_SANDBOX"] == str(tmp_path / "a home")
    assert inside["PULUMI_HOME"] == str(tmp_path / "a home" / "pulumi")
    assert inside["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/a%20home/backend?metadata=skip"


def test_a_relative_home_is_one_that_every_command_finds(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", "play")
    assert environment(ENGINE, {})["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/play/backend?metadata=skip"


@pytest.mark.parametrize(("name", "distribution"), PLUGINS.items())
def test_each_provider_is_installed_at_its_sdks_version_and_runs(
    tmp_path: Path, sandbox_home: Path, name: str, distribution: str
) -> None:
    install_plugins(tmp_path)
    plugin = tmp_path / f"resource-{name}-v{version(distribution)}" / f"pulumi-resource-{name}"
    # A module of the program must not be taken for one of the provider's.
    (tmp_path / "sandbox.py").write_text("raise SystemExit('the wrong sandbox')")
    with subprocess.Popen([plugin, "127.0.0.1:1"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert int(running.stdout.readline()) > 0
        running.terminate()
    assert running.returncode == 0
    assert home.cloud_state(name).exists()


def test_plugins_are_written_once_and_anew_only_for_another_python(tmp_path: Path, monkeypatch) -> None:
    install_plugins(tmp_path)
    scripts = sorted(tmp_path.glob("*/*"))
    assert len(scripts) == len(PLUGINS)
    before = [script.stat().st_ino for script in scripts]
    install_plugins(tmp_path)
    assert [script.stat().st_ino for script in scripts] == before
    monkeypatch.setattr(sys, "executable", "/opt/an environment/bin/python")
    install_plugins(tmp_path)
    assert sorted(tmp_path.glob("*/*")) == scripts
    assert all("exec '/opt/an environment/bin/python' -P" in script.read_text() for script in scripts)


def test_a_session_finds_engine_plugins_and_project_ready(pulumi, repository: Path, sandbox_home: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(pulumi.folder), prepend=os.pathsep)
    console = Console(file=io.StringIO())
    session = open_session(console)
    assert session.pulumi == str(pulumi.folder / "pulumi")
    assert (session.project, session.project_name) == (sandbox_home / "project", "acme")
    assert (session.project / "stacks" / "Pulumi.dev.yaml").read_text() == "config: {}\n"
    assert (sandbox_home / "backend").is_dir()
    assert len(list((sandbox_home / "pulumi" / "plugins").iterdir())) == len(PLUGINS)
    pulumi.on("whoami", 'echo "$PULUMI_HOME $PWD"')
    answer = subprocess.run([session.pulumi, "whoami"], cwd=session.project, env=session.environment, stdout=-1)
    assert answer.stdout.decode().split() == [str(sandbox_home / "pulumi"), str(session.project)]


def test_a_session_says_what_the_mirror_has_to_say(pulumi, repository: Path, sandbox_home: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(pulumi.folder), prepend=os.pathsep)
    # Square brackets are markup to the console, but part of a path to the user.
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", str(sandbox_home / "[work]"))
    console = Console(file=io.StringIO(), width=40)
    copy = open_session(console).project / "stacks" / "Pulumi.dev.yaml"
    copy.write_text("config: {a:b: c}\n")
    open_session(console)
    assert console.file.getvalue() == f"dev: keeping what was set in the sandbox, {copy}\n"
