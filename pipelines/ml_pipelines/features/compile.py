"""`python -m ml_pipelines.features.compile` (`make jobs`): writes the Spark jobs and online plans of all workloads.

They are compiled from the definitions and committed, so that a preview uploads a job and a stream processor loads a
plan without Ibis; a test compiles them again and compares. `--check` writes nothing, and fails if a file would change.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

import ibis
from ibis.expr import datatypes as dt
from ibis.expr import operations as ops
from ibis.expr import types as ir

from ml_pipelines import compiled_files
from ml_pipelines.contracts import catalog
from ml_pipelines.derivations import named
from ml_pipelines.features.definitions import WORKLOADS, load
from ml_pipelines.features.feature_set import FeatureSet
from ml_pipelines.features.incremental import compile_plan, written
from ml_pipelines.features.log import ARRIVED_AT
from ml_pipelines.tasks import find

FOLDER = Path(__file__).parent
_BEGIN, _END = "# <compiled>\n", "# </compiled>\n"
_SPARK_TYPES = {"int64": "bigint", "float64": "double"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; returns the exit code."""
    return compiled_files.run("ml_pipelines.features.compile", __doc__, compiled, "jobs", arguments)


def compiled() -> dict[Path, str]:
    """All files that are compiled from definitions, with their text."""
    files = {}
    for workload in WORKLOADS:
        feature_set, name = load(workload), workload.replace("-", "_")
        files[FOLDER / "jobs" / f"{name}.py"] = job(feature_set)
        files[FOLDER / "plans" / f"{name}.json"] = written({**compile_plan(feature_set), "inputs": inputs(feature_set)})
    return files


def inputs(feature_set: FeatureSet) -> list[str]:
    """The fields of an event that models of the workload take as they are, or from which inputs of theirs follow.

    A model's outcome is never one.
    """
    task = find(feature_set.workload)
    wanted = {item.name for item in task.inputs}.union(*(one.sources for one in named(task.derived)))
    fields = catalog.contract(feature_set.contract).versions[feature_set.version]["fields"]
    return [field["name"] for field in fields if field["name"] in wanted]


def spark_sql(feature_set: FeatureSet) -> str:
    """The features of a log as Spark computes them: a query of a view `log`."""
    return for_spark(feature_set.features(ibis.table(feature_set.log_schema, name="log")))


def for_spark(expression: ir.Table) -> str:
    """An expression as a query of Spark."""
    return ibis.pyspark.compile(expression.op().replace(_for_spark).to_expr(), pretty=True)


def _for_spark(op: Any, kwargs: Mapping[str, Any] | None) -> ops.Node:
    """Spark counts no distinct values over a window, but collects them."""
    op = op.copy(**kwargs) if kwargs else op
    if isinstance(op, ops.WindowFunction) and isinstance(op.func, ops.CountDistinct):
        collected = ops.ArrayCollect(arg=op.func.arg, where=op.func.where, order_by=(), distinct=False)
        # Spark counts with 32 bits, which Ibis thinks are 64.
        return ops.Cast(ops.ArrayLength(ops.ArrayDistinct(op.copy(func=collected))), dt.int64)
    return op


def job(feature_set: FeatureSet) -> str:
    """The text of a workload's Spark job."""
    plan = compile_plan(feature_set)
    contract = catalog.contract(feature_set.contract)
    reader = contract.versions[feature_set.version]
    constants = {
        "WORKLOAD": feature_set.workload,
        "COLUMNS": {name: _spark_type(type_) for name, type_ in feature_set.log_schema.items()},
        "DEFAULTS": {field["name"]: field["default"] for field in reader["fields"] if "default" in field},
        "ENTITY": feature_set.entity,
        "EVENT_TIME": feature_set.event_time,
        "KEYS": tuple(name for name in feature_set.keys if name != ARRIVED_AT),
        "LOOKBACK_MS": plan["horizon_ms"],
    }
    lines = [f"{name} = {_literal(value)}\n" for name, value in constants.items()]
    lines.append(f"SQL = {_text(spark_sql(feature_set))}\n")
    schemas = {name.hex(): _json(contract.versions[version]) for name, version in contract.by_fingerprint.items()}
    lines.append("# The versions of the contract, by their fingerprints.\nSCHEMAS = {\n")
    lines += [f'    "{name}": {_text(text)},\n' for name, text in schemas.items()]
    lines.append(f'}}\nREADER = SCHEMAS["{catalog.rabin(reader).hex()}"]\n')
    template = (FOLDER / "job.py").read_text(encoding="utf-8")
    before, rest = template.split(_BEGIN)
    after = rest.split(_END)[1]
    title = f'"""Features of {feature_set.workload}. Written by `make jobs` from job.py; change nothing here.\n'
    _, description = before.split("\n", 1)
    return title + description + _BEGIN + "".join(lines) + _END + after


def _literal(value: Any) -> str:
    return pformat(value, width=100, sort_dicts=False).replace("'", '"')


def _text(text: str) -> str:
    """A text as Python writes it, over several lines."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\n{escaped}\n"""'


def _json(schema: Mapping[str, Any]) -> str:
    """A schema without its descriptions, a line for each field."""
    plain = _undocumented(schema)
    fields = ",\n".join(json.dumps(field) for field in plain.pop("fields"))
    return f'{json.dumps(plain)[:-1]}, "fields": [\n{fields}\n]}}'


def _undocumented(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {name: _undocumented(value) for name, value in schema.items() if name != "doc"}
    return [_undocumented(value) for value in schema] if isinstance(schema, list) else schema


def _spark_type(type_: str) -> str:
    for ours, theirs in _SPARK_TYPES.items():
        type_ = type_.replace(ours, theirs)
    return type_


if __name__ == "__main__":
    sys.exit(main())
