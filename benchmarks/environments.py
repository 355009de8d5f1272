"""Environments of peers, apart from ours: each is installed once in a folder of its own."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sandbox import home
from sandbox.errors import SandboxError


def programs(name: str, packages: Sequence[str]) -> Path:
    """The programs of a peer. Raises SandboxError where it can't be installed."""
    folder = Path.home() / ".cache" / "ml-blueprints" / "peers" / name
    if not (folder / "installed").exists():
        uv = str(home.REPOSITORY / ".uv" / "bin" / "uv")
        for command in (
            (uv, "venv", "--quiet", "--clear", str(folder)),
            (uv, "pip", "install", "--quiet", *packages),
        ):
            done = subprocess.run(
                command, env={**os.environ, "VIRTUAL_ENV": str(folder)}, capture_output=True, text=True
            )
            if done.returncode:
                raise SandboxError(f"{name} can't be installed: {done.stderr}")
        (folder / "installed").touch()
    return folder / "bin"
