"""Events that can't be used: what they were, why, and where they came from, as JSON for people and for another try."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ml_pipelines.streaming.sinks import Publisher

if TYPE_CHECKING:
    from ml_pipelines.streaming.core import Record

# SQS, Event Hubs and Kinesis take 1 MiB; base64 makes a third more of a payload, and the rest must fit in too.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
KEPT_BYTES = 700 * 1024


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that can't be used. Of a payload that is too large for any sink the beginning is kept, and its hash."""

    workload: str
    reason: str
    detail: str
    payload: bytes
    size: int
    sha256: str
    arrived_at: int
    position: str
    attributes: Mapping[str, str]

    @classmethod
    def of(cls, record: "Record", workload: str, reason: str, detail: str) -> "DeadLetter":
        """The dead letter of a record."""
        payload = record.payload
        return cls(
            workload,
            str(reason),
            detail[:2000],
            payload[:KEPT_BYTES],
            len(payload),
            hashlib.sha256(payload).hexdigest(),
            record.arrived_at,
            record.position,
            record.attributes,
        )

    def document(self) -> bytes:
        """The dead letter as it is kept. `whole` says whether the payload is there from beginning to end."""
        content = {
            "workload": self.workload,
            "reason": self.reason,
            "detail": self.detail,
            "payload": base64.b64encode(self.payload).decode(),
            "whole": self.size == len(self.payload),
            "size": self.size,
            "sha256": self.sha256,
            "arrived_at": self.arrived_at,
            "position": self.position,
            "attributes": dict(self.attributes),
        }
        return json.dumps(content, separators=(",", ":")).encode()


class DeadLetters(Protocol):
    """Where dead letters are kept."""

    def bury(self, letters: Sequence[DeadLetter]) -> Mapping[int, str]:
        """Keep them. Returns why by index for those that couldn't be kept; raises SinkError if none could."""
        ...


class PublishedDeadLetters:
    """Dead letters on a stream or queue."""

    def __init__(self, publisher: Publisher):
        self.publisher = publisher

    def bury(self, letters: Sequence[DeadLetter]) -> Mapping[int, str]:
        """Keep them, see DeadLetters."""
        return self.publisher.publish([(letter.reason, letter.document()) for letter in letters])


class CollectedDeadLetters:
    """Dead letters in a list, for a machine without a cloud."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    def bury(self, letters: Sequence[DeadLetter]) -> Mapping[int, str]:
        """Keep them, see DeadLetters."""
        self.letters += letters
        return {}
