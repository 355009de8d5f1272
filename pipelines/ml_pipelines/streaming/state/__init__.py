"""Where the processor keeps what it knows of each entity: a small interface, and `open_store` by URL.

A store holds bytes by key. It changes a value only for whoever has read the one before: that is all that keeps two
processors of one entity from undoing each other's work.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit


class Version(NamedTuple):
    """Which value somebody has read. Each value that is written has another one, also after it was forgotten."""

    token: str


class Stored(NamedTuple):
    """A value and its version."""

    data: bytes
    version: Version


class Write(NamedTuple):
    """A value for a key, if the one there is still `expected`; None: if there is none. It matters for `ttl_ms`."""

    key: str
    data: bytes
    expected: Version | None
    ttl_ms: int


class StoreError(Exception):
    """The store can't be reached or doesn't answer: whether a write was done isn't known. Another attempt may work."""


class Store(Protocol):
    """What the processor needs of a store. Keys have up to 1,500 bytes in UTF-8.

    maximum_bytes: what a value may have. durable: whether values outlive the process.
    """

    maximum_bytes: int
    durable: bool

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Stored | StoreError]:
        """The values of those keys that have one, as they were written last."""

    def put_many(self, writes: Iterable[Write]) -> Mapping[str, Version | StoreError | None]:
        """Write values; of each key its new version, or None where the one there was not the one expected."""


def open_store(url: str, identity: str | None = None) -> Store:
    """The store of a URL. Raises ValueError for a URL of no store.

    `memory:`, `sqlite:///path`, `dynamodb://table`, `bigtable://project/instance/table?app_profile=name`,
    `redis://host:port` or, with TLS, as a cluster and by Microsoft Entra ID, `rediss://host:port`.

    identity: client id of a managed identity, for `rediss:`; without it, whoever azure-identity finds.
    """
    parts = urlsplit(url)
    path = parts.path.strip("/")
    # The drivers are imported where they are used: an image has those of its own cloud only.
    match parts.scheme:
        case "memory":
            from ml_pipelines.streaming.state.memory import MemoryStore

            return MemoryStore()
        case "sqlite" if parts.path[1:]:
            from ml_pipelines.streaming.state.sqlite import SqliteStore

            return SqliteStore(parts.path[1:])
        case "dynamodb" if parts.netloc:
            from ml_pipelines.streaming.state.dynamodb import DynamoStore

            return DynamoStore(parts.netloc)
        case "bigtable" if parts.netloc and path.count("/") == 1:
            from ml_pipelines.streaming.state.bigtable import BigtableStore

            instance, table = path.split("/")
            profile = parse_qs(parts.query).get("app_profile", [None])[0]
            return BigtableStore.open(parts.netloc, instance, table, profile)
        case "redis" | "rediss" if parts.netloc:
            from ml_pipelines.streaming.state.redis import RedisStore, connect

            return RedisStore(connect(url, identity))
    raise ValueError(
        f"STATE is `{url}`; it is `memory:`, `sqlite:///path`, `dynamodb://table`, "
        f"`bigtable://project/instance/table`, `redis://host:port` or `rediss://host:port`"
    )
