"""Where the engine comes from: PATH, the cache, a download, a build; and what is said where none is possible."""

import fcntl
import functools
import http.server
import io
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console
from sandbox import __main__ as sandbox
from sandbox import engine, engine_build
from sandbox.engine import Engine
from sandbox.errors import SandboxError

VERSION = "3.999.0"
PROGRAM = "#!/bin/sh\necho v{version}\n"


@pytest.fixture(autouse=True)
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine on PATH, none in the cache, nothing to download from, and no Go."""
    shell = tmp_path / "shell"
    shell.mkdir()
    (shell / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(shell))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_build, "pinned_version", lambda: VERSION)
    monkeypatch.setattr(engine, "download", functools.partial(engine.download, downloads="http://127.0.0.1:9"))


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=400)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], list[str]]]:
    """Offers these bytes as the vendor's release of this version; returns the list of the requests that come."""
    folder = tmp_path / "releases"
    folder.mkdir()
    requests: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            requests.append(f"{self.command} {self.path}")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def offer(archive: bytes) -> list[str]:
        monkeypatch.setattr("platform.system", lambda: "Linux")
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        (folder / f"pulumi-v{VERSION}-linux-x64.tar.gz").write_bytes(archive)
        downloads = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(engine, "download", functools.partial(engine.download.func, downloads=downloads))
        return requests

    yield offer
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_pulumi_on_path_with_a_language_host_is_taken(tmp_path: Path, monkeypatch, console: Console) -> None:
    folder = install(tmp_path / "bin", VERSION)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    assert engine.find_or_build(console) == Engine(folder, VERSION, "found on PATH")
    assert said(console) == ""


def test_a_pulumi_on_path_may_be_a_link_to_its_folder(tmp_path: Path, monkeypatch) -> None:
    folder = install(tmp_path / "opt", VERSION)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").symlink_to(folder / "pulumi")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert engine.on_path() == Engine(folder, VERSION, "found on PATH")


def test_a_version_managers_launcher_is_run_under_its_own_name(tmp_path: Path, monkeypatch) -> None:
    folder = install(tmp_path / "shims", VERSION)
    (folder / "pulumi").rename(tmp_path / "manager")
    (folder / "pulumi").symlink_to(tmp_path / "manager")
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    found = engine.on_path()
    assert found is not None
    assert (found.folder / "pulumi").exists()


def test_the_language_host_may_lie_elsewhere_on_path(tmp_path: Path, monkeypatch) -> None:
    folder = install(tmp_path / "bin", VERSION, language_host=False)
    other = install(tmp_path / "other", VERSION)
    monkeypatch.setenv("PATH", f"{folder}:{other}:/bin")
    found = engine.on_path()
    assert found is not None
    assert found.folder == folder


@pytest.mark.parametrize("old", ["2.25.0", "3.1.0", "4.0.0", f"3.{int(version('pulumi').split('.')[1]) - 1}.9"])
def test_a_pulumi_that_is_older_than_the_sdk_or_of_another_major_version_is_not_taken(
    tmp_path: Path, monkeypatch, old: str
) -> None:
    monkeypatch.setenv("PATH", f"{install(tmp_path / 'bin', old)}:/bin")
    assert engine.on_path() is None


def test_a_pulumi_as_old_as_the_sdk_is_taken(tmp_path: Path, monkeypatch) -> None:
    as_old = f"3.{version('pulumi').split('.')[1]}.0"
    monkeypatch.setenv("PATH", f"{install(tmp_path / 'bin', as_old)}:/bin")
    found = engine.on_path()
    assert found is not None
    assert found.version == as_old


