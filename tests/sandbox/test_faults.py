"""Planned faults come about at the operation that they are planned for, and end as planned."""

import time

import pytest
from sandbox import faults
from sandbox.faults import FaultError
from sandbox.provider.cloud import CloudError

BUCKET = "aws:s3/bucket:Bucket"
QUEUE = "aws:sqs/queue:Queue"


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses between tries, which a test need not wait for."""
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    return taken


def test_the_nth_creation_fails_and_no_other_one(aws) -> None:
    aws.store.add_fault("fail-create", "aws:s3/*", 2)
    aws.make(BUCKET, {"bucket": "first"})
    aws.make(QUEUE, {"name": "other"})
    with pytest.raises(FaultError, match=r"^InternalFailure: the creation of aws:s3/bucket:Bucket failed; .* planned$"):
        aws.make(BUCKET, {"bucket": "second"})
    aws.make(BUCKET, {"bucket": "third"})
    assert [record.id for record in aws.store.find("aws:s3/*")] == ["first", "third"]


def test_a_creation_that_fails_by_plan_counts_no_other_operation(aws) -> None:
    aws.store.add_fault("fail-create", "*", 1)
    faults.meet(aws.store, "read", BUCKET)
    faults.meet(aws.store, "delete", BUCKET)
    with pytest.raises(FaultError):
        aws.make(BUCKET, {"bucket": "lake"})


def test_throttled_calls_are_tried_again_with_growing_pauses_until_they_pass(aws, pauses: list[float]) -> None:
    aws.store.add_fault("throttle", "*", 3)
    aws.make(BUCKET, {"bucket": "lake"})
    assert pauses == [0.05, 0.1, 0.2]
    assert aws.store.planned_faults() == [("throttle", "*", 3, 4)]


def test_throttling_without_end_fails_and_leaves_nothing(aws, pauses: list[float]) -> None:
    aws.store.add_fault("throttle", "*", 100)
    with pytest.raises(FaultError, match=r"^ThrottlingException: Rate exceeded, 6 times in a row, for aws:s3/bucket:B"):
        aws.make(BUCKET, {"bucket": "lake"})
    assert len(pauses) == 5
    assert aws.store.find() == []


@pytest.mark.parametrize("operation", ["create", "read", "update", "delete"])
def test_a_delay_holds_up_every_operation(aws, pauses: list[float], operation: str) -> None:
    aws.store.add_fault("delay", "aws:s3/*", 250)
    faults.meet(aws.store, operation, BUCKET)
    faults.meet(aws.store, operation, QUEUE)
    assert pauses == [0.25]


def test_a_throttled_creation_is_counted_as_one_creation(aws, pauses: list[float]) -> None:
    aws.store.add_fault("throttle", "*", 2)
    aws.store.add_fault("fail-create", "*", 2)
    aws.make(BUCKET, {"bucket": "first"})
    with pytest.raises(FaultError, match="InternalFailure"):
        aws.make(BUCKET, {"bucket": "second"})


def test_without_faults_the_cloud_decides_alone(aws, pauses: list[float]) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    with pytest.raises(CloudError, match="already exists"):
        aws.make(BUCKET, {"bucket": "lake"})
    assert pauses == []
