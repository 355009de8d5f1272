"""Files that steps hand to one another: written whole or not at all, and the same bytes for the same content."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_pipelines.steps.errors import StepError

if TYPE_CHECKING:
    import pyarrow as pa


def read_table(step: str, file: Path, may_be_empty: bool = False) -> "pa.Table":
    """A Parquet file. Raises StepError where it is missing, no Parquet, or has no rows, unless it may be so."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.exists():
        raise StepError(step, str(file), "there is no such file")
    try:
        table = pq.read_table(file)
    except pa.ArrowInvalid as error:
        raise StepError(step, str(file), f"isn't Parquet: {error}") from error
    if not len(table) and not may_be_empty:
        raise StepError(step, str(file), "holds no rows")
    return table


def write_table(table: "pa.Table", to: Path) -> None:
    """Write a Parquet file, as a whole."""
    import pyarrow.parquet as pq

    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f".{to.name}.part")
    pq.write_table(table, part)
    part.rename(to)


def read_json(step: str, file: Path) -> dict[str, Any]:
    """A JSON object. Raises StepError where it is missing or no such thing."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StepError(step, str(file), "there is no such file") from error
    except ValueError as error:
        raise StepError(step, str(file), f"isn't JSON: {error}") from error
    if not isinstance(found, dict):
        raise StepError(step, str(file), "isn't a JSON object")
    return found


def json_text(content: Mapping[str, Any]) -> str:
    """JSON for people and for hashing: indented, in the given order, without NaN."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def whole_folder(folder: Path) -> Generator[Path]:
    """A folder to write into, which takes the place of `folder` when all is written, and is dropped on an error.

    An empty folder that is there already is filled: platforms mount one, and a mount can't be renamed.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        with tempfile.TemporaryDirectory() as temporary:
            made = Path(temporary)
            yield made
            shutil.copytree(made, folder, dirs_exist_ok=True)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        yield made
        old = Path(temporary) / "old"
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        made.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def mounted(uri: str) -> str:
    """Where jobs of Vertex AI see a folder of Cloud Storage; what is no `gs://` is a folder already.

    https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system
    """
    return f"/gcs/{uri.removeprefix('gs://')}" if uri.startswith("gs://") else uri
