"""The service as router: what is asked is checked, filled in, and handed to the platform's endpoint with the models.

The body that goes on is written anew from what was checked, so that nothing of a tenant's own body reaches a container
but names and values of inputs. The tenant's name, which its token told, goes beside them in `parameters`; a container
that is told that it is behind a router takes it from there.

A platform that divides the traffic hands on what a canary fails. The router asks again then, until another version
answers, so that a bad canary costs its share of the requests some time and none of them the answer.
"""

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import orjson

from ml_pipelines.scoring_endpoint import refusal_in
from ml_pipelines.serving.ask import Answer, Ask, Described
from ml_pipelines.serving.features import OnlineStore, fill_in
from ml_pipelines.serving.refusal import (
    BAD_REQUEST,
    FAILED,
    NO_SCORE,
    NOT_FOUND,
    TOO_LARGE,
    TOO_MANY,
    UNAVAILABLE,
    UNPROCESSABLE,
    RefusedError,
    shown,
)
from ml_pipelines.serving.table import Role, Table
from ml_pipelines.serving.telemetry import Metrics
from ml_pipelines.serving.upstream import Reply, Upstream, UpstreamError

log = logging.getLogger(__name__)

# What a container says of a request or of its models is the tenant's to know. That it lets the router in, isn't.
_PASSED_ON = frozenset({BAD_REQUEST, NOT_FOUND, TOO_LARGE, UNPROCESSABLE, FAILED, UNAVAILABLE})
# How often an endpoint is asked where a canary fails: with a share of 20% it is drawn three times in 1% of the cases.
_ATTEMPTS = 3
# How metrics call the platform's endpoint where they name a model.
_ENDPOINT = "endpoint"


class Forwarder:
    """Answers by the platform's endpoints: `upstreams` by tenant, under None that of all without one of their own."""

    def __init__(
        self,
        table: Table,
        upstreams: Mapping[str | None, Upstream],
        metrics: Metrics,
        store: OnlineStore | None = None,
    ):
        self._table, self._upstreams, self.metrics, self._store = table, upstreams, metrics, store

    @property
    def table(self) -> Table:
        """See Answering."""
        return self._table

    async def reload(self, table: Table) -> None:
        """Serve a new table from the next request on."""
        self._table = table

    async def answer(self, ask: Ask, tenant: str | None) -> Answer:
        """See Answering."""
        _check(ask, self._table.fields)
        if self._store is not None:
            await fill_in(self._store, self._table, ask, tenant)
        upstream = self._upstreams.get(tenant) or self._upstreams[None]
        body = upstream.endpoint.body(_rows(ask), self._parameters(ask, tenant))
        try:
            reply, degraded = await self._asked(upstream, body, () if self._named(ask) else self._canaries(tenant))
            if reply.status != 200:
                raise _refusal(reply)
            answer = _answer(upstream.endpoint.answers(orjson.loads(reply.body), len(ask.rows)))
            answer.degraded |= degraded
            return answer
        except (UpstreamError, ValueError, KeyError, TypeError) as error:
            self.metrics.count(self.metrics.failures, (_ENDPOINT,))
            log.error("no answer of the endpoint: %s: %s", type(error).__name__, error)
            raise _unavailable() from error

    async def _asked(
        self, upstream: Upstream, body: Mapping[str, Any], canaries: Collection[str]
    ) -> tuple[Reply, dict[str, str]]:
        """What the endpoint answers; where a canary fails, what another version does, and why the canary failed."""
        reply = await upstream.ask(body)
        degraded: dict[str, str] = {}
        for _ in range(1, _ATTEMPTS):
            failed = _failed(reply, canaries)
            if failed is None:
                break
            self.metrics.count(self.metrics.failures, (failed.key,))
            self.metrics.count(self.metrics.degraded, (failed.key,))
            degraded[failed.key] = failed.why
            reply = await upstream.ask(body, champion=True)
        return reply, degraded

    def _canaries(self, tenant: str | None) -> list[str]:
        return [entry.key for entry in self._table.serving(tenant) if entry.role is Role.CANARY]

    def _named(self, ask: Ask) -> bool:
        return ask.model is not None and ask.model != self._table.workload

    def _parameters(self, ask: Ask, tenant: str | None) -> dict[str, str]:
        said = {"tenant": tenant, **({"model": ask.model, "version": ask.version} if self._named(ask) else {})}
        return {name: value for name, value in said.items() if value is not None}

    def kinds(self, name: str, version: str | None, tenant: str | None) -> Mapping[str, str] | None:
        """See Answering. The container knows them."""
        self.described(name, version, tenant)
        return None

    def described(self, name: str, version: str | None, tenant: str | None) -> Described:
        """See Answering."""
        entries = self._table.serving(tenant)
        if name == self._table.workload and version is None:
            return Described(tuple(entry.version for entry in entries))
        versions = tuple(entry.version for entry in entries if entry.name == name and version in (None, entry.version))
        if not versions:
            asked = name if version is None else f"{name}/{version}"
            raise RefusedError(NOT_FOUND, "model", f"`{asked[:100]}`", "a model that is served to you is right")
        return Described(versions)

    def listed(self, tenant: str | None) -> list[dict[str, Any]]:
        """See Answering. What becomes of a canary is the platform's to know."""
        return [
            {"name": entry.name, "version": entry.version, "role": entry.role.value, "traffic": entry.traffic}
            for entry in self._table.serving(tenant)
        ]

    async def open(self) -> None:
        """See Answering. Connections are made when they are needed."""

    async def close(self) -> None:
        """See Answering."""
        for upstream in set(self._upstreams.values()):
            await upstream.close()


