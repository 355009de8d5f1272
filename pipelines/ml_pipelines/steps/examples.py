"""Examples as the steps handle them: a table in a file, arrays by name for a model."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.steps.errors import StepError
from ml_pipelines.tasks.task import DECIDED_AT, ENTITY, EXAMPLE_ID, KNOWN_AT, TARGET, Input, Kind, Task, Together

FOLD = "fold"
DAY_MS = 86_400_000

# Numbers as 64-bit floats, in which NaN is missing; words as Python strings, of which the empty one is missing.
Arrays = Mapping[str, np.ndarray]


def checked(step: str, table: pa.Table, task: Task, outcomes: bool = True) -> pa.Table:
    """The table with each column in its type; without `outcomes`, what is known only later is left out.

    Raises StepError for a column that is missing or of another type.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    wanted: dict[str, pa.DataType] = {
        EXAMPLE_ID: pa.string(),
        ENTITY: pa.string(),
        DECIDED_AT: pa.int64(),
        **({KNOWN_AT: pa.int64(), TARGET: pa.float64()} if outcomes else {}),
        **{item.name: _type(item) for item in task.inputs},
        **{name: pa.string() for name in task.groups},
    }
    if FOLD in table.column_names:
        wanted[FOLD] = pa.int32()
    for item in task.inputs:
        if item.name in task.groups:
            wanted[item.name] = _type(item)
    for name, type_ in wanted.items():
        if name not in table.column_names:
            raise StepError(step, f"column `{name}`", f"is missing; the table has {', '.join(table.column_names)}")
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if type_ != pa.string() and pa.types.is_string(column.type):
            raise StepError(step, f"column `{name}`", f"holds words where {type_} is right")
        if pa.types.is_boolean(column.type) and type_ == pa.float64():
            column = column.cast(pa.int8())
        try:
            columns[name] = column.cast(type_)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise StepError(step, f"column `{name}`", f"is {column.type} where {type_} is right: {error}") from error
    return pa.table(columns)


def _type(item: Input) -> pa.DataType:
    return pa.string() if item.kind is Kind.CATEGORY else pa.float64()


def inputs(table: pa.Table, task: Task) -> dict[str, np.ndarray]:
    """The inputs of a model. What is infinite is missing."""
    found = {}
    for item in task.inputs:
        if item.kind is Kind.CATEGORY:
            found[item.name] = np.asarray(pc.fill_null(table[item.name], "").to_pylist(), dtype=object)
        else:
            values = np.array(table[item.name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
            values[~np.isfinite(values)] = np.nan
            found[item.name] = values
    return found


def rows(arrays: Arrays, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Some of the rows."""
    return {name: values[chosen] for name, values in arrays.items()}


def target(step: str, table: pa.Table, task: Task) -> np.ndarray:
    """The outcomes. Raises StepError for one that is missing, or for a single class."""
    outcomes = table[TARGET].to_numpy(zero_copy_only=False).astype(np.float64)
    if bad := int((~np.isfinite(outcomes)).sum()):
        raise StepError(step, f"column `{TARGET}`", f"has no finite value in {bad:,} of {len(outcomes):,} rows")
    if task.predicts == "class":
        if others := sorted(set(np.unique(outcomes)) - {0.0, 1.0}):
            raise StepError(step, f"column `{TARGET}`", f"is 0 or 1 for a class, not {others[0]:g}")
        if len(np.unique(outcomes)) < 2:
            raise StepError(
                step, f"column `{TARGET}`", f"has one class only, {outcomes[0]:g}, in {len(outcomes):,} rows"
            )
    return outcomes


def groups(table: pa.Table, name: str) -> np.ndarray:
    """The group of each example; `(none)` where it isn't known."""
    return np.asarray(pc.fill_null(table[name].cast(pa.string()), "(none)").to_pylist(), dtype=object)


def clusters(table: pa.Table, task: Task) -> np.ndarray:
    """Numbers from 0 on, the same for examples that are drawn together in the bootstrap."""
    if task.together is Together.EXAMPLE:
        return np.arange(len(table))
    if task.together is Together.DAY:
        keys = table[DECIDED_AT].to_numpy() // DAY_MS
        return np.unique(keys, return_inverse=True)[1]
    return pc.dictionary_encode(table[ENTITY]).combine_chunks().indices.to_numpy()
