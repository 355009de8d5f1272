"""A mirror of the repository's Pulumi project, so that nothing of the sandbox is written into committed files.

Pulumi writes the salt of a stack's passphrase into Pulumi.<stack>.yaml. In the mirror these files are therefore copies,
while everything else (the program, the workloads) is a link: an edit in the repository holds at once.

A copy follows its source. What `pulumi config set` changed in a copy is kept until the source changes next; each time
one or the other happens, `synchronise` says so.
"""

import fcntl
import sys
from pathlib import Path

import yaml

from sandbox.errors import SandboxError

# What ties a stack file to one secrets provider; a copy has the sandbox's own.
_ENCRYPTION = ("encryptionsalt:", "encryptedkey:", "secretsprovider:")

# In the program's folder, and nothing of the program.
_OWN = frozenset({"__pycache__", ".venv"})


def stack_names(repository: Path) -> list[str]:
    """The stacks that the repository has a configuration for, sorted."""
    return sorted(_stack_name(file) for file in (repository / "stacks").glob("Pulumi.*.yaml"))


def project_name(repository: Path) -> str:
    """The project's name, which is part of every URN. Raises SandboxError if there is no project."""
    file = repository / "Pulumi.yaml"
    try:
        content = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise SandboxError(f"{file} is no Pulumi project file: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not content.get("name"):
        raise SandboxError(f"{file} is no Pulumi project file: it has no `name`")
    return str(content["name"])


def synchronise(repository: Path, mirror: Path) -> list[str]:
    """Bring the mirror in step with the repository; returns what the user should know, a line for each thing."""
    (mirror / "stacks").mkdir(parents=True, exist_ok=True)
    (mirror / "sources").mkdir(exist_ok=True)
    with (mirror / ".lock").open("w") as lock:
        # Commands of several shells may start at the same moment.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _synchronise(repository, mirror)


def _synchronise(repository: Path, mirror: Path) -> list[str]:
    _link(mirror / "Pulumi.yaml", repository / "Pulumi.yaml")
    _link(mirror / ".venv", Path(sys.prefix))
    # The engine starts what the program itself provides in the program's folder, and looks for it there.
    _link(mirror / "stacks" / ".venv", Path(sys.prefix))

    notices: list[str] = []
    sources = {file.name: file for file in (repository / "stacks").iterdir() if file.name not in _OWN}
    for name, source in sources.items():
        if _is_stack_file(source):
            notices += _copy(source, mirror / "stacks" / name, mirror / "sources" / name)
        else:
            _link(mirror / "stacks" / name, source)
    for stale in (mirror / "stacks").iterdir():
        # A configuration without a source may belong to a stack that the user made in the sandbox's shell.
        if stale.is_symlink() and stale.name not in {*sources, *_OWN}:
            stale.unlink()
    return notices


def _copy(source: Path, copy: Path, seen: Path) -> list[str]:
    """Bring one stack's configuration in step; `seen` keeps the source's text as it was copied last."""
    text = _text(source)
    known = _text(seen) if seen.exists() else None
    changed_here = copy.exists() and known is not None and _settings(copy) != _settings(seen)
    if copy.exists() and text == known:
        return [f"{_stack_name(source)}: keeping what was set in the sandbox, {copy}"] if changed_here else []
    salt = [line for line in _text(copy).splitlines() if line.startswith(_ENCRYPTION)] if copy.exists() else []
    body = [line for line in text.splitlines() if not line.startswith(_ENCRYPTION)]
    copy.write_text("\n".join([*salt, *body]) + "\n", "utf-8", "surrogateescape")
    seen.write_text(text, "utf-8", "surrogateescape")
    return [
        f"{_stack_name(source)}: {source} is newer than what was set in the sandbox, and replaces it"
    ] * changed_here


def _settings(file: Path) -> object:
    """A stack file's meaning, without its encryption; text that is no YAML means itself, for Pulumi to complain of."""
    lines = [line for line in _text(file).splitlines() if not line.startswith(_ENCRYPTION)]
    text = "\n".join(lines)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _text(file: Path) -> str:
    """What isn't UTF-8 is carried along, for Pulumi to complain of."""
    return file.read_text("utf-8", "surrogateescape")


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _is_stack_file(file: Path) -> bool:
    return file.name.startswith("Pulumi.") and file.suffix == ".yaml"


def _stack_name(file: Path) -> str:
    return file.name.removeprefix("Pulumi.").removesuffix(".yaml")
