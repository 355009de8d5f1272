"""What is written into the audit trail, and what is read from it again: the trail is the memory of the loop."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class What(StrEnum):
    """The events of the loop."""

    DRIFT = "drift.found"
    DECIDED = "retraining.decided"
    STARTED = "retraining.started"
    TRAINED = "model.trained"
    PASSED = "gates.passed"
    STOPPED = "gates.stopped"
    REGISTERED = "model.registered"
    SHADOW = "shadow.started"
    SHADOW_JUDGED = "shadow.judged"
    CANARY = "canary.started"
    CANARY_JUDGED = "canary.judged"
    PROMOTED = "model.promoted"
    REJECTED = "model.rejected"
    ROLLED_BACK = "model.rolled_back"


class Ended(StrEnum):
    """How a run of training ended, or that it hasn't."""

    RUNNING = "running"
    STOPPED = "stopped"
    REGISTERED = "registered"


@dataclass(frozen=True)
class Run:
    """A run of training: when it began (milliseconds since 1970), how it ended, and what it cost in US dollars."""

    started_at: int
    ended: Ended
    usd: float = 0.0


def milliseconds(record: Mapping[str, Any]) -> int:
    """When the event of a record was, in milliseconds since 1970."""
    return round(datetime.datetime.fromisoformat(record["time"]).timestamp() * 1000)


def runs(records: Iterable[Mapping[str, Any]]) -> list[Run]:
    """The runs of training in a trail, oldest first: `details.run` names the run that an event belongs to."""
    found: dict[str, Run] = {}
    for record in records:
        name, what = record["details"].get("run"), record["what"]
        if what == What.STARTED:
            found[name] = Run(milliseconds(record), Ended.RUNNING, record["details"].get("usd", 0.0))
        elif name in found and what in (What.STOPPED, What.REGISTERED):
            ended = Ended.STOPPED if what == What.STOPPED else Ended.REGISTERED
            found[name] = Run(found[name].started_at, ended, found[name].usd)
    return list(found.values())


def rolling_out(records: Sequence[Mapping[str, Any]]) -> str | None:
    """The challenger that is registered and neither promoted nor rejected so far, if there is one."""
    challenger: str | None = None
    for record in records:
        if record["what"] == What.REGISTERED:
            challenger = record["subject"]
        elif record["what"] in (What.PROMOTED, What.REJECTED, What.ROLLED_BACK):
            challenger = None
    return challenger
