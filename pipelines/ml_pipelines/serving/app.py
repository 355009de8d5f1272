"""The scoring service as an ASGI application: what comes in by HTTP, in each protocol, and how it is refused.

What is asked often is written as plain ASGI, without objects for requests and answers, which cost as much as the model.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ml_pipelines.serving import openapi, protocols
from ml_pipelines.serving.answers import Answers
from ml_pipelines.serving.ask import Answer, Answering, Ask, lines
from ml_pipelines.serving.refusal import (
    BAD_REQUEST,
    FAILED,
    FORBIDDEN,
    NOT_FOUND,
    TIME_OUT,
    TOO_LARGE,
    TOO_MANY,
    UNAVAILABLE,
    UNPROCESSABLE,
    WRONG_TYPE,
    RefusedError,
)
from ml_pipelines.serving.settings import Settings, Teller
from ml_pipelines.serving.telemetry import NO_TENANT, exposed
from ml_pipelines.serving.tenants import Gate, Gates, Identities, Told, of_authorizer

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

OWN, VERTEX, SAGEMAKER, AZURE, V2 = "own", "vertex", "sagemaker", "azure", "v2"
_JSON = (b"content-type", b"application/json")
# SageMaker hands no other header of the caller to the container.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
_SAGEMAKER_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
# Where gateways put the caller's `Authorization`, since they bring a token of their own.
# https://cloud.google.com/api-gateway/docs/backend-authentication
_FORWARDED, _CLAIMS = b"x-forwarded-authorization", b"x-apigateway-api-userinfo"
# By which name Cloud Tasks knows what it asks. https://cloud.google.com/tasks/docs/creating-http-target-tasks
_TASK = b"x-cloudtasks-taskname"
_FINAL = (BAD_REQUEST, NOT_FOUND, TOO_LARGE, UNPROCESSABLE)
_ERRORS_A_SECOND = 10
# Who asks too much waits about so long for its refusal, so that refusing doesn't take the processor from others, and
# doesn't come again all at once. So many wait.
_REFUSED_AFTER_SECONDS, _REFUSED_WAITING = 0.1, 1000


class _GoneError(Exception):
    """The client has closed the connection before its request was whole."""


# What is asked: from the body and the path's parameters to the answer's body.
Handle = Callable[[bytes, Mapping[str, str], str | None], Awaitable[bytes]]


class Service:
    """All that answers: `application` is the ASGI application, `draining` tells platforms to send nothing more."""

    def __init__(self, settings: Settings, answering: Answering, tracer: Any = None):
        self.settings, self.answering, self.metrics, self._tracer = settings, answering, answering.metrics, tracer
        self.draining = False
        # Refusals that wait to be sent.
        self.held = 0
        self.gates = Gates(1 / settings.workers)
        self.gates.take(answering.table.tenants)
        self._identify = _identify(settings)
        self.answers = Answers(settings.answers) if settings.answers else None
        self._logged_at, self._logged = 0.0, 0
        self.application = Starlette(routes=self._routes())

    def _routes(self) -> list[BaseRoute]:
        settings = self.settings
        asked: list[tuple[str, str, Handle]] = [
            ("/v1/score", OWN, self._own),
            ("/", OWN, self._own),
            ("/v1/models/{model}/score", OWN, self._own),
            ("/v1/models/{model}/versions/{version}/score", OWN, self._own),
            ("/v2/models/{model}/infer", V2, self._v2),
            ("/v2/models/{model}/versions/{version}/infer", V2, self._v2),
        ]
        healthy = ["/health", "/v2/health/ready"]
        if settings.sagemaker:
            asked.insert(0, ("/invocations", SAGEMAKER, self._own))
            healthy.append("/ping")
        if settings.azure:
            asked.insert(0, ("/score", AZURE, self._own))
        if settings.predict:
            asked.insert(0, (settings.predict, VERTEX, self._vertex))
        if settings.health and settings.health not in healthy:
            healthy.append(settings.health)
        routes: list[BaseRoute] = [
            Route(path, _Scored(self, protocol, handle), methods=["POST"]) for path, protocol, handle in asked
        ]
        routes += [Route(path, self._ready) for path in healthy]
        routes += [
            Route("/live", self._live),
            Route("/v2/health/live", self._live),
            Route("/openapi.json", self._openapi),
            Route("/v1/models", self._models),
            Route("/v2", self._server),
            Route("/v2/models/{model}", self._metadata),
            Route("/v2/models/{model}/versions/{version}", self._metadata),
            Route("/v2/models/{model}/ready", self._model_ready),
            Route("/v2/models/{model}/versions/{version}/ready", self._model_ready),
        ]
        # What a tenant could see there is of others; a port of its own is for the platform.
        if settings.metrics_port is None and not settings.table.tenants:
            routes.append(Route("/metrics", self._metrics))
        return routes

    async def _own(self, body: bytes, path: Mapping[str, str], tenant: str | None, each: bool = False) -> bytes:
        said = protocols.parsed(body)
        ask, several = protocols.own(said)
        ask.model, ask.version = path.get("model"), path.get("version")
        if self.settings.behind_router:
            told = protocols.told_by_router(said)
            tenant, ask.model, ask.version = (
                self._known(told.tenant),
                ask.model or told.model,
                ask.version or told.version,
            )
        answer = await self._answer(ask, tenant)
        kept = lines(ask, answer, tenant) if self.settings.answer_rows else None
        return protocols.own_answer(ask, answer, several, each, kept)

    async def _vertex(self, body: bytes, path: Mapping[str, str], tenant: str | None) -> bytes:
        return await self._own(body, path, tenant, each=True)

    def _known(self, tenant: str | None) -> str | None:
        if tenant is not None and tenant not in self.answering.table.tenants:
            raise RefusedError(
                FORBIDDEN, "parameters.tenant", "a tenant that isn't known here", "one of the table is right"
            )
        return tenant

    async def _v2(self, body: bytes, path: Mapping[str, str], tenant: str | None) -> bytes:
        name, version = path["model"], path.get("version")
        kinds = self.answering.kinds(name, version, tenant)
        said = protocols.parsed(body)
        ask = protocols.v2(said, name, version, kinds)
        return protocols.v2_answer(said, ask, await self._answer(ask, tenant))

    async def _answer(self, ask: Ask, tenant: str | None) -> Answer:
        if tenant is not None and len(ask.rows) > 1 and not self.settings.behind_router:
            self.gates.of(tenant).charge(len(ask.rows) - 1)
        if self._tracer is None:
            return await self.answering.answer(ask, tenant)
        with self._tracer.start_as_current_span("answer") as span:
            answer = await self.answering.answer(ask, tenant)
            span.set_attribute("serving.model", answer.models[0])
            span.set_attribute("serving.rows", len(ask.rows))
            return answer

    async def enter(self, scope: Scope, headers: "_Headers") -> tuple[str | None, Gate | None]:
        """Whose request it is, and its gate, which was entered. Raises RefusedError."""
        if self._identify is None or not self.answering.table.tenants:
            return None, None
        name = await self._identify(scope, headers)
        gate = self.gates.of(name)
        gate.enter()
        return name, gate

    async def _tenant(self, request: Request) -> str | None:
        name, gate = await self.enter(request.scope, _Headers(request.scope["headers"]))
        if gate is not None:
            gate.leave()
        return name

    async def _ready(self, request: Request) -> Response:
        if self.draining:
            return _said({"ready": False}, UNAVAILABLE)
        return _said({"ready": True})

    async def _live(self, request: Request) -> Response:
        return _said({"live": True})

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(exposed(self.metrics.registry)), media_type=CONTENT_TYPE_LATEST)

    async def _openapi(self, request: Request) -> Response:
        return await self._told(request, self._openapi_document)

    def _openapi_document(self, request: Request, tenant: str | None) -> Any:
        table = self.answering.table
        model = self.answering.described(table.workload, None, tenant)
        return openapi.document(table.workload, model, table.features | table.fields, bool(table.tenants))

    async def _models(self, request: Request) -> Response:
        return await self._told(request, self._models_document)

    def _models_document(self, request: Request, tenant: str | None) -> Any:
        return {"workload": self.answering.table.workload, "models": self.answering.listed(tenant)}

    async def _server(self, request: Request) -> Response:
        return _said({"name": "ml-blueprints", "version": "1", "extensions": []})

    async def _metadata(self, request: Request) -> Response:
        return await self._told(request, self._metadata_document)

    def _metadata_document(self, request: Request, tenant: str | None) -> Any:
        name, version = request.path_params["model"], request.path_params.get("version")
        return protocols.v2_metadata(name, self.answering.described(name, version, tenant))

    async def _model_ready(self, request: Request) -> Response:
        return await self._told(request, self._ready_document)

    def _ready_document(self, request: Request, tenant: str | None) -> Any:
        name = request.path_params["model"]
        self.answering.described(name, request.path_params.get("version"), tenant)
        return {"name": name, "ready": True}

    async def _told(self, request: Request, document: Callable[[Request, str | None], Any]) -> Response:
        """What is told of models to whoever may know."""
        try:
            return _said(document(request, await self._tenant(request)))
        except RefusedError as error:
            return _said(error.body(), error.status)

    def failed(self, protocol: str) -> None:
        """Log the exception that nobody thought of, at most so often in a second."""
        now = time.monotonic()
        if now - self._logged_at > 1:
            self._logged_at, self._logged = now, 0
        self._logged += 1
        if self._logged <= _ERRORS_A_SECOND:
            log.exception("a request failed", extra={"fields": {"protocol": protocol}})

    def span(self, headers: "_Headers", protocol: str) -> Any:
        """The span of a request, as a child of the caller's."""
        if self._tracer is None:
            return contextlib.nullcontext()
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        context = extract({name.decode("latin-1"): value.decode("latin-1") for name, value in headers.raw})
        return self._tracer.start_as_current_span(f"POST {protocol}", context=context, kind=SpanKind.SERVER)


