"""Checkpoints of a hub's partitions, in Microsoft's emulator of Blob Storage; the hub itself has no server here."""

import asyncio
import base64
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.eventhub import EventData
from azure.eventhub.aio._eventprocessor.partition_context import PartitionContext
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore
from azure.storage.blob import ContainerClient
from ml_pipelines.streaming import event_hubs

from .conftest import CACHE, EMULATORS, START, House, free_port, running

HUB = ("namespace", "events", "processor")


def azurite() -> str:
    """Azurite's server of blobs, installed once for its lock file. Skips where there is no Node."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("Node and npm aren't here, with which Microsoft's emulator of Blob Storage runs")
    lock = EMULATORS / "package-lock.json"
    folder = CACHE / f"azurite-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        installing = folder.with_name(f"{folder.name}.{os.getpid()}")
        installing.mkdir()
        for file in (lock, EMULATORS / "package.json"):
            shutil.copy(file, installing)
        subprocess.run([npm, "ci", "--ignore-scripts"], cwd=installing, check=True, capture_output=True)
        installing.replace(folder)
    return str(folder / "node_modules" / ".bin" / "azurite-blob")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The connection string of a storage account that has a container for checkpoints."""
    binary, port = azurite(), free_port()
    key = base64.b64encode(os.urandom(64)).decode()
    url = f"http://127.0.0.1:{port}/account"
    connection = f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey={key};BlobEndpoint={url};"
    before = os.environ.get("AZURITE_ACCOUNTS")
    os.environ["AZURITE_ACCOUNTS"] = f"account:{key}"
    arguments = ("--blobPort", str(port), "--silent", "--skipApiVersionCheck", "--disableTelemetry")
    try:
        with running(binary, *arguments, "--location", str(tmp_path_factory.mktemp("azurite")), port=port):
            ContainerClient.from_connection_string(connection, "checkpoints").create_container()
            yield connection
    finally:
        os.environ.pop("AZURITE_ACCOUNTS")
        if before is not None:
            os.environ["AZURITE_ACCOUNTS"] = before


def in_store(account: str, use: Callable[[BlobCheckpointStore], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with BlobCheckpointStore.from_connection_string(account, "checkpoints") as store:
            return await use(store)

    return asyncio.run(run())


def arrived(payload: bytes, number: int) -> EventData:
    event = EventData(payload)
    event.raw_amqp_message.annotations = {
        b"x-opt-sequence-number": number,
        b"x-opt-enqueued-time": START + 1000,
        b"x-opt-offset": str(100 * number).encode(),
    }
    return event


def checkpoints(account: str) -> dict[str, int]:
    """Up to which number events are done, by partition."""
    found = in_store(account, lambda store: store.list_checkpoints(*HUB))
    return {checkpoint["partition_id"]: checkpoint["sequence_number"] for checkpoint in found}


def test_a_partition_goes_on_after_the_last_event_that_is_done(account: str, house: House):
    events = [arrived(house.codec.encode(house.event(n), 1), n) for n in range(4)]

    async def take(store: BlobCheckpointStore, *numbers: int) -> None:
        context = PartitionContext(*HUB, "3", store)
        await event_hubs.take(house.processor, context, [events[n] for n in numbers], wait=0.01)

    async def cut_off(store: BlobCheckpointStore) -> None:
        task = asyncio.create_task(take(store, 2, 3))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_store(account, lambda store: take(store, 0, 1))
    assert checkpoints(account) == {"3": 1}
    house.scores.down = {"event-3"}
    in_store(account, cut_off)
    assert checkpoints(account) == {"3": 1}
    house.scores.down = set()
    in_store(account, lambda store: take(store, 2, 3))
    assert checkpoints(account) == {"3": 3}
    assert len({message for _, message in house.out.messages}) == 4


class Credential:
    """Somebody."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("token", 2**31)

    async def close(self) -> None:
        """Nothing to do."""


def test_the_client_keeps_its_checkpoints_where_the_environment_says():
    variables = {
        "EVENT_HUBS": "namespace.servicebus.windows.net",
        "EVENTS": "events",
        "CONSUMER_GROUP": "processor",
        "CHECKPOINTS": "https://account.blob.core.windows.net/checkpoints",
    }

    async def run() -> None:
        async with event_hubs.consumer(variables, Credential()) as client:
            store = client._checkpoint_store
            assert isinstance(store, BlobCheckpointStore)
            assert store._container_client.url == variables["CHECKPOINTS"]
            assert isinstance(store._container_client._client._client._pipeline._transport, AsyncHttpTransport)
            assert client.eventhub_name == "events"

    asyncio.run(run())


def test_the_container_says_at_once_what_it_lacks(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name not in ("WORKLOAD", "STATE")}
    ended = subprocess.run(
        [sys.executable, "-m", "ml_pipelines.streaming.event_hubs"],
        env=environment | {"IDENTITY": "client"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert "WORKLOAD, STATE" in ended.stderr
