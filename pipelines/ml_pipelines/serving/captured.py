"""Lines that are kept of what was asked and answered: in files of a folder, or as objects of a cloud's store.

They are written by a thread. What can't be written in time is dropped and counted, and never delays an answer.
"""

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ml_pipelines.serving import object_stores

log = logging.getLogger(__name__)

# So much waits to be written at most. Lines are gathered in chunks: what orjson makes holds more memory than it says.
MOST_BYTES, CHUNK_BYTES = 64 * 2**20, 256 * 2**10
EVERY_SECONDS = 10.0


class Captured:
    """Writes lines under a place, in files by day. `dropped` counts those that were too many."""

    def __init__(self, place: str, kind: str, every: float = EVERY_SECONDS, most: int = MOST_BYTES):
        self._place, self._kind, self._every, self._most = place.rstrip("/"), kind, every, most
        self._chunks: list[bytearray] = [bytearray()]
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._writer = f"{uuid.uuid4().hex[:12]}"
        self._folder: object_stores.Folder | None = None
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name=f"captured-{kind}", daemon=True)
        self._thread.start()

    def __call__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Keep lines. Never waits."""
        with self._lock:
            if len(self._chunks) * CHUNK_BYTES > self._most:
                self.dropped += len(lines)
                return
            chunk = self._chunks[-1]
            for line in lines:
                chunk += orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
            if len(chunk) >= CHUNK_BYTES:
                self._chunks.append(bytearray())

    def close(self) -> None:
        """Write what is left, and end."""
        self._stopped.set()
        self._thread.join(self._every)

    def _work(self) -> None:
        last, said = False, 0
        while not last:
            last = self._stopped.wait(self._every)
            if self.dropped > said:
                log.warning("%s: %d lines of %s were too many", self._place, self.dropped - said, self._kind)
                said = self.dropped
            with self._lock:
                chunks, self._chunks = self._chunks, [bytearray()]
            if not chunks[0]:
                continue
            try:
                self._write(chunks)
            except Exception as error:  # Clients of clouds raise those of several libraries, files OSError.
                lines = sum(chunk.count(b"\n") for chunk in chunks)
                log.error("%s: %d lines can't be written: %s", self._place, lines, error)

    def _write(self, chunks: Sequence[bytearray]) -> None:
        now = datetime.now(UTC)
        folder = f"{self._kind}/day={now:%Y-%m-%d}"
        if not object_stores.is_url(self._place):
            to = Path(self._place) / folder
            to.mkdir(parents=True, exist_ok=True)
            with (to / f"{self._writer}.jsonl").open("ab") as file:
                file.writelines(chunks)
            return
        if self._folder is None:
            self._folder = object_stores.open_folder(self._place)
        # Objects can't be added to: one for each time.
        name = f"{folder}/{now:%H%M%S}-{uuid.uuid4().hex[:12]}.jsonl"
        self._folder.write(name, b"".join(chunks), "application/x-ndjson")
