"""State stores: the same behaviour of each, on the real thing or its vendor's emulator."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_pipelines.streaming.state.memory import MemoryStore
from ml_pipelines.streaming.state.sqlite import SqliteStore
from ml_pipelines.streaming.state.store import StateStore, StoreError, open_store

HOUR = 3_600_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_767_225_600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "sqlite", "dynamodb", "redis", "bigtable"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    make: Callable[[pytest.FixtureRequest, Path, Clock], StateStore] = globals()[f"_{request.param}"]
    return make(request, tmp_path, Clock())


def _memory(request: pytest.FixtureRequest, folder: Path, clock: Clock) -> StateStore:
    return MemoryStore()


def _sqlite(request: pytest.FixtureRequest, folder: Path, clock: Clock) -> StateStore:
    return SqliteStore(str(folder / "state.db"), clock)


def _dynamodb(request: pytest.FixtureRequest, folder: Path, clock: Clock) -> StateStore:
    from ml_pipelines.streaming.state.dynamodb import DynamoStore

    client, table = request.getfixturevalue("aws")("dynamodb"), f"state-{uuid.uuid4()}"
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "entity", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "entity", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return DynamoStore(client, table, clock)


def _redis(request: pytest.FixtureRequest, folder: Path, clock: Clock) -> StateStore:
    import redis
    from ml_pipelines.streaming.state.redis import RedisStore

    client = redis.Redis.from_url(request.getfixturevalue("redis_url"))
    client.flushdb()
    return RedisStore(client)


def _bigtable(request: pytest.FixtureRequest, folder: Path, clock: Clock) -> StateStore:
    from google.cloud import bigtable
    from google.cloud.bigtable.column_family import MaxVersionsGCRule
    from google.cloud.bigtable.data import BigtableDataClient
    from ml_pipelines.streaming.state.bigtable import BigtableStore

    request.getfixturevalue("monkeypatch").setenv("BIGTABLE_EMULATOR_HOST", request.getfixturevalue("bigtable_server"))
    client = bigtable.Client(project="project", admin=True)
    table = client.instance("instance").table(f"windows-{uuid.uuid4().hex[:8]}")
    table.create(column_families={"state": MaxVersionsGCRule(1)})
    return BigtableStore(BigtableDataClient(project="project").get_table("instance", table.table_id))


def test_an_item_is_replaced_by_who_knows_its_version_only(store: StateStore):
    assert store.get("a") is None
    first = store.put("a", b"one", None, HOUR)
    assert first is not None
    assert store.get("a") == (b"one", first)
    assert store.put("a", b"other", None, HOUR) is None
    assert store.put("a", b"other", first + 1, HOUR) is None
    second = store.put("a", b"\x00two", first, HOUR)
    assert second not in (None, first)
    assert store.put("a", b"late", first, HOUR) is None
    assert store.get("a") == (b"\x00two", second)
    assert store.get("b") is None
    assert store.put("b", b"three", 7, HOUR) is None
    assert store.get("b") is None


def test_dynamodb_is_told_when_an_item_may_go(request, tmp_path):
    clock = Clock()
    store = _dynamodb(request, tmp_path, clock)
    store.put("a", b"one", None, HOUR)
    (item,) = store._client.scan(TableName=store._table)["Items"]
    assert 3600 <= int(item["expires_at"]["N"]) - clock.now <= 3602


def test_sqlite_forgets_what_has_expired(tmp_path, monkeypatch):
    from ml_pipelines.streaming.state import sqlite

    monkeypatch.setattr(sqlite, "_FORGET_EVERY", 10)
    clock = Clock()
    store = SqliteStore(str(tmp_path / "state.db"), clock)
    store.put("old", b"one", None, HOUR)
    clock.now += 3601
    for number in range(9):
        store.put(f"new-{number}", b"two", None, HOUR)
    assert store.get("old") is None
    assert store.get("new-0") is not None


def test_memory_forgets_the_entity_that_was_left_alone_for_longest():
    store = MemoryStore(entities=2)
    for entity in "abc":
        store.put(entity, b"one", None, HOUR)
    assert store.get("a") is None
    assert store.get("c") is not None


def test_redis_lets_items_expire_by_itself(request, tmp_path, redis_url):
    import redis

    store = _redis(request, tmp_path, Clock())
    store.put("a", b"one", None, HOUR)
    assert 0 < redis.Redis.from_url(redis_url).pttl("state:a") <= HOUR


def test_a_store_that_is_away_is_an_error_of_its_own(monkeypatch, tmp_path):
    import redis
    from ml_pipelines.streaming.state.redis import RedisStore

    with pytest.raises(StoreError):
        RedisStore(redis.Redis(port=1, socket_timeout=1)).get("a")
    store = SqliteStore(str(tmp_path / "state.db"))
    store._connection.execute("DROP TABLE state")
    with pytest.raises(StoreError, match="no such table"):
        store.get("a")


def test_urls_open_stores_and_others_are_refused(tmp_path, aws, redis_url, bigtable_server, monkeypatch):
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", bigtable_server)

    def kind(url: str) -> str:
        return type(open_store(url)).__name__

    assert open_store("memory:") is None
    assert kind(f"sqlite://{tmp_path}/state.db") == "SqliteStore"
    assert kind("dynamodb://table") == "DynamoStore"
    assert kind("bigtable://project/instance/windows?app_profile=processor") == "BigtableStore"
    assert kind(redis_url) == "RedisStore"
    with pytest.raises(ValueError, match="found `file:x`; it begins with memory:"):
        open_store("file:x")


def test_items_survive_their_process(tmp_path: Any):
    path = str(tmp_path / "state.db")
    store = SqliteStore(path)
    version = store.put("a", b"one", None, HOUR)
    store.close()
    assert SqliteStore(path).get("a") == (b"one", version)
