"""The job of feedback: who asked which version how much, and how good it was, as tables of the curated zone.

A folder for each day, of Parquet. Azure has no engine of its own that asks them here: each is a data asset, with a
query for DuckDB, which runs in a notebook.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_blueprints.azure import facts, monitoring_job
from ml_blueprints.costs.prices import HOURS_PER_MONTH
from ml_blueprints.layers import Context

# Where in the curated zone outcomes are told, and where the tables lie.
LABELS, TABLES = "labels/", "feedback/"

# Version of the catalogued tables. It names a place, not a state of it, so that it doesn't change with the data.
VERSION = "1"

# Days that are looked at again where no outcomes come: what was asked lately is written with a delay.
_DAYS = 2


@dataclass(frozen=True)
class Table:
    """A table: what it holds, its columns, and a question that is asked of it, in DuckDB's SQL."""

    description: str
    columns: Mapping[str, str]
    query: str

    def properties(self) -> dict[str, str]:
        """As the catalog shows it."""
        return {"columns": ", ".join(f"{name} {kind}" for name, kind in self.columns.items()), "query": self.query}


USAGE = Table(
    "Who asked which version how much in each hour, and what that cost",
    {
        "hour": "TIMESTAMP",
        "tenant": "VARCHAR",
        "model": "VARCHAR",
        "rows": "BIGINT",
        "entities": "BIGINT",
        "selected": "BIGINT",
        "mean_score": "DOUBLE",
        "usd": "DOUBLE",
        "day": "DATE",
    },
    'SELECT day, tenant, model, sum("rows") AS "rows", sum(usd) AS usd '
    "FROM read_parquet('usage/*/*.parquet', hive_partitioning = true) GROUP BY ALL ORDER BY ALL",
)

PERFORMANCE = Table(
    "How good each version was, in all and in each cohort, as far as outcomes are known",
    {
        "model": "VARCHAR",
        "dimension": "VARCHAR",
        "cohort": "VARCHAR",
        "rows": "BIGINT",
        "entities": "BIGINT",
        "mean_score": "DOUBLE",
        "mean_outcome": "DOUBLE",
        "metric": "VARCHAR",
        "value": "DOUBLE",
        "low": "DOUBLE",
        "high": "DOUBLE",
        "day": "DATE",
    },
    "SELECT day, model, metric, value, low, high "
    "FROM read_parquet('performance/*/*.parquet', hive_partitioning = true) WHERE dimension = 'all' ORDER BY ALL",
)


def experiment(context: Context) -> str:
    """The experiment that records the job's runs."""
    return f"{context.name}-feedback"


def command(context: Context, asked: Sequence[str], labels: str, tables: str, real_time: bool) -> str:
    """What the job runs. asked, labels, tables: URLs of folders; real_time: whether instances wait for requests."""
    days = context.workload.monitoring.feedback.labels_within_days
    return monitoring_job.command(
        facts.COMMANDS["feedback"],
        {
            "requests": tuple(asked),
            "labels": labels if days else None,
            "days": days or _DAYS,
            "to": tables,
            "usd-per-hour": f"{context.sizing.monthly_usd / HOURS_PER_MONTH:.4f}" if real_time else None,
        },
    )
