"""Sinks on AWS: Kinesis, SQS and the feature store of SageMaker."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml_pipelines.streaming.sinks import SinkError, as_text, in_parts, newest, partition_key


class KinesisPublisher:
    """A stream. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html: 500 records, 5 MiB."""

    def __init__(self, client: Any, stream: str):
        self._client, self._stream = client, stream

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        """See Publisher."""

        def send(indexes: Sequence[int]) -> Mapping[int, str]:
            records = [
                {"PartitionKey": partition_key(messages[index][0], 256), "Data": messages[index][1]}
                for index in indexes
            ]
            try:
                answers = self._client.put_records(StreamName=self._stream, Records=records)["Records"]
            except (BotoCoreError, ClientError) as error:
                raise SinkError(str(error)) from error
            return {
                index: f"{answer['ErrorCode']}: {answer.get('ErrorMessage', '')}"
                for index, answer in zip(indexes, answers, strict=True)
                if answer.get("ErrorCode")
            }

        return in_parts(messages, 500, 5 * 1024 * 1024, send)


class SqsPublisher:
    """A queue.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html: 10 messages, 1 MiB.
    """

    def __init__(self, client: Any, url: str):
        self._client, self._url = client, url

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        """See Publisher; a message is text."""

        def send(indexes: Sequence[int]) -> Mapping[int, str]:
            entries = [{"Id": str(index), "MessageBody": messages[index][1].decode()} for index in indexes]
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            except (BotoCoreError, ClientError) as error:
                raise SinkError(str(error)) from error
            return {
                int(failed["Id"]): f"{failed['Code']}: {failed.get('Message', '')}"
                for failed in answer.get("Failed", ())
            }

        return in_parts(messages, 10, 1024 * 1024, send)


class SageMakerFeatureStore:
    """A feature group. What is older than the record that it has is kept in its history only.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_feature_store_PutRecord.html
    """

    def __init__(self, client: Any, group: str, entity: str, event_time: str):
        self._client, self._group, self._entity, self._event_time = client, group, entity, event_time

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
        """See FeatureStore."""
        failed = {}
        for index in newest(decisions).values():
            decision = decisions[index]
            values = {
                self._entity: decision["entity"],
                # Seconds since 1970 at which the event counts. The online store takes a record only if its time is
                # later than that of the last one, as the time of an event that comes out of order isn't.
                self._event_time: f"{decision['order'] / 1_000_000:.6f}",
                **{name: _feature(value) for name, value in decision["features"].items() if value is not None},
            }
            record = [{"FeatureName": name, "ValueAsString": value} for name, value in values.items()]
            try:
                self._client.put_record(FeatureGroupName=self._group, Record=record)
            except (BotoCoreError, ClientError) as error:
                failed[index] = str(error)
        return failed


def _feature(value: Any) -> str:
    """A value as a feature group takes it, which knows text and numbers only."""
    return str(int(value)) if isinstance(value, bool) else as_text(value)


def milliseconds(moment: datetime | float) -> int:
    """A moment as AWS's events give it, in seconds or as a date, in ms since 1970."""
    seconds = moment.astimezone(UTC).timestamp() if isinstance(moment, datetime) else moment
    return round(seconds * 1000)
