"""Features of an entity from the online store: what the event processor, or the job, has written last.

Values come as each store keeps them and leave as the workload's features have them: numbers, truth or words.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Protocol

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.5


class StoreError(Exception):
    """A store that doesn't answer now."""


class OnlineStore(Protocol):
    """Where features are read."""

    def read(self, entity: str) -> Mapping[str, Any]:
        """The latest values by name; none for an entity that isn't known. Raises StoreError."""
        ...


def named(namespace: str, entity: str) -> str:
    """The entity as the store knows it. What is a tenant's own begins with its name."""
    return f"{namespace}/{entity}" if namespace else entity


def as_value(text: str, kind: str) -> Any:
    """A value that a store keeps as text, in the type that the feature has."""
    if kind == "string":
        return text
    value = json.loads(text)
    return bool(value) if kind == "boolean" else value


class SageMakerStore:
    """A feature group's online store.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_feature_store_GetRecord.html
    """

    def __init__(self, client: Any, group: str, types: Mapping[str, str]):
        self._client, self._group, self._types = client, group, types

    def read(self, entity: str) -> Mapping[str, Any]:
        """See OnlineStore."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_record(FeatureGroupName=self._group, RecordIdentifierValueAsString=entity)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"feature group {self._group}: {error}") from error
        return {
            one["FeatureName"]: as_value(one["ValueAsString"], self._types[one["FeatureName"]])
            for one in answer.get("Record", ())
            if one["FeatureName"] in self._types
        }


class RedisStore:
    """Hashes under `features:<group>:<entity>`, as the event processor writes them."""

    def __init__(self, client: Any, group: str, types: Mapping[str, str]):
        self._client, self._group, self._types = client, group, types

    def read(self, entity: str) -> Mapping[str, Any]:
        """See OnlineStore."""
        import redis

        try:
            found = self._client.hgetall(f"features:{self._group}:{entity}")
        except redis.RedisError as error:
            raise StoreError(f"Redis: {error}") from error
        values = {name.decode(): value.decode() for name, value in found.items()}
        return {name: as_value(text, self._types[name]) for name, text in values.items() if name in self._types}


class VertexStore:
    """A feature view. `session` is google.auth's AuthorizedSession.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.featureOnlineStores.featureViews/fetchFeatureValues
    """

    def __init__(self, session: Any, view: str, types: Mapping[str, str]):
        region = view.split("/")[3]
        self._url = f"https://{region}-aiplatform.googleapis.com/v1/{view}:fetchFeatureValues"
        self._session, self._types = session, types

    def read(self, entity: str) -> Mapping[str, Any]:
        """See OnlineStore."""
        try:
            answer = self._session.post(
                self._url, json={"dataKey": {"key": entity}, "dataFormat": "KEY_VALUE"}, timeout=TIMEOUT_SECONDS
            )
        except OSError as error:
            raise StoreError(f"{self._url}: {error}") from error
        if answer.status_code == 404:
            return {}
        if answer.status_code != 200:
            raise StoreError(f"{self._url}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = {}
        for one in answer.json().get("keyValues", {}).get("features", ()):
            kind = self._types.get(one["name"])
            for form, value in one.get("value", {}).items():
                if kind is not None:
                    # Whole numbers of 64 bits are strings in Google's JSON.
                    found[one["name"]] = int(value) if form == "int64Value" else value
        return found


def open_store(place: str, group: str, types: Mapping[str, str]) -> OnlineStore:
    """The store that FEATURE_STORE names: Redis by its URL, a feature view of Vertex AI, or a feature group."""
    if place.startswith(("redis://", "rediss://")):
        from ml_pipelines.streaming.redis_client import connect

        return RedisStore(connect(place), group, types)
    if place.startswith("projects/"):
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        return VertexStore(AuthorizedSession(credentials), place, types)
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"mode": "standard", "max_attempts": 2}
    )
    return SageMakerStore(boto3.client("sagemaker-featurestore-runtime", config=config), place, types)
