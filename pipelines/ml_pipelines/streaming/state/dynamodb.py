"""A store in a table of DynamoDB, an item per entity, which goes by the table's time to live."""

import time
from collections.abc import Callable
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from ml_pipelines.streaming.state.store import StateStore, StoreError
from ml_pipelines.streaming.state.versions import new_version

# Names that the table has from the stack: its key, and the attribute of its time to live.
KEY, EXPIRES_AT = "entity", "expires_at"
_DATA, _VERSION = "data", "version"
_LOST = "ConditionalCheckFailedException"


class DynamoStore(StateStore):
    """Reads are consistent, and a write compares the version within the table.

    An item has 400 KB at most. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """

    maximum_bytes = 400 * 1024 - 4096

    def __init__(self, client: Any, table: str, clock: Callable[[], float] = time.time):
        self._client, self._table, self._clock = client, table, clock

    @classmethod
    def open(cls, table: str) -> Self:
        """The table of this name, in the region and account of the environment."""
        import boto3

        return cls(boto3.client("dynamodb"), table)

    def get(self, entity: str) -> tuple[bytes, int] | None:
        """See StateStore."""
        try:
            answer = self._client.get_item(TableName=self._table, Key={KEY: {"S": entity}}, ConsistentRead=True)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"DynamoDB, table {self._table}: {error}") from error
        item = answer.get("Item")
        return (bytes(item[_DATA]["B"]), int(item[_VERSION]["N"])) if item else None

    def put(self, entity: str, data: bytes, expected: int | None, ttl_ms: int) -> int | None:
        """See StateStore."""
        version = new_version()
        request: dict[str, Any] = {
            "TableName": self._table,
            "Item": {
                KEY: {"S": entity},
                _DATA: {"B": data},
                _VERSION: {"N": str(version)},
                EXPIRES_AT: {"N": str(int(self._clock() + ttl_ms / 1000) + 1)},
            },
            "ExpressionAttributeNames": {"#version": _VERSION},
            "ConditionExpression": "attribute_not_exists(#version)",
        }
        if expected is not None:
            request["ConditionExpression"] = "#version = :expected"
            request["ExpressionAttributeValues"] = {":expected": {"N": str(expected)}}
        try:
            self._client.put_item(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] == _LOST:
                return None
            raise StoreError(f"DynamoDB, table {self._table}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"DynamoDB, table {self._table}: {error}") from error
        return version
