"""Where the engine comes from: PATH, the cache, a download, a build; and what is said where none is possible."""

import functools
import http.server
import io
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console
from sandbox import engine, engine_build
from sandbox.engine import Engine
from sandbox.errors import SandboxError

VERSION = "3.999.0"
PROGRAM = f"#!/bin/sh\necho v{VERSION}\n"
HOST = "pulumi-language-python"
MINOR = int(version("pulumi").split(".")[1])


@pytest.fixture(autouse=True)
def cache(tools: Path, tmp_path: Path, monkeypatch) -> Path:
    """The engine's cache. No engine is in it or on PATH, nothing to download from is in reach, and no Go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_build, "pinned_version", lambda: VERSION)
    monkeypatch.setattr(engine, "DOWNLOADS", "http://127.0.0.1:9")
    return tmp_path / "cache" / "ml-blueprints" / "engine"


@pytest.fixture
def serve(tmp_path: Path, monkeypatch) -> Iterator[Callable[[bytes], list[str]]]:
    """Offers these bytes as the vendor's release of this version; returns the list of the requests that come."""
    folder = tmp_path / "releases"
    folder.mkdir()
    requests: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            requests.append(f"{self.command} {self.path}")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()

    def offer(archive: bytes) -> list[str]:
        monkeypatch.setattr("platform.system", lambda: "Linux")
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        (folder / f"pulumi-v{VERSION}-linux-x64.tar.gz").write_bytes(archive)
        monkeypatch.setattr(engine, "DOWNLOADS", f"http://127.0.0.1:{server.server_port}")
        return requests

    yield offer
    server.shutdown()
    thread.join()
    server.server_close()


def install(folder: Path, program: str = PROGRAM, language_host: bool = True) -> Path:
    """A Pulumi that says its version and does nothing else."""
    folder.mkdir(parents=True)
    for name in ("pulumi", *((HOST,) if language_host else ())):
        (folder / name).write_text(program)
        (folder / name).chmod(0o755)
    return folder


def archive(files: dict[str, str], links: dict[str, str] | None = None) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return content.getvalue()


RELEASE = archive({"pulumi/pulumi": PROGRAM, f"pulumi/{HOST}": "x" * 9000})


def test_a_pulumi_on_path_with_a_language_host_is_taken(tmp_path: Path, monkeypatch, console: Console) -> None:
    folder = install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(folder))
    assert engine.find_or_build(console) == Engine(folder, VERSION, "found on PATH")
    assert console.file.getvalue() == ""


def test_a_pulumi_on_path_may_be_a_link_to_its_folder(tools: Path, tmp_path: Path) -> None:
    folder = install(tmp_path / "opt")
    (tools / "pulumi").symlink_to(folder / "pulumi")
    assert engine.on_path() == Engine(folder, VERSION, "found on PATH")


def test_a_version_managers_launcher_is_run_under_its_own_name(tmp_path: Path, monkeypatch) -> None:
    folder = install(tmp_path / "shims", f"#!/bin/sh\ncase $0 in */pulumi) echo v{VERSION};; *) exit 1;; esac\n")
    (folder / "pulumi").rename(tmp_path / "manager")
    (folder / "pulumi").symlink_to(tmp_path / "manager")
    monkeypatch.setenv("PATH", str(folder))
    assert engine.on_path() == Engine(folder, VERSION, "found on PATH")


def test_the_language_host_may_lie_elsewhere_on_path(tmp_path: Path, monkeypatch) -> None:
    folder = install(tmp_path / "bin", language_host=False)
    monkeypatch.setenv("PATH", str(folder))
    assert engine.on_path() is None
    monkeypatch.setenv("PATH", f"{folder}:{install(tmp_path / 'other')}")
    assert engine.on_path() == Engine(folder, VERSION, "found on PATH")


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        (f"3.{MINOR}.0", True),
        (f"3.{MINOR + 1}.0-beta.1", True),
        (f"3.{MINOR - 1}.9", False),
        ("2.999.0", False),
        ("4.0.0", False),
    ],
)
def test_a_pulumi_on_path_must_be_as_new_as_the_sdk_and_of_its_major_version(
    tmp_path: Path, monkeypatch, found: str, taken: bool
) -> None:
    folder = install(tmp_path / "bin", f"#!/bin/sh\necho v{found}\n")
    monkeypatch.setenv("PATH", str(folder))
    assert engine.on_path() == (Engine(folder, found, "found on PATH") if taken else None)


@pytest.mark.parametrize("program", ["#!/bin/sh\necho nonsense\n", "#!/bin/sh\nexit 1\n", "#!/nowhere/sh\n"])
def test_a_pulumi_that_does_not_run_is_not_taken(tmp_path: Path, monkeypatch, program: str) -> None:
    monkeypatch.setenv("PATH", str(install(tmp_path / "bin", program)))
    assert engine.on_path() is None


def test_a_release_is_downloaded_unpacked_and_kept(console: Console, cache: Path, serve) -> None:
    requests = serve(RELEASE)
    found = engine.find_or_build(console)
    assert found == Engine(cache / f"{VERSION}-vendor", VERSION, "downloaded")
    assert sorted(file.name for file in found.folder.iterdir()) == ["pulumi", HOST]
    assert [request.split()[0] for request in requests] == ["HEAD", "GET"]
    assert console.file.getvalue().startswith(f"Downloading Pulumi {VERSION} from http://127.0.0.1:")
    assert engine.find_or_build(console) == found
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [("Darwin", "arm64", "darwin-arm64"), ("Linux", "aarch64", "linux-arm64"), ("FreeBSD", "amd64", None)],
)
def test_the_release_is_that_for_this_machine(
    console: Console, monkeypatch, serve, system: str, machine: str, name: str | None
) -> None:
    requests = serve(RELEASE)
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert engine.download(VERSION, console) is None
    assert requests[-1:] == ([f"HEAD /pulumi-v{VERSION}-{name}.tar.gz"] if name else [])


