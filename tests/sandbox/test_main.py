"""The command line: help, wrong calls, exit codes, and what `up`, `down`, `shell` and `engine` do around Pulumi."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox import home

COMMANDS = ("up", "preview", "down", "policy", "shell", "engine", "list", "delete", "edit", "fault")
BUCKET = "aws:s3/bucket:Bucket"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def repository(pulumi, tmp_path: Path, monkeypatch) -> Path:
    """A project of two stacks, and on PATH a `pulumi` that has none of them yet and finds nothing to do."""
    folder = tmp_path / "repository"
    (folder / "stacks").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: acme\n")
    for stack in ("dev", "prod"):
        (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    monkeypatch.setattr(home, "REPOSITORY", folder)
    monkeypatch.setenv("PATH", str(pulumi.folder), prepend=os.pathsep)
    pulumi.on("stack ls", "echo '[]'")
    for command in ("stack init", "up", "preview", "destroy"):
        pulumi.on(command, "")
    return folder


def execute(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m sandbox` as a process of its own."""
    return subprocess.run([sys.executable, "-m", "sandbox", *arguments], capture_output=True, text=True, timeout=60)


def test_the_help_names_every_command_and_what_it_does(run: Run, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        run("--help")
    out = capsys.readouterr().out
    assert exit_.value.code == 0
    assert out.startswith("usage: python -m sandbox")
    assert tuple(re.findall(r"^ {4}(\w+) +\S", out, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(run: Run, capsys, command: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(command, "--help")
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m sandbox {command}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upp"], "argument COMMAND: invalid choice: 'upp'"),
        (["engine", "now"], "unrecognized arguments: now"),
        (["up", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_a_command_or_option_that_does_not_exist_is_refused(
    run: Run, capsys, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_as_a_process_it_ends_with_the_commands_exit_code() -> None:
    listing = execute("list")
    assert (listing.returncode, listing.stdout, listing.stderr) == (0, "Nothing exists.\n", "")
    missing = execute("delete", "aws", "lake")
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (2, "", 1)


def test_up_without_names_means_all_stacks(run: Run, pulumi, repository: Path) -> None:
    code, out, err = run("up", "--parallel", "1")
    assert (code, err) == (0, "")
    assert [call.split()[2] for call in pulumi.calls if call.startswith("stack init")] == ["dev", "prod"]
    assert out.splitlines()[-1].startswith("2 stacks in ")


def test_a_stack_that_is_named_twice_is_run_once(run: Run, pulumi, repository: Path) -> None:
    assert run("preview", "prod", "prod")[0] == 0
    assert [call.split()[0] for call in pulumi.calls] == ["stack", "stack", "preview"]


def test_one_failed_stack_makes_the_exit_code_one(run: Run, pulumi, repository: Path) -> None:
    pulumi.on("up", 'case "$*" in *dev*) echo error: no; exit 255;; esac')
    code, out, err = run("up")
    assert (code, err) == (1, "")
    assert "dev failed:\n  no\n" in out


@pytest.mark.parametrize(("made", "remaining"), [(0, "nothing"), (2, "2 on aws")])
def test_down_says_what_remains(run: Run, repository: Path, aws, made: int, remaining: str) -> None:
    for number in range(made):
        aws.make(BUCKET, {"bucket": f"lake-{number}"})
    assert run("down")[1].splitlines()[-1] == f"Remaining in the sandbox: {remaining}."


def test_a_project_that_is_none_is_said_in_one_line(run: Run, repository: Path) -> None:
    (repository / "Pulumi.yaml").write_text("runtime: python\n")
    assert run("up") == (
        2,
        "",
        f"sandbox: {repository / 'Pulumi.yaml'} is no Pulumi project file: it has no `name`\n",
    )


def test_a_cloud_whose_state_is_damaged_is_said_in_one_line(run: Run, sandbox_home: Path, aws) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    aws.store.close()
    state = sandbox_home / "clouds" / "aws.sqlite"
    pages = bytearray(state.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)
    state.write_bytes(pages)
    message = f"sandbox: the state of a cloud can't be used, {state}: database disk image is malformed\n"
    assert run("list") == (2, "", message)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_stopped_lets_the_engine_finish_and_says_so(
    pulumi, repository: Path, tmp_path: Path, number: int
) -> None:
    heard, ready = tmp_path / "heard", tmp_path / "ready"
    wait = f"touch {ready}; for try in $(seq 200); do [ -e {heard} ] && exit 1; sleep 0.05; done"
    pulumi.on("preview", f"trap 'touch {heard}' INT; {wait}")
    # The stacks of this repository, as a process of its own knows of no other.
    command = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "preview", "aws-batch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    command.send_signal(number)
    out, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (130, "sandbox: stopped\n")
    assert heard.exists()
    assert "stopped" in out.splitlines()[-2]


def test_the_engine_is_named_with_version_origin_and_place(run: Run, pulumi, repository: Path) -> None:
    assert run("engine") == (0, f"Pulumi {pulumi.version}, found on PATH: {pulumi.folder}\n", "")


def test_a_shell_runs_one_command_in_the_sandbox_and_prints_nothing_else(
    pulumi, repository: Path, sandbox_home: Path
) -> None:
    pulumi.on("whoami", 'echo "$PULUMI_HOME $PWD $2"; exit 3')
    printed = f"{sandbox_home / 'pulumi'} {sandbox_home / 'project'} --json\n"
    ended = execute("shell", "--", "pulumi", "whoami", "--json")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, printed, "")
    copy = sandbox_home / "project" / "stacks" / "Pulumi.aws-batch.yaml"
    copy.write_text("config: {}\n")
    ended = execute("shell", "--", "pulumi", "whoami", "--json")
    assert (ended.stdout, ended.stderr) == (printed, f"aws-batch: keeping what was set in the sandbox, {copy}\n")


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 128 + 9), ("kill -INT $PPID; exit 0", 0)])
def test_a_shells_command_decides_the_exit_code_and_ctrl_c_belongs_to_it(
    repository: Path, script: str, code: int
) -> None:
    ended = execute("shell", "sh", "-c", script)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


def test_a_shell_without_a_command_is_the_users_own(repository: Path, tmp_path: Path, monkeypatch) -> None:
    shell = tmp_path / "my-shell"
    shell.write_text("#!/bin/sh\necho $PULUMI_HOME\n")
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))
    hint, folder = execute("shell").stdout.splitlines()
    assert "`pulumi stack ls`" in hint
    assert folder == str(home.home() / "pulumi")


def test_a_shells_command_that_does_not_exist_is_said_in_one_line(repository: Path) -> None:
    ended = execute("shell", "--", "pulumii")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "sandbox: pulumii cannot be run: No such file or directory\n"
