"""Finds the real Pulumi engine on this machine, or gets one: from the cache, from the vendor, or built with Go."""

import fcntl
import hashlib
import http.client
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sandbox import engine_build, home
from sandbox.errors import SandboxError

DOWNLOADS = "https://get.pulumi.com/releases/sdk"
LANGUAGE_HOST = "pulumi-language-python"
_CONNECT_SECONDS = 3
_READ_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Engine:
    """A Pulumi CLI that runs Python programs. `folder` holds `pulumi`; `origin` says in words where it is from."""

    folder: Path
    version: str
    origin: str


def find_or_build(console: Console) -> Engine:
    """The first that works of: `pulumi` on PATH, the cache, the vendor's download, a build with Go (some 4 minutes).

    Raises SandboxError, in one sentence, where none of them is possible.
    """
    version = engine_build.pinned_version()
    found = on_path() or cached(version)
    if found:
        return found
    with _only_one_at_a_time(console):
        # Another command may have made it while this one waited.
        return cached(version) or download(version, console) or build(version, console)


def on_path() -> Engine | None:
    """The `pulumi` on PATH, if it is as new as the installed Python SDK asks and has a Python language host."""
    executable = shutil.which("pulumi")
    if executable is None:
        return None
    # The language host lies beside the program itself, unless a version manager's launcher stands in for it.
    program = Path(executable).resolve()
    folder = program.parent if program.name == "pulumi" else Path(executable).absolute().parent
    version = _version_of(Path(executable))
    if version is None or not _is_new_enough(version):
        return None
    if not (folder / LANGUAGE_HOST).exists() and shutil.which(LANGUAGE_HOST) is None:
        return None
    return Engine(folder, version, "found on PATH")


def cached(version: str) -> Engine | None:
    """An engine that an earlier command downloaded or built from the Go sources as they are now."""
    for folder, origin in ((_vendor_folder(version), "downloaded"), (_build_folder(version), "built with Go")):
        if (folder / "pulumi").exists():
            return Engine(folder, version, origin)
    return None


def download(version: str, console: Console) -> Engine | None:
    """The vendor's release of this version for this machine, or None where it cannot be had."""
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system())
    machine = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    if system is None or machine is None:
        return None
    url = f"{DOWNLOADS}/pulumi-v{version}-{system}-{machine}.tar.gz"
    try:
        # A machine without a way out should learn it in seconds, not after the patience that a download deserves.
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_CONNECT_SECONDS):  # noqa: S310 (https)
            pass
        console.out(f"Downloading Pulumi {version} from {url}", highlight=False)
        with _new_folder(_vendor_folder(version)) as folder:
            with urllib.request.urlopen(url, timeout=_READ_SECONDS) as response:  # noqa: S310 (https)
                _unpack(response, folder)
            if _version_of(folder / "pulumi") != version or not (folder / LANGUAGE_HOST).exists():
                raise SandboxError(f"{url} does not hold a Pulumi {version} that runs on this machine")
    except (OSError, http.client.HTTPException, tarfile.TarError, SandboxError) as error:
        console.out(f"Pulumi's download is not available here ({_reason(error)}).", style="dim", highlight=False)
        return None
    return Engine(_vendor_folder(version), version, "downloaded")


def build(version: str, console: Console) -> Engine:
    """Compile the CLI and our own language host from their Go modules. Raises SandboxError where Go cannot."""
    with _new_folder(_build_folder(version)) as folder:
        engine_build.compile_into(folder, version, console)
        if _version_of(folder / "pulumi") != version:
            raise SandboxError(f"the Pulumi {version} that was just built in {folder} does not run on this machine")
    return Engine(_build_folder(version), version, "built with Go")


def _vendor_folder(version: str) -> Path:
    return home.cache() / "engine" / f"{version}-vendor"


def _build_folder(version: str) -> Path:
    """Named by the version and by the sources of our part, so that an edited language host is built anew."""
    digest = hashlib.sha256()
    for file in engine_build.source_files():
        digest.update(file.relative_to(engine_build.SOURCES).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return home.cache() / "engine" / f"{version}-{digest.hexdigest()[:12]}"


@contextmanager
def _only_one_at_a_time(console: Console) -> Generator[None]:
    """Hold the lock of the engine cache; it falls with the process that holds it, however that ends."""
    folder = home.cache() / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("Waiting for another command that prepares the Pulumi engine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever held the lock before is gone: what it left half-made is of no use.
        for leftover in folder.glob(".making-*"):
            shutil.rmtree(leftover)
        yield


@contextmanager
def _new_folder(target: Path) -> Generator[Path]:
    """A folder that appears as `target` once it is complete, and not at all if it is interrupted."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _unpack(archive, folder: Path) -> None:
    """Lay the archive's programs side by side; only their base names count, so none can land elsewhere."""
    with tarfile.open(fileobj=archive, mode="r|gz") as members:
        for member in members:
            content = members.extractfile(member) if member.isfile() else None
            if content is not None:
                target = folder / Path(member.name).name
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                target.chmod(0o755)


def _version_of(executable: Path) -> str | None:
    try:
        answer = subprocess.run([executable, "version"], capture_output=True, text=True, timeout=30, env=_quiet())
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.fullmatch(r"v?(\d+\.\d+\.\d+\S*)", answer.stdout.strip())
    return found[1] if found else None


def _quiet() -> dict[str, str]:
    return {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}


def _is_new_enough(version: str) -> bool:
    """Pulumi 3, and no older than the SDK in this environment, which may speak what an older engine does not know."""
    major, minor = (int(part) for part in version.split(".")[:2])
    needed = int(importlib.metadata.version("pulumi").split(".")[1])
    return major == 3 and minor >= needed


def _reason(error: BaseException) -> str:
    return " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
