"""Serves the service on a port, after all of its models are loaded, and drains at the end."""

import asyncio
import logging
import signal
import sys
from types import FrameType
from typing import Any

import uvicorn
from prometheus_client import start_http_server

from ml_pipelines.serving import telemetry, workers
from ml_pipelines.serving.app import Service
from ml_pipelines.serving.service import service
from ml_pipelines.serving.settings import SettingError, Settings
from ml_pipelines.serving.trust import ModelError

log = logging.getLogger(__name__)

# Answers that are on their way when all is to end have so long.
LAST_SECONDS = 10
# Clouds' balancers keep connections for a minute; whoever closes first must not be us.
KEEP_ALIVE_SECONDS = 75
_WRONG = 2


class Server(uvicorn.Server):
    """Says that it isn't ready for a while before it ends, so that nobody sends a request to a closed door."""

    def __init__(self, config: uvicorn.Config, made: Service):
        super().__init__(config)
        self._made = made

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn.Server. A second signal ends at once."""
        if self._made.draining or sig == signal.SIGINT or not self._made.settings.drain_seconds:
            super().handle_exit(sig, frame)
            return
        self._made.draining = True
        log.info("draining for %g s", self._made.settings.drain_seconds)
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(
                loop.call_later, self._made.settings.drain_seconds, super().handle_exit, sig, frame
            )

    _loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: Any = None) -> None:
        """See uvicorn.Server."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)


def config(application: Any, port: int, host: str = "0.0.0.0") -> uvicorn.Config:  # noqa: S104 (platforms reach in)
    """How uvicorn serves it."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
        backlog=2048,
    )


def main() -> int:
    """Serve until told to end; returns the exit code."""
    telemetry.set_up_logging()
    try:
        settings = Settings.read()
        if settings.workers > 1 and not workers.is_worker():
            return workers.run(settings.workers, settings.metrics_port, settings.drain_seconds)
        _serve(settings)
    except (SettingError, ModelError) as error:
        print(f"serving: {error}", file=sys.stderr)
        return _WRONG
    return 0


def _serve(settings: Settings) -> None:
    made = service(settings)
    server = Server(config(made.application, settings.port), made)
    if workers.is_worker():
        server.run(sockets=[workers.listening(settings.port)])
        return
    if settings.metrics_port is not None:
        start_http_server(settings.metrics_port, registry=made.metrics.registry)
    server.run()
