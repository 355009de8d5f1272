"""Answers to tasks of a queue, each an object by the task's name, since nobody waits for them."""

import asyncio
import logging
import re
from pathlib import Path

from ml_pipelines.serving import object_stores
from ml_pipelines.serving.refusal import BAD_REQUEST, UNAVAILABLE, RefusedError, shown

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,500}")


class Answers:
    """Keeps answers under a place, a folder or a URL of an object store, as `<task>.json`."""

    def __init__(self, place: str):
        self._place = place.rstrip("/")
        self._folder: object_stores.Folder | None = None

    async def keep(self, task: str, content: bytes) -> None:
        """Keep an answer, before its task is done. Raises RefusedError, so that the task comes again."""
        if not _NAME.fullmatch(task):
            right = "letters, digits, `-` and `_` are right"
            raise RefusedError(BAD_REQUEST, "x-cloudtasks-taskname", shown(task), right)
        try:
            await asyncio.to_thread(self._write, f"{task}.json", content)
        except Exception as error:  # Clients of clouds raise those of several libraries, files OSError.
            log.error("%s: an answer can't be written: %s", self._place, error)
            raise RefusedError(UNAVAILABLE, "task", "no place for its answer now", "try again later", 1.0) from error

    def _write(self, name: str, content: bytes) -> None:
        if not object_stores.is_url(self._place):
            folder = Path(self._place)
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{name}"
            part.write_bytes(content)
            part.replace(folder / name)
            return
        if self._folder is None:
            self._folder = object_stores.open_folder(self._place)
        self._folder.write(name, content, "application/json")
