"""Feedback: outcomes, which come late, joined by event id to what the service was asked and answered.

    python -m ml_pipelines.retraining.feedback --requests PLACE [--labels PLACE] --to FOLDER [--days 30] [--by home]

It writes who asked which version how much in each hour (`usage/day=.../usage.parquet`) and, where labels are, a row for
each answered event with its outcome (feedback.parquet), and how good each version was, in all and in each cohort
(`performance/day=.../performance.parquet`, of the day on which it is told), and prints what was counted. Nothing that
is wrong with single labels stops it: each kind of fault is counted and told.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.retraining import labels as outcomes
from ml_pipelines.retraining.answers import FeedbackError, view
from ml_pipelines.retraining.captured import DAY_MS, brought, day, holds
from ml_pipelines.retraining.performance import performance, performance_table
from ml_pipelines.retraining.usage import usage
from ml_pipelines.serving import object_stores
from ml_pipelines.steps import command
from ml_pipelines.steps.files import json_text, write_table

FEEDBACK, PERFORMANCE, USAGE, COUNTED = "feedback.parquet", "performance.parquet", "usage.parquet", "feedback.json"
# Clocks of those who answer and of those who label differ by so much without anybody's fault.
SKEW_MS = 5_000
MEMORY = "1GB"


@dataclass(frozen=True)
class Counts:
    """What became of answers and labels.

    answers: rows that were answered; unnamed: those without an event id, which no label finds; asked_again: those of an
    event that was answered before: the first answer counts, since it was acted upon; unreadable_lines: lines that hold
    no answer.
    labels: those known by now; unreadable: those without an id, a time or a finite outcome; repeated: the same outcome
    of the same event again; contradicted: events with different outcomes, of which the newest counts; undecided: those
    whose newest outcomes are of the same moment, and differ: none counts; unknown: events that were never answered, as
    far as is known; skewed: events whose label is older than the event, beyond what clocks may differ: left out.
    joined: events with answer and outcome; waiting: answered ones without an outcome so far.
    delay_ms: the median time from an answer to its outcome.
    """

    answers: int
    unnamed: int
    asked_again: int
    unreadable_lines: int
    labels: int
    unreadable: int
    repeated: int
    contradicted: int
    undecided: int
    unknown: int
    skewed: int
    joined: int
    waiting: int
    delay_ms: float | None

    @property
    def faults(self) -> dict[str, int]:
        """What is wrong with labels, by its kind, where there is any."""
        kinds = ("unreadable", "repeated", "contradicted", "undecided", "unknown", "skewed")
        return {kind: count for kind in kinds if (count := getattr(self, kind))}

    def said(self) -> str:
        """The same in a sentence."""
        faults = ", ".join(f"{count:,} {kind}" for kind, count in self.faults.items()) or "none with a fault"
        return (
            f"{self.joined:,} of {self.answers:,} answers have an outcome, {self.waiting:,} wait for one; "
            f"of {self.labels:,} labels {faults}"
        )


def join(requests: Path, labels: Path, as_of: int | None = None, skew_ms: int = SKEW_MS) -> tuple[pa.Table, Counts]:
    """Answers with their outcomes, in order of time, and what was counted.

    requests: the folder of what the service captured; labels: a file or folder (`ml_pipelines.retraining.labels`);
    as_of: what was labelled later isn't known yet. Raises FeedbackError for a place that holds nothing, or no such
    columns.
    """
    with duckdb.connect(config={"memory_limit": MEMORY}) as connection:
        view(connection, requests)
        try:
            outcomes.tables(connection, labels, as_of)
            connection.execute(_ANSWERED)
            joined = connection.execute(_JOIN, {"skew": skew_ms}).to_arrow_table()
            counted = connection.execute(_COUNT, {"skew": skew_ms}).fetchone()
        except duckdb.Error as error:
            raise FeedbackError(f"{requests}, {labels}: {error}") from error
    return joined, Counts(*(counted or ()))


_ANSWERED = """
CREATE TEMP TABLE answered AS
SELECT *, row_number() OVER (PARTITION BY event_id ORDER BY "at", model) AS place FROM captured WHERE "at" IS NOT NULL
"""
_JOIN = """
SELECT
    a.event_id, a."at", a.tenant, a.entity, a.model, a.score, a.selected, n.outcome, n.labelled_at,
    CAST(a.features AS VARCHAR) AS features
