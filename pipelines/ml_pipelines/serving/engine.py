"""From a request that was read to its answer: the version is picked, features are filled in, models are asked.

What runs is a `Deployment`, which never changes. A new routing table makes a new one, whose models are loaded before it
takes the place of the old; requests that are on their way keep the one that they began with.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_pipelines.serving import ensembles
from ml_pipelines.serving.ask import Answer, Ask, Described, lines
from ml_pipelines.serving.features import OnlineStore, fill_in
from ml_pipelines.serving.guard import Watch
from ml_pipelines.serving.inputs import derive
from ml_pipelines.serving.models import Model, ScoreError
from ml_pipelines.serving.refusal import FAILED, NO_SCORE, NOT_FOUND, UNAVAILABLE, RefusedError
from ml_pipelines.serving.router import Router
from ml_pipelines.serving.shadow import Copy, Shadows
from ml_pipelines.serving.table import Ensemble, Entry, Role, Table
from ml_pipelines.serving.telemetry import Metrics
from ml_pipelines.serving.trust import ModelError

log = logging.getLogger(__name__)

# Seconds that a slow model may take.
TIMEOUT = 4.0

# Loads a version: from name and version. Raises ModelError.
Load = Callable[[str, str], Model]
# Takes lines to be kept: a mapping for each row.
Keep = Callable[[Sequence[Mapping[str, Any]]], None]


class Lane:
    """How one tenant, or all that have no models of their own, are answered."""

    def __init__(
        self, table: Table, entries: Sequence[Entry], models: Mapping[str, Model], withdrawn: Mapping[str, str]
    ):
        self.entries = entries
        running = [entry for entry in entries if entry.key not in withdrawn]
        self.router = Router(running)
        self.models = {entry.key: models[entry.key] for entry in entries}
        self.by_name = {entry.name: models[entry.key] for entry in reversed(entries)}
        self.seeing = [entry for entry in self.router.shadows if entry.traffic > 0]
        self.shadows = [(entry.key, entry.traffic) for entry in self.seeing]
        needed = {*table.ensemble.members, table.ensemble.stacker} if table.ensemble else set()
        # Members of the same inputs are given the same columns.
        first: dict[tuple[tuple[str, str], ...], str] = {}
        members = table.ensemble.members if table.ensemble else ()
        self.same_inputs = {
            name: first.setdefault(self.by_name[name].schema.inputs, name) for name in members if name in self.by_name
        }
        answering = [self.models[entry.key] for entry in self.router.answering]
        answering += [self.by_name[name] for name in members if name in self.by_name]
        # What the inputs of all that may answer are, together.
        self.kinds = {name: kind for model in answering for name, kind in model.schema.inputs}
        # A container that a platform gave one version of the members answers by this one.
        self.ensemble: Ensemble | None = table.ensemble if needed - {None} <= set(self.by_name) else None

    def named(self, name: str, version: str | None) -> Model:
        """The version that was asked for. Raises RefusedError, in the same words for what others have."""
        found = self.by_name.get(name) if version is None else self.models.get(f"{name}/{version}")
        if found is None:
            asked = name if version is None else f"{name}/{version}"
            raise RefusedError(NOT_FOUND, "model", f"`{asked[:100]}`", "a model that is served to you is right")
        return found


class Deployment:
    """A routing table with its models, all loaded."""

    def __init__(self, table: Table, models: Mapping[str, Model], withdrawn: Mapping[str, str] | None = None):
        self.derivations = tuple({one.name: one for model in models.values() for one in model.derivations}.values())
        names = table.features | table.fields
        names = names.union(*(one.sources for one in self.derivations))
        names = names.union(*({name for name, _ in model.schema.inputs} for model in models.values()))
        self.table, self.withdrawn, self.names = table, dict(withdrawn or {}), names
        self.models = {key: model.beside(names) for key, model in models.items()}
        shared = table.serving(None)
        self._shared = Lane(table, shared, self.models, self.withdrawn) if shared else None
        self._own = {
            name: Lane(table, entries, self.models, self.withdrawn)
            for name in table.tenants
            if (entries := table.serving(name)) != shared
        }
        lanes = (*self._own.values(), *([self._shared] if self._shared else ()))
        self.shadowed = {(entry.name, entry.version) for lane in lanes for entry in lane.seeing}
        # A canary that is alone, as behind a platform's own router, is the platform's to withdraw.
        watched = {entry.key for lane in lanes if lane.router.champion.role is Role.CHAMPION for entry in lane.entries}
        self.watched = {
            entry.key: Watch(table.guard)
            for entry in table.models
            if entry.role is Role.CANARY and entry.key in watched
        }

    @classmethod
    def load(cls, table: Table, load: Load, there: Mapping[str, Model]) -> "Deployment":
        """Load what isn't `there` already. Raises ModelError."""
        models = {entry.key: there.get(entry.key) or load(entry.name, entry.version) for entry in table.models}
        for entry in table.models:
            first = models[table.models[0].key]
            if table.ensemble is None and entry.tenant is None and models[entry.key].task != first.task:
                raise ModelError(f"model {entry.key}: is of task `{models[entry.key].task}`, not `{first.task}`")
        return cls(table, models)

    def lane(self, tenant: str | None) -> Lane:
        """How a tenant is answered. Raises RefusedError where nothing is there for it."""
        lane = self._own.get(tenant, self._shared) if tenant is not None else self._shared
        if lane is None:
            raise RefusedError(NOT_FOUND, "model", "none", "no model is served to you")
        return lane


