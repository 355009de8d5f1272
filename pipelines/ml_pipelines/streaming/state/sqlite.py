"""A store in a file, for one machine: what is put there outlives the process, whenever it ends.

A power cut may take the last moments with it: each item would wait for the disk otherwise, which takes milliseconds.
"""

import sqlite3
import threading
import time
from collections.abc import Callable

from ml_pipelines.streaming.state.store import StateStore, StoreError
from ml_pipelines.streaming.state.versions import new_version

_BUSY_SECONDS = 10.0
# Items whose time is over go once in so many writes.
_FORGET_EVERY = 10_000


class SqliteStore(StateStore):
    """Items in a table of their own. Several processes may use the file."""

    # SQLite takes a gigabyte; what is larger than this is slow.
    maximum_bytes = 64 * 2**20

    def __init__(self, path: str, clock: Callable[[], float] = time.time):
        """Raises StoreError if the file can't be opened or made."""
        self._clock, self._lock, self._writes = clock, threading.Lock(), 0
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS state (entity TEXT PRIMARY KEY, data BLOB NOT NULL, "
                "version INTEGER NOT NULL, expires_at REAL NOT NULL) WITHOUT ROWID"
            )
            self._connection.execute("CREATE INDEX IF NOT EXISTS expiry ON state (expires_at)")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    def get(self, entity: str) -> tuple[bytes, int] | None:
        """See StateStore."""
        try:
            with self._lock:
                return self._connection.execute(
                    "SELECT data, version FROM state WHERE entity = ?", (entity,)
                ).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"SQLite: {error}") from error

    def put(self, entity: str, data: bytes, expected: int | None, ttl_ms: int) -> int | None:
        """See StateStore. A statement is a transaction of its own."""
        version, now = new_version(), self._clock()
        if expected is None:
            change = "INSERT INTO state (data, version, expires_at, entity) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
            known = (entity,)
        else:
            change = "UPDATE state SET data = ?, version = ?, expires_at = ? WHERE entity = ? AND version = ?"
            known = (entity, expected)
        try:
            with self._lock:
                done = self._connection.execute(change, (data, version, now + ttl_ms / 1000, *known))
                self._writes += 1
                if self._writes % _FORGET_EVERY == 0:
                    self._connection.execute("DELETE FROM state WHERE expires_at < ?", (now,))
        except sqlite3.Error as error:
            raise StoreError(f"SQLite: {error}") from error
        return version if done.rowcount else None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
