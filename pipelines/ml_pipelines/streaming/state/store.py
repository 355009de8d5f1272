"""The interface of state stores, and which of them a URL means."""

from typing import Protocol
from urllib.parse import parse_qs, urlsplit


class StoreError(Exception):
    """A store that can't be reached or answers with an error; the event is left for a later delivery."""


class StateStore(Protocol):
    """Items by entity, each replaced only by who knows its newest version.

    maximum_bytes: what an item may have.
    """

    maximum_bytes: int

    def get(self, entity: str) -> tuple[bytes, int] | None:
        """The entity's item and its version, or None. Raises StoreError."""
        ...

    def put(self, entity: str, data: bytes, expected: int | None, ttl_ms: int) -> int | None:
        """Replace the item if its version is the expected one (None: if there is none), and let it go after `ttl_ms`.

        Returns the new version, or None if somebody else was there first. Raises StoreError.
        """
        ...


def open_store(url: str) -> StateStore | None:
    """The store that a URL means, or None for `memory:`, as windows are in memory anyway. Raises ValueError for others.

    `sqlite:///path`, `dynamodb://table`, `bigtable://project/instance/table?app_profile=...`,
    `redis://host:port` and, with TLS and the identity of Azure, `rediss://host:port`.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "memory":
            return None
        case "sqlite":
            from ml_pipelines.streaming.state.sqlite import SqliteStore

            return SqliteStore(parts.path)
        case "dynamodb":
            from ml_pipelines.streaming.state.dynamodb import DynamoStore

            return DynamoStore.open(parts.netloc)
        case "bigtable":
            from ml_pipelines.streaming.state.bigtable import BigtableStore

            _, instance, table = parts.path.split("/")
            profile = parse_qs(parts.query).get("app_profile", [None])[0]
            return BigtableStore.open(parts.netloc, instance, table, profile)
        case "redis" | "rediss":
            from ml_pipelines.streaming.redis_client import connect
            from ml_pipelines.streaming.state.redis import RedisStore

            return RedisStore(connect(url))
        case _:
            raise ValueError(
                f"STATE: found `{url}`; it begins with memory:, sqlite:, dynamodb:, bigtable:, redis: or rediss:"
            )
