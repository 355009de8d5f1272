"""The processor as an AWS Lambda function on a Kinesis stream: `ml_pipelines.streaming.aws_lambda.handler`.

Records that aren't done are reported one by one (`ReportBatchItemFailures`), and Lambda delivers the shard again from
the first of them on; what was done by then is known and only handed on again.
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

import base64
import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import boto3

from ml_pipelines.contracts.registries import GlueFrames
from ml_pipelines.streaming.aws import KinesisPublisher, SageMakerFeatureStore, SqsPublisher, milliseconds
from ml_pipelines.streaming.core import Outcome, Processor, Record
from ml_pipelines.streaming.dead_letters import PublishedDeadLetters
from ml_pipelines.streaming.environment import Settings, spare_the_collector
from ml_pipelines.streaming.scorers import open_scorer
from ml_pipelines.streaming.state.store import open_store

log = logging.getLogger(__name__)

# Entities whose events are taken at the same time: boto3 keeps so many connections, and most of it is waiting.
AT_ONCE = 10


def record_of(entry: Mapping[str, Any]) -> Record:
    """A record as Lambda hands it over. https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html"""
    kinesis = entry["kinesis"]
    return Record(
        base64.b64decode(kinesis["data"]),
        milliseconds(kinesis["approximateArrivalTimestamp"]),
        entry["eventID"],
    )


@lru_cache(maxsize=1)
def processor() -> Processor:
    """The processor that the environment describes, made once in an execution environment."""
    settings = Settings.read()
    plan = settings.plan()
    frames = GlueFrames(settings.codec(), boto3.client("glue"))
    runtime = boto3.client("sagemaker-featurestore-runtime")
    spare_the_collector()
    return Processor(
        plan,
        lambda record: frames.decode(record.payload),
        open_store(settings.state),
        PublishedDeadLetters(SqsPublisher(boto3.client("sqs"), settings.dead_letters)),
        SageMakerFeatureStore(runtime, settings.feature_store, plan.entity, plan.event_time),
        open_scorer(settings.scoring_endpoint) if settings.scoring_endpoint else None,
        KinesisPublisher(boto3.client("kinesis"), settings.decisions) if settings.decisions else None,
        at_once=AT_ONCE,
        watch=settings.watching(lambda queue: SqsPublisher(boto3.client("sqs"), queue)),
    )


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch, and say which records aren't done."""
    entries = event["Records"]
    results = processor().process([record_of(entry) for entry in entries])
    failed = [
        {"itemIdentifier": entry["kinesis"]["sequenceNumber"]}
        for entry, result in zip(entries, results, strict=True)
        if result.outcome is Outcome.FAILED
    ]
    log.info(json.dumps({"records": len(entries), "failed": len(failed), "counts": dict(processor().counts)}))
    return {"batchItemFailures": failed}
