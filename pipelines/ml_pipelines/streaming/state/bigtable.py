"""A store in a table of Bigtable, a row per entity. Its garbage collection decides when a row goes, not the writer."""

from typing import Any, Self

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud.bigtable.data import BigtableDataClient, DeleteAllFromFamily, SetCell
from google.cloud.bigtable.data.exceptions import RetryExceptionGroup
from google.cloud.bigtable.data.row_filters import (
    CellsColumnLimitFilter,
    ColumnQualifierRegexFilter,
    RowFilter,
    RowFilterChain,
    ValueRegexFilter,
)

from ml_pipelines.streaming.state.store import StateStore, StoreError
from ml_pipelines.streaming.state.versions import new_version

# The column family that the table has from the stack.
FAMILY = "state"
_DATA, _VERSION = b"data", b"version"
_SECONDS = 10
_FAILURES = (GoogleAPICallError, RetryError, RetryExceptionGroup)


class BigtableStore(StateStore):
    """A write compares the version within its row, which an app profile with single-row transactions allows."""

    # https://cloud.google.com/bigtable/quotas#limits-data-size recommends at most 10 MB in a cell.
    maximum_bytes = 10_000_000

    def __init__(self, table: Any):
        """`table` is google.cloud.bigtable.data's."""
        self._table = table

    @classmethod
    def open(cls, project: str, instance: str, table: str, app_profile: str | None) -> Self:
        """The store in a table."""
        client = BigtableDataClient(project=project)
        return cls(client.get_table(instance, table, app_profile_id=app_profile, default_operation_timeout=_SECONDS))

    def get(self, entity: str) -> tuple[bytes, int] | None:
        """See StateStore."""
        try:
            row = self._table.read_row(entity, row_filter=CellsColumnLimitFilter(1))
        except _FAILURES as error:
            raise StoreError(f"Bigtable, table {self._table.table_id}: {error}") from error
        if row is None:
            return None
        cells = {cell.qualifier: cell.value for cell in row.get_cells(FAMILY)}
        return cells[_DATA], int(cells[_VERSION])

    def put(self, entity: str, data: bytes, expected: int | None, ttl_ms: int) -> int | None:
        """See StateStore."""
        version = new_version()
        content = [
            DeleteAllFromFamily(FAMILY),
            SetCell(FAMILY, _DATA, data),
            SetCell(FAMILY, _VERSION, str(version).encode()),
        ]
        there: list[RowFilter] = [CellsColumnLimitFilter(1), ColumnQualifierRegexFilter(_VERSION)]
        try:
            if expected is None:
                # The change is the one for where the condition is false: there is no version.
                lost = self._table.check_and_mutate_row(
                    entity, RowFilterChain(filters=there), false_case_mutations=content
                )
            else:
                same = RowFilterChain(filters=[*there, ValueRegexFilter(str(expected).encode())])
                lost = not self._table.check_and_mutate_row(entity, same, true_case_mutations=content)
        except _FAILURES as error:
            raise StoreError(f"Bigtable, table {self._table.table_id}: {error}") from error
        return None if lost else version
