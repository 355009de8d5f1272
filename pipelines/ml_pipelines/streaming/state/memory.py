"""A store in this process, for trials and tests: it forgets everything when the process ends."""

from collections import OrderedDict

from ml_pipelines.streaming.state.store import StateStore
from ml_pipelines.streaming.state.versions import new_version

ENTITIES = 1_000_000


class MemoryStore(StateStore):
    """Keeps the items of at most `entities` entities; the one that was left alone for longest goes first."""

    maximum_bytes = 2**30

    def __init__(self, entities: int = ENTITIES):
        self._entities = entities
        self._items: OrderedDict[str, tuple[bytes, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, entity: str) -> tuple[bytes, int] | None:
        """See StateStore."""
        return self._items.get(entity)

    def put(self, entity: str, data: bytes, expected: int | None, ttl_ms: int) -> int | None:
        """See StateStore."""
        there = self._items.get(entity)
        if (there[1] if there else None) != expected:
            return None
        version = new_version()
        self._items[entity] = data, version
        self._items.move_to_end(entity)
        if len(self._items) > self._entities:
            self._items.popitem(last=False)
        return version
