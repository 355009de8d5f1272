"""A store in a table of Bigtable, a row per entity. Its garbage collection decides when a row goes, not the writer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud.bigtable.data import BigtableDataClient, DeleteAllFromFamily, SetCell
from google.cloud.bigtable.data.exceptions import RetryExceptionGroup
from google.cloud.bigtable.data.row_filters import (
    CellsColumnLimitFilter,
    ColumnQualifierRegexFilter,
    RowFilterChain,
    ValueRegexFilter,
)

from ml_pipelines.streaming.parallel import each
from ml_pipelines.streaming.state import Store, Stored, StoreError, Version, Write
from ml_pipelines.streaming.state.versions import new_version

# The column family that the table has from the stack.
FAMILY = "state"
_DATA, _VERSION = b"data", b"version"
_SECONDS = 10
_FAILURES = (GoogleAPICallError, RetryError, RetryExceptionGroup)


class BigtableStore(Store):
    """A write compares the version within its row, which an app profile with single-row transactions allows."""

    # https://cloud.google.com/bigtable/quotas#limits-data-size recommends at most 10 MB in a cell.
    maximum_bytes = 10 * 2**20
    durable = True

    def __init__(self, table: Any):
        """`table` is google.cloud.bigtable.data's."""
        self._table = table

    @classmethod
    def open(cls, project: str, instance: str, table: str, app_profile: str | None) -> Self:
        """The store in a table."""
        client = BigtableDataClient(project=project)
        return cls(client.get_table(instance, table, app_profile_id=app_profile, default_operation_timeout=_SECONDS))

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
            row = self._table.read_row(key, row_filter=CellsColumnLimitFilter(1))
        except _FAILURES as error:
            return StoreError(f"Bigtable, table {self._table.table_id}: {error}")
        if row is None:
            return None
        cells = {cell.qualifier: cell.value for cell in row.get_cells(FAMILY)}
        if _DATA not in cells or _VERSION not in cells:
            return None  # its garbage collection took one cell and is about to take the other
        return Stored(cells[_DATA], Version(cells[_VERSION].decode()))

    def _put(self, write: Write) -> Version | StoreError | None:
        version = new_version()
        content = [
            DeleteAllFromFamily(FAMILY),
            SetCell(FAMILY, _DATA, write.data),
            SetCell(FAMILY, _VERSION, version.token.encode()),
        ]
        there = [CellsColumnLimitFilter(1), ColumnQualifierRegexFilter(_VERSION)]
        try:
            if write.expected is None:
                # The change is the one for where the condition is false: there is no version.
                lost = self._table.check_and_mutate_row(
                    write.key, RowFilterChain(filters=there), false_case_mutations=content
                )
            else:
                same = RowFilterChain(filters=[*there, ValueRegexFilter(write.expected.token.encode())])
                lost = not self._table.check_and_mutate_row(write.key, same, true_case_mutations=content)
        except _FAILURES as error:
            return StoreError(f"Bigtable, table {self._table.table_id}: {error}")
        return None if lost else version
