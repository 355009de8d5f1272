"""Where decisions, features and dead letters go: the interfaces, and what serves for them on one machine."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

# How often what a sink didn't take is offered again before the events are left for a later delivery.
TRIES = 3


class SinkError(Exception):
    """A sink or scorer that can't be reached or takes nothing; the events are left for a later delivery."""


class Publisher(Protocol):
    """A stream, topic or queue."""

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        """Publish messages, each with the key by which they keep their order.

        Returns why by index for those that weren't taken. Raises SinkError if none can be.
        """
        ...


class FeatureStore(Protocol):
    """Where the latest features of an entity are read from."""

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
        """Write the features of decisions, never older ones over newer ones.

        Which of an entity's are newer is said by `order`, and not by the time of the event, which may be out of order.

        Returns why by index for those that weren't written. Raises SinkError if none can be.
        """
        ...


class Collected:
    """Both, in memory: for a machine without a cloud."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.features: dict[str, Mapping[str, Any]] = {}

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        """See Publisher."""
        self.messages += messages
        return {}

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
        """See FeatureStore."""
        for decision in decisions:
            kept = self.features.get(decision["entity"])
            if kept is None or kept["order"] <= decision["order"]:
                self.features[decision["entity"]] = {"order": decision["order"], **decision["features"]}
        return {}


def in_parts(
    messages: Sequence[tuple[str, bytes]], count: int, size: int, send: Callable[[Sequence[int]], Mapping[int, str]]
) -> dict[int, str]:
    """Send messages in parts of at most `count` messages and `size` bytes, and again what wasn't taken.

    `send` takes indexes and returns why by index for those that weren't taken.
    """
    failed: dict[int, str] = {}
    for part in _parts(messages, count, size):
        waiting: Sequence[int] = part
        refused: Mapping[int, str] = {}
        for attempt in range(TRIES):
            refused = send(waiting)
            waiting = sorted(refused)
            if not waiting:
                break
            if attempt + 1 < TRIES:
                time.sleep(0.05 * 4**attempt)
        else:
            failed |= refused
    return failed


def _parts(messages: Sequence[tuple[str, bytes]], count: int, size: int) -> list[list[int]]:
    parts: list[list[int]] = []
    room = 0
    for index, (key, data) in enumerate(messages):
        needed = len(key.encode()) + len(data)
        if not parts or len(parts[-1]) == count or needed > room:
            parts.append([])
            room = size
        parts[-1].append(index)
        room -= needed
    return parts


def newest(decisions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The index of each entity's newest decision: stores of the latest features need no others."""
    found: dict[str, int] = {}
    for index, decision in enumerate(decisions):
        entity = decision["entity"]
        if entity not in found or decisions[found[entity]]["order"] <= decision["order"]:
            found[entity] = index
    return found


def partition_key(key: str, longest: int) -> str:
    """A key as a stream takes it: itself, or where it is empty or too long, characters that stand for it."""
    return key if 0 < len(key.encode()) <= longest else hashlib.sha256(key.encode()).hexdigest()


def as_text(value: Any) -> str:
    """A value as stores of text keep it: numbers and text as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
