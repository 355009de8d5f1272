"""A store in Redis: a hash per entity, changed by a script that touches no other key, so that a cluster runs it."""

from typing import Any

import redis

from ml_pipelines.streaming.state.store import StateStore, StoreError
from ml_pipelines.streaming.state.versions import new_version

# Features have keys of another beginning in the same Redis.
PREFIX = "state:"
# KEYS: the hash. ARGV: the version expected (empty: none), data, version, milliseconds to live.
_PUT = """
local there = redis.call('HGET', KEYS[1], 'version')
if (there or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[2], 'version', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""


class RedisStore(StateStore):
    """Items under keys that begin with `state:`."""

    # Redis takes half a gigabyte; what is larger than this holds others up.
    maximum_bytes = 16 * 2**20

    def __init__(self, client: Any):
        """`client` is redis-py's, of a single Redis or of a cluster."""
        self._client = client
        self._script = client.register_script(_PUT)

    def get(self, entity: str) -> tuple[bytes, int] | None:
        """See StateStore."""
        try:
            data, version = self._client.hmget(PREFIX + entity, "data", "version")
        except redis.RedisError as error:
            raise StoreError(f"Redis: {error}") from error
        return None if version is None else (data, int(version))

    def put(self, entity: str, data: bytes, expected: int | None, ttl_ms: int) -> int | None:
        """See StateStore."""
        version = new_version()
        arguments = ["" if expected is None else expected, data, version, ttl_ms]
        try:
            done = self._script(keys=[PREFIX + entity], args=arguments)
        except redis.RedisError as error:
            raise StoreError(f"Redis: {error}") from error
        return version if done else None
