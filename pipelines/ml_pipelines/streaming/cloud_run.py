"""The processor as a service on Cloud Run that Pub/Sub pushes to: `python -m ml_pipelines.streaming.cloud_run`.

204 says that an event is done; 503 that Pub/Sub shall deliver it again. Who may push is for Cloud Run to check, by the
token of the subscription's service account. https://cloud.google.com/pubsub/docs/push
"""

import base64
import binascii
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ml_pipelines.contracts.registries import PubSubMessages
from ml_pipelines.streaming.core import Outcome, Processor, Record
from ml_pipelines.streaming.dead_letters import PublishedDeadLetters
from ml_pipelines.streaming.environment import Settings, set_up_logging, spare_the_collector
from ml_pipelines.streaming.scorers import open_scorer
from ml_pipelines.streaming.state.store import open_store

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def record_of(envelope: Mapping[str, Any]) -> Record:
    """A message as Pub/Sub pushes it. Raises ValueError for anything else."""
    try:
        message = envelope["message"]
        arrived = datetime.fromisoformat(message["publishTime"].replace("Z", "+00:00"))
        return Record(
            base64.b64decode(message.get("data", ""), validate=True),
            # Whole milliseconds, cut off as the feature job does.
            (arrived - EPOCH) // timedelta(milliseconds=1),
            f"{envelope.get('subscription', '')}/{message['messageId']}",
            message.get("attributes") or {},
        )
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"this is no push of Pub/Sub: {error!r}") from None


def application(processor: Processor) -> Starlette:
    """The service. Events that are pushed at the same time are taken at the same time."""

    def process(record: Record) -> Any:
        return processor.process([record])[0]

    async def push(request: Request) -> Response:
        try:
            record = record_of(json.loads(await request.body()))
        except (ValueError, RecursionError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        result = await run_in_threadpool(process, record)
        if result.outcome is Outcome.FAILED:
            return JSONResponse({"error": result.reason}, status_code=503)
        return Response(status_code=204)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "counts": dict(processor.counts)})

    return Starlette(routes=[Route("/", push, methods=["POST"]), Route("/health", health)])


def processor() -> Processor:
    """The processor that the environment describes."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud import pubsub_v1

    from ml_pipelines.streaming.gcp import BigQueryFeatureStore, PubSubPublisher

    settings = Settings.read()
    plan = settings.plan()
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/bigquery"])
    ordered = pubsub_v1.PublisherClient(
        publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    )
    messages = PubSubMessages(settings.codec(), pubsub_v1.SchemaServiceClient())
    return Processor(
        plan,
        lambda record: messages.decode(record.payload, record.attributes),
        open_store(settings.state),
        PublishedDeadLetters(PubSubPublisher(pubsub_v1.PublisherClient(), settings.dead_letters, ordered=False)),
        BigQueryFeatureStore(
            AuthorizedSession(credentials), settings.feature_store, plan.entity, plan.event_time, plan.event_id
        ),
        open_scorer(settings.scoring_endpoint) if settings.scoring_endpoint else None,
        PubSubPublisher(ordered, settings.decisions) if settings.decisions else None,
        # Any instance may get an entity's next event: what this one remembers would be out of date.
        cached_entities=0,
        watch=settings.watching(lambda topic: PubSubPublisher(pubsub_v1.PublisherClient(), topic, ordered=False)),
    )


def main() -> None:
    """Serve until the instance is stopped; what is under way is finished first."""
    import uvicorn

    set_up_logging()
    service = application(processor())
    spare_the_collector()
    uvicorn.run(
        service,
        host="0.0.0.0",  # noqa: S104 (Cloud Run reaches the container by its address)
        port=int(os.environ.get("PORT", "8080")),
        log_level="warning",
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
