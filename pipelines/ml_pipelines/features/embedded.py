"""The embedded execution: DuckDB in this process, from Parquet or Arrow to Parquet or Arrow.

It needs no service and is the default for training and trials; what doesn't fit into memory is spilled to disk.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr import types as ir

from ml_pipelines.features.feature_set import DefinitionError, FeatureSet
from ml_pipelines.features.log import ARRIVED_AT, SEQUENCE

# Below this DuckDB would have to give up rather than spill on logs of some million events.
MEMORY = "2GB"


class Embedded:
    """DuckDB with a bound on its memory. `threads` is as many as there are processors unless it is said."""

    def __init__(self, memory: str = MEMORY, threads: int | None = None, spill: Path | None = None) -> None:
        settings: dict[str, Any] = {"memory_limit": memory, "preserve_insertion_order": False}
        if threads is not None:
            settings["threads"] = threads
        if spill is not None:
            settings["temp_directory"] = str(spill)
        self._connection = ibis.duckdb.connect(**settings)

    def compute(self, feature_set: FeatureSet, log: pa.Table | Sequence[Path]) -> pa.Table:
        """The features of a log: a row for each event that counts, in no order.

        Raises DefinitionError where the log lacks a field of the contract.
        """
        return self._expression(feature_set, log).to_pyarrow()

    def write(self, feature_set: FeatureSet, log: pa.Table | Sequence[Path], destination: Path) -> None:
        """The same, as a Parquet file."""
        self._connection.to_parquet(self._expression(feature_set, log), destination)

    def _expression(self, feature_set: FeatureSet, log: pa.Table | Sequence[Path]) -> ir.Table:
        if isinstance(log, pa.Table):
            table = ibis.memtable(log)
        else:
            table = self._connection.read_parquet([str(path) for path in log])
        return feature_set.features(as_log(table, feature_set))


def as_log(table: ir.Table, feature_set: FeatureSet) -> ir.Table:
    """A table of events with the columns of the log in their types.

    Times may be timestamps or milliseconds. Without `arrived_at` an event arrives when it happens, and without
    `sequence` events sort by arrival, then by what identifies them.
    """
    columns: dict[str, Any] = {}
    for name, wanted in feature_set.log_schema.items():
        if name in table.columns:
            column: Any = table[name]
            if column.type().is_timestamp():
                moment: Any = microseconds(column)
                column = moment // 1000
            columns[name] = column.cast(wanted)
        elif name not in (ARRIVED_AT, SEQUENCE):
            raise DefinitionError(
                f"the log of `{feature_set.workload}` has no column `{name}`; it has {', '.join(table.columns)}"
            )
    columns.setdefault(ARRIVED_AT, columns[feature_set.event_time])
    if SEQUENCE not in columns:
        arrival = (columns[ARRIVED_AT] + 10**15).cast("string").lpad(16, "0")
        rest = [columns[name].cast("string") for name in feature_set.keys if name != ARRIVED_AT]
        separator: Any = ibis.literal("-")
        columns[SEQUENCE] = separator.join([arrival, *rest])
    return table.select(**{name: columns[name] for name in feature_set.log_schema})


# Ibis writes its own `epoch_seconds` as a float on DuckDB, in which parts of a second would count twice.
@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp",), "int64"))
def microseconds(time: Any) -> Any:
    """Microseconds since 1970, of a time with a zone or of one in UTC."""
    raise NotImplementedError("DuckDB's own")
