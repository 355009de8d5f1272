"""Faults that a cloud has on some days: a creation that fails, throttling, and slowness."""

import time

from sandbox.store import Store

# What `amount` means: the creation that fails, how many calls are throttled, how many milliseconds a call takes longer.
KINDS = {"fail-create": "n-th creation", "throttle": "calls", "delay": "milliseconds"}

_RETRIES = 6
_FIRST_PAUSE_SECONDS = 0.05


class FaultError(Exception):
    """A planned fault came about."""


def meet(store: Store, operation: str, type_: str) -> None:
    """Let the planned faults of a type come about before an operation (`create`, `update`, `delete` or `read`).

    Throttled calls are tried again with growing pauses, as the real providers do, and fail only if it doesn't end.
    """
    pause = _FIRST_PAUSE_SECONDS
    kinds = set(KINDS) if operation == "create" else set(KINDS) - {"fail-create"}
    for attempt in range(_RETRIES):
        throttled = False
        for kind, amount, seen in store.faults(type_, kinds):
            if kind == "delay":
                time.sleep(amount / 1000)
            elif kind == "fail-create" and seen == amount:
                raise FaultError(f"InternalFailure: the creation of {type_} failed; this fault was planned")
            elif kind == "throttle" and seen <= amount:
                throttled = True
        if not throttled:
            return
        kinds.discard("fail-create")
        if attempt < _RETRIES - 1:
            time.sleep(pause)
            pause *= 2
    raise FaultError(
        f"ThrottlingException: Rate exceeded, {_RETRIES} times in a row, for {type_}; this fault was planned"
    )
