"""The job of feedback: who asked which version how much, and how good it was, as tables of the curated zone.

A folder for each day, of Parquet. Azure has no engine of its own that asks them here: each is a data asset, with a
query for DuckDB, which runs in a notebook.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_blueprints import looks
from ml_blueprints.azure import facts, monitoring_job
from ml_blueprints.layers import Context
from ml_blueprints.looks import Kind

# Version of the catalogued tables. It names a place, not a state of it, so that it doesn't change with the data.
VERSION = "1"

# Columns as types of DuckDB.
_TYPES = {Kind.TIME: "TIMESTAMP", Kind.WORD: "VARCHAR", Kind.COUNT: "BIGINT", Kind.NUMBER: "DOUBLE"}


@dataclass(frozen=True)
class Table:
    """A table: what it holds, its columns, and a question that is asked of it, in DuckDB's SQL."""

    description: str
    columns: Mapping[str, Kind]
    query: str

    def properties(self) -> dict[str, str]:
        """As the catalog shows it."""
        columns = [*(f"{name} {_TYPES[kind]}" for name, kind in self.columns.items()), "day DATE"]
        return {"columns": ", ".join(columns), "query": self.query}


USAGE = Table(
    "Who asked which version how much in each hour, and what that cost",
    looks.USAGE,
    'SELECT day, tenant, model, sum("rows") AS "rows", sum(usd) AS usd '
    "FROM read_parquet('usage/*/*.parquet', hive_partitioning = true) GROUP BY ALL ORDER BY ALL",
)

PERFORMANCE = Table(
    "How good each version was, in all and in each cohort, as far as outcomes are known",
    looks.PERFORMANCE,
    "SELECT day, model, metric, value, low, high "
    "FROM read_parquet('performance/*/*.parquet', hive_partitioning = true) WHERE dimension = 'all' ORDER BY ALL",
)


def experiment(context: Context) -> str:
    """The experiment that records the job's runs."""
    return f"{context.name}-feedback"


def command(context: Context, asked: Sequence[str], labels: str, tables: str, real_time: bool) -> str:
    """What the job runs. asked, labels, tables: URLs of folders; real_time: whether instances wait for requests."""
    return monitoring_job.command(
        facts.COMMANDS["feedback"],
        {
            **looks.feedback(context, real_time, labels),
            "requests": tuple(asked),
            "to": tables,
        },
    )
