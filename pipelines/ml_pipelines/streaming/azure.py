"""Sinks on Azure: Event Hubs, and Redis for the latest features."""

from collections.abc import Mapping, Sequence
from typing import Any

import redis
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError

from ml_pipelines.streaming.sinks import SinkError, as_text, newest, partition_key

# https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas
LONGEST_KEY = 128

# Features only move forward. Names and values follow their order and how long they are kept.
_WRITE = """
local there = redis.call('HGET', KEYS[1], 'order')
if there and tonumber(there) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'order', ARGV[1], 'event_time', ARGV[3], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""


class EventHubPublisher:
    """A hub, by azure-eventhub's synchronous producer."""

    def __init__(self, producer: Any):
        self._producer = producer

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        """See Publisher: messages of a key go to one partition, in their order."""
        by_key: dict[str, list[int]] = {}
        for index, (key, _) in enumerate(messages):
            by_key.setdefault(key, []).append(index)
        failed: dict[int, str] = {}
        for key, indexes in by_key.items():
            try:
                self._producer.send_batch(
                    [EventData(messages[index][1]) for index in indexes], partition_key=partition_key(key, LONGEST_KEY)
                )
            except (EventHubError, ValueError) as error:
                failed |= dict.fromkeys(indexes, str(error))
        return failed


class RedisFeatureStore:
    """A hash per entity under `features:<group>:<entity>`: values as text or JSON, what has none is left out."""

    def __init__(self, client: Any, group: str, ttl_ms: int):
        self._write = client.register_script(_WRITE)
        self._group, self._ttl_ms = group, ttl_ms

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
        """See FeatureStore."""
        for entity, index in newest(decisions).items():
            decision = decisions[index]
            values = [
                part
                for name, value in decision["features"].items()
                if value is not None
                for part in (name, as_text(value))
            ]
            try:
                self._write(
                    keys=[f"features:{self._group}:{entity}"],
                    args=[decision["order"], self._ttl_ms, decision["event_time"], *values],
                )
            except redis.RedisError as error:
                raise SinkError(str(error)) from error
        return {}
