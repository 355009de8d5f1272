"""The endpoint that SCORING_ENDPOINT names: what it is sent, what it answers, and by which token it lets one in.

The router and the event processor ask it. What it is, is told by its form: a name is an endpoint of SageMaker, a URL
that ends with `:predict` or `:rawPredict` is Vertex AI's, hosts of Azure Machine Learning and of Cloud Run are known by
their names, and any other URL is asked without a token.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

# Seconds that an answer may take.
TIMEOUT = 5
# Connections that are kept open to it.
CONNECTIONS = 64
# What says that it is the request that is wrong, which no other attempt will change.
REFUSALS = frozenset({400, 413, 422})
# A token is asked for anew so long before it ends.
_EARLY_SECONDS = 60
_OWN_PATH = "/v1/score"
_SELF_SIGNED = ".prediction.p.vertexai.goog"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint
_AZURE_SCOPE = "https://ml.azure.com/.default"
# Azure Machine Learning answers 424 where a container refuses, and says here what the container's status was.
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
AZURE_STATUS = "ms-azureml-model-error-statuscode"


class Form(StrEnum):
    """What an endpoint is."""

    SAGEMAKER = "sagemaker"
    VERTEX = "vertex"
    AZURE = "azure"
    CLOUD_RUN = "cloud_run"
    PLAIN = "plain"


class EndpointError(ValueError):
    """A name of an endpoint that can't be one."""


