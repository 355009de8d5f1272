"""`python -m ml_pipelines.streaming.redrive`: put dead letters back into the stream of events, their cause being gone.

    redrive --workload <name> --from <file>|sqs:<url> --to kinesis:<name>|pubsub:<topic>|eventhubs:<host>/<hub>
            [--reason <reason>]

A letter is taken if its payload is whole and keeps to the contract by now; what still doesn't is left where it is. An
event that goes through twice is decided once, so that to run it again is safe. What was too late stays too late. A file
holds a letter per line, as a consumer of the topic or hub of dead letters writes it down; of a queue those are deleted
that the stream has taken.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.contracts.errors import ContractError
from ml_pipelines.features.online import Plan
from ml_pipelines.streaming.sinks import Publisher, SinkError

# What the processor would refuse again.
HOPELESS = frozenset({"late"})
_AT_ONCE = 100
_VISIBLE_AGAIN_SECONDS = 300


class Letter(NamedTuple):
    """A dead letter as it was kept, and what takes it away from there."""

    document: Mapping[str, Any]
    remove: Callable[[], None]


class Stream(NamedTuple):
    """Where events go: how their frame is read, whether it is kept, and who publishes them."""

    decode: Callable[[bytes, Mapping[str, str]], dict[str, Any]]
    keeps_frame: bool
    publisher: Publisher


def payload_of(document: Mapping[str, Any]) -> bytes:
    """The payload of a letter. Raises ValueError if it isn't all there, or isn't what it was."""
    if not document["whole"]:
        raise ValueError("only the beginning of its payload was kept")
    payload = base64.b64decode(document["payload"], validate=True)
    if hashlib.sha256(payload).hexdigest() != document["sha256"]:
        raise ValueError("its payload isn't the one that its hash is of")
    return payload


def redrive(
    letters: Iterator[Letter], reasons: Sequence[str], plan: Plan, codec: Codec, stream: Stream
) -> Counter[str]:
    """Publish the letters that have one of the reasons, or any; returns how many went where."""
    counts: Counter[str] = Counter()
    waiting: list[tuple[Letter, str, bytes]] = []
    for letter in letters:
        try:
            reason, workload = letter.document["reason"], letter.document["workload"]
            if workload != plan.workload or (reasons and reason not in reasons):
                counts["others"] += 1
                continue
            if reason in HOPELESS:
                counts[f"left: {reason}"] += 1
                continue
            payload = payload_of(letter.document)
            event = stream.decode(payload, letter.document["attributes"])
        except ContractError as error:
            counts[f"left: {error.reason}"] += 1
            continue
        except (KeyError, TypeError, ValueError) as error:
            counts[f"left: no whole letter: {error}"] += 1
            continue
        waiting.append((letter, str(event[plan.entity]), payload if stream.keeps_frame else codec.encode(event)))
        if len(waiting) == _AT_ONCE:
            _publish(waiting, stream, counts)
            waiting = []
    _publish(waiting, stream, counts)
    return counts


def _publish(waiting: Sequence[tuple[Letter, str, bytes]], stream: Stream, counts: Counter[str]) -> None:
    refused = stream.publisher.publish([(key, payload) for _, key, payload in waiting]) if waiting else {}
    for index, (letter, _, _) in enumerate(waiting):
        if index in refused:
            counts[f"left: {refused[index]}"] += 1
        else:
            letter.remove()
            counts["sent"] += 1


def from_file(path: Path) -> Iterator[Letter]:
    """The letters of a file, which stays as it is. Raises ValueError for a line that is none."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                document = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            yield Letter(document, lambda: None)


def from_queue(sqs: Any, url: str) -> Iterator[Letter]:
    """The letters of a queue of SQS, each once. What isn't removed is there again after five minutes."""
    while True:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=_VISIBLE_AGAIN_SECONDS
        )
        if not answer.get("Messages"):
            return
        for message in answer["Messages"]:
            handle = message["ReceiptHandle"]
            try:
                document = json.loads(message["Body"])
            except ValueError:
                document = {}
            yield Letter(document, lambda handle=handle: sqs.delete_message(QueueUrl=url, ReceiptHandle=handle))


def stream_of(target: str, codec: Codec) -> Stream:
    """The stream that an argument names. Raises ValueError for none."""
    kind, _, name = target.partition(":")
    match kind:
        case "kinesis" if name:
            import boto3

            from ml_pipelines.contracts.registries import GlueFrames
            from ml_pipelines.streaming.aws import KinesisPublisher

            glue = GlueFrames(codec, boto3.client("glue"))
            return Stream(lambda data, _: glue.decode(data), True, KinesisPublisher(boto3.client("kinesis"), name))
        case "pubsub" if name:
            from google.cloud import pubsub_v1

            from ml_pipelines.contracts.registries import PubSubMessages
            from ml_pipelines.streaming.gcp import PubSubPublisher

            options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
            messages = PubSubMessages(codec, pubsub_v1.SchemaServiceClient())
            # The topic's schema tells the frame anew.
            return Stream(messages.decode, True, PubSubPublisher(pubsub_v1.PublisherClient((), options), name))
        case "eventhubs" if name.count("/") == 1:
            from azure.eventhub import EventHubProducerClient
            from azure.identity import DefaultAzureCredential
            from azure.schemaregistry import SchemaRegistryClient

            from ml_pipelines.contracts.registries import EventHubsFrames
            from ml_pipelines.streaming.azure import EventHubPublisher

            host, hub = name.split("/")
            credential = DefaultAzureCredential()
            frames = EventHubsFrames(codec, SchemaRegistryClient(host, credential))
            producer = EventHubProducerClient(host, hub, credential)
            # The frame is a property of the message, which a publisher doesn't set: events are written anew.
            return Stream(
                lambda data, attributes: frames.decode(data, attributes.get("content_type")),
                False,
                EventHubPublisher(producer),
            )
    raise ValueError(f"--to is `{target}`; it is kinesis:<name>, pubsub:<topic> or eventhubs:<host>/<hub>")


def main(arguments: Sequence[str] | None = None) -> int:
    """Redrive and print how many letters went where; returns the exit code, 1 if some are left."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.streaming.redrive", description=__doc__)
    parser.add_argument("--workload", required=True, help="the workload's name, such as fraud-detection")
    parser.add_argument("--from", required=True, dest="source", help="a file of letters, or sqs:<url of the queue>")
    parser.add_argument(
        "--to", required=True, dest="target", help="kinesis:<name>, pubsub:<topic>, eventhubs:<host>/<hub>"
    )
    parser.add_argument("--reason", action="append", default=[], help="take those with this reason only")
    options = parser.parse_args(arguments)
    try:
        plan = Plan.load(options.workload)
        codec = Codec(catalog.contract(plan.contract), plan.version)
        stream = stream_of(options.target, codec)
        counts = redrive(_letters(options.source), options.reason, plan, codec, stream)
    except (LookupError, OSError, SinkError, ValueError) as error:
        print(f"redrive: {error}", file=sys.stderr)
        return 1
    for what, count in sorted(counts.items()):
        print(f"{what}: {count}")
    return int(any(what.startswith("left") for what in counts))


def _letters(source: str) -> Iterator[Letter]:
    if not source.startswith("sqs:"):
        return from_file(Path(source))
    import boto3

    return from_queue(boto3.client("sqs"), source.removeprefix("sqs:"))


if __name__ == "__main__":
    sys.exit(main())
