"""What makes eighteen thousand tests quick on few cores: how they are collected, and how they are dealt out to workers.

Images of containers often set PYTHONDONTWRITEBYTECODE: each process then compiles the SDKs, and all that a step of a
pipeline imports, anew. And Python's garbage collector looks again and again through the SDKs' classes and the tests,
which stay until the end.
"""

import gc
import os
import sys
from collections.abc import Generator

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadgroup import LoadGroupScheduling

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What takes longest comes first, so that no worker is left with it at the end while the others have nothing to do.
_FIRST = (
    "tests/stacks/test_nine_stacks.py",
    "tests/pipelines/platforms/",
    "tests/pipelines/loop/",
    "tests/stacks/",
    "tests/pipelines/",
    "tests/components/test_conformance.py",
    "tests/components/",
)

# Whose tests bring up stacks of their own; all others stay with those of their file, and share what these have made.
_ONE_BY_ONE = "tests/stacks/"

# Whose files share what they have made, too: the platforms of a cloud.
_WHOLE_FOLDERS = tuple(f"tests/components/{cloud}" for cloud in ("aws", "azure", "gcp"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage, and leave alone for ever what is there then."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first."""
    items.sort(key=lambda item: next((place for place, at in enumerate(_FIRST) if item.nodeid.startswith(at)), 99))


class _Dealer(LoadGroupScheduling):
    """Deals out groups, files and folders.

    xdist deals out each test that has no group, and looks through all that a worker has had for each of them.
    """

    def _split_scope(self, nodeid: str) -> str:
        scope = super()._split_scope(nodeid)
        if scope.startswith(_ONE_BY_ONE):
            return scope
        file = scope.partition("::")[0]
        return next((folder for folder in _WHOLE_FOLDERS if file.startswith(f"{folder}/")), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Dealer | None:
    """How tests are dealt out with `--dist loadgroup`."""
    return _Dealer(config, log) if config.getoption("dist") == "loadgroup" else None
