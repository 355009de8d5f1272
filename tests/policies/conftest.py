"""Gives a test that asks for `passing`, `failing` or `undecided` each of the cases of that kind."""

import pytest
from tests.policies.tables import cases

_KINDS = {"passing": "passes", "failing": "fails", "undecided": "unknown"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread a test over the cases that it asks for."""
    for fixture, kind in _KINDS.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, cases(kind), ids=str)
