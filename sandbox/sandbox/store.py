"""What exists on one cloud of the sandbox: resources, the identifiers by which others refer to them, and faults.

One SQLite file per cloud. Several stacks work on it side by side, each from a process of its own with many threads;
writes take the database's lock at their beginning, so that two creations can't both find a name free.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError

_TABLES = """
CREATE TABLE IF NOT EXISTS resources (
    type TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL,
    urn TEXT NOT NULL, inputs TEXT NOT NULL, outputs TEXT NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (type, scope, id)
);
CREATE TABLE IF NOT EXISTS identifiers (value TEXT NOT NULL, type TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS identifier ON identifiers (value);
CREATE INDEX IF NOT EXISTS identified ON identifiers (type, scope, id);
CREATE TABLE IF NOT EXISTS uses (value TEXT NOT NULL, type TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS used ON uses (value);
CREATE INDEX IF NOT EXISTS user ON uses (type, scope, id);
CREATE TABLE IF NOT EXISTS operations (name TEXT PRIMARY KEY, answer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, type TEXT NOT NULL, amount INTEGER NOT NULL, seen INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that exists. `scope` is where its id is unique: a region, or "" for the whole cloud."""

    type: str
    scope: str
    id: str
    urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from everything else on this cloud."""
        return self.type, self.scope, self.id


class AlreadyExistsError(Exception):
    """There is a resource of this type with this id."""


class Store:
    """The state of one cloud, in a file; safe for many threads and many processes."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing; only a power cut could lose the last changes of a local stand-in.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_TABLES)
        except sqlite3.Error as error:
            raise SandboxError(f"the state of a cloud can't be opened, {path}: {error}") from None

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def change(self) -> Generator[None]:
        """All or nothing: what is read inside still holds when it is written."""
        with self._lock:
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def add(self, record: Record, identifiers: Iterable[str], uses: Iterable[str], overwrite: bool = False) -> None:
        """Add a resource. Raises AlreadyExistsError, unless it is one that overwrites what was set before."""
        verb = "INSERT OR REPLACE" if overwrite else "INSERT"
        try:
            self._execute(
                f"{verb} INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*record.key, record.urn, json.dumps(record.inputs), json.dumps(record.outputs), time.time()),
            )
        except sqlite3.IntegrityError:
            raise AlreadyExistsError(record.id) from None
        if overwrite:
            self._disconnect(record.key)
        self._connect(record, identifiers, uses)

    def replace(self, record: Record, identifiers: Iterable[str], uses: Iterable[str]) -> None:
        """Write a resource that exists anew."""
        self._execute(
            "UPDATE resources SET urn = ?, inputs = ?, outputs = ? WHERE type = ? AND scope = ? AND id = ?",
            (record.urn, json.dumps(record.inputs), json.dumps(record.outputs), *record.key),
        )
        self._disconnect(record.key)
        self._connect(record, identifiers, uses)

    def write_outputs(self, record: Record) -> None:
        """Write what a resource that exists has anew; what it refers to, and how others do, stays as it is."""
        query = "UPDATE resources SET outputs = ? WHERE type = ? AND scope = ? AND id = ?"
        self._execute(query, (json.dumps(record.outputs), *record.key))

    def add_operation(self, name: str, answer: dict[str, Any]) -> None:
        """Note what a long-running operation has given, for whoever asks for its end."""
        self._execute("INSERT INTO operations VALUES (?, ?)", (name, json.dumps(answer)))

    def operation(self, name: str) -> dict[str, Any] | None:
        """What an operation has given, or None for one that was never started."""
        rows = self._fetch("SELECT answer FROM operations WHERE name = ?", (name,))
        return json.loads(rows[0][0]) if rows else None

    def remove(self, key: tuple[str, str, str]) -> None:
        """Remove a resource; one that is gone already is no error."""
        self._execute("DELETE FROM resources WHERE type = ? AND scope = ? AND id = ?", key)
        self._disconnect(key)

    def get(self, key: tuple[str, str, str]) -> Record | None:
        """The resource of this type, scope and id."""
        rows = self._fetch("SELECT * FROM resources WHERE type = ? AND scope = ? AND id = ?", key)
        return _record(rows[0]) if rows else None

    def find(self, type_pattern: str = "*", id_: str | None = None) -> list[Record]:
        """The resources whose type matches a pattern with `*`, and whose id is `id_` if it is given."""
        query, values = "SELECT * FROM resources WHERE type GLOB ?", [type_pattern]
        if id_ is not None:
            query, values = f"{query} AND id = ?", [type_pattern, id_]
        return [_record(row) for row in self._fetch(f"{query} ORDER BY type, id", tuple(values))]

    def identified_by(self, value: str) -> list[tuple[str, str, str]]:
        """The keys of everything that this identifier names."""
        return self._fetch("SELECT type, scope, id FROM identifiers WHERE value = ?", (value,))

    def identified_below(self, prefix: str) -> list[tuple[str, str, str]]:
        """The keys of everything that has an identifier which begins so."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        query = "SELECT DISTINCT type, scope, id FROM identifiers WHERE value >= ? AND value < ?"
        return self._fetch(query, (prefix, end))

    def users_of(self, key: tuple[str, str, str]) -> list[tuple[str, str, str]]:
        """The keys of what refers to a resource, by any of its identifiers."""
        return self._fetch(
            "SELECT DISTINCT uses.type, uses.scope, uses.id FROM uses JOIN identifiers USING (value)"
            " WHERE identifiers.type = ? AND identifiers.scope = ? AND identifiers.id = ?",
            key,
        )

    def add_fault(self, kind: str, type_pattern: str, amount: int) -> None:
        """Plan a fault; see faults.py for the kinds."""
        self._execute("INSERT INTO faults (kind, type, amount, seen) VALUES (?, ?, ?, 0)", (kind, type_pattern, amount))

    def faults(self, type_: str, kinds: Iterable[str]) -> list[tuple[str, int, int]]:
        """The planned faults of these kinds that concern a type: kind, amount, and how often it was met, now included.

        Only what is met is written, so that a cloud without faults pays one read.
        """
        rows = self._fetch("SELECT number, kind FROM faults WHERE ? GLOB type", (type_,))
        # One statement counts and reads, so that of simultaneous calls no two count the same.
        count = "UPDATE faults SET seen = seen + 1 WHERE number = ? RETURNING kind, amount, seen"
        return [met for number, kind in rows if kind in kinds for met in self._fetch(count, (number,))]

    def planned_faults(self) -> list[tuple[str, str, int, int]]:
        """All planned faults: kind, type pattern, amount, and how often each was met."""
        return self._fetch("SELECT kind, type, amount, seen FROM faults ORDER BY number")

    def clear_faults(self) -> int:
        """Forget all faults; returns how many there were."""
        return self._execute("DELETE FROM faults").rowcount

    def _connect(self, record: Record, identifiers: Iterable[str], uses: Iterable[str]) -> None:
        with self._lock:
            self._connection.executemany(
                "INSERT INTO identifiers VALUES (?, ?, ?, ?)", [(value, *record.key) for value in set(identifiers)]
            )
            self._connection.executemany(
                "INSERT INTO uses VALUES (?, ?, ?, ?)", [(value, *record.key) for value in set(uses)]
            )

    def _disconnect(self, key: tuple[str, str, str]) -> None:
        for table in ("identifiers", "uses"):
            self._execute(f"DELETE FROM {table} WHERE type = ? AND scope = ? AND id = ?", key)  # noqa: S608 (names of ours)

    def _fetch(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        # All rows at once: what is left for later could be read in the midst of another thread's change.
        with self._access():
            return self._connection.execute(statement, values).fetchall()

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        with self._access():
            return self._connection.execute(statement, values)

    @contextmanager
    def _access(self) -> Generator[None]:
        """The connection for one thread at a time; whatever keeps it from being used is said with the file's name."""
        with self._lock:
            try:
                yield
            except sqlite3.IntegrityError:
                raise
            except sqlite3.DatabaseError as error:
                raise SandboxError(f"the state of a cloud can't be used, {self._path}: {error}") from None


def _record(row: tuple[Any, ...]) -> Record:
    type_, scope, id_, urn, inputs, outputs, _ = row
    return Record(type_, scope, id_, urn, json.loads(inputs), json.loads(outputs))
