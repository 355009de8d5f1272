"""A store in Redis: a hash per entity, changed by a script that touches no other key, so that a cluster runs it."""

import base64
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.cluster import RedisCluster
from redis.credentials import CredentialProvider
from redis.retry import Retry

from ml_pipelines.streaming.parallel import AT_ONCE, each
from ml_pipelines.streaming.state import Store, Stored, StoreError, Version, Write
from ml_pipelines.streaming.state.versions import new_version

_PREFIX = "state/"
_SECONDS = 5
_RETRIES = 3
# KEYS: the hash. ARGV: the version expected (empty: none), data, version, milliseconds to live.
_PUT = """
local there = redis.call('HGET', KEYS[1], 'version')
if (there or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[2], 'version', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
# https://learn.microsoft.com/azure/redis/entra-for-authentication
_SCOPE = "https://redis.azure.com/.default"
_RENEW_SECONDS = 300


class RedisStore(Store):
    """Values under keys that begin with `state/`."""

    # Redis takes half a gigabyte; what is larger than this holds others up.
    maximum_bytes = 16 * 2**20
    durable = True

    def __init__(self, client: Any):
        """`client` is redis-py's, of a single Redis or of a cluster."""
        self._client = client
        self._script = client.register_script(_PUT)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Stored | StoreError]:
        """The values of those keys that have one."""
        found = zip(keys, each(self._get, keys), strict=True)
        return {key: value for key, value in found if value is not None}

    def put_many(self, writes: Iterable[Write]) -> Mapping[str, Version | StoreError | None]:
        """Write values whose version is the one expected."""
        writes = list(writes)
        return dict(zip((write.key for write in writes), each(self._put, writes), strict=True))

    def _get(self, key: str) -> Stored | StoreError | None:
        try:
            data, version = self._client.hmget(_PREFIX + key, "data", "version")
        except redis.RedisError as error:
            return StoreError(f"Redis: {error}")
        return None if version is None else Stored(data, Version(version.decode()))

    def _put(self, write: Write) -> Version | StoreError | None:
        version = new_version()
        expected = write.expected.token if write.expected else ""
        arguments = [expected, write.data, version.token, write.ttl_ms]
        try:
            done = self._script(keys=[_PREFIX + write.key], args=arguments)
        except redis.RedisError as error:
            return StoreError(f"Redis: {error}")
        return version if done else None


def connect(url: str, identity: str | None = None) -> Any:
    """A client of `redis://host:port`, or of a cluster at `rediss://host:port` with a token of Microsoft Entra ID."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 6379
    retry = Retry(ExponentialBackoff(), _RETRIES)
    if parts.scheme == "redis":
        return redis.Redis(host=host, port=port, socket_timeout=_SECONDS, retry=retry, max_connections=4 * AT_ONCE)
    return RedisCluster(
        host=host,
        port=port,
        ssl=True,
        credential_provider=EntraCredentials(identity),
        socket_timeout=_SECONDS,
        retry=retry,
        # The nodes of Azure's clusters name themselves by address, and their certificate has the cluster's name.
        address_remap=lambda address: (host, address[1]),
    )


class EntraCredentials(CredentialProvider):
    """Signs in to Redis with a token of Microsoft Entra ID; the user's name is the object id that the token is of.

    A connection is cut when its token is over. The retry then makes a new one, with a new token.
    """

    def __init__(self, identity: str | None = None, credential: Any = None):
        """identity: client id of a managed identity. credential: one of azure-identity's, instead."""
        if credential is None:
            from azure.identity import DefaultAzureCredential

            credential = DefaultAzureCredential(managed_identity_client_id=identity)
        self._credential = credential
        self._token, self._until = "", 0.0

    def get_credentials(self) -> tuple[str, str]:
        """User and password."""
        if time.time() > self._until - _RENEW_SECONDS:
            fresh = self._credential.get_token(_SCOPE)
            self._token, self._until = fresh.token, float(fresh.expires_on)
        claims = self._token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["oid"], self._token
