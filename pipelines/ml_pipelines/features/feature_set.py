"""What a definition of features says, and how it becomes one Ibis expression over the log of events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import ibis
from ibis.expr import datatypes as dt
from ibis.expr import operations as ops
from ibis.expr import types as ir

from ml_pipelines.features.admission import CLOCK, KEY, KEYS_PER_MS, admitted
from ml_pipelines.features.log import ARRIVED_AT, SEQUENCE, contract_schema
from ml_pipelines.features.scalars import LARGEST_FLOAT, LARGEST_WHOLE

RESERVED = frozenset({ARRIVED_AT, SEQUENCE, CLOCK, KEY, "aggregates"})


class DefinitionError(ValueError):
    """A definition that can't be computed alike everywhere; the message names the feature and what would be right."""


class Windows:
    """Windows over the events of one entity, by the entity's own clock. Both bounds belong to a window."""

    def __init__(self, entity: str) -> None:
        self._entity = entity

    def last(self, length: timedelta) -> ibis.expr.builders.WindowBuilder:
        """From `length` ago up to the event itself."""
        return self._range(_keys(length), 0)

    def before(self, length: timedelta) -> ibis.expr.builders.WindowBuilder:
        """From `length` ago up to the event before this one."""
        return self._range(_keys(length), 1)

    def around(self, distance: timedelta, tolerance: timedelta) -> ibis.expr.builders.WindowBuilder:
        """What was `distance` ago, give or take `tolerance`."""
        return self._range(_keys(distance + tolerance), _keys(distance - tolerance))

    def _range(self, since: int, until: int) -> ibis.expr.builders.WindowBuilder:
        return ibis.window(group_by=self._entity, order_by=KEY, range=(-since, -until))


Definition = Callable[[ir.Table, Windows], Mapping[str, ir.Value]]


@dataclass(frozen=True)
class FeatureSet:
    """The features of a workload.

    `event_id` are the fields that make two records the same event: within an entity, the first one counts. An event may
    be older than the newest one before it by `allowed_lateness`. Without the field `complete` it is only announced: it
    counts when it arrives again with it. `define` gives the features by name: expressions over
    the admitted events, which have the contract's fields (numbers as 64 bits, times as milliseconds since 1970),
    `arrived_at`, and the `clock` and `key` of admission.py.
    """

    workload: str
    contract: str
    version: int
    entity: str
    event_id: tuple[str, ...]
    allowed_lateness: timedelta
    define: Definition
    event_time: str = "event_time"
    complete: str | None = None

    def __post_init__(self) -> None:
        fields = set(self.log_schema) - {ARRIVED_AT, SEQUENCE}
        for name in (self.entity, self.event_time, *self.event_id, *([self.complete] if self.complete else [])):
            if name not in fields:
                raise DefinitionError(
                    f"`{self.workload}`: contract {self.contract} version {self.version} has no field `{name}`; "
                    f"it has {', '.join(sorted(fields))}"
                )
        if taken := RESERVED & set(contract_schema(self.contract, self.version)):
            raise DefinitionError(
                f"`{self.workload}`: contract {self.contract} has a field `{min(taken)}`, which is a name of our own"
            )

    @cached_property
    def log_schema(self) -> dict[str, str]:
        """The columns of the log and their types."""
        return {**contract_schema(self.contract, self.version), ARRIVED_AT: "int64", SEQUENCE: "string"}

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that stand before the features in what is computed: whose, when, which event, known when."""
        return tuple(dict.fromkeys((self.entity, self.event_time, *self.event_id, ARRIVED_AT)))

    @cached_property
    def types(self) -> dict[str, str]:
        """The features and their types, as a workload file writes them."""
        return {name: self._type(name, value) for name, value in self.values(self.unbound).items()}

    @property
    def unbound(self) -> ir.Table:
        """Admitted events without any data, to look at expressions."""
        return ibis.table({**self.log_schema, CLOCK: "int64", KEY: "int64"}, name="admitted")

    def values(self, events: ir.Table) -> Mapping[str, ir.Value]:
        """The features by name, over admitted events. Raises DefinitionError for a name that is taken."""
        values = self.define(events, Windows(self.entity))
        for name in values:
            if name in self.keys:
                raise DefinitionError(f"feature `{name}` of `{self.workload}` has the name of a key; find another")
        return values

    def admitted(self, log: ir.Table) -> ir.Table:
        """The events that count, with their clock and key."""
        if self.complete is not None:
            log = log.filter(log[self.complete].notnull())
        return admitted(log, self.entity, self.event_time, self.event_id, milliseconds(self.allowed_lateness))

    def features(self, log: ir.Table) -> ir.Table:
        """One row for each admitted event of the log: the keys, then the features."""
        events = self.admitted(log)
        computed = events.select(*self.keys, **self.values(events))
        finished = computed.select(
            *self.keys, **{name: _finished(computed[name], of) for name, of in self.types.items()}
        )
        return finished.op().replace(_alike).to_expr()

    def _type(self, name: str, value: ir.Value) -> str:
        found = value.type()
        for written, fits in (
            ("boolean", found.is_boolean()),
            ("integer", found.is_integer()),
            ("float", found.is_floating()),
            ("string", found.is_string()),
        ):
            if fits:
                return written
        raise DefinitionError(
            f"feature `{name}` of `{self.workload}` is {found}; a feature is an integer, a float, a string or a boolean"
        )


def _finished(value: Any, of: str) -> ir.Value:
    """A feature in its final type; what is no finite number is missing, as models and stores take no other."""
    if of == "integer":
        return value.cast("int64")
    if of == "float":
        value = value.cast("float64")
        return ibis.ifelse(value.abs() <= LARGEST_FLOAT, value, ibis.null("float64"))
    return value


def _alike(op: Any, kwargs: Mapping[str, Any] | None) -> ops.Node:
    """Operations in a form that all engines compute alike."""
    op = op.copy(**kwargs) if kwargs else op
    if isinstance(op, ops.Literal) and op.dtype.is_floating() and op.value is not None:
        # Engines read 0.5 as a decimal number, and compute with decimals where the other operand is no double.
        return ops.Cast(ops.Literal(repr(op.value), dt.string), dt.float64)
    if isinstance(op, ops.Floor) and op.arg.dtype.is_floating():
        # DuckDB gives up the whole log where no integer of 64 bits holds the result.
        fits = ops.LessEqual(ops.Abs(op.arg), ops.Literal(LARGEST_WHOLE, dt.int64))
        return ops.IfElse(fits, op, ops.Literal(None, dt.int64))
    aggregate: Any = op.func if isinstance(op, ops.WindowFunction) else None
    if isinstance(aggregate, ops.Sum) and aggregate.arg.dtype.is_integer():
        # DuckDB adds up with 128 bits, which Ibis thinks are 64.
        return ops.Cast(op, dt.int64)
    if isinstance(aggregate, ops.ArgMax):
        # Engines differ in whether a missing value or score may win.
        value, score = aggregate.arg, aggregate.key
        score = ops.IfElse(ops.NotNull(value), score, ops.Literal(None, score.dtype))
        found = op.copy(func=ops.ArgMax(arg=value, key=score))
        highest = op.copy(func=ops.Max(arg=score))
        return ops.IfElse(ops.NotNull(highest), found, ops.Literal(None, value.dtype))
    return op


def milliseconds(length: timedelta) -> int:
    """A length of time in milliseconds."""
    return length // timedelta(milliseconds=1)


def _keys(length: timedelta) -> int:
    return milliseconds(length) * KEYS_PER_MS