FROM answered a JOIN newest n USING (event_id)
WHERE a.place = 1 AND NOT n.undecided AND n.labelled_at >= a."at" - $skew
ORDER BY a."at", a.event_id
"""
_COUNT = """
WITH met AS (
    SELECT a."at", a.event_id AS answered, n.* FROM (SELECT * FROM answered WHERE place = 1 AND event_id IS NOT NULL) a
    FULL JOIN newest n USING (event_id)
)
SELECT
    (SELECT count(*) FROM answered),
    (SELECT count(*) FROM answered WHERE event_id IS NULL),
    (SELECT count(*) FROM answered WHERE event_id IS NOT NULL AND place > 1),
    (SELECT count(*) FROM captured WHERE "at" IS NULL),
    (SELECT count(*) FROM known),
    (SELECT count(*) FROM known WHERE NOT readable),
    (SELECT coalesce(sum(repeated), 0)::BIGINT FROM newest),
    (SELECT count(*) FROM newest WHERE contradicted),
    (SELECT count(*) FROM newest WHERE undecided),
    count(*) FILTER (answered IS NULL),
    count(*) FILTER (labelled_at < "at" - $skew),
    count(*) FILTER (NOT undecided AND labelled_at >= "at" - $skew),
    count(*) FILTER (answered IS NOT NULL AND labelled_at IS NULL),
    median(greatest(labelled_at - "at", 0)) FILTER (NOT undecided AND labelled_at >= "at" - $skew)
FROM met
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints what was counted as JSON."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.retraining.feedback", description=__doc__)
    captured = "what the service captured, or batches scored: a folder or its URL; again for each that there is"
    parser.add_argument("--requests", action="append", required=True, help=captured)
    parser.add_argument("--labels", help="outcomes: `event_id`, `outcome`, `labelled_at`; folder, file or URL")
    parser.add_argument("--to", required=True, help="the folder of the tables, or its URL")
    parser.add_argument("--days", type=int, help="answers of so many days and today; none so far are no fault")
    parser.add_argument("--as-of", type=command.moment, help="what was labelled later isn't looked at, ISO 8601")
    parser.add_argument("--skew-ms", type=int, default=SKEW_MS, help=f"how far clocks may differ (default: {SKEW_MS})")
    parser.add_argument("--by", action="append", default=[], help="a feature, or `tenant`, whose values are cohorts")
    parser.add_argument("--usd-per-hour", type=float, help="what serving costs, which is divided by volume")
    options = parser.parse_args(arguments)
    as_of = command.moment("now") if options.as_of is None else options.as_of
    since = None if options.days is None else (as_of - options.days * DAY_MS) // DAY_MS * DAY_MS
    try:
        with tempfile.TemporaryDirectory() as made:
            said = _told(options, Path(made), since, as_of)
            _put(Path(made), options.to)
    except FeedbackError as error:
        print(f"feedback: {error}", file=sys.stderr)
        return 2
    print(json.dumps(said, indent=2))
    return 0


def _told(options: argparse.Namespace, to: Path, since: int | None, as_of: int) -> dict[str, Any]:
    """Write the tables of what is there; what was counted."""
    known = brought(options.labels) if options.labels else contextlib.nullcontext()
    with _together(options.requests, since, as_of) as requests, known as labels:
        if since is not None and not holds(requests):
            return {"as_of": as_of, "said": f"nothing was asked since {day(since)}"}
        for name, rows in _by_day(usage(requests, options.usd_per_hour, since or 0)):
            _write(rows, to / "usage" / f"day={name}" / USAGE)
        if labels is None or (since is not None and not holds(labels)):
            return {"as_of": as_of, "said": "usage was counted; no outcomes are known"}
        joined, counts = join(requests, labels, as_of, options.skew_ms)
    _write(joined, to / FEEDBACK)
    found = performance_table(performance(joined, options.by))
    _write(found, to / "performance" / f"day={day(as_of)}" / PERFORMANCE)
    said: dict[str, Any] = {"as_of": as_of, **asdict(counts), "said": counts.said()}
    (to / COUNTED).write_text(json_text(said), encoding="utf-8")
    return said


@contextlib.contextmanager
def _together(places: Sequence[str], since: int | None, until: int) -> Iterator[Path]:
    """What lies at all places, as one folder: containers that share no endpoint share no folder, either."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(brought(place, since, until)) for place in places]
        if len(found) == 1:
            yield found[0]
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number, one in enumerate(found):
            for file in sorted(file for file in one.rglob("*") if file.is_file()):
                link = folder / str(number) / file.relative_to(one)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.resolve())
        yield folder


def _by_day(found: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    days = pc.strftime(found["hour"], "%Y-%m-%d")
    for one in pc.unique(days).to_pylist():
        yield one, found.filter(pc.equal(days, one))


def _write(table: pa.Table, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, to)


def _put(made: Path, to: str) -> None:
    """Put the tables where they are wanted, once all of them are whole."""
    files = sorted(file for file in made.rglob("*") if file.is_file())
    if not object_stores.is_url(to):
        for file in files:
            place = Path(to, file.relative_to(made))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        return
    try:
        folder = object_stores.open_folder(to)
        for file in files:
            folder.write(file.relative_to(made).as_posix(), file.read_bytes(), "application/octet-stream")
    except Exception as error:  # Each cloud's libraries have errors of several kinds.
        raise FeedbackError(f"{to} can't be written: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
