"""The processor as a container that reads an event hub: `python -m ml_pipelines.streaming.event_hubs`.

A partition's checkpoint moves on only past events that are done. Where some aren't, the partition waits and tries
again: its order is kept, and other partitions go on.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from ml_pipelines.contracts.registries import EventHubsFrames
from ml_pipelines.streaming.core import Outcome, Processor, Record
from ml_pipelines.streaming.dead_letters import PublishedDeadLetters
from ml_pipelines.streaming.environment import Settings, set_up_logging, spare_the_collector
from ml_pipelines.streaming.scorers import open_scorer
from ml_pipelines.streaming.state.store import open_store

log = logging.getLogger(__name__)

BATCH = 200

# Entities of a partition's batch whose events are taken at the same time: most of it is waiting.
AT_ONCE = 16

# Seconds to wait before what failed is tried again: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0


def record_of(event: Any, partition: str) -> Record:
    """An event as azure-eventhub gives it."""
    attributes = {"content_type": event.content_type} if event.content_type else {}
    # Capture writes the same time down in whole seconds, and the feature job must see the same arrival.
    arrived_at = int(event.enqueued_time.timestamp()) * 1000
    return Record(b"".join(event.body), arrived_at, f"{partition}/{event.sequence_number}", attributes)


async def take(processor: Processor, context: Any, events: Sequence[Any], wait: float = FIRST_WAIT) -> None:
    """Process a partition's events until all are done, then move its checkpoint on."""
    waiting = [record_of(event, context.partition_id) for event in events]
    while waiting:
        results = await asyncio.to_thread(processor.process, waiting)
        failed = [
            (record, result)
            for record, result in zip(waiting, results, strict=True)
            if result.outcome is Outcome.FAILED
        ]
        if failed:
            log.warning("%d of %d events wait: %s", len(failed), len(waiting), failed[0][1].reason)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        waiting = [record for record, _ in failed]
    if events:
        await context.update_checkpoint(events[-1])


def processor(settings: Settings, variables: Mapping[str, str], credential: Any) -> Processor:
    """The processor that the environment describes."""
    from azure.eventhub import EventHubProducerClient
    from azure.schemaregistry import SchemaRegistryClient

    from ml_pipelines.streaming.azure import EventHubPublisher, RedisFeatureStore
    from ml_pipelines.streaming.redis_client import connect

    def producer(hub: str) -> EventHubPublisher:
        return EventHubPublisher(EventHubProducerClient(variables["EVENT_HUBS"], hub, credential))

    plan = settings.plan()
    frames = EventHubsFrames(settings.codec(), SchemaRegistryClient(variables["EVENT_HUBS"], credential))
    endpoint = settings.scoring_endpoint
    ttl_ms = int(variables["FEATURE_TTL_HOURS"]) * 3_600_000
    return Processor(
        plan,
        lambda record: frames.decode(record.payload, record.attributes.get("content_type")),
        open_store(settings.state),
        PublishedDeadLetters(producer(settings.dead_letters)),
        RedisFeatureStore(connect(settings.feature_store), settings.workload, ttl_ms),
        open_scorer(endpoint, variables) if endpoint else None,
        producer(settings.decisions) if settings.decisions else None,
        at_once=AT_ONCE,
        watch=settings.watching(producer),
    )


def consumer(variables: Mapping[str, str], token: Any) -> Any:
    """The client that reads the hub, shares its partitions with other replicas, and keeps checkpoints in a container.

    `token` is a credential of azure.identity.aio.
    """
    from azure.eventhub.aio import EventHubConsumerClient
    from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

    account, _, container = variables["CHECKPOINTS"].rpartition("/")
    return EventHubConsumerClient(
        variables["EVENT_HUBS"],
        variables["EVENTS"],
        variables["CONSUMER_GROUP"],
        token,
        checkpoint_store=BlobCheckpointStore(account, container, credential=token),
    )


async def run(variables: Mapping[str, str] = os.environ) -> None:
    """Read the hub until the container is stopped; what was begun by then comes again."""
    from azure.identity.aio import ManagedIdentityCredential

    from ml_pipelines.streaming.azure_identity import arguments, credential

    identity = variables["IDENTITY"]
    built = processor(Settings.read(variables), variables, credential(identity))
    spare_the_collector()

    async def on_events(context: Any, events: Sequence[Any]) -> None:
        await take(built, context, events)
        log.info(json.dumps({"partition": context.partition_id, "events": len(events), "counts": dict(built.counts)}))

    async with ManagedIdentityCredential(**arguments(identity)) as token, consumer(variables, token) as client:
        reading = asyncio.create_task(
            client.receive_batch(on_events, max_batch_size=BATCH, max_wait_time=1, starting_position="-1")
        )
        stopped = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopped.set)
        await asyncio.wait({reading, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()


if __name__ == "__main__":
    set_up_logging()
    asyncio.run(run())
