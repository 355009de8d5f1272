"""Scalar operators of the online plan: what SQL computes of one row, with SQL's treatment of missing values.

An expression is JSON: `[operator, argument, ...]`, where arguments are expressions but for those of `field`, `literal`
and `aggregate`. `evaluator` makes a function of it that takes a row.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Evaluator = Callable[[Row], Any]

LARGEST_FLOAT = 1.7976931348623157e308


def evaluator(expression: Sequence[Any]) -> Evaluator:
    """What computes this expression of a row. Raises KeyError for an operator that isn't one of ours."""
    name, *arguments = expression
    if name in _LEAVES:
        return _LEAVES[name](*arguments)
    return OPERATORS[name](*map(evaluator, arguments))


def _field(name: str) -> Evaluator:
    return operator.itemgetter(name)


def _literal(value: Any) -> Evaluator:
    return lambda row: value


def _aggregate(position: int) -> Evaluator:
    return lambda row: row["aggregates"][position]


_LEAVES: Mapping[str, Callable[..., Evaluator]] = {"field": _field, "literal": _literal, "aggregate": _aggregate}


def _of_one(function: Callable[[Any], Any]) -> Callable[[Evaluator], Evaluator]:
    """An operator of one argument that is missing where its argument is."""

    def build(argument: Evaluator) -> Evaluator:
        def evaluate(row: Row) -> Any:
            value = argument(row)
            return None if value is None else function(value)

        return evaluate

    return build


def _of_two(function: Callable[[Any, Any], Any]) -> Callable[[Evaluator, Evaluator], Evaluator]:
    """An operator of two arguments that is missing where one of them is."""

    def build(left: Evaluator, right: Evaluator) -> Evaluator:
        def evaluate(row: Row) -> Any:
            first = left(row)
            if first is None:
                return None
            second = right(row)
            return None if second is None else function(first, second)

        return evaluate

    return build


def _divide(dividend: float, divisor: float) -> float:
    # Both become doubles first, as in SQL: Python would divide large integers more exactly.
    return float(dividend) / float(divisor)


def _remainder(dividend: int, divisor: int) -> int:
    """With the sign of the dividend, as in SQL."""
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def _finite(value: float) -> float | None:
    return value if -LARGEST_FLOAT <= value <= LARGEST_FLOAT else None


def _and(left: Evaluator, right: Evaluator) -> Evaluator:
    def evaluate(row: Row) -> bool | None:
        first, second = left(row), right(row)
        if first is False or second is False:
            return False
        return None if first is None or second is None else True

    return evaluate


def _or(left: Evaluator, right: Evaluator) -> Evaluator:
    def evaluate(row: Row) -> bool | None:
        first, second = left(row), right(row)
        if first or second:
            return True
        return None if first is None or second is None else False

    return evaluate


def _if(condition: Evaluator, then: Evaluator, otherwise: Evaluator) -> Evaluator:
    return lambda row: then(row) if condition(row) else otherwise(row)


def _is_in(value: Evaluator, *options: Evaluator) -> Evaluator:
    """Whether a value is one of some literals."""
    among = frozenset(option({}) for option in options)

    def evaluate(row: Row) -> bool | None:
        found = value(row)
        return None if found is None else found in among

    return evaluate


def _coalesce(*arguments: Evaluator) -> Evaluator:
    def evaluate(row: Row) -> Any:
        for argument in arguments:
            value = argument(row)
            if value is not None:
                return value
        return None

    return evaluate


def _null_if(value: Evaluator, unwanted: Evaluator) -> Evaluator:
    def evaluate(row: Row) -> Any:
        found = value(row)
        return None if found == unwanted(row) else found

    return evaluate


def _pair(value: Evaluator, score: Evaluator) -> Evaluator:
    """What an `argmax` looks at: nothing where the value or the score is missing."""

    def evaluate(row: Row) -> list[Any] | None:
        found, by = value(row), score(row)
        return None if found is None or by is None else [found, by]

    return evaluate


OPERATORS: Mapping[str, Callable[..., Evaluator]] = {
    "add": _of_two(operator.add),
    "subtract": _of_two(operator.sub),
    "multiply": _of_two(operator.mul),
    "divide": _of_two(_divide),
    "floor_divide": _of_two(operator.floordiv),
    "remainder": _of_two(_remainder),
    "negate": _of_one(operator.neg),
    "absolute": _of_one(abs),
    "floor": _of_one(math.floor),
    "to_integer": _of_one(int),
    "to_float": _of_one(float),
    "finite": _of_one(_finite),
    "equal": _of_two(operator.eq),
    "not_equal": _of_two(operator.ne),
    "less": _of_two(operator.lt),
    "less_equal": _of_two(operator.le),
    "greater": _of_two(operator.gt),
    "greater_equal": _of_two(operator.ge),
    "not": _of_one(operator.not_),
    "and": _and,
    "or": _or,
    "if": _if,
    "is_in": _is_in,
    "is_null": lambda argument: lambda row: argument(row) is None,
    "not_null": lambda argument: lambda row: argument(row) is not None,
    "coalesce": _coalesce,
    "null_if": _null_if,
    "substring": lambda text, start, length: _of_one(lambda found: found[start({}) : start({}) + length({})])(text),
    "element": _of_two(lambda elements, position: elements[position] if position < len(elements) else None),
    "length": _of_one(len),
    "pair": _pair,
}
