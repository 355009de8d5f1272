"""Serves the service on a port, after all of its models are loaded, and drains at the end."""

import asyncio
import logging
import signal
import sys
from types import FrameType
from typing import Any

import uvicorn
from prometheus_client import start_http_server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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
# A client has so long to say what it asks, up to where the body begins. uvicorn waits for ever.
HEAD_SECONDS = 10.0
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


class Connection(HttpToolsProtocol):
    """A connection that is closed where the head of a request, or the first of one, doesn't come in time."""

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._waiting_since: float | None = self.loop.time()
        self._look = self.loop.call_later(HEAD_SECONDS, self._look_at_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._look.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """See HttpToolsProtocol."""
        self._waiting_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See HttpToolsProtocol."""
        self._waiting_since = None
        super().on_headers_complete()

    def _look_at_head(self) -> None:
        """One timer looks at all requests of a connection, so that none has to set one."""
        now, since = self.loop.time(), self._waiting_since
        if since is not None and now - since >= HEAD_SECONDS:
            self.transport.close()
            return
        after = HEAD_SECONDS if since is None else since + HEAD_SECONDS - now
        self._look = self.loop.call_later(after, self._look_at_head)


def config(application: Any, port: int, host: str = "0.0.0.0") -> uvicorn.Config:  # noqa: S104 (platforms reach in)
    """How uvicorn serves it."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        loop="uvloop",
        http=Connection,
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
