"""Features of an entity from the online store: what the event processor, or the job, has written last.

Values come as each store keeps them and leave as the workload's features have them: numbers, truth or words.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from ml_pipelines.serving.ask import Ask
from ml_pipelines.serving.refusal import UNAVAILABLE, RefusedError
from ml_pipelines.serving.table import Table

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.5
# Entities that are read at a time, each on a connection: most of it is waiting.
AT_ONCE = 64
_readers = ThreadPoolExecutor(AT_ONCE, "features")


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


async def fill_in(store: OnlineStore, table: Table, ask: Ask, tenant: str | None) -> None:
    """Features that a request lacks, from the store. What it brings itself counts. Raises RefusedError."""
    namespace = table.tenants[tenant].namespace if tenant in table.tenants else ""
    lacking: dict[str, list[int]] = {}
    for place, (row, entity) in enumerate(zip(ask.rows, ask.entities, strict=True)):
        if entity is None or table.features <= row.keys():
            continue
        if not namespace and entity.partition("/")[0] in table.namespaces:
            # Named so that it would be read from what is a tenant's own.
            continue
        lacking.setdefault(named(namespace, entity), []).append(place)
    if not lacking:
        return
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.gather(*(loop.run_in_executor(_readers, store.read, key) for key in lacking))
    except StoreError as error:
        log.error("features can't be read: %s", error)
        raise RefusedError(UNAVAILABLE, "entity", "no features now", "give them inline, or try again", 1.0) from error
    for values, places in zip(found, lacking.values(), strict=True):
        for place in places:
            ask.rows[place] = {name: values[name] for name in table.features & values.keys()} | ask.rows[place]


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
        from requests.adapters import HTTPAdapter

        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        session = AuthorizedSession(credentials)
        session.mount("https://", HTTPAdapter(pool_maxsize=AT_ONCE))
        return VertexStore(session, place, types)
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        max_pool_connections=AT_ONCE,
        retries={"mode": "standard", "max_attempts": 2},
    )
    return SageMakerStore(boto3.client("sagemaker-featurestore-runtime", config=config), place, types)