class Engine:
    """Answers by the deployment that is there now."""

    def __init__(
        self,
        deployment: Deployment,
        metrics: Metrics,
        shadows: Shadows,
        store: OnlineStore | None = None,
        keep: Keep | None = None,
    ):
        """`keep` takes what was asked and answered, a mapping for each row."""
        self.deployment, self.metrics, self.shadows = deployment, metrics, shadows
        self._store, self._keep = store, keep

    @property
    def table(self) -> Table:
        """See Answering."""
        return self.deployment.table

    async def reload(self, table: Table, load: Load) -> None:
        """Serve a new table, as soon as all of its models are loaded. Raises ModelError, and goes on as it was."""
        there = self.deployment.models
        self.deployment = await asyncio.to_thread(Deployment.load, table, load, there)
        await self.open()
        for key in self.deployment.watched:
            self.metrics.withdrawn.labels(key).set(0)

    async def answer(self, ask: Ask, tenant: str | None) -> Answer:
        """The answer to a tenant's request. Raises RefusedError."""
        deployment = self.deployment
        lane = deployment.lane(tenant)
        if self._store is not None:
            await fill_in(self._store, deployment.table, ask, tenant)
        if deployment.derivations:
            derive(ask.rows, deployment.derivations)
        named = ask.model is not None and ask.model != deployment.table.workload
        if named:
            answer = await self._by(lane.named(ask.model or "", ask.version), Role.MEMBER, ask)
        elif lane.ensemble is not None:
            answer = await self._ensemble(lane, lane.ensemble, ask)
        else:
            answer = await self._routed(deployment, lane, ask)
        if self._keep is not None:
            self._keep(lines(ask, answer, tenant))
        if lane.shadows and not named and (seen := self.shadows.sampled(lane.shadows)):
            for place, row in enumerate(ask.rows):
                entity, event_id = ask.entities[place], ask.event_ids[place]
                self.shadows.offer(
                    Copy(seen, tenant, entity, event_id, row, answer.models[place], answer.scores[place])
                )
        return answer

    def kinds(self, name: str, version: str | None, tenant: str | None) -> Mapping[str, str] | None:
        """See Answering. For the workload's name they are those of all that may answer."""
        model = self._named(name, version, tenant)
        routed = name == self.table.workload and version is None
        return self.deployment.lane(tenant).kinds if routed else dict(model.schema.inputs)

    def described(self, name: str, version: str | None, tenant: str | None) -> Described:
        """See Answering. For the workload's name it is the champion."""
        model = self._named(name, version, tenant)
        versions = tuple(entry.version for entry in self.deployment.lane(tenant).entries if entry.name == name)
        return Described(versions or (model.version,), dict(model.schema.inputs), model.task, model.threshold)

    def listed(self, tenant: str | None) -> list[dict[str, Any]]:
        """See Answering."""
        deployment = self.deployment
        lane = deployment.lane(tenant)
        return [
            {
                "name": entry.name,
                "version": entry.version,
                "role": entry.role.value,
                "traffic": entry.traffic,
                "withdrawn": deployment.withdrawn.get(entry.key),
                "task": lane.models[entry.key].task,
                "created_at": lane.models[entry.key].said.get("created_at"),
            }
            for entry in lane.entries
        ]

    def _named(self, name: str, version: str | None, tenant: str | None) -> Model:
        lane = self.deployment.lane(tenant)
        if name == self.table.workload and version is None:
            return lane.models[lane.router.champion.key]
        return lane.named(name, version)

    async def open(self) -> None:
        """See Answering."""
        await self.shadows.take(self.deployment.shadowed, self.deployment.names)

    async def close(self) -> None:
        """See Answering."""
        await self.shadows.close()

    async def _routed(self, deployment: Deployment, lane: Lane, ask: Ask) -> Answer:
        pick = lane.router.pick
        if len(ask.rows) == 1:
            return await self._version(deployment, lane, pick(ask.entities[0]), ask)
        groups: dict[str, tuple[Entry, list[int]]] = {}
        for place, entity in enumerate(ask.entities):
            entry = pick(entity)
            groups.setdefault(entry.key, (entry, []))[1].append(place)
        if len(groups) == 1:
            return await self._version(deployment, lane, next(iter(groups.values()))[0], ask)
        whole = Answer([0.0] * len(ask.rows), [None] * len(ask.rows), [""] * len(ask.rows))
        for entry, places in groups.values():
            part = Ask(
                [ask.rows[place] for place in places],
                [ask.entities[place] for place in places],
                [ask.event_ids[place] for place in places],
            )
            got = await self._version(deployment, lane, entry, part)
            for place, score, selected, model in zip(places, got.scores, got.selected, got.models, strict=True):
                whole.scores[place], whole.selected[place], whole.models[place] = score, selected, model
            whole.missing = tuple(dict.fromkeys((*whole.missing, *got.missing)))
            whole.degraded |= got.degraded
        return whole

    async def _version(self, deployment: Deployment, lane: Lane, entry: Entry, ask: Ask) -> Answer:
        """A version's answer; where a canary fails, the champion's."""
        model, watch, failure = lane.models[entry.key], deployment.watched.get(entry.key), ""
        if watch is None:
            return await self._by(model, entry.role, ask)
        started = time.perf_counter()
        try:
            return await self._asked(model, entry.role, ask)
        except ScoreError as error:
            failure = str(error)
        finally:
            self._note(deployment, entry, watch, bool(failure), time.perf_counter() - started)
        self.metrics.count(self.metrics.failures, (entry.key,))
        self.metrics.count(self.metrics.degraded, (entry.key,))
        answer = await self._by(lane.models[lane.router.champion.key], Role.CHAMPION, ask)
        answer.degraded[entry.key] = failure
        return answer

    def _note(self, deployment: Deployment, entry: Entry, watch: Watch, failed: bool, seconds: float) -> None:
        if reason := watch.note(failed, seconds):
            log.error("canary %s is withdrawn: %s", entry.key, reason, extra={"fields": {"canary": entry.key}})
            self.metrics.withdrawn.labels(entry.key).set(1)
            # Another table may have come meanwhile.
            if self.deployment is deployment:
                withdrawn = deployment.withdrawn | {entry.key: reason}
                self.deployment = Deployment(deployment.table, deployment.models, withdrawn)

    async def _by(self, model: Model, role: Role, ask: Ask) -> Answer:
        try:
            return await self._asked(model, role, ask)
        except ScoreError as error:
            self.metrics.count(self.metrics.failures, (model.key,))
            raise RefusedError(FAILED, "model", f"{NO_SCORE}{model.key}: {error}", "try again") from error

    async def _asked(self, model: Model, role: Role, ask: Ask) -> Answer:
        rows = ask.rows
        columns, missing = model.schema.columns(rows)
        scores = (
            model.score(columns)
            if model.quick and len(rows) == 1
            else await ensembles.ask(model, columns, len(rows), TIMEOUT)
        )
        self.metrics.count(self.metrics.answers, (model.key, role.value), len(rows))
        for name in missing:
            self.metrics.count(self.metrics.missing, (name,))
        return Answer(scores, [model.selected(score) for score in scores], [model.key] * len(rows), missing)

    async def _ensemble(self, lane: Lane, spec: Ensemble, ask: Ask) -> Answer:
        columns = {}
        lacking: dict[str, None] = {}
        for name in spec.members:
            like = lane.same_inputs[name]
            if like in columns:
                columns[name] = columns[like]
                continue
            columns[name], missing = lane.by_name[name].schema.columns(ask.rows)
            lacking.update(dict.fromkeys(missing))
        try:
            joint = await ensembles.answer(spec, lane.by_name, columns, len(ask.rows))
        except ensembles.UnansweredError as error:
            raise RefusedError(UNAVAILABLE, "model", f"no answer: {error}", "try again", 1.0) from error
        for name in joint.failed:
            self.metrics.count(self.metrics.failures, (lane.by_name[name].key,))
            self.metrics.count(self.metrics.degraded, (lane.by_name[name].key,))
        self.metrics.count(self.metrics.answers, (spec.method.value, Role.CHAMPION.value), len(ask.rows))
        for name in lacking:
            self.metrics.count(self.metrics.missing, (name,))
        return Answer(
            joint.scores,
            joint.selected,
            [spec.method.value] * len(ask.rows),
            tuple(lacking),
            joint.failed,
            joint.members,
        )
