"""A store in a table of DynamoDB, an item per entity, which goes by the table's time to live."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ml_pipelines.streaming.parallel import AT_ONCE, each
from ml_pipelines.streaming.state import Store, Stored, StoreError, Version, Write
from ml_pipelines.streaming.state.versions import new_version

# Names that the table has from the stack: its key, and the attribute of its time to live.
KEY, EXPIRES_AT = "entity", "expires_at"
_DATA, _VERSION = "data", "version"
_LOST = "ConditionalCheckFailedException"


class DynamoStore(Store):
    """Reads are consistent, and a write compares the version within the table."""

    # An item has 400 KB at most, names and key included.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    maximum_bytes = 400 * 1024 - 4096
    durable = True

    def __init__(self, table: str, client: Any = None, clock: Callable[[], float] = time.time):
        self._table, self._clock = table, clock
        self._client = client or boto3.client("dynamodb", config=Config(max_pool_connections=AT_ONCE))

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Stored | StoreError]:
        """The values of those keys that have one."""
        found = zip(keys, each(self._get, keys), strict=True)
        return {key: value for key, value in found if value is not None}

    def put_many(self, writes: Iterable[Write]) -> Mapping[str, Version | StoreError | None]:
        """Write values whose version is the one expected."""
        writes = list(writes)
        return dict(zip((write.key for write in writes), each(self._put, writes), strict=True))

    def _get(self, key: str) -> Stored | StoreError | None:
        try:
            answer = self._client.get_item(TableName=self._table, Key={KEY: {"S": key}}, ConsistentRead=True)
        except (BotoCoreError, ClientError) as error:
            return StoreError(f"DynamoDB, table {self._table}: {error}")
        item = answer.get("Item")
        return Stored(bytes(item[_DATA]["B"]), Version(item[_VERSION]["S"])) if item else None

    def _put(self, write: Write) -> Version | StoreError | None:
        version = new_version()
        expires_at = int(self._clock() + write.ttl_ms / 1000) + 1
        request: dict[str, Any] = {
            "TableName": self._table,
            "Item": {
                KEY: {"S": write.key},
                _DATA: {"B": write.data},
                _VERSION: {"S": version.token},
                EXPIRES_AT: {"N": str(expires_at)},
            },
            "ExpressionAttributeNames": {"#version": _VERSION},
            "ConditionExpression": "attribute_not_exists(#version)",
        }
        if write.expected is not None:
            request["ConditionExpression"] = "#version = :expected"
            request["ExpressionAttributeValues"] = {":expected": {"S": write.expected.token}}
        try:
            self._client.put_item(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] == _LOST:
                return None
            return StoreError(f"DynamoDB, table {self._table}: {error}")
        except BotoCoreError as error:
            return StoreError(f"DynamoDB, table {self._table}: {error}")
        return version