@dataclass(frozen=True)
class Endpoint:
    """An endpoint: the URL that is posted to, or a name. `lists`: it takes and gives lists alone, as `:predict`."""

    place: str
    form: Form
    lists: bool = False

    @classmethod
    def named(cls, said: str) -> Self:
        """The endpoint of a variable. Raises EndpointError."""
        if "://" not in said:
            if not said or "/" in said or ":" in said:
                raise EndpointError(f"found `{said}`; the URL of a scoring service, or an endpoint's name, is right")
            return cls(said, Form.SAGEMAKER)
        parts = urlsplit(said)
        host = parts.hostname or ""
        if parts.scheme not in ("https", "http") or not host:
            raise EndpointError(f"found `{said}`; the URL of a scoring service, or an endpoint's name, is right")
        if parts.path.endswith((":predict", ":rawPredict")):
            return cls(said, Form.VERTEX, lists=parts.path.endswith(":predict"))
        if ".inference.ml.azure." in host:
            return cls(said, Form.AZURE)
        place = said.rstrip("/") + (_OWN_PATH if parts.path in ("", "/") else "")
        return cls(place, Form.CLOUD_RUN if host.endswith(".run.app") else Form.PLAIN)

    def body(self, rows: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What is sent for rows of `entity`, `event_id` and `features`. `parameters` go beside them."""
        asked = {"instances": list(rows)} if self.lists or len(rows) > 1 else dict(rows[0])
        return {**asked, "parameters": parameters} if parameters else asked

    def answers(self, said: Any, count: int) -> list[dict[str, Any]]:
        """The answers to so many rows, of a body as JSON is read. Raises ValueError for anything else.

        What a container says of several together is said of each.
        """
        if isinstance(said, dict) and not self.lists and count == 1:
            return [said]
        answers = said.get("predictions") if isinstance(said, dict) else None
        if not isinstance(answers, list) or len(answers) != count or not all(isinstance(one, dict) for one in answers):
            raise ValueError(f"its answer isn't one to {count} rows")
        beside = {name: said[name] for name in ("missing", "degraded") if name in said}
        return [beside | one for one in answers]


class Tokens:
    """Bearer tokens, each used until a minute before it ends. `fetch` asks for one, and says when it ends."""

    def __init__(self, fetch: Callable[[], tuple[str, float]]):
        self._fetch, self._lock = fetch, threading.Lock()
        self._token, self._ends = "", float("-inf")

    @property
    def held(self) -> str | None:
        """The token that is here and still valid; nobody is asked."""
        return self._token if time.time() < self._ends - _EARLY_SECONDS else None

    def __call__(self) -> str:
        """A token that is valid now. Raises what the cloud's library raises where none can be had."""
        with self._lock:
            if (held := self.held) is not None:
                return held
            self._token, self._ends = self._fetch()
            return self._token


def tokens(endpoint: Endpoint, variables: Mapping[str, str]) -> Tokens | None:
    """How an endpoint lets one in; None where it asks for no token, or boto3 signs.

    On Azure IDENTITY says as whom: a user-assigned identity by its client id or its resource id.
    """
    if endpoint.form is Form.VERTEX:
        return Tokens(_google())
    if endpoint.form is Form.CLOUD_RUN:
        parts = urlsplit(endpoint.place)
        return Tokens(_google(f"{parts.scheme}://{parts.netloc}"))
    if endpoint.form is Form.AZURE:
        return Tokens(_azure(variables))
    return None


def _google(audience: str | None = None) -> Callable[[], tuple[str, float]]:
    """Access tokens of the environment's identity, or its id tokens for an audience."""
    made: list[Any] = []

    def fetch() -> tuple[str, float]:
        from google.auth.transport.requests import Request

        request = Request()
        if not made:
            made.append(_google_credentials(audience, request))
        credentials = made[0]
        credentials.refresh(request)
        # Google's library tells times without a zone, in UTC.
        return credentials.token, credentials.expiry.replace(tzinfo=UTC).timestamp()

    return fetch


def _google_credentials(audience: str | None, request: Any) -> Any:
    if audience is not None:
        from google.oauth2 import id_token

        return id_token.fetch_id_token_credentials(audience, request)
    import google.auth

    return google.auth.default(scopes=[_GOOGLE_SCOPE])[0]


def _azure(variables: Mapping[str, str]) -> Callable[[], tuple[str, float]]:
    made: list[Any] = []

    def fetch() -> tuple[str, float]:
        from ml_pipelines.streaming.azure_identity import credential

        if not made:
            made.append(credential(variables["IDENTITY"]))
        token = made[0].get_token(_AZURE_SCOPE)
        return token.token, float(token.expires_on)

    return fetch


def certificate(endpoint: Endpoint, variables: Mapping[str, str]) -> str | None:
    """The certificate, in PEM, that alone is trusted at an endpoint; None where public authorities vouch for it.

    Private endpoints of Vertex AI have one that they signed themselves: SCORING_CERTIFICATE (a file, or its text), or
    without it the one that the host shows now. Raises OSError where it can't be had.
    https://cloud.google.com/vertex-ai/docs/predictions/private-service-connect
    """
    parts = urlsplit(endpoint.place)
    if parts.scheme != "https":
        return None
    given, host = variables.get("SCORING_CERTIFICATE"), parts.hostname or ""
    if given:
        return given if "-----BEGIN" in given else Path(given).read_text(encoding="ascii")
    return ssl.get_server_certificate((host, parts.port or 443), timeout=TIMEOUT) if _SELF_SIGNED in host else None


def trusting(pem: str) -> ssl.SSLContext:
    """A context that trusts this certificate and no other, of a host with its name."""
    context = ssl.create_default_context(cadata=pem)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def sagemaker_client() -> Any:
    """The client that asks endpoints of SageMaker in the region and account of the environment."""
    import boto3
    from botocore.config import Config

    config = Config(
        read_timeout=TIMEOUT,
        connect_timeout=TIMEOUT,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "max_attempts": 2},
    )
    return boto3.client("sagemaker-runtime", config=config)


def refusal_in(body: bytes) -> dict[str, str] | None:
    """A container's own refusal in what a platform answered: as it is, or quoted in the message of Google's error."""
    try:
        said = json.loads(body)
        inner = said.get("error") if isinstance(said, dict) else None
        if isinstance(inner, dict):
            text = str(inner.get("message", ""))
            said = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, RecursionError):
        return None
    wanted = ("field", "found", "right")
    if isinstance(said, dict) and all(isinstance(said.get(name), str) for name in wanted):
        return {name: said[name][:500] for name in wanted}
    return None
