"""Makes the plan of the stream processor from the Ibis expressions of a feature set.

It walks the graph of operations of each feature. What it doesn't know it refuses, by the names of the operation and of
the feature, so that nothing is computed in another way than the other executions do.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn

from ibis.expr import operations as ops

from ml_pipelines.features.admission import FUTURE_TOLERANCE_MS, KEY, KEYS_PER_MS
from ml_pipelines.features.feature_set import DefinitionError, FeatureSet, milliseconds

# A stream may hand an event over again, or hold it up, for a day: as long as Kinesis keeps one unless told otherwise.
STREAM_DELAY = timedelta(days=1)

Expression = list[Any]

_SAME_ARGUMENTS: Mapping[type[ops.Node], str] = {
    ops.Add: "add",
    ops.Subtract: "subtract",
    ops.Multiply: "multiply",
    ops.Negate: "negate",
    ops.Abs: "absolute",
    ops.Floor: "floor",
    ops.Equals: "equal",
    ops.NotEquals: "not_equal",
    ops.Less: "less",
    ops.LessEqual: "less_equal",
    ops.Greater: "greater",
    ops.GreaterEqual: "greater_equal",
    ops.Not: "not",
    ops.And: "and",
    ops.Or: "or",
    ops.IfElse: "if",
    ops.IsNull: "is_null",
    ops.NotNull: "not_null",
    ops.NullIf: "null_if",
    ops.ArrayLength: "length",
}


def compile_plan(feature_set: FeatureSet) -> dict[str, Any]:
    """The plan of a feature set, as JSON takes it. Raises DefinitionError for what can't be computed incrementally."""
    compiler = _Compiler(feature_set)
    features = {}
    for name, value in feature_set.values(feature_set.unbound).items():
        compiler.feature = name
        features[name] = {
            "type": feature_set.types[name],
            "value": _finished(compiler.scalar(value.op()), feature_set.types[name]),
        }
    lateness, delay = milliseconds(feature_set.allowed_lateness), milliseconds(STREAM_DELAY)
    longest = max([0, *(frame["since"] for frame in compiler.frames)])
    return {
        "format": 1,
        "workload": feature_set.workload,
        "contract": feature_set.contract,
        "version": feature_set.version,
        "entity": feature_set.entity,
        "event_time": feature_set.event_time,
        "event_id": list(feature_set.event_id),
        **({"complete": feature_set.complete} if feature_set.complete else {}),
        "future_tolerance_ms": FUTURE_TOLERANCE_MS,
        "allowed_lateness_ms": lateness,
        "remembered_ms": lateness + delay,
        "horizon_ms": max(-(-longest // KEYS_PER_MS), delay) + lateness + delay,
        "columns": compiler.columns[1:],
        "frames": compiler.frames,
        "aggregates": compiler.aggregates,
        "features": features,
    }


def _finished(value: Expression, of: str) -> Expression:
    """A feature in its final type, as `FeatureSet.features` has it."""
    if of == "float":
        return ["finite", ["to_float", value]]
    return ["to_integer", value] if of == "integer" else value


class _Compiler:
    """Collects what the features of one set share: columns of inputs, frames, aggregates over them."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self.feature = ""
        # The first column is there in any case: the keys.
        self.columns: list[Expression] = [["field", KEY]]
        self.frames: list[dict[str, int]] = []
        self.aggregates: list[dict[str, Any]] = []
        self._set = feature_set
        self._within_aggregate = False
        self._special: Mapping[type[ops.Node], Callable[[Any], Expression]] = {
            ops.Field: self._field,
            ops.Literal: self._literal,
            ops.Alias: lambda op: self.scalar(op.arg),
            ops.Cast: self._cast,
            ops.Divide: self._divide,
            ops.FloorDivide: lambda op: self._by_number(op, "floor_divide"),
            ops.Modulus: lambda op: self._by_number(op, "remainder"),
            ops.InValues: lambda op: ["is_in", *map(self.scalar, (op.value, *op.options))],
            ops.Coalesce: lambda op: ["coalesce", *map(self.scalar, op.arg)],
            ops.Substring: self._substring,
            ops.ArrayIndex: self._element,
            ops.WindowFunction: self._window,
        }

    def scalar(self, op: ops.Node) -> Expression:
        """The expression of an operation on one row."""
        if special := self._special.get(type(op)):
            return special(op)
        if name := _SAME_ARGUMENTS.get(type(op)):
            return [name, *map(self.scalar, op.args)]
        known = sorted(kind.__name__ for kind in (*_SAME_ARGUMENTS, *self._special))
        if isinstance(op, ops.Reduction | ops.Analytic):
            self._refuse(op, "is over a window: add `.over(windows.last(...))`")
        self._refuse(op, f"has no counterpart in the stream; these have: {', '.join(known)}")

    def _refuse(self, op: ops.Node, reason: str) -> NoReturn:
        raise DefinitionError(
            f"feature `{self.feature}` of `{self._set.workload}`: the operation {type(op).__name__} {reason}"
        )

    def _field(self, op: ops.Field) -> Expression:
        if not isinstance(op.rel, ops.UnboundTable):
            self._refuse(op, f"`{op.name}` isn't of the events themselves; a feature is an expression over them alone")
        return ["field", op.name]

    def _literal(self, op: ops.Literal) -> Expression:
        if op.value is not None and not isinstance(op.value, bool | int | float | str):
            self._refuse(op, f"is {op.dtype}, and a literal is a number, a string or a boolean")
        return ["literal", op.value]

    def _number(self, op: ops.Node) -> float | None:
        """The value of a literal number, however it is wrapped."""
        while isinstance(op, ops.Cast | ops.Alias):
            op = op.arg
        value = op.value if isinstance(op, ops.Literal) else None
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def _cast(self, op: ops.Cast) -> Expression:
        found, wanted = op.arg.dtype, op.to
        if wanted.is_integer() and (found.is_integer() or found.is_boolean()):
            return ["to_integer", self.scalar(op.arg)]
        if wanted.is_floating() and (found.is_integer() or found.is_floating()):
            return ["to_float", self.scalar(op.arg)]
        hint = "; engines round differently, so use `.floor()`" if found.is_floating() and wanted.is_integer() else ""
        self._refuse(op, f"from {found} to {wanted} has no counterpart in the stream{hint}")

    def _divide(self, op: ops.Divide) -> Expression:
        # An engine may answer infinity or nothing where another one raises an error.
        guarded = isinstance(op.right, ops.NullIf) and self._number(op.right.null_if_expr) == 0
        if not guarded and not self._number(op.right):
            self._refuse(op, "is by something that may be 0: divide by `x.nullif(0)` or by a number")
        return ["divide", self.scalar(op.left), self.scalar(op.right)]

    def _by_number(self, op: Any, name: str) -> Expression:
        divisor = self._number(op.right)
        if not op.left.dtype.is_integer() or not isinstance(divisor, int) or divisor <= 0:
            self._refuse(op, "is of an integer, by a positive whole number")
        return [name, self.scalar(op.left), ["literal", divisor]]

    def _substring(self, op: ops.Substring) -> Expression:
        start, length = self._number(op.start), self._number(op.length) if op.length is not None else None
        if start is None or length is None or start < 0 or length < 0:
            self._refuse(op, "takes a start and a length that are whole numbers from 0 on")
        return ["substring", self.scalar(op.arg), ["literal", start], ["literal", length]]

    def _element(self, op: ops.ArrayIndex) -> Expression:
        position = self._number(op.index)
        if position is None or position < 0:
            self._refuse(op, "takes a position that is a whole number from 0 on")
        return ["element", self.scalar(op.arg), ["literal", position]]

    def _window(self, op: ops.WindowFunction) -> Expression:
        if self._within_aggregate:
            self._refuse(op, "is inside of another one; a feature is computed in one pass")
        kind, argument = self._aggregate(op.func)
        aggregate = {"kind": kind, "frame": self._frame(op), "column": 0}
        if argument is not None:
            self._within_aggregate = True
            aggregate["column"] = self._place(self.columns, argument())
            self._within_aggregate = False
        return ["aggregate", self._place(self.aggregates, aggregate)]

    def _aggregate(self, func: Any) -> tuple[str, Callable[[], Expression] | None]:
        """The kind of an aggregate, and what gives the expression of its input."""
        if getattr(func, "where", None) is not None:
            self._refuse(func, "has a condition: aggregate an `ibis.ifelse` or a cast of the condition instead")
        if isinstance(func, ops.CountStar):
            return "count_rows", None
        if isinstance(func, ops.ArgMax):
            if not func.key.dtype.is_integer():
                self._refuse(func, "compares integers, of which no two are equal, so that every engine finds the same")
            return "argmax", lambda: ["pair", self.scalar(func.arg), self.scalar(func.key)]
        if isinstance(func, ops.Count | ops.CountDistinct):
            return "count" if isinstance(func, ops.Count) else "distinct", lambda: self.scalar(func.arg)
        if isinstance(func, ops.Sum | ops.Mean | ops.Max | ops.Min):
            if not func.arg.dtype.is_integer() and not func.arg.dtype.is_floating():
                self._refuse(func, f"is of numbers, and this is {func.arg.dtype}: cast it")
            name = type(func).__name__.lower()
            number = "integer" if func.arg.dtype.is_integer() else "float"
            return name if name in ("max", "min") else f"{number}_{name}", lambda: self.scalar(func.arg)
        known = "CountStar, Count, CountDistinct, Sum, Mean, Max, Min, ArgMax"
        self._refuse(func, f"has no counterpart in the stream; of the windowed ones, these have: {known}")

    def _frame(self, op: ops.WindowFunction) -> int:
        """The number of a window's range of keys."""
        by = [getattr(key, "name", None) for key in op.group_by]
        order = [(getattr(key.arg, "name", None), key.ascending) for key in op.order_by]
        if op.how != "range" or by != [self._set.entity] or order != [(KEY, True)]:
            self._refuse(op, "has a window of its own making: take one of `windows.last`, `before` and `around`")
        since, until = self._bound(op.start), self._bound(op.end)
        if since is None or until is None or not 0 <= until <= since:
            self._refuse(op, "looks ahead, or back without an end: take one of `windows.last`, `before` and `around`")
        for frame in self.frames:
            if (frame["since"], frame["until"]) == (since, until):
                return frame["number"]
        self.frames.append({"number": len(self.frames), "since": since, "until": until})
        return len(self.frames) - 1

    def _bound(self, boundary: ops.WindowBoundary | None) -> int | None:
        """How far back a bound lies."""
        value = None if boundary is None else self._number(boundary.value)
        if boundary is None or not isinstance(value, int):
            return None
        return value if boundary.preceding else -value

    @staticmethod
    def _place(kept: list[Any], wanted: Any) -> int:
        """The position of an equal element, which is added where there is none. 1, 1.0 and true aren't equal here."""
        written = [json.dumps(element) for element in kept]
        if json.dumps(wanted) not in written:
            kept.append(wanted)
            return len(kept) - 1
        return written.index(json.dumps(wanted))


def written(plan: Mapping[str, Any]) -> str:
    """A plan as its file has it: one line for each entry, so that a difference can be read."""
    lines = [f"  {json.dumps(name)}: {_entry(value)}" for name, value in plan.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _entry(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = [f"    {json.dumps(name)}: {json.dumps(element)}" for name, element in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str) and value and not isinstance(value[0], str):
        inside = [f"    {json.dumps(element)}" for element in value]
    else:
        return json.dumps(value)
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    return opening + "\n" + ",\n".join(inside) + f"\n  {closing}"
