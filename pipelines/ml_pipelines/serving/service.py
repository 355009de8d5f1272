"""Makes the service of its settings, with models or as a router, and takes new routing tables while it runs."""

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from ml_pipelines.serving import telemetry
from ml_pipelines.serving.app import Service
from ml_pipelines.serving.ask import Answering
from ml_pipelines.serving.captured import Captured
from ml_pipelines.serving.features import OnlineStore, open_store
from ml_pipelines.serving.settings import Settings
from ml_pipelines.serving.table import Table, TableError
from ml_pipelines.serving.telemetry import Metrics
from ml_pipelines.serving.trust import ModelError

log = logging.getLogger(__name__)

LOOKED_AT_SECONDS = 1.0
# Takes a new routing table. Raises ModelError, and goes on as it was.
Reload = Callable[[Table], Awaitable[None]]


def service(settings: Settings, variables: Mapping[str, str] = os.environ) -> Service:
    """The service with its models loaded, or as a router of the platform's endpoints. Raises ModelError."""
    metrics = telemetry.Metrics(CollectorRegistry())
    kept = Captured(settings.captured, "requests", settings.captured_seconds) if settings.captured else None
    make = _router if settings.endpoints else _engine
    answering, reload = make(settings, variables, metrics, kept)
    spans = telemetry.tracing(variables)
    made = Service(settings, answering, None if spans is None else spans.get_tracer("ml_pipelines.serving"))
    sent = [one for one in (spans, telemetry.send_metrics(metrics.registry, variables)) if one is not None]
    made.application.router.lifespan_context = lambda _: _running(made, reload, kept, sent)
    return made


def _engine(
    settings: Settings, variables: Mapping[str, str], metrics: Metrics, kept: Captured | None
) -> tuple[Answering, Reload]:
    # A router starts without ONNX Runtime.
    from ml_pipelines.serving import places
    from ml_pipelines.serving.engine import Deployment, Engine
    from ml_pipelines.serving.models import load
    from ml_pipelines.serving.shadow import Shadows

    find = places.finder(variables)

    def fetch(name: str, version: str) -> Any:
        return load(name, version, find(name, version), settings.trust)

    shadows = Shadows(variables, lambda model, outcome, rows: metrics.count(metrics.shadow, (model, outcome), rows))
    deployment = Deployment.load(settings.table, fetch, {})
    engine = Engine(deployment, metrics, shadows, _store(settings), kept)
    return engine, lambda table: engine.reload(table, fetch)


def _router(
    settings: Settings, variables: Mapping[str, str], metrics: Metrics, kept: Captured | None
) -> tuple[Answering, Reload]:
    from ml_pipelines.serving.forward import Forwarder
    from ml_pipelines.serving.upstream import open_upstream

    upstreams = {tenant: open_upstream(endpoint, variables) for tenant, endpoint in settings.endpoints.items()}
    forwarder = Forwarder(settings.table, upstreams, metrics, _store(settings))
    return forwarder, forwarder.reload


def _store(settings: Settings) -> OnlineStore | None:
    if settings.feature_store is None:
        return None
    from ml_pipelines.features.online import Plan

    workload = settings.table.workload
    return open_store(settings.feature_store, workload, Plan.load(workload).features)


@contextlib.asynccontextmanager
async def _running(made: Service, reload: Reload, kept: Captured | None, sent: Sequence[Any]) -> AsyncGenerator[None]:
    """While the service runs: new routing tables are taken, and at the end what is queued is done."""
    await made.answering.open()
    watching = None
    if made.settings.routing_file is not None:
        watching = asyncio.create_task(watch(made, made.settings.routing_file, reload))
    # Models and modules live as long as the process: the collector needn't look at them again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    yield
    if watching is not None:
        watching.cancel()
    await made.answering.close()
    if kept is not None:
        await asyncio.to_thread(kept.close)
    for exporter in sent:
        await asyncio.to_thread(exporter.shutdown)


async def watch(made: Service, file: Path, reload: Reload, every: float = LOOKED_AT_SECONDS) -> None:
    """Look at a file of the routing table again and again; a new one is served as soon as its models are loaded.

    A table that is wrong, or a model that is refused, is logged, and what ran goes on.
    """
    # It may have changed since it was read at the start.
    seen = None
    while True:
        await asyncio.sleep(every)
        now = _state(file)
        if now == seen or now is None:
            continue
        seen = now
        try:
            table = Table.parse(file.read_text(encoding="utf-8"))
            if table == made.answering.table:
                continue
            if bool(table.tenants) is not bool(made.answering.table.tenants):
                raise TableError("tenants: whether there are any can't change while the service runs")
            await reload(table)
        except (OSError, UnicodeDecodeError, TableError, ModelError) as error:
            made.metrics.count(made.metrics.reloads, ("refused",))
            log.error("%s isn't taken: %s", file, error)
            continue
        made.gates.take(table.tenants)
        made.metrics.count(made.metrics.reloads, ("taken",))
        log.info("%s is served", file, extra={"fields": {"models": [entry.key for entry in table.models]}})


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
