"""Compiles the Pulumi CLI and our Python language host with Go, and shows how far it is."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sandbox.errors import SandboxError

SOURCES = Path(__file__).resolve().parents[1] / "engine"
_CLI = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_SDK = "github.com/pulumi/pulumi/sdk/v3"
_LANGUAGE_HOST = "./cmd/pulumi-language-python"
# Scripts of the SDK's Go module that the vendor ships beside its language host as well.
_SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
_PLAIN_LINE_SECONDS = 15

Report = Callable[[str, int], None]


class _GoFailedError(Exception):
    """Go ended with a failure; the text is its complaint."""


def pinned_version() -> str:
    """The CLI's version that our go.mod asks for. Raises SandboxError if the sources are not there."""
    return _from_go_mod(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)")


def source_files() -> list[Path]:
    """All that decides what a build gives, in a stable order."""
    return sorted(file for file in SOURCES.rglob("*") if file.suffix == ".go" or file.name in ("go.mod", "go.sum"))


def compile_into(folder: Path, version: str, console: Console) -> None:
    """Build into an empty folder. Raises SandboxError in one sentence where Go is missing, too old or fails."""
    needed = _from_go_mod(r"^go (\S+)")
    if shutil.which("go") is None:
        raise SandboxError(
            f"there is no Pulumi engine: `pulumi` is not on PATH in a version that fits, its download cannot be"
            f" reached, and there is no Go to build it; install Pulumi {version}, or Go {needed} or newer"
        )
    console.print(f"Building Pulumi {version} with Go, once; this takes about 4 minutes on two cores.")
    try:
        _compile(folder, version, console)
    except _GoFailedError as error:
        raise SandboxError(
            f"Go could not build the Pulumi engine: {error}; this takes Go {needed} or newer and a way to Go's module"
            f" proxy, and none of it is needed where Pulumi {version} is installed"
        ) from None


def _compile(folder: Path, version: str, console: Console) -> None:
    with _progress(console) as report:
        report("downloading Go modules", 0)
        packages = _run_go(["list", "-deps", _CLI, _LANGUAGE_HOST], report, "downloading Go modules", 0)
        stamp = f"-s -w -X {_SDK}/go/common/version.Version={version}"
        targets = ["-o", f"{folder}/", _CLI, _LANGUAGE_HOST]
        _run_go(["build", "-v", "-ldflags", stamp, *targets], report, "compiling", len(packages))
    module = Path(_run_go(["list", "-m", "-f", "{{.Dir}}", _SDK], lambda *_: None, "", 0)[0])
    for script in _SCRIPTS:
        target = folder / Path(script).name
        shutil.copyfile(module / script, target)
        target.chmod(0o755)


def _from_go_mod(pattern: str) -> str:
    file = SOURCES / "go.mod"
    try:
        found = re.search(pattern, file.read_text(), re.MULTILINE)
    except FileNotFoundError:
        raise SandboxError(f"the sources of the engine are missing: {file}; run this from a checkout") from None
    if found is None:
        raise SandboxError(f"{file} has no line that matches {pattern}")
    return found[1]


def _run_go(arguments: list[str], report: Report, stage: str, total: int) -> list[str]:
    """Run Go, report each module or package that it names on stderr, and return the lines of its stdout."""
    said: list[str] = []
    # A file takes what stdout says meanwhile: a pipe would fill up and stop Go while its stderr is read.
    with tempfile.TemporaryFile("w+") as answer:
        with subprocess.Popen(["go", *arguments], cwd=SOURCES, stdout=answer, stderr=subprocess.PIPE, text=True) as go:
            try:
                for line in go.stderr or ():
                    said.append(line.strip())
                    report(f"{stage}: {_subject(line)}", total)
            except BaseException:
                # Its folder is removed next: it must be through with it.
                go.terminate()
                go.wait()
                raise
        answer.seek(0)
        lines = answer.read().splitlines()
    if go.returncode != 0:
        raise _GoFailedError(_complaint(said))
    return lines


def _subject(line: str) -> str:
    """The module or package that Go works on: `go: downloading example.org/module v1.2.3`, or a bare package path."""
    return line.strip().removeprefix("go: downloading ")


def _complaint(said: list[str]) -> str:
    """What Go said last, without the names of what it had done by then."""
    complaints = [line for line in said if " " in line and not line.startswith(("go: downloading", "#"))]
    return "; ".join(complaints[-3:]) or "it gave no reason"


@contextmanager
def _progress(console: Console) -> Generator[Report]:
    """On a terminal a bar with the elapsed time; elsewhere, such as in CI, a line every 15 seconds."""
    started = last = time.monotonic()
    counts: dict[str, int] = {}

    def counted(text: str) -> int:
        stage = text.split(":")[0]
        counts[stage] = counts.get(stage, -1) + 1
        return counts[stage]

    if not console.is_terminal:

        def write_line(text: str, total: int) -> None:
            nonlocal last
            count, now = counted(text), time.monotonic()
            if now - last >= _PLAIN_LINE_SECONDS:
                last = now
                console.print(f"  {now - started:4.0f} s  {count}{f' of at most {total}' if total else ''}  {text}")

        yield write_line
        return

    columns = (SpinnerColumn(), TimeElapsedColumn(), BarColumn(30), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def move_bar(text: str, total: int) -> None:
            bar.update(task, description=text[:90], completed=counted(text), total=total or None)

        yield move_bar
