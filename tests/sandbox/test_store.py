"""The store: one writer at a time, each name once, and nothing half written."""

import dataclasses
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from sandbox.store import AlreadyExistsError, Record, Store

Result = TypeVar("Result")

BUCKET = "aws:s3/bucket:Bucket"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cloud.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def record(id_: str, type_: str = BUCKET, scope: str = "", **inputs: object) -> Record:
    return Record(type_, scope, id_, f"urn:{id_}", dict(inputs), {"name": id_})


def test_what_was_added_is_read_back_by_its_key(store: Store) -> None:
    store.add(record("logs", tags={"a": [1, None, True]}), ["logs", "arn:logs"], [])
    assert store.get((BUCKET, "", "logs")) == record("logs", tags={"a": [1, None, True]})
    assert store.get((BUCKET, "eu-west-1", "logs")) is None


def test_a_second_thing_with_the_same_key_is_refused_and_the_first_stays(store: Store) -> None:
    store.add(record("logs", owner="first"), ["logs"], [])
    with pytest.raises(AlreadyExistsError, match=r"^logs$"):
        store.add(record("logs", owner="second"), ["logs"], [])
    assert store.find() == [record("logs", owner="first")]


def test_the_same_id_may_exist_in_another_scope_and_as_another_type(store: Store) -> None:
    for type_, scope in ((BUCKET, "eu-west-1"), (BUCKET, "eu-west-2"), ("aws:sqs/queue:Queue", "eu-west-1")):
        store.add(record("logs", type_, scope), ["logs"], [])
    assert len(store.find()) == 3


def test_what_overwrites_leaves_one_thing_with_the_new_identifiers_and_uses_only(store: Store) -> None:
    store.add(record("policy"), ["policy", "old-name"], ["old-bucket"])
    store.add(record("policy", version=2), ["policy", "new-name"], ["new-bucket"], overwrite=True)
    assert store.find() == [record("policy", version=2)]
    assert store.identified_by("policy") == [(BUCKET, "", "policy")]
    assert store.identified_by("old-name") == []
    store.add(record("old-bucket"), ["old-bucket"], [])
    assert store.users_of((BUCKET, "", "old-bucket")) == []


def test_replacing_exchanges_identifiers_and_uses(store: Store) -> None:
    store.add(record("vpc"), ["vpc"], [])
    store.add(record("subnet"), ["subnet", "before"], ["vpc"])
    assert store.users_of((BUCKET, "", "vpc")) == [(BUCKET, "", "subnet")]
    store.replace(record("subnet", moved=True), ["subnet", "after"], [])
    assert store.users_of((BUCKET, "", "vpc")) == []
    assert store.identified_by("before") == []
    assert store.identified_by("after") == [(BUCKET, "", "subnet")]
    assert store.get((BUCKET, "", "subnet")) == record("subnet", moved=True)


def test_a_replaced_record_takes_the_new_urn(store: Store) -> None:
    store.add(record("subnet"), ["subnet"], [])
    renamed = dataclasses.replace(record("subnet"), urn="urn:renamed")
    store.replace(renamed, ["subnet"], [])
    assert store.find() == [renamed]


def test_removing_takes_the_identifiers_along_and_may_be_repeated(store: Store) -> None:
    store.add(record("logs"), ["logs", "arn:logs"], ["key"])
    for _ in range(2):
        store.remove((BUCKET, "", "logs"))
        assert store.find() == []
        assert store.identified_by("arn:logs") == []


def test_things_below_a_prefix_are_found_and_neighbours_are_not(store: Store) -> None:
    for id_ in ("/group", "/group/a", "/group/a/b", "/group0", "/groups/c", "/other"):
        store.add(record(id_), [id_], [])
    assert sorted(key[2] for key in store.identified_below("/group/")) == ["/group/a", "/group/a/b"]


@pytest.mark.parametrize(
    ("pattern", "id_", "found"),
    [
        ("*", None, ["a", "b", "q"]),
        ("aws:s3/*", None, ["a", "b"]),
        ("aws:sqs/*", None, ["q"]),
        ("aws:s3/*", "b", ["b"]),
        ("aws:sqs/*", "b", []),
    ],
)
def test_finding_takes_a_pattern_of_types_and_an_id(store: Store, pattern: str, id_: str, found: list[str]) -> None:
    for name, type_ in (("b", BUCKET), ("a", BUCKET), ("q", "aws:sqs/queue:Queue")):
        store.add(record(name, type_), [name], [])
    assert [thing.id for thing in store.find(pattern, id_)] == found


