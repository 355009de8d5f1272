"""Scalar operators of the online plan: what SQL computes of one row, with SQL's treatment of missing values.

An expression is JSON: `[operator, argument, ...]`, where arguments are expressions but for those of `field`, `literal`
and `aggregate`. Expressions are turned into Python once, when a plan is loaded, and compiled: an event must take
microseconds. Operators are those below; names and literals enter the text by `repr` alone.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

LARGEST_FLOAT = 1.7976931348623157e308
# Beyond this the floor of a float is missing: integers have 64 bits.
LARGEST_WHOLE = 2**62
# Names that an expression may use beside the fields of its event.
OF_THE_LOG = ("clock", "key", "arrived_at")

Expression = Sequence[Any]


def compile_list(expressions: Sequence[Expression]) -> Callable[..., list[Any]]:
    """A function of `event, clock, key, arrived_at, aggregates` that computes all of these expressions."""
    fresh = itertools.count()
    return _function("[" + ", ".join(_source(expression, fresh) for expression in expressions) + "]")


def compile_mapping(expressions: Mapping[str, Expression]) -> Callable[..., dict[str, Any]]:
    """The same, by name."""
    fresh = itertools.count()
    entries = (f"{name!r}: {_source(expression, fresh)}" for name, expression in expressions.items())
    return _function("{" + ", ".join(entries) + "}")


def _function(text: str) -> Callable[..., Any]:
    code = compile(f"lambda event, {', '.join(OF_THE_LOG)}, aggregates: {text}", "<plan>", "eval")
    return eval(code, dict(_CALLED))  # noqa: S307 (the text is made of the templates below)


def _source(expression: Expression, fresh: Iterator[int]) -> str:
    """The Python of an expression. Raises KeyError for an operator that isn't one of ours."""
    name, *arguments = expression
    if name == "field":
        return arguments[0] if arguments[0] in OF_THE_LOG else f"event[{arguments[0]!r}]"
    if name == "literal":
        return repr(arguments[0])
    if name == "aggregate":
        return f"aggregates[{int(arguments[0])}]"
    inner = [_source(argument, fresh) for argument in arguments]
    if name in _OF_PRESENT:
        return _of_present(_OF_PRESENT[name], arguments, inner, fresh)
    if name == "is_in":
        options = ", ".join(inner[1:]).replace("{", "{{").replace("}", "}}")
        return _of_present(f"{{}} in {{{{{options}}}}}", arguments[:1], inner[:1], fresh)
    if name == "coalesce":
        return f"coalesce({', '.join(inner)})"
    return "(" + _ANYWAY[name].format(*inner, x=f"x{next(fresh)}", y=f"y{next(fresh)}") + ")"


def _of_present(template: str, arguments: Sequence[Expression], inner: Sequence[str], fresh: Iterator[int]) -> str:
    """A template that is filled if no argument is missing; else the whole is missing."""
    checks, names = [], []
    for argument, source in zip(arguments, inner, strict=True):
        if argument[0] == "literal" and argument[1] is not None:
            names.append(source)
        else:
            names.append(f"v{next(fresh)}")
            checks.append(f"({names[-1]} := {source}) is None")
    filled = template.format(*names)
    return f"(None if {' or '.join(checks)} else {filled})" if checks else f"({filled})"


def _remainder(dividend: int, divisor: int) -> int:
    """With the sign of the dividend, as in SQL."""
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


_CALLED = {"remainder": _remainder, "coalesce": _coalesce, "floor": math.floor}

# Operators that are missing where one of their arguments is.
_OF_PRESENT: Mapping[str, str] = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    # Both become doubles first, as in SQL: Python would divide large integers more exactly.
    "divide": "float({}) / float({})",
    "floor_divide": "{} // {}",
    "remainder": "remainder({}, {})",
    "negate": "-{}",
    "absolute": "abs({})",
    "floor": f"(floor({{0}}) if -{LARGEST_WHOLE} <= {{0}} <= {LARGEST_WHOLE} else None)",
    "to_integer": "int({})",
    "to_float": "float({})",
    "equal": "{} == {}",
    "not_equal": "{} != {}",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
    "not": "not {}",
    "substring": "{0}[{1} : {1} + {2}]",
    "element": "({0}[{1}] if {1} < len({0}) else None)",
    "length": "len({})",
    "finite": f"({{0}} if -{LARGEST_FLOAT!r} <= {{0}} <= {LARGEST_FLOAT!r} else None)",
    # What an `argmax` looks at: nothing where the value or the score is missing.
    "pair": "[{}, {}]",
}
# Operators that say themselves what becomes of a missing argument.
_ANYWAY: Mapping[str, str] = {
    "and": "False if ({x} := {0}) is False or ({y} := {1}) is False else None if {x} is None or {y} is None else True",
    "or": "True if ({x} := {0}) or ({y} := {1}) else None if {x} is None or {y} is None else False",
    "if": "{1} if {0} else {2}",
    "is_null": "{0} is None",
    "not_null": "{0} is not None",
    "null_if": "None if ({x} := {0}) == {1} else {x}",
}

OPERATORS = frozenset({*_OF_PRESENT, *_ANYWAY, "is_in", "coalesce"})
