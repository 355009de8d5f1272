"""What a data set gives: the log of events of a workload, in order of arrival and in the form of its contract."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ml_pipelines.contracts import catalog

ARRIVED_AT = "arrived_at"
SEQUENCE = "sequence"

# Milliseconds since 1970 are numbers everywhere in the runtime.
_ARROW = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "enum": pa.string(),
}


class DataSetError(Exception):
    """A data set can't be had or isn't what its contract says; the message names the set or field."""


@dataclass(frozen=True)
class Disorder:
    """How a stream departs from the order of time: shares of the events, from 0 to 1.

    `out_of_order` events are held up, but arrive within the lateness that is allowed. `late` ones arrive up to a day
    after it. `duplicates` arrive a second time, within ten minutes. Whether an event that was held up is out of order
    depends on what its entity did meanwhile: where no other event of it overtook, it is in order all the same.
    """

    out_of_order: float = 0.0
    late: float = 0.0
    duplicates: float = 0.0
    lateness_ms: int = 3_600_000

    def __post_init__(self) -> None:
        for name in ("out_of_order", "late", "duplicates"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataSetError(f"disorder: `{name}` is a share from 0 to 1, not {getattr(self, name)}")
        if self.out_of_order + self.late > 1:
            raise DataSetError("disorder: `out_of_order` and `late` are shares of the same events, at most 1 together")
        if self.lateness_ms < 1000:
            raise DataSetError(f"disorder: `lateness_ms` is at least 1000, not {self.lateness_ms}")


@dataclass(frozen=True)
class Request:
    """How many events are asked for (None: all, or what a generator thinks fit), and by which seed."""

    events: int | None = None
    seed: int = 1
    disorder: Disorder = field(default_factory=Disorder)
    drift_at: int | None = None


@dataclass(frozen=True)
class Events:
    """What a data set is made into: the fields of the contract, when each event arrives in an undisturbed stream, and
    what is learned of it later, where the contract has no field for that."""

    table: pa.Table
    arrived_at: np.ndarray
    labels: pa.Table | None = None


@dataclass(frozen=True)
class History:
    """The events of a workload.

    `log` has the fields of the contract, `arrived_at` (milliseconds since 1970) and `sequence` (a string that sorts in
    the order of arrival), and is in that order. `labels` are apart where the contract has no field for them: the id of
    an event, what was learned of it, and when.
    """

    log: pa.Table
    labels: pa.Table | None = None

    def records(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Each event in order of arrival, with the time of its arrival."""
        for batch in self.log.drop_columns([SEQUENCE]).to_batches(max_chunksize=10_000):
            for record in batch.to_pylist():
                arrived_at = record.pop(ARRIVED_AT)
                yield record, arrived_at


@dataclass(frozen=True)
class DataSet:
    """A data set, where it comes from and what it is worth.

    `rows` is None where as many as asked for are made. `event_id` are the fields that together name an event.
    """

    name: str
    sentence: str
    source: str
    license: str
    rows: int | None
    mapping: str
    made_up: str
    limits: str
    make: Callable[[Request], Events]
    workload: str | None = None
    contract: str | None = None
    event_id: tuple[str, ...] = ()


def conforming(events: pa.Table, contract: str) -> pa.Table:
    """The events in the form of the contract's newest version, with its defaults for fields that they lack.

    Raises DataSetError where a field departs from the contract.
    """
    found = catalog.contract(contract)
    newest, columns = found.versions[found.newest], {}
    for definition in newest["fields"]:
        name = definition["name"]
        type_, nullable = arrow_type(definition["type"])
        try:
            if name in events.column_names:
                column = events[name].cast(type_)
            elif "default" in definition:
                column = pa.chunked_array([pa.repeat(pa.scalar(definition["default"], type_), len(events))])
            else:
                raise DataSetError(f"contract {contract}: field `{name}` is missing")
        except pa.ArrowInvalid as error:
            raise DataSetError(f"contract {contract}: field `{name}` isn't {type_}: {error}") from error
        if column.null_count and not nullable:
            raise DataSetError(
                f"contract {contract}: field `{name}` has no value in {column.null_count} of {len(column)} events"
            )
        _check_values(column, definition["type"], f"contract {contract}: field `{name}`")
        columns[name] = column
    if unknown := set(events.column_names) - columns.keys():
        raise DataSetError(f"contract {contract}: there is no field {', '.join(sorted(unknown))}")
    return pa.table(columns)


def _check_values(column: pa.ChunkedArray, avro: Any, where: str) -> None:
    """Refuse numbers that aren't finite, and symbols that an enumeration hasn't."""
    if pa.types.is_floating(column.type) and not np.isfinite(column.drop_null().to_numpy()).all():
        raise DataSetError(f"{where} holds infinities or NaN")
    symbols = avro.get("symbols") if isinstance(avro, Mapping) else None
    if symbols and (others := set(column.unique().to_pylist()) - set(symbols)):
        raise DataSetError(f"{where} can't be {', '.join(sorted(others))}")


def arrow_type(avro: Any) -> tuple[pa.DataType, bool]:
    """The Arrow type of a field of a contract, and whether it may be without a value."""
    if isinstance(avro, list):
        (kind,) = (option for option in avro if option != "null")
        return arrow_type(kind)[0], "null" in avro
    if isinstance(avro, Mapping):
        if avro["type"] == "array":
            return pa.list_(arrow_type(avro["items"])[0]), False
        avro = avro["type"]
    return _ARROW[avro], False


def in_order_of_arrival(events: pa.Table, arrived_at: np.ndarray) -> pa.Table:
    """The events with `arrived_at` and `sequence`, sorted by them; what arrives at once keeps its order."""
    order = np.argsort(arrived_at, kind="stable")
    sequence = pa.array([f"{position:020}" for position in range(len(order))])
    return (
        events.take(pa.array(order))
        .append_column(ARRIVED_AT, pa.array(arrived_at[order]))
        .append_column(SEQUENCE, sequence)
    )
