"""What is asked and what is answered, whoever answers: models in this process, or a platform's endpoint."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ml_pipelines.serving.table import Table
from ml_pipelines.serving.telemetry import Metrics


@dataclass(slots=True)
class Ask:
    """What is asked: a row for each instance, whose it is, and by which id it is known. A model may be named."""

    rows: list[dict[str, Any]]
    entities: list[str | None]
    event_ids: list[str | None]
    model: str | None = None
    version: str | None = None


@dataclass(slots=True)
class Answer:
    """An answer for each row. `degraded` names what should have answered and didn't, and why."""

    scores: list[float]
    selected: list[bool | None]
    models: list[str]
    missing: tuple[str, ...] = ()
    degraded: dict[str, str] = field(default_factory=dict)
    members: dict[str, list[float]] = field(default_factory=dict)


def lines(ask: Ask, answer: Answer, tenant: str | None) -> list[dict[str, Any]]:
    """What is kept of a request: a mapping for each row."""
    at = round(time.time() * 1000)
    return [
        {
            "at": at,
            "tenant": tenant,
            "entity": ask.entities[place],
            "event_id": ask.event_ids[place],
            "features": row,
            "score": answer.scores[place],
            "selected": answer.selected[place],
            "model": answer.models[place],
        }
        for place, row in enumerate(ask.rows)
    ]


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of who answers to a name: its inputs by kind, None where the platform's endpoint alone knows them.

    `versions` are those that are served by this name.
    """

    versions: tuple[str, ...]
    inputs: Mapping[str, str] | None = None
    task: str | None = None
    threshold: float | None = None


class Answering(Protocol):
    """Who answers. All but `answer` is quick."""

    metrics: Metrics

    @property
    def table(self) -> Table:
        """The routing table that is served now."""
        ...

    async def answer(self, ask: Ask, tenant: str | None) -> Answer:
        """The answer to a tenant's request. Raises RefusedError."""
        ...

    def kinds(self, name: str, version: str | None, tenant: str | None) -> Mapping[str, str] | None:
        """What may be asked of a name, by kind; None where anything may. Raises RefusedError."""
        ...

    def described(self, name: str, version: str | None, tenant: str | None) -> Described:
        """Who answers to a model's name, or to the workload's. Raises RefusedError."""
        ...

    def listed(self, tenant: str | None) -> list[dict[str, Any]]:
        """The versions that a tenant has. Raises RefusedError."""
        ...

    async def open(self) -> None:
        """Begin what runs beside answers."""
        ...

    async def close(self) -> None:
        """Finish what waits."""
        ...
