"""Building with Go: what is laid where, how far it is, and one sentence for whatever goes wrong."""

import io
import re
import signal
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from rich.console import Console
from sandbox import engine, engine_build
from sandbox.engine_build import compile_into
from sandbox.errors import SandboxError

VERSION = "3.999.0"


@pytest.fixture
def folder(tools: Path, tmp_path: Path) -> Path:
    """The empty folder that is built into; there is no Go on PATH."""
    (tmp_path / "build").mkdir()
    return tmp_path / "build"


def test_the_pinned_version_is_one_that_the_sdk_speaks_with(tmp_path: Path, monkeypatch) -> None:
    pinned = engine_build.pinned_version()
    assert re.fullmatch(r"3\.\d+\.\d+", pinned)
    (tmp_path / "pulumi").write_text(f"#!/bin/sh\necho v{pinned}\n")
    (tmp_path / "pulumi").chmod(0o755)
    (tmp_path / "pulumi-language-python").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.on_path() is not None


def test_the_sources_are_those_of_the_language_host() -> None:
    names = {file.relative_to(engine_build.SOURCES).as_posix() for file in engine_build.source_files()}
    assert {"go.mod", "go.sum"} < names
    assert any(name.startswith("cmd/pulumi-language-python/") for name in names)


def test_missing_sources_are_said_in_one_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine_build, "SOURCES", tmp_path)
    with pytest.raises(
        SandboxError, match=r"^the sources of the engine are missing: .*go\.mod; run this from a checkout"
    ):
        engine_build.pinned_version()
    (tmp_path / "go.mod").write_text("module empty\n")
    with pytest.raises(SandboxError, match=r"go\.mod has no line that matches "):
        engine_build.pinned_version()


def test_cli_language_host_and_scripts_lie_side_by_side_and_can_be_run(
    folder: Path, console: Console, working_go: Path
) -> None:
    compile_into(folder, VERSION, console)
    programs = sorted(folder.iterdir())
    assert [program.name for program in programs] == [
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    ]
    assert all(program.stat().st_mode & 0o111 for program in programs if program.name != "pulumi-language-python")
    assert f"echo v{VERSION}" in (folder / "pulumi").read_text()
    assert f"Building Pulumi {VERSION} with Go, once" in console.file.getvalue()


def test_without_go_one_sentence_says_what_to_install(folder: Path, console: Console) -> None:
    with pytest.raises(
        SandboxError, match=rf"there is no Go to build it; install Pulumi {VERSION}, or Go 1\.\S+ or newer$"
    ):
        compile_into(folder, VERSION, console)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (
            ["go: downloading example.org/x v1.0.0", "# example.org/y", "main.go:7: no such thing"],
            "main.go:7: no such thing",
        ),
        (["a b", "c d", "e f", "g h", "example.org/package"], "c d; e f; g h"),
        (
            ["go: go.mod requires go >= 1.26.6 (running go 1.22.0)"],
            "go: go.mod requires go >= 1.26.6 (running go 1.22.0)",
        ),
        ([], "it gave no reason"),
    ],
)
def test_what_go_complains_of_is_said_in_one_sentence_with_the_way_out(
    folder: Path, console: Console, go, lines: list[str], complaint: str
) -> None:
    go("".join(f"echo '{line}' >&2\n" for line in lines) + "exit 1")
    with pytest.raises(SandboxError) as failure:
        compile_into(folder, VERSION, console)
    said = str(failure.value)
    assert said.startswith(f"Go could not build the Pulumi engine: {complaint}; this takes Go 1.")
    assert said.endswith(f" none of it is needed where Pulumi {VERSION} is installed")
    assert "\n" not in said


def test_a_log_hears_every_fifteen_seconds_how_far_the_build_is(
    folder: Path, console: Console, go, monkeypatch
) -> None:
    # A clock that advances ten seconds each time it is looked at.
    ticks = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    go(
        'case "$1" in list) echo a; echo b; echo c;; build) for package in a b c; do echo $package >&2; done;; esac\n'
        'case "$1 $2" in "list -m") exit 1;; esac'
    )
    with pytest.raises(SandboxError):
        compile_into(folder, VERSION, console)
    told = [" ".join(line.split()) for line in console.file.getvalue().splitlines()[1:]]
    assert told == ["20 s 0 of at most 3 compiling: a", "40 s 2 of at most 3 compiling: c"]


def test_a_terminal_has_a_bar_that_disappears(folder: Path, working_go: Path) -> None:
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    compile_into(folder, VERSION, terminal)
    said = terminal.file.getvalue()
    assert "compiling: example.org/package" in said
    assert said.endswith("\x1b[1A\x1b[2K")


@pytest.fixture
def interruptible() -> Generator[None]:
    """Python's own answer to an interruption, whatever a library has put into its place, as Spark does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_stops_go_and_waits_for_its_end(folder: Path, console: Console, go, tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    go(f"trap 'touch {ended}; exit 1' TERM; touch {begun}; for try in 1 2 3 4 5 6 7 8 9; do sleep 0.5; done")

    def press_when_begun() -> None:
        while not begun.exists():
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    presser = threading.Thread(target=press_when_begun)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        compile_into(folder, VERSION, console)
    presser.join()
    assert ended.exists()
