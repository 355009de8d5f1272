"""A store in a file, for one machine: each batch is one transaction, which is on the disk when it returns."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ml_pipelines.streaming.state import Store, Stored, StoreError, Version, Write
from ml_pipelines.streaming.state.versions import new_version

_BUSY_SECONDS = 10.0
_AT_ONCE = 500
_FORGET_EVERY = 100


class SqliteStore(Store):
    """Values in a table of their own; those whose time is over go now and then."""

    # SQLite takes a gigabyte; what is larger than this is slow.
    maximum_bytes = 64 * 2**20
    durable = True

    def __init__(self, path: str, clock: Callable[[], float] = time.time):
        """Raises StoreError if the file can't be opened or made."""
        self._clock, self._lock, self._batches = clock, threading.Lock(), 0
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, data BLOB NOT NULL, version TEXT NOT NULL, "
                "expires_at REAL NOT NULL) WITHOUT ROWID"
            )
            self._connection.execute("CREATE INDEX IF NOT EXISTS expiry ON state (expires_at)")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Stored | StoreError]:
        """The values of those keys that have one."""
        found: dict[str, Stored | StoreError] = {}
        try:
            with self._lock:
                for part in _parts(list(keys)):
                    marks = ",".join("?" * len(part))
                    rows = self._connection.execute(
                        f"SELECT key, data, version FROM state WHERE key IN ({marks})",  # noqa: S608 (marks only)
                        part,
                    )
                    found.update((key, Stored(data, Version(version))) for key, data, version in rows)
        except sqlite3.Error as error:
            return dict.fromkeys(keys, StoreError(str(error)))
        return found

    def put_many(self, writes: Iterable[Write]) -> Mapping[str, Version | StoreError | None]:
        """Write values whose version is the one expected, all or none."""
        writes = list(writes)
        try:
            with self._lock, self._transaction():
                versions: dict[str, Version | StoreError | None] = {write.key: self._put(write) for write in writes}
                self._batches += 1
                if self._batches % _FORGET_EVERY == 0:
                    self._connection.execute("DELETE FROM state WHERE expires_at < ?", (self._clock(),))
        except sqlite3.Error as error:
            return {write.key: StoreError(str(error)) for write in writes}
        return versions

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _put(self, write: Write) -> Version | None:
        version, expires_at = new_version(), self._clock() + write.ttl_ms / 1000
        if write.expected is None:
            done = self._connection.execute(
                "INSERT INTO state (key, data, version, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (write.key, write.data, version.token, expires_at),
            )
        else:
            done = self._connection.execute(
                "UPDATE state SET data = ?, version = ?, expires_at = ? WHERE key = ? AND version = ?",
                (write.data, version.token, expires_at, write.key, write.expected.token),
            )
        return version if done.rowcount else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _parts(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]