def _identify(settings: Settings) -> Callable[[Scope, "_Headers"], Awaitable[str]] | None:
    """How a tenant is known: by its token, or by whom the token was verified in front of the service."""
    if settings.teller is Teller.AUTHORIZER:

        async def by_authorizer(scope: Scope, headers: _Headers) -> str:
            # The adapter of the Lambda function puts it there, and no server does.
            return of_authorizer(scope.get("aws.event"))

        return by_authorizer
    issuer = settings.issuer
    if issuer is None:
        return None
    if settings.teller is Teller.GATEWAY:
        told = Told(issuer.issuer, issuer.audience, issuer.claim)

        async def by_gateway(scope: Scope, headers: _Headers) -> str:
            return told.tenant([value.decode("latin-1") for name, value in headers.raw if name == _CLAIMS])

        return by_gateway
    identities = Identities(issuer.issuer, issuer.audience, issuer.keys, issuer.claim)

    async def by_token(scope: Scope, headers: _Headers) -> str:
        return await identities.tenant(headers.token)

    return by_token


def _said(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


def _bearer(value: bytes) -> str | None:
    return value[7:].decode("latin-1").strip() if value[:7].lower() == b"bearer " else None


class _Headers:
    """The headers that matter."""

    __slots__ = ("encoded", "json", "length", "raw", "task", "token")

    def __init__(self, raw: Any):
        self.raw = raw
        self.token: str | None = None
        self.task: str | None = None
        self.length: int | None = None
        self.json, self.encoded = True, False
        forwarded: str | None = None
        for name, value in raw:
            if name == b"authorization":
                self.token = forwarded or _bearer(value)
            elif name == _FORWARDED:
                self.token = forwarded = _bearer(value) or self.token
            elif name == b"content-length":
                self.length = int(value) if value.isdigit() else None
            elif name == b"content-type":
                kind = value.partition(b";")[0].strip().lower()
                self.json = kind == b"application/json" or not kind
            elif name == b"content-encoding":
                self.encoded = value.strip().lower() not in (b"", b"identity")
            elif name == _TASK:
                self.task = value.decode("latin-1")
            elif name == _SAGEMAKER_ATTRIBUTES and self.token is None and value.startswith(b"token="):
                self.token = value[6:].decode("latin-1")


class _Scored:
    """A route that scores, as plain ASGI."""

    __slots__ = ("_handle", "_protocol", "_service")

    def __init__(self, service: Service, protocol: str, handle: Handle):
        self._service, self._protocol, self._handle = service, protocol, handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        service, status, extra = self._service, 200, ()
        tenant: str | None = None
        gate: Gate | None = None
        headers = _Headers(scope["headers"])
        try:
            with service.span(headers, self._protocol):
                # Before the body is read, so that what is too much costs little.
                tenant, gate = await service.enter(scope, headers)
                body = await self._body(headers, receive)
                if service.answers is not None and headers.task is not None:
                    content = await self._task(service.answers, headers.task, body, scope["path_params"], tenant)
                else:
                    content = await self._handle(body, scope["path_params"], tenant)
        except RefusedError as error:
            status, content = error.status, orjson.dumps(error.body())
            if error.retry_after is not None:
                if status == TOO_MANY and service.held < _REFUSED_WAITING:
                    service.held += 1
                    try:
                        await asyncio.sleep(_REFUSED_AFTER_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
                    finally:
                        service.held -= 1
                extra = ((b"retry-after", str(max(1, round(error.retry_after))).encode()),)
            if status in (TOO_LARGE, TIME_OUT):
                # What is left of the body isn't read.
                extra = (*extra, (b"connection", b"close"))
        except _GoneError:
            service.metrics.count(service.metrics.requests, (tenant or NO_TENANT, self._protocol, "gone"))
            return
        except Exception:
            service.failed(self._protocol)
            status = FAILED
            content = orjson.dumps(RefusedError(FAILED, "request", "a failure of the service", "try again").body())
        finally:
            if gate is not None:
                gate.leave()
        length = (b"content-length", str(len(content)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *extra]})
        await send({"type": "http.response.body", "body": content})
        metrics = service.metrics
        name = tenant or NO_TENANT
        metrics.count(metrics.requests, (name, self._protocol, str(status)))
        if status == 200:
            metrics.took(name, time.perf_counter() - started)

    async def _task(
        self, answers: Answers, task: str, body: bytes, path: Mapping[str, str], tenant: str | None
    ) -> bytes:
        """Answer a task of a queue, and keep the answer by its name. What no other attempt will change is one, too."""
        try:
            content = await self._handle(body, path, tenant)
        except RefusedError as error:
            if error.status not in _FINAL:
                raise
            content = orjson.dumps(error.body())
        await answers.keep(task, content)
        return content

    async def _body(self, headers: _Headers, receive: Receive) -> bytes:
        settings = self._service.settings
        most = settings.body_bytes
        if not headers.json or headers.encoded:
            field = "content-encoding" if headers.encoded else "content-type"
            raise RefusedError(WRONG_TYPE, field, "another", "`application/json`, not encoded, is right")
        if headers.length is not None and headers.length > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(settings.body_seconds):
                message = await receive()
                if message["type"] == "http.request" and not message.get("more_body"):
                    body = message.get("body", b"")
                    if len(body) > most:
                        raise _too_large(most)
                    return body
                return await self._rest(message, receive, most)
        except TimeoutError:
            right = f"all of it in {settings.body_seconds:g} s is right"
            raise RefusedError(TIME_OUT, "body", "a part of it", right) from None

    @staticmethod
    async def _rest(message: Message, receive: Receive, most: int) -> bytes:
        parts, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise _GoneError
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > most:
                raise _too_large(most)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await receive()


def _too_large(most: int) -> RefusedError:
    return RefusedError(TOO_LARGE, "body", "too many bytes", f"{most:,} bytes at most are right")
