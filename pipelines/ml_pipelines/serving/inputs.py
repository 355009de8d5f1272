"""What a model takes, held against what a request brings: each value is checked and becomes a column of the model."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ml_pipelines.derivations import Derivation, SourceError, fill_in
from ml_pipelines.serving.kinds import CATEGORY, FLAG, NUMBER
from ml_pipelines.serving.refusal import UNPROCESSABLE, RefusedError, shown

# What ONNX Runtime calls the type of an input of each kind.
ONNX_TYPES = {NUMBER: "tensor(double)", FLAG: "tensor(double)", CATEGORY: "tensor(string)"}
_RIGHT = {
    NUMBER: "a finite number, or null where it isn't known",
    FLAG: "true or false, or null where it isn't known",
    CATEGORY: "a string, or null where it isn't known",
}
_NAN = math.nan

# Values by input, each a column of as many rows as the request has.
Columns = dict[str, np.ndarray]


def derive(rows: Sequence[dict[str, Any]], needed: Sequence[Derivation]) -> None:
    """Add to each row the inputs that follow from it. Raises RefusedError for a source of another type."""
    for place, row in enumerate(rows):
        try:
            fill_in(row, needed)
        except SourceError as error:
            where = f"instances[{place}]." if len(rows) > 1 else "features."
            raise RefusedError(
                UNPROCESSABLE, where + error.name, shown(error.value), f"{error.right} is right"
            ) from error


class Schema:
    """The inputs of a model in their order. `beside` are names that a request may bring although the model needs none.

    Names that are neither are refused, for they are misspelt. An input that isn't there is missing, as null is: models
    are trained with missing values.
    """

    __slots__ = ("_beside", "_kinds", "_names", "_number_names", "_numbers", "_words", "inputs")

    def __init__(self, inputs: Sequence[tuple[str, str]], beside: Collection[str] = ()):
        self.inputs = tuple(inputs)
        self._names = tuple((name, kind, kind == CATEGORY) for name, kind in inputs)
        self._numbers = tuple((name, kind) for name, kind in inputs if kind != CATEGORY)
        self._number_names = tuple(name for name, _ in self._numbers)
        self._words = tuple(name for name, kind in inputs if kind == CATEGORY)
        self._kinds = dict(inputs)
        self._beside = frozenset(beside)

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Columns, tuple[str, ...]]:
        """The columns of a model, and the inputs that some row lacks. Raises RefusedError for a wrong value."""
        if len(rows) == 1:
            return self._single(rows[0])
        lacking: dict[str, None] = {}
        numbers: list[list[float]] = []
        words: dict[str, list[str]] = {name: [] for name in self._words}
        for place, row in enumerate(rows):
            where = f"instances[{place}]."
            values, known, absent = self._of_row(row, where)
            numbers.append(values)
            for name, column in words.items():
                word = self._value(row, name, CATEGORY, where)
                known += name in row
                if word is None:
                    absent.append(name)
                column.append(word or "")
            lacking |= dict.fromkeys(absent)
            if known < len(row):
                self._no_others(row, where)
        # One array, of which each column is a view, is made faster than an array for each.
        together = np.array(numbers, dtype=np.float64).T.reshape(-1, len(rows), 1)
        columns: Columns = dict(zip(self._number_names, np.ascontiguousarray(together), strict=True))
        for name, column in words.items():
            columns[name] = np.array(column, dtype=object).reshape(-1, 1)
        return columns, tuple(name for name, _, _ in self._names if name in lacking)

    def _single(self, row: Mapping[str, Any]) -> tuple[Columns, tuple[str, ...]]:
        values, known, lacking = self._of_row(row, "features.")
        columns: Columns = dict(
            zip(self._number_names, np.array(values, dtype=np.float64).reshape(-1, 1, 1), strict=True)
        )
        for name in self._words:
            word = self._value(row, name, CATEGORY, "features.")
            known += name in row
            if word is None:
                lacking.append(name)
                word = ""
            columns[name] = np.array([[word]], dtype=object)
        if known < len(row):
            self._no_others(row, "features.")
        return columns, tuple(lacking)

    def _of_row(self, row: Mapping[str, Any], where: str) -> tuple[list[float], int, list[str]]:
        """The numbers of a row, how many of its names they are, and which it lacks."""
        lacking: list[str] = []
        known = 0
        values: list[float] = []
        for name, kind in self._numbers:
            value = row.get(name)
            # Most values are finite floats, and are not looked at twice.
            if type(value) is float and math.isfinite(value):
                known += 1
            elif value is None:
                lacking.append(name)
                known += name in row
                value = _NAN
            else:
                known += 1
                value = self._value(row, name, kind, where)
            values.append(value)
        return values, known, lacking

    def _value(self, row: Mapping[str, Any], name: str, kind: str, where: str) -> Any:
        value = row.get(name)
        found = type(value)
        if value is None or (kind == CATEGORY and found is str):
            return value
        if kind == NUMBER and (found is int or (found is float and math.isfinite(value))):
            return float(value)
        if kind == FLAG and (found is bool or value in (0, 1)) and found in (bool, int, float):
            return float(value)
        raise RefusedError(UNPROCESSABLE, where + name, shown(value), f"{_RIGHT[kind]} is right")

    def _no_others(self, row: Mapping[str, Any], where: str) -> None:
        for name in row:
            if name not in self._kinds and name not in self._beside:
                raise RefusedError(
                    UNPROCESSABLE,
                    where + name[:100],
                    "a field that no input has",
                    f"the inputs are {', '.join(self._kinds)}",
                )
