"""Who is asked for a score: an endpoint of SageMaker, or a scoring service by HTTP."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import requests
from requests.adapters import HTTPAdapter

from ml_pipelines import scoring_endpoint
from ml_pipelines.scoring_endpoint import AZURE_STATUS, CONNECTIONS, REFUSALS, TIMEOUT, Endpoint, EndpointError, Form
from ml_pipelines.streaming.sinks import TRIES, SinkError


class RefusedError(Exception):
    """The scorer has no answer to this request and never will."""


class Scorer(Protocol):
    """Scores the features of an event."""

    def score(self, entity: str, event_id: str, features: Mapping[str, Any]) -> Any:
        """The answer, as JSON is read. Raises SinkError if there is none now, RefusedError if there won't be one."""
        ...


def open_scorer(said: str, variables: Mapping[str, str] = os.environ) -> Scorer:
    """The endpoint that SCORING_ENDPOINT names, asked by the identity of the process. Raises ValueError."""
    try:
        endpoint = Endpoint.named(said)
    except EndpointError as error:
        raise ValueError(f"SCORING_ENDPOINT: {error}") from error
    if endpoint.form is Form.SAGEMAKER:
        return SageMakerScorer.open(said)
    scorer = HttpScorer(said, scoring_endpoint.tokens(endpoint, variables) or _no_token)
    if (pem := scoring_endpoint.certificate(endpoint, variables)) is not None:
        scorer.trust(pem)
    return scorer


def _no_token() -> None:
    """Where none is asked for."""


def _asked(entity: str, event_id: str, features: Mapping[str, Any]) -> dict[str, Any]:
    return {"event_id": event_id, "entity": entity, "features": features}


def _written(content: Mapping[str, Any]) -> bytes:
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
        return cls(scoring_endpoint.sagemaker_client(), endpoint)

    def score(self, entity: str, event_id: str, features: Mapping[str, Any]) -> Any:
        """See Scorer. The event's id is the inference id, by which labels that come later are joined."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self._endpoint,
                ContentType="application/json",
                Accept="application/json",
                InferenceId=event_id[:64],
                Body=_written(_asked(entity, event_id, features)),
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

    def __init__(self, url: str, token: Callable[[], str | None] = _no_token):
        self._endpoint, self._token = Endpoint.named(url), token
        self._url = self._endpoint.place
        self._trusted: bool | str = True
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))

    def trust(self, pem: str) -> None:
        """Trust this certificate and no other."""
        file = Path(tempfile.mkdtemp(prefix="scorer-")) / "certificate.pem"
        file.write_text(pem, encoding="ascii")
        # Given with each request: what the environment says would count before what a session has.
        self._trusted = str(file)

    def score(self, entity: str, event_id: str, features: Mapping[str, Any]) -> Any:
        """See Scorer. Server errors and time-outs are tried again, refusals are not."""
        body, reason = _written(self._endpoint.body([_asked(entity, event_id, features)])), ""
        for _ in range(TRIES):
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            try:
                if (token := self._token()) is not None:
                    headers["Authorization"] = f"Bearer {token}"
                answer = self._session.post(
                    self._url, data=body, headers=headers, timeout=TIMEOUT, verify=self._trusted
                )
            except Exception as error:
                # Each cloud's library has errors of its own for a token that can't be had.
                reason = f"{type(error).__name__}: {error}"
                continue
            if answer.ok:
                return self._read(answer.content)
            reason = f"{answer.status_code} {answer.reason}"
            if _status(answer) in REFUSALS:
                raise RefusedError(f"{self._url}: {reason}: {answer.text[:300]}")
            if answer.status_code < 500 and answer.status_code != 429:
                break
        raise SinkError(f"{self._url}: {reason}")

    def _read(self, body: bytes) -> Any:
        said = _answer(body, self._url)
        if not self._endpoint.lists:
            return said
        try:
            return self._endpoint.answers(said, 1)[0]
        except ValueError as error:
            raise SinkError(f"{self._url}: {error}") from error


def _status(answer: requests.Response) -> int:
    """The container's own status where Azure Machine Learning says it, else that of the answer."""
    said = answer.headers.get(AZURE_STATUS, "")
    return int(said) if said.isdigit() else answer.status_code
