"""Serves APIs on a port of this machine that nobody else has, for as long as this process is there."""

import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.apis.vertex_ai import RefusedError, VertexAi
from sandbox.errors import SandboxError
from sandbox.faults import FaultError
from sandbox.provider.gcp import Gcp
from sandbox.store import Store

_MOST_BYTES = 10 * 2**20


class Server:
    """Vertex AI on the state of one Google Cloud, which is opened when something is asked for."""

    def __init__(self, state: Path):
        self._state = state
        self._lock = threading.Lock()
        self._service: VertexAi | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = "sandbox"

            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Requests aren't logged: their outcome is what Pulumi shows."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="vertex-ai", daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is, as the provider's setting `vertexAiCustomEndpoint` takes it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1/"

    def close(self) -> None:
        """Answer nothing any more."""
        self._http.shutdown()
        self._http.server_close()
        if self._service is not None:
            self._service.store.close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request, also one that can't be answered."""
        try:
            status, answer = 200, self._answer(request)
        except RefusedError as error:
            status, answer = error.status, _error(error.status, error.code, str(error))
        except FaultError as error:
            status, answer = 503, _error(503, "UNAVAILABLE", str(error))
        except SandboxError as error:
            status, answer = 500, _error(500, "INTERNAL", str(error))
        except Exception as error:
            words = f"a defect of the sandbox itself: {type(error).__name__}: {error}"
            status, answer = 500, _error(500, "INTERNAL", words)
        content = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _answer(self, request: BaseHTTPRequestHandler) -> dict[str, Any]:
        length = int(request.headers.get("Content-Length") or 0)
        if length > _MOST_BYTES:
            request.close_connection = True
            raise RefusedError(413, "INVALID_ARGUMENT", f"the body has {length} bytes, and may have {_MOST_BYTES}")
        content = request.rfile.read(length)
        try:
            body = json.loads(content) if content else None
        except ValueError as error:
            raise RefusedError(400, "INVALID_ARGUMENT", f"the body is no JSON: {error}") from None
        where = urlsplit(request.path)
        return self._vertex_ai().answer(request.command, where.path, dict(parse_qsl(where.query)), body)

    def _vertex_ai(self) -> VertexAi:
        with self._lock:
            if self._service is None:
                self._service = VertexAi(Gcp(Store(self._state)))
            return self._service


@cache
def served(state: Path) -> Server:
    """The server on a state, one in a process."""
    return Server(state)


def _error(status: int, code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": code}}
