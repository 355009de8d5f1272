"""A processor as a process of its own, for a test to kill: takes events from a file, and appends what it hands on.

worker.py <events> <state URL> <out>: `events` has a JSON line per event; decisions are appended to `out`, and how far
the events are done to `out.position`, as a stream's checkpoint is.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.features.online import Plan
from ml_pipelines.streaming.core import Outcome, Processor, Record
from ml_pipelines.streaming.dead_letters import PublishedDeadLetters
from ml_pipelines.streaming.state.store import open_store

BATCH = 20


class Lines:
    """Appends messages to a file, each line in one write."""

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        for _, data in messages:
            os.write(self._file, data + b"\n")
        return {}

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
        return {}


class Score:
    """An answer that follows from the features."""

    def score(self, entity: str, event_id: str, features: Mapping[str, Any]) -> Any:
        return {"score": features["transactions_1h"] / 100}


def main(events: Path, url: str, out: Path) -> None:
    plan = Plan.load("fraud-detection")
    codec = Codec(catalog.contract(plan.contract), plan.version)
    lines = Lines(out)
    processor = Processor(
        plan,
        lambda record: codec.decode(record.payload),
        open_store(url),
        PublishedDeadLetters(Lines(out.with_suffix(".dead"))),
        lines,
        Score(),
        lines,
    )
    records = [
        Record(bytes.fromhex(entry["payload"]), entry["arrived_at"], f"shard-0/{number}")
        for number, entry in enumerate(map(json.loads, events.read_text().splitlines()))
    ]
    position = out.with_suffix(".position")
    done = int(position.read_text()) if position.exists() else 0
    while done < len(records):
        results = processor.process(records[done : done + BATCH])
        if any(result.outcome is Outcome.FAILED for result in results):
            continue
        done += len(results)
        position.with_suffix(".new").write_text(str(done))
        position.with_suffix(".new").replace(position)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
