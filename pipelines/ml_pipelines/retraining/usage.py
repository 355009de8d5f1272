"""Usage: who asked which version of a model, how much, in each hour, as a table for DuckDB and its like.

What serving costs in an hour is divided by the rows that were answered in it.
"""

from pathlib import Path

import duckdb
import pyarrow as pa

from ml_pipelines.retraining.answers import FeedbackError, view


def usage(requests: Path, usd_per_hour: float | None = None, since: int = 0) -> pa.Table:
    """A row for each hour, tenant and version, in this order.

    requests: the folder of what the service captured, or batches scored; since: what was asked before isn't counted, in
    milliseconds since 1970. Columns: `hour` (UTC), `tenant` (`-` where none is known),
    `model`, `rows`, `entities` (how many different ones), `selected`, `mean_score` and, with `usd_per_hour`, `usd`.
    Raises FeedbackError where there are no lines.
    """
    with duckdb.connect() as connection:
        view(connection, requests)
        try:
            return connection.execute(_USAGE, {"usd": usd_per_hour, "since": since}).to_arrow_table()
        except duckdb.Error as error:
            raise FeedbackError(f"{requests}: {error}") from error


_USAGE = """
SELECT *, $usd::DOUBLE * rows / sum(rows) OVER (PARTITION BY hour) AS usd FROM (
    SELECT
        make_timestamp("at" // 3600000 * 3600000000) AS hour,
        coalesce(tenant, '-') AS tenant,
        model,
        count(*) AS rows,
        count(DISTINCT entity) AS entities,
        count(*) FILTER (selected) AS selected,
        avg(score) AS mean_score
    FROM captured
    WHERE "at" >= $since
    GROUP BY ALL
)
ORDER BY hour, tenant, model
"""
