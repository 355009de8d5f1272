"""Sinks on Google Cloud: Pub/Sub, and the table of BigQuery that the feature view reads."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import GoogleAPIError

from ml_pipelines.streaming.sinks import SinkError

# Seconds that a publication may take.
TIMEOUT = 30


class PubSubPublisher:
    """A topic (`projects/.../topics/...`). The client must be made for ordered messages where `ordered` is true."""

    def __init__(self, client: Any, topic: str, ordered: bool = True):
        self._client, self._topic, self._ordered = client, topic, ordered

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> Mapping[int, str]:
        """See Publisher."""
        futures = [
            self._client.publish(self._topic, data, **({"ordering_key": key} if self._ordered else {}))
            for key, data in messages
        ]
        failed = {}
        for index, future in enumerate(futures):
            try:
                future.result(timeout=TIMEOUT)
            except (GoogleAPIError, TimeoutError, RuntimeError) as error:
                failed[index] = str(error) or type(error).__name__
                if self._ordered:
                    # After a failure the client keeps an ordering key closed until it is told to go on.
                    self._client.resume_publish(self._topic, messages[index][0])
        return failed


class BigQueryFeatureStore:
    """The table of features with their history; the feature view takes the latest.

    Rows are those of the feature job: key, event time, arrival, features. One that is sent twice has one insert id.
    https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery
    """

    def __init__(self, session: Any, table: str, entity: str, event_time: str, event_id: Sequence[str]):
        """`session` is google.auth's AuthorizedSession, `table` is `project.dataset.table`."""
        project, dataset, name = table.split(".")
        self._url = (
            f"https://bigquery.googleapis.com/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{name}/insertAll"
        )
        self._session, self._entity, self._event_time, self._event_id = session, entity, event_time, list(event_id)

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
        """See FeatureStore."""
        rows = [
            {"insertId": f"{decision['entity']}/{decision['event_id']}", "json": self._row(decision)}
            for decision in decisions
        ]
        try:
            answer = self._session.post(self._url, json={"rows": rows}, timeout=TIMEOUT)
        except OSError as error:
            raise SinkError(str(error)) from error
        if answer.status_code != 200:
            raise SinkError(f"BigQuery answers {answer.status_code}: {answer.text[:300]}")
        return {
            error["index"]: "; ".join(part.get("message", "") for part in error["errors"])
            for error in answer.json().get("insertErrors", ())
        }

    def _row(self, decision: Mapping[str, Any]) -> dict[str, Any]:
        row = {
            self._entity: decision["entity"],
            self._event_time: _timestamp(decision["event_time"]),
            "arrived_at": _timestamp(decision["arrived_at"]),
            **decision["features"],
        }
        others = [name for name in self._event_id if name not in row]
        if len(others) == 1:
            row[others[0]] = decision["event_id"]
        return row


def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