def test_no_name_in_an_archive_leads_out_of_its_folder(tmp_path: Path, console: Console, serve) -> None:
    files = {"pulumi/pulumi": PROGRAM, f"pulumi/{HOST}": "x", "../../../escaped": "x", f"{tmp_path}/absolute": "x"}
    serve(archive(files, links={"pulumi/link": "/etc/passwd"}))
    found = engine.find_or_build(console)
    assert sorted(file.name for file in found.folder.iterdir()) == ["absolute", "escaped", "pulumi", HOST]
    assert {file.parent for name in ("escaped", "absolute") for file in tmp_path.rglob(name)} == {found.folder}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html>sign in first</html>", id="not an archive"),
        pytest.param(b"", id="empty"),
        pytest.param(RELEASE[: len(RELEASE) // 2], id="cut off"),
        pytest.param(RELEASE[:40] + bytes(len(RELEASE) - 40), id="damaged"),
        pytest.param(archive({"pulumi": "#!/bin/sh\necho v3.998.0\n", HOST: "x"}), id="another version"),
        pytest.param(archive({"pulumi": PROGRAM}), id="no language host"),
        pytest.param(archive({"..": "x"}), id="a folder's name"),
    ],
)
def test_a_broken_release_is_not_taken_and_leaves_nothing(console: Console, cache: Path, serve, content: bytes) -> None:
    serve(content)
    assert engine.download(VERSION, console) is None
    assert "Pulumi's download is not available here (" in console.file.getvalue()
    assert list(cache.iterdir()) == []


def test_a_release_that_does_not_exist_is_not_downloaded(console: Console, serve) -> None:
    serve(RELEASE)
    assert engine.download("3.998.0", console) is None
    assert console.file.getvalue() == "Pulumi's download is not available here (File not found).\n"


def test_a_server_that_does_not_speak_http_is_said_in_one_line(console: Console, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"220 mail.example ESMTP\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setattr(engine, "DOWNLOADS", f"http://127.0.0.1:{server.getsockname()[1]}")
        found = engine.download(VERSION, console)
        thread.join()
    assert found is None
    assert console.file.getvalue() == "Pulumi's download is not available here (220 mail.example ESMTP).\n"


def test_without_pulumi_download_and_go_one_sentence_says_what_to_install(run) -> None:
    code, out, err = run("engine")
    assert (code, out) == (2, "")
    download, sentence = err.splitlines()
    assert download.startswith("Pulumi's download is not available here (")
    assert re.fullmatch(
        r"sandbox: there is no Pulumi engine: `pulumi` is not on PATH in a version that fits, its download cannot be"
        rf" reached, and there is no Go to build it; install Pulumi {VERSION}, or Go 1\.\S+ or newer",
        sentence,
    )


def test_what_go_built_is_kept_until_the_language_hosts_sources_change(
    console: Console, cache: Path, working_go: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(engine_build, "SOURCES", tmp_path / "sources")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "go.mod").write_text("go 1.26.6\n")
    found = engine.find_or_build(console)
    assert (found.folder.parent, found.version, found.origin) == (cache, VERSION, "built with Go")
    builds = working_go.read_text()
    assert engine.find_or_build(console) == found
    assert working_go.read_text() == builds
    (tmp_path / "sources" / "main.go").write_text("package main // edited")
    assert engine.find_or_build(console).folder != found.folder
    assert working_go.read_text().count("build -v") == 2


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 1", "^Go could not build the Pulumi engine: "),
        (
            '[ "$1" = build ] && printf "#!/nowhere\\n" > $6/pulumi; echo /',
            f"^the Pulumi {VERSION} that was just built in .* does not run on this machine$",
        ),
    ],
)
def test_a_build_that_fails_leaves_nothing(
    console: Console, cache: Path, go, monkeypatch, script: str, message: str
) -> None:
    monkeypatch.setattr(engine_build, "_SCRIPTS", ())
    go(script)
    with pytest.raises(SandboxError, match=message):
        engine.find_or_build(console)
    assert [file.name for file in cache.iterdir()] == [".lock"]


def test_of_two_at_a_time_the_second_waits_and_takes_what_the_first_made(console: Console, working_go: Path) -> None:
    with ThreadPoolExecutor(2) as commands:
        first, second = commands.map(engine.find_or_build, [console, console])
    assert first == second
    assert working_go.read_text().count("build -v") == 1
    assert console.file.getvalue().count("Waiting for another command that prepares the Pulumi engine") == 1


def test_another_process_that_holds_the_lock_is_waited_for_and_its_leftovers_are_removed(
    console: Console, cache: Path, working_go: Path
) -> None:
    install(cache / ".making-abc")
    hold = "lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", f"import fcntl, sys, time; {hold}", cache / ".lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        def kill_once_it_is_waited_for() -> None:
            deadline = time.monotonic() + 30
            while "Waiting for another command" not in console.file.getvalue() and time.monotonic() < deadline:
                time.sleep(0.02)
            holder.kill()
            assert time.monotonic() < deadline

        with ThreadPoolExecutor() as killer:
            killed = killer.submit(kill_once_it_is_waited_for)
            found = engine.find_or_build(console)
        killed.result()
    assert {file.name for file in cache.iterdir()} == {".lock", found.folder.name}
