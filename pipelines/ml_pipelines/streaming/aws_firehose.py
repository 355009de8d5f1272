"""The transformation of the archive: Firehose hands over events as they are and gets rows of the catalogued table.

The handler is `ml_pipelines.streaming.aws_firehose.handler`. What can't be decoded is reported as failed, with the
reason, and Firehose keeps it as it was under the prefix for errors.
https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-status-model.html
"""

import base64
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import boto3

from ml_pipelines.contracts.errors import ContractError
from ml_pipelines.contracts.registries import GlueFrames
from ml_pipelines.streaming.aws import milliseconds
from ml_pipelines.streaming.environment import Settings

log = logging.getLogger(__name__)

# Sequence numbers of Kinesis have up to 128 bits; with leading zeros they sort as text.
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Record.html
SEQUENCE_DIGITS = 56


@lru_cache(maxsize=1)
def _frames() -> tuple[GlueFrames, frozenset[str]]:
    codec = Settings.of_archive().codec()
    times = {
        field["name"]
        for field in codec.contract.versions[codec.reader_version]["fields"]
        if "timestamp" in json.dumps(field["type"])
    }
    return GlueFrames(codec, boto3.client("glue")), frozenset(times)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """A row for each event, or why there is none."""
    frames, times = _frames()
    return {"records": [_transformed(entry, frames, times) for entry in event["records"]]}


def _transformed(entry: Mapping[str, Any], frames: GlueFrames, times: frozenset[str]) -> dict[str, str]:
    payload = base64.b64decode(entry["data"])
    try:
        fields = frames.decode(payload)
    except ContractError as error:
        log.warning("%s: %s", error.reason, error.detail)
        return {"recordId": entry["recordId"], "result": "ProcessingFailed", "data": entry["data"]}
    metadata = entry["kinesisRecordMetadata"]
    row = {name: _shown(value) if name in times else value for name, value in fields.items()}
    row["arrived_at"] = milliseconds(metadata["approximateArrivalTimestamp"] / 1000)
    row["sequence"] = metadata["sequenceNumber"].rjust(SEQUENCE_DIGITS, "0")
    data = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    return {"recordId": entry["recordId"], "result": "Ok", "data": base64.b64encode(data).decode()}


def _shown(value: int | None) -> str | None:
    """A time as Hive reads timestamps from JSON."""
    if value is None:
        return None
    return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