def test_a_change_that_fails_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        add_and_fail(store, "logs")
    assert store.find() == []
    assert store.identified_by("logs") == []
    store.add(record("logs"), ["logs"], [])
    assert [thing.id for thing in store.find()] == ["logs"]


def test_what_one_process_wrote_another_one_reads(path: Path, store: Store) -> None:
    store.add(record("logs"), ["logs"], [])
    other = Store(path)
    try:
        assert other.find() == [record("logs")]
    finally:
        other.close()


def test_of_many_threads_that_create_the_same_name_exactly_one_wins(store: Store) -> None:
    assert in_threads(24, lambda number: attempt(store, "logs", number)).count(True) == 1
    assert len(store.find()) == 1
    assert store.identified_by("logs") == [(BUCKET, "", "logs")]


def test_of_many_threads_with_names_of_their_own_all_win(store: Store) -> None:
    assert all(in_threads(24, lambda number: attempt(store, f"logs-{number}", number)))
    assert len(store.find()) == 24


def test_of_several_processes_that_create_the_same_names_exactly_one_wins_each(path: Path, store: Store) -> None:
    names = [f"logs-{number}" for number in range(40)]
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        won = pool.starmap(attempt_all, [(path, names, number) for number in range(3)], chunksize=1)
    assert sorted(name for names_of_one in won for name in names_of_one) == sorted(names)
    owners = {thing.id: thing.inputs["owner"] for thing in store.find()}
    assert owners == {name: number for number, names_of_one in enumerate(won) for name in names_of_one}


def test_what_is_read_in_a_change_still_holds_when_it_is_written(path: Path, store: Store) -> None:
    store.add(record("counter", count=0), ["counter"], [])
    stores = [Store(path) for _ in range(4)]

    def count_up(number: int) -> None:
        for _ in range(10):
            with stores[number].change():
                now = stores[number].get((BUCKET, "", "counter"))
                assert now is not None
                stores[number].replace(record("counter", count=now.inputs["count"] + 1), ["counter"], [])

    in_threads(4, count_up)
    for other in stores:
        other.close()
    assert store.find() == [record("counter", count=40)]


def test_a_reader_sees_no_change_that_another_thread_has_not_finished(store: Store) -> None:
    for number in range(300):
        store.add(record(f"there-{number:03}"), [], [])

    def work(number: int) -> set[int]:
        if number:
            return {len(store.find()) for _ in range(60)}
        for _ in range(60):
            with pytest.raises(ZeroDivisionError):
                add_and_fail(store, "zz-never-there")
        return {300}

    assert set.union(*in_threads(3, work)) == {300}


def test_a_fault_is_met_by_its_type_and_kind_only(store: Store) -> None:
    store.add_fault("throttle", "aws:s3/*", 2)
    assert store.faults("aws:sqs/queue:Queue", {"throttle"}) == []
    assert store.faults(BUCKET, {"delay"}) == []
    assert store.faults(BUCKET, {"throttle"}) == [("throttle", 2, 1)]
    assert store.planned_faults() == [("throttle", "aws:s3/*", 2, 1)]
    assert store.clear_faults() == 1
    assert store.planned_faults() == []


def test_faults_count_each_of_many_simultaneous_calls_once(path: Path, store: Store) -> None:
    store.add_fault("fail-create", "*", 7)
    stores = [Store(path) for _ in range(8)]
    met = in_threads(8, lambda number: [stores[number].faults(BUCKET, {"fail-create"})[0][2] for _ in range(5)])
    for other in stores:
        other.close()
    assert sorted(seen for one in met for seen in one) == list(range(1, 41))


def add_and_fail(store: Store, name: str) -> None:
    with store.change():
        store.add(record(name), [name], ["key"])
        raise ZeroDivisionError


def attempt(store: Store, name: str, owner: int) -> bool:
    try:
        with store.change():
            store.add(record(name, owner=owner), [name], [])
    except AlreadyExistsError:
        return False
    return True


def attempt_all(path: Path, names: list[str], owner: int) -> list[str]:
    store = Store(path)
    try:
        return [name for name in names if attempt(store, name, owner)]
    finally:
        store.close()


def in_threads(count: int, work: Callable[[int], Result]) -> list[Result]:
    """The results of `work(0)` to `work(count - 1)`, all begun at the same moment."""
    results: dict[int, Result] = {}
    begin = threading.Barrier(count)

    def run(number: int) -> None:
        begin.wait()
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return list(results.values())
