"""Who is asked for a score: an endpoint of SageMaker, or a scoring service by HTTP."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import requests
from requests.adapters import HTTPAdapter

from ml_pipelines.streaming.sinks import TRIES, SinkError

# Seconds that an answer may take. An event that waits longer is left for a later delivery.
TIMEOUT = 5

# What says that it is the request that is wrong, which no other attempt will change.
REFUSALS = frozenset({400, 413, 422})

# Connections that are kept open to a scoring service.
CONNECTIONS = 64


class RefusedError(Exception):
    """The scorer has no answer to this request and never will."""


class Scorer(Protocol):
    """Scores the features of an event."""

    def score(self, entity: str, event_id: str, features: Mapping[str, Any]) -> Any:
        """The answer, as JSON is read. Raises SinkError if there is none now, RefusedError if there won't be one."""
        ...


def request_body(entity: str, event_id: str, features: Mapping[str, Any]) -> bytes:
    """What a scoring service is asked."""
    content = {"event_id": event_id, "entity": entity, "features": features}
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _answer(body: bytes, who: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise SinkError(f"{who} answers with {body[:80]!r}, which is no JSON") from None


class SageMakerScorer:
    """An endpoint of SageMaker in the region and account of the environment."""

    def __init__(self, client: Any, endpoint: str):
        self._client, self._endpoint = client, endpoint

    @classmethod
    def open(cls, endpoint: str) -> Self:
        """The endpoint of this name."""
        import boto3
        from botocore.config import Config

        config = Config(
            read_timeout=TIMEOUT, connect_timeout=TIMEOUT, retries={"mode": "standard", "max_attempts": TRIES}
        )
        return cls(boto3.client("sagemaker-runtime", config=config), endpoint)

    def score(self, entity: str, event_id: str, features: Mapping[str, Any]) -> Any:
        """See Scorer. The event's id is the inference id, by which labels that come later are joined."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self._endpoint,
                ContentType="application/json",
                Accept="application/json",
                InferenceId=event_id[:64],
                Body=request_body(entity, event_id, features),
            )
            body = answer["Body"].read()
        except ClientError as error:
            # What the container answered. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
            if error.response.get("OriginalStatusCode") in REFUSALS:
                raise RefusedError(f"endpoint {self._endpoint}: {error}") from error
            raise SinkError(f"endpoint {self._endpoint}: {error}") from error
        except BotoCoreError as error:
            raise SinkError(f"endpoint {self._endpoint}: {error}") from error
        return _answer(body, f"endpoint {self._endpoint}")


class HttpScorer:
    """A scoring service by HTTP. `token` gives the bearer token of the processor, or None where none is asked for."""

    def __init__(self, url: str, token: Callable[[], str | None] = lambda: None):
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"SCORING_ENDPOINT: found `{url}`; the URL of a scoring service is expected")
        self._url, self._token = url, token
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))

    def score(self, entity: str, event_id: str, features: Mapping[str, Any]) -> Any:
        """See Scorer. Server errors and time-outs are tried again, refusals are not."""
        body, reason = request_body(entity, event_id, features), ""
        for _ in range(TRIES):
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            try:
                if (token := self._token()) is not None:
                    headers["Authorization"] = f"Bearer {token}"
                answer = self._session.post(self._url, data=body, headers=headers, timeout=TIMEOUT)
            except Exception as error:
                # Each cloud's library has errors of its own for a token that can't be had.
                reason = f"{type(error).__name__}: {error}"
                continue
            if answer.ok:
                return _answer(answer.content, self._url)
            reason = f"{answer.status_code} {answer.reason}"
            if answer.status_code in REFUSALS:
                raise RefusedError(f"{self._url}: {reason}: {answer.text[:300]}")
            if answer.status_code < 500 and answer.status_code != 429:
                break
        raise SinkError(f"{self._url}: {reason}")
