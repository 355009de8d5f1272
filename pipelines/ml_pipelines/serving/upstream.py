"""Asks the platform's endpoint without holding up others: by HTTP on connections that are kept, or SageMaker's API."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import orjson

from ml_pipelines import scoring_endpoint
from ml_pipelines.scoring_endpoint import AZURE_STATUS, CONNECTIONS, TIMEOUT, Endpoint, Form, Tokens
from ml_pipelines.serving.table import Role

log = logging.getLogger(__name__)

# What a platform answers where the container may not have seen the request. A score changes nothing, so that to ask
# once more is safe.
_AGAIN = frozenset({502, 503, 504})


class Reply(NamedTuple):
    """What was answered. `status` is the container's, where the platform says so."""

    status: int
    body: bytes


class UpstreamError(Exception):
    """An endpoint that gives no answer now."""


class Upstream(Protocol):
    """An endpoint that is asked."""

    endpoint: Endpoint

    async def ask(self, body: Mapping[str, Any], champion: bool = False) -> Reply:
        """Its answer. Raises UpstreamError where there is none within the time.

        champion: whether its champion is to answer, where the platform lets one choose; elsewhere any version may.
        """
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class HttpUpstream:
    """A URL. An attempt that broke, or that a platform says may not have been seen, is made once more."""

    def __init__(
        self,
        endpoint: Endpoint,
        tokens: Tokens | None = None,
        timeout: float = TIMEOUT,
        certificate: Callable[[], str | None] | None = None,
    ):
        """`certificate` gives the one that alone is trusted, or None where public authorities vouch for it."""
        # It takes a third of a second, which is the start's and not that of the first request. Others do without.
        import aiohttp

        self.endpoint, self._tokens, self._timeout = endpoint, tokens, timeout
        self._http: Any = aiohttp
        self._certificate, self._opening = certificate, asyncio.Lock()
        self._session: Any = None

    async def ask(self, body: Mapping[str, Any], champion: bool = False) -> Reply:
        """See Upstream. A version is drawn anew."""
        content, reason = orjson.dumps(body), ""
        try:
            # Both attempts together.
            async with asyncio.timeout(self._timeout):
                for _ in range(2):
                    try:
                        reply = await self._ask(content)
                    except self._http.ClientError as error:
                        reason = f"{type(error).__name__}: {error}"
                        continue
                    if reply.status not in _AGAIN or scoring_endpoint.refusal_in(reply.body):
                        return reply
                    reason = f"{reply.status} {reply.body[:300]!r}"
        except TimeoutError:
            reason = f"nothing in {self._timeout:g} s"
        raise UpstreamError(f"{self.endpoint.place}: {reason}")

    async def _ask(self, content: bytes) -> Reply:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._tokens is not None:
            headers["Authorization"] = f"Bearer {await self._token(self._tokens)}"
        session = self._session or await self._open()
        async with session.post(self.endpoint.place, data=content, headers=headers, allow_redirects=False) as got:
            status = got.headers.get(AZURE_STATUS, "") if self.endpoint.form is Form.AZURE else ""
            return Reply(int(status) if status.isdigit() else got.status, await got.read())

    async def _token(self, tokens: Tokens) -> str:
        held = tokens.held
        if held is not None:
            return held
        try:
            return await asyncio.to_thread(tokens)
        except Exception as error:
            # Each cloud's library has errors of its own for a token that can't be had.
            raise UpstreamError(f"{self.endpoint.place}: no token: {type(error).__name__}: {error}") from error

    async def _open(self) -> Any:
        async with self._opening:
            if self._session is not None:
                return self._session
            trusted: Any = True
            try:
                if self._certificate and (pem := await asyncio.to_thread(self._certificate)):
                    trusted = scoring_endpoint.trusting(pem)
            except (OSError, ValueError) as error:
                raise UpstreamError(f"{self.endpoint.place}: no certificate: {error}") from error
            http = self._http
            self._session = http.ClientSession(
                connector=http.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30, ssl=trusted),
                timeout=http.ClientTimeout(total=None),
                cookie_jar=http.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """See Upstream."""
        if self._session is not None:
            await self._session.close()


class SageMakerUpstream:
    """An endpoint of SageMaker, whose client waits in threads and tries again by itself."""

    def __init__(self, endpoint: Endpoint, client: Any, timeout: float = TIMEOUT):
        self.endpoint, self._client, self._timeout = endpoint, client, timeout
        self._threads = ThreadPoolExecutor(CONNECTIONS, "sagemaker")

    async def ask(self, body: Mapping[str, Any], champion: bool = False) -> Reply:
        """See Upstream. Variants are called by the roles of their versions."""
        which = {"TargetVariant": Role.CHAMPION.value} if champion else {}
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, orjson.dumps(body), which)
        try:
            async with asyncio.timeout(self._timeout):
                return await asked
        except TimeoutError:
            raise UpstreamError(f"endpoint {self.endpoint.place}: nothing in {self._timeout:g} s") from None

    def _ask(self, content: bytes, which: Mapping[str, str]) -> Reply:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self.endpoint.place,
                ContentType="application/json",
                Accept="application/json",
                Body=content,
                **which,
            )
            return Reply(200, answer["Body"].read())
        except ClientError as error:
            # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
            status = error.response.get("OriginalStatusCode")
            if isinstance(status, int):
                return Reply(status, str(error.response.get("OriginalMessage", "")).encode())
            raise UpstreamError(f"endpoint {self.endpoint.place}: {error}") from error
        except BotoCoreError as error:
            raise UpstreamError(f"endpoint {self.endpoint.place}: {error}") from error

    async def close(self) -> None:
        """See Upstream."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def open_upstream(endpoint: Endpoint, variables: Mapping[str, str]) -> Upstream:
    """How an endpoint is asked."""
    if endpoint.form is Form.SAGEMAKER:
        return SageMakerUpstream(endpoint, scoring_endpoint.sagemaker_client())
    return HttpUpstream(
        endpoint,
        scoring_endpoint.tokens(endpoint, variables),
        certificate=lambda: scoring_endpoint.certificate(endpoint, variables),
    )
