"""Calls that wait for others, several at once."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Clients are made with as many connections.
AT_ONCE = 16


def each(call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What the call gives for each item, in order. A single one is called right here."""
    found: Sequence[Item] = list(items)
    if len(found) <= 1:
        return [call(item) for item in found]
    return list(_pool().map(call, found))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="calls")
