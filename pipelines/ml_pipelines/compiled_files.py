"""Files that are made of code and committed: written anew, or held against what would be made now."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def run(
    module: str,
    description: str | None,
    compiled: Callable[[], Mapping[Path, str]],
    target: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """The command line of a compiler; returns the exit code: 1 where `--check` finds a file that isn't up to date.

    compiled: makes the texts of the files; target: the target of `make` that writes them.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file isn't up to date")
    options = parser.parse_args(arguments)
    stale = []
    for file, text in compiled().items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(file)
            if not options.check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    for file in stale:
        print(f"{file}: {f'not up to date; run `make {target}`' if options.check else 'written'}")
    return 1 if stale and options.check else 0