def test_a_pulumi_without_a_language_host_is_not_taken(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", f"{install(tmp_path / 'bin', VERSION, language_host=False)}:/bin")
    assert engine.on_path() is None


@pytest.mark.parametrize("program", ["#!/bin/sh\necho nonsense\n", "#!/bin/sh\nexit 1\n", "#!/nowhere/sh\n"])
def test_a_pulumi_that_does_not_run_is_not_taken(tmp_path: Path, monkeypatch, program: str) -> None:
    folder = install(tmp_path / "bin", VERSION)
    (folder / "pulumi").write_text(program)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    assert engine.on_path() is None


@pytest.mark.parametrize(
    ("folder", "origin"), [(engine._vendor_folder, "downloaded"), (engine._build_folder, "built with Go")]
)
def test_what_was_made_once_is_taken_from_the_cache(
    console: Console, folder: Callable[[str], Path], origin: str
) -> None:
    made = install(folder(VERSION), VERSION)
    assert engine.find_or_build(console) == Engine(made, VERSION, origin)
    assert engine.cached("3.998.0") is None


def test_an_edited_language_host_is_built_anew(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine_build, "SOURCES", tmp_path)
    (tmp_path / "main.go").write_text("package main")
    before = engine._build_folder(VERSION)
    assert engine._build_folder(VERSION) == before
    (tmp_path / "main.go").write_text("package main // edited")
    assert engine._build_folder(VERSION) != before


def test_a_release_is_downloaded_unpacked_and_kept(console: Console, serve) -> None:
    requests = serve(archive({"pulumi/pulumi": PROGRAM.format(version=VERSION), "pulumi/pulumi-language-python": "x"}))
    found = engine.find_or_build(console)
    assert found.origin == "downloaded"
    assert sorted(file.name for file in found.folder.iterdir()) == ["pulumi", "pulumi-language-python"]
    assert [request.split()[0] for request in requests] == ["HEAD", "GET"]
    assert f"Downloading Pulumi {VERSION} from http://127.0.0.1:" in said(console)
    assert engine.find_or_build(console) == found
    assert len(requests) == 2


def test_no_name_in_an_archive_leads_out_of_its_folder(tmp_path: Path, console: Console, serve) -> None:
    serve(
        archive(
            {
                "pulumi/pulumi": PROGRAM.format(version=VERSION),
                "pulumi/pulumi-language-python": "x",
                "../../../escaped": "x",
                str(tmp_path / "absolute"): "x",
            },
            links={"pulumi/link": "/etc/passwd"},
        )
    )
    found = engine.find_or_build(console)
    assert sorted(file.name for file in found.folder.iterdir()) == [
        "absolute",
        "escaped",
        "pulumi",
        "pulumi-language-python",
    ]
    outside = [file for name in ("escaped", "absolute") for file in tmp_path.rglob(name)]
    assert {file.parent for file in outside} == {found.folder}


def broken_archives() -> dict[str, bytes]:
    whole = archive({"pulumi/pulumi": PROGRAM.format(version=VERSION), "pulumi/pulumi-language-python": "x" * 9000})
    return {
        "not an archive": b"<html>sign in first</html>",
        "empty": b"",
        "cut off": whole[: len(whole) // 2],
        "damaged": whole[:40] + bytes(len(whole) - 40),
        "another version": archive({"pulumi": PROGRAM.format(version="3.998.0"), "pulumi-language-python": "x"}),
        "no language host": archive({"pulumi": PROGRAM.format(version=VERSION)}),
        "a folder's name": archive({"..": "x"}),
    }


@pytest.mark.parametrize("kind", broken_archives())
def test_a_broken_release_is_not_taken_and_leaves_nothing(console: Console, serve, kind: str) -> None:
    serve(broken_archives()[kind])
    assert engine.download(VERSION, console) is None
    assert "Pulumi's download is not available here (" in said(console)
    assert list(engine._vendor_folder(VERSION).parent.iterdir()) == []


def test_a_release_that_does_not_exist_is_not_downloaded(console: Console, serve) -> None:
    serve(b"")
    assert engine.download("3.998.0", console) is None
    assert "not available here (" in said(console)
    assert "Downloading" not in said(console)


def test_a_server_that_does_not_speak_http_is_no_traceback(console: Console) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"220 mail.example ESMTP\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        found = engine.download.func(VERSION, console, f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert found is None
    assert "not available here (" in said(console)


def test_without_pulumi_download_and_go_one_sentence_says_what_to_install(capsys) -> None:
    assert sandbox.main(["engine"]) == 2
    said_lines = capsys.readouterr().err.splitlines()
    assert said_lines[-1].startswith("sandbox: there is no Pulumi engine: `pulumi` is not on PATH in a version")
    assert f"install Pulumi {VERSION}, or Go 1." in said_lines[-1]
    assert len([line for line in said_lines if line.startswith("sandbox: ")]) == 1
    assert "Traceback" not in "".join(said_lines)


def test_what_go_complains_of_is_said_in_one_sentence_and_nothing_half_made_stays(
    tmp_path: Path, monkeypatch, console: Console
) -> None:
    go = tmp_path / "go" / "go"
    go.parent.mkdir()
    complaints = ("go: downloading example.org/x v1.0.0", "main.go:7: no such thing")
    go.write_text("#!/bin/sh\n" + "".join(f"echo '{complaint}' >&2\n" for complaint in complaints) + "exit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/bin")
    with pytest.raises(SandboxError, match=r"^Go could not build the Pulumi engine: main.go:7: no such thing$"):
        engine.build(VERSION, console)
    assert list(engine._build_folder(VERSION).parent.iterdir()) == []


def test_a_build_lays_cli_language_host_and_scripts_side_by_side(tmp_path: Path, monkeypatch, console: Console) -> None:
    module = tmp_path / "module"
    for script in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        (module / script).parent.mkdir(parents=True)
        (module / script).write_text("#!/bin/sh\n")
    go = tmp_path / "go" / "go"
    go.parent.mkdir()
    go.write_text(
        "#!/bin/sh\n"
        'case "$1 $2" in\n'
        f"  'list -m') echo {module};;\n"
        "  'list -deps') echo a; echo b;;\n"
        "  'build -v') shift 4; shift; folder=$1;\n"
        f'    printf \'#!/bin/sh\\necho v{VERSION}\\n\' > "$folder/pulumi"; chmod 755 "$folder/pulumi";\n'
        '    touch "$folder/pulumi-language-python"; echo example.org/package >&2;;\n'
        "esac\n"
    )
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/bin:/usr/bin")
    assert engine.build(VERSION, console) == Engine(engine._build_folder(VERSION), VERSION, "built with Go")
    assert sorted(file.name for file in engine._build_folder(VERSION).iterdir()) == [
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    ]
    assert f"Building Pulumi {VERSION} with Go, once" in said(console)


def test_of_two_at_a_time_the_second_waits_and_takes_what_the_first_made(monkeypatch, console: Console) -> None:
    builds: list[str] = []

    def slow_build(wanted: str, _: Console) -> Engine:
        builds.append(wanted)
        time.sleep(0.3)
        return Engine(install(engine._build_folder(wanted), wanted), wanted, "built with Go")

    monkeypatch.setattr(engine, "build", slow_build)
    found: list[Engine] = []
    threads = [threading.Thread(target=lambda: found.append(engine.find_or_build(console))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds == [VERSION]
    assert found[0] == found[1]
    assert said(console).count("Waiting for another command that prepares the Pulumi engine") == 1


def test_another_process_that_holds_the_lock_is_waited_for_and_its_leftovers_are_removed(
    tmp_path: Path, monkeypatch, console: Console
) -> None:
    folder = tmp_path / "cache" / "ml-blueprints" / "engine"
    folder.mkdir(parents=True)
    (folder / ".making-abc").mkdir()
    (folder / ".making-abc" / "pulumi").write_text("half")
    hold = "lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl, sys, time; {hold}", folder / ".lock"], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    monkeypatch.setattr(engine, "build", lambda wanted, _: Engine(Path("built"), wanted, "built with Go"))
    threading.Timer(0.3, holder.kill).start()
    begun = time.monotonic()
    assert engine.find_or_build(console).folder == Path("built")
    holder.wait()
    holder.stdout.close()
    assert time.monotonic() - begun >= 0.25
    assert "Waiting for another command" in said(console)
    assert [file.name for file in folder.iterdir()] == [".lock"]
    with (folder / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_pinned_version_is_that_of_the_go_module(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.undo()
    assert engine._is_new_enough(engine_build.pinned_version())
    monkeypatch.setattr(engine_build, "SOURCES", tmp_path)
    with pytest.raises(SandboxError, match=r"^the sources of the engine are missing: .*go.mod; run this from a"):
        engine_build.pinned_version()


def install(folder: Path, wanted: str, language_host: bool = True) -> Path:
    """A Pulumi that says its version and does nothing else."""
    folder.mkdir(parents=True)
    for name in ("pulumi", *(("pulumi-language-python",) if language_host else ())):
        (folder / name).write_text(PROGRAM.format(version=wanted))
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


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