def _check(ask: Ask, fields: Collection[str]) -> None:
    """Refuse what no input of any model can be. Which inputs there are, and of which kind, the container knows."""
    for place, row in enumerate(ask.rows):
        for name, value in row.items():
            kind = type(value)
            if value is None or kind in (str, bool, int) or (kind is float and math.isfinite(value)):
                continue
            if kind is list and name in fields and all(type(word) is str for word in value):
                # From a list of words that events have inputs may follow.
                continue
            where = f"instances[{place}]." if len(ask.rows) > 1 else "features."
            right = "a finite number, true or false, a string, or null where it isn't known is right"
            raise RefusedError(UNPROCESSABLE, where + name[:100], shown(value), right)


def _rows(ask: Ask) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row, entity, event_id in zip(ask.rows, ask.entities, ask.event_ids, strict=True):
        one: dict[str, Any] = {"features": row}
        if entity is not None:
            one["entity"] = entity
        if event_id is not None:
            one["event_id"] = event_id
        rows.append(one)
    return rows


def _answer(said: list[dict[str, Any]]) -> Answer:
    """What containers of ours answer. Raises KeyError, TypeError or ValueError for anything else."""
    answer = Answer([], [], [])
    missing: dict[str, None] = {}
    for one in said:
        answer.scores.append(float(one["score"]))
        answer.selected.append(one.get("selected"))
        answer.models.append(str(one["model"]))
        missing |= dict.fromkeys(one.get("missing", ()))
        answer.degraded |= one.get("degraded", {})
    answer.missing = tuple(missing)
    if len(said) == 1:
        answer.members = {name: [score] for name, score in dict(said[0].get("members", {})).items()}
    return answer


class _Failed(NamedTuple):
    """A canary that gave no score, and why."""

    key: str
    why: str


def _failed(reply: Reply, canaries: Collection[str]) -> _Failed | None:
    """The canary whose failure a container tells of, if it is one's."""
    if reply.status != FAILED or not canaries or (said := refusal_in(reply.body)) is None:
        return None
    key, _, why = said["found"].removeprefix(NO_SCORE).partition(": ")
    return _Failed(key, why) if said["field"] == "model" and key in canaries else None


def _refusal(reply: Reply) -> Exception:
    """What the tenant is told where the endpoint refuses: what the container says, if it is the tenant's to know."""
    said = refusal_in(reply.body)
    if said is not None and reply.status in _PASSED_ON:
        return RefusedError(
            reply.status, said["field"], said["found"], said["right"], 1.0 if reply.status == UNAVAILABLE else None
        )
    if reply.status == TOO_LARGE:
        return RefusedError(TOO_LARGE, "body", "too many bytes", "fewer, or fewer instances, are right")
    if reply.status == TOO_MANY:
        return _unavailable()
    return UpstreamError(f"{reply.status} {reply.body[:300]!r}")


def _unavailable() -> RefusedError:
    return RefusedError(UNAVAILABLE, "model", "no answer now", "try again later", 1.0)
