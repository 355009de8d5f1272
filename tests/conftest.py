"""What makes eighteen thousand tests start quickly: bytecode of what is imported is kept, and garbage isn't looked for.

Images of containers often set PYTHONDONTWRITEBYTECODE: each process then compiles the SDKs, and all that a step of a
pipeline imports, anew. And Python's garbage collector looks again and again through the SDKs' classes and the tests,
which stay until the end.
"""

import gc
import os
import sys
from collections.abc import Generator

import pytest

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage, and leave alone for ever what is there then."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
