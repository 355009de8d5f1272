"""What was asked and answered, from wherever it is kept, as a folder of this machine: only the days that are wanted.

Our containers keep lines in folders by day (docs/serving.md). SageMaker's data capture keeps requests and answers as
they went by, in folders by hour: these become the same lines, with the inputs that a model derives itself.
"""

import base64
import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ml_pipelines import derivations
from ml_pipelines.retraining.answers import FeedbackError
from ml_pipelines.serving import object_stores

DAY_MS = 86_400_000
# `day=2026-01-31`, or SageMaker's `2026/01/31/12`, of which folders above say a month or a year.
# https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
_DATED = re.compile(r"(?:^|/)(?:day=)?(20\d{2})(?:[-/](\d{2})(?:[-/](\d{2}))?)?(?:/|$)")
_SAGEMAKER = b'{"captureData"'
# So many characters of a file tell by whom it was written.
_HEAD = 64


@contextlib.contextmanager
def brought(place: str | Path, since: int | None = None, until: int | None = None) -> Iterator[Path]:
    """A folder, or a file, of this machine with what lies at a place: a path, or the URL of an object store.

    since, until: milliseconds since 1970; folders that are named by other days are left out. Lines are written soon
    after they were asked, so that those of an evening may lie in the next day's. Raises FeedbackError for an object
    store that can't be read. What isn't there is an empty folder.
    """
    days = _days(since, until)
    with tempfile.TemporaryDirectory(prefix="captured-") as made:
        folder = Path(made)
        if object_stores.is_url(str(place)):
            _bring(str(place), folder, days, since)
        elif Path(place).is_dir():
            _link(Path(place), folder, days)
        else:
            yield Path(place)
            return
        for file in sorted(folder.rglob("*.jsonl")):
            _translate(file)
        for file in sorted(folder.rglob("*.out")):
            _write(file.with_suffix(".jsonl"), from_answer(file.read_bytes()))
        yield folder


def _days(since: int | None, until: int | None) -> tuple[str, str]:
    """The first and the last day, as in `2026-01-31`; all where nothing is said."""
    first = "0000-00-00" if since is None else day(since)
    return first, "9999-99-99" if until is None else day(until + DAY_MS)


def holds(place: Path) -> bool:
    """Whether there is a file of rows at all: lines, or Parquet."""
    files = [place] if place.is_file() else place.rglob("*")
    return any(file.suffix in (".parquet", ".jsonl") for file in files)


def day(at: int) -> str:
    """The day of a time in milliseconds since 1970, as in `2026-01-31`; UTC."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"


def _wanted(folder: str, days: tuple[str, str]) -> bool:
    """Whether a folder may hold what was asked on the days; one without a date may."""
    found = _DATED.search(folder)
    if found is None:
        return True
    said = "-".join(part for part in found.groups() if part)
    return days[0][: len(said)] <= said <= days[1][: len(said)]


def _link(place: Path, to: Path, days: tuple[str, str]) -> None:
    for parent, folders, files in os.walk(place):
        below = Path(parent).relative_to(place)
        folders[:] = [name for name in folders if _wanted((below / name).as_posix(), days)]
        (to / below).mkdir(parents=True, exist_ok=True)
        for name in files:
            (to / below / name).symlink_to(Path(parent, name).resolve())


def _bring(url: str, to: Path, days: tuple[str, str], since: int | None) -> None:
    try:
        place = object_stores.open_folder(url)
        for name in _names(place, "", days, since):
            file = to / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(place.read(name))
    except Exception as error:  # Each cloud's libraries have errors of several kinds.
        raise FeedbackError(f"{url} can't be read: {type(error).__name__}: {error}") from error


def _names(place: object_stores.Folder, below: str, days: tuple[str, str], since: int | None) -> Iterator[str]:
    """The objects of the days; what was written before them holds nothing that was asked on them."""
    found = place.listed(below, since)
    yield from found.names
    for folder in found.folders:
        if _wanted(folder, days):
            yield from _names(place, folder, days, since)


def _translate(file: Path) -> None:
    """Make lines of ours from SageMaker's, where a file has such."""
    with file.open("rb") as lines:
        if not lines.read(_HEAD).lstrip().startswith(_SAGEMAKER):
            return
    made = file.with_suffix(".translated")
    with file.open("rb") as lines:
        _write(made, (row for line in lines for row in from_sagemaker(line)))
    made.replace(file)


def _write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with file.open("wb") as to:
        for row in rows:
            to.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def from_answer(content: bytes) -> list[dict[str, Any]]:
    """The rows of an answer that an asynchronous endpoint left, which our container put there.

    What holds none, as an answer of another container, is a row of nothing, which is counted as such.
    https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-invoke-endpoint.html
    """
    try:
        said = orjson.loads(content)
        return [dict(one["row"]) for one in said.get("predictions", [said])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [{}]


def from_sagemaker(line: bytes) -> list[dict[str, Any]]:
    """The rows of a request that SageMaker captured, as our containers write them (docs/serving.md).

    A line that can't be read, or whose answer isn't one to its request, is a row of nothing, which is counted as such.
    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
    """
    try:
        said = orjson.loads(line)
        at = round(datetime.fromisoformat(said["eventMetadata"]["inferenceTime"]).timestamp() * 1000)
        asked, answered = (_body(said["captureData"][part]) for part in ("endpointInput", "endpointOutput"))
        rows, answers = asked.get("instances", [asked]), answered.get("predictions", [answered])
        tenant = asked.get("parameters", {}).get("tenant")
        return [
            {
                "at": at,
                "tenant": tenant,
                "entity": row.get("entity"),
                "event_id": row.get("event_id"),
                "features": _features(row),
                **{name: answer[name] for name in ("score", "selected", "model")},
            }
            for row, answer in zip(rows, answers, strict=True)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [{}]


def _body(said: Mapping[str, Any]) -> Any:
    """A body, which is in Base64 unless the endpoint's configuration names its content type."""
    data = said["data"]
    return orjson.loads(base64.b64decode(data) if said.get("encoding") == "BASE64" else data)


def _features(row: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a row and what follows from them, as the container had them."""
    features = dict(row.get("features", row))
    for one in derivations.DERIVATIONS.values():
        # A source of another type is a fault of the input itself, of which a monitor tells.
        with contextlib.suppress(derivations.SourceError):
            derivations.fill_in(features, [one])
    return features
