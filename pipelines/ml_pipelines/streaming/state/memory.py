"""A store in this process, for trials and tests: it forgets everything when the process ends."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from ml_pipelines.streaming.state import Store, Stored, StoreError, Version, Write
from ml_pipelines.streaming.state.versions import new_version

_ENTITIES = 1_000_000


class MemoryStore(Store):
    """Keeps the values of at most `entities` keys; the one that was left alone for longest goes first."""

    maximum_bytes = 2**30
    durable = False

    def __init__(self, entities: int = _ENTITIES):
        self._entities = entities
        self._values: OrderedDict[str, Stored] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Stored | StoreError]:
        """The values of those keys that have one."""
        return {key: self._values[key] for key in keys if key in self._values}

    def put_many(self, writes: Iterable[Write]) -> Mapping[str, Version | StoreError | None]:
        """Write values whose version is the one expected."""
        versions: dict[str, Version | StoreError | None] = {}
        for write in writes:
            there = self._values.get(write.key)
            if (there.version if there else None) != write.expected:
                versions[write.key] = None
                continue
            versions[write.key] = version = new_version()
            self._values[write.key] = Stored(write.data, version)
            self._values.move_to_end(write.key)
            if len(self._values) > self._entities:
                self._values.popitem(last=False)
        return versions
