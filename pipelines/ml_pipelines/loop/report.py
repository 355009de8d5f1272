"""The report of the loop as one HTML page without anything from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined

from ml_pipelines.loop import plots
from ml_pipelines.loop.demonstration import Outcome
from ml_pipelines.retraining.events import What
from ml_pipelines.retraining.performance import Performance, performance
from ml_pipelines.retraining.usage import usage
from ml_pipelines.steps.report.page import ticks

COHORT = "home"
BY_TENANT = """
SELECT tenant, model, sum(rows)::BIGINT AS rows, sum(selected)::BIGINT AS selected, avg(mean_score) AS mean_score
FROM used GROUP BY tenant, model ORDER BY tenant, model
"""


@dataclass(frozen=True)
class Figure:
    """One of the figures on top: what it is, and its value in words."""

    name: str
    value: str
    good: bool = True


def html(outcome: Outcome) -> str:
    """The report."""
    environment = Environment(
        loader=PackageLoader("ml_pipelines.loop", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ticks"] = ticks
    return environment.get_template("page.html.jinja").render(
        outcome=outcome,
        scenario=outcome.plan.scenario,
        figures=list(figures(outcome)),
        drift=plots.drift(outcome),
        losses=plots.losses(outcome),
        answered=plots.answered(outcome),
        known=plots.known(outcome),
        counts=outcome.counts,
        cohorts=[one for one in performance(outcome.joined, [COHORT]) if one.metrics]
        if outcome.joined is not None
        else [],
        used=used(outcome),
        records=[record | {"event": outcome.number(record)} for record in outcome.records],
        decisions=[seen for seen in outcome.windows if seen.decision.reasons],
    )


def figures(outcome: Outcome) -> Iterator[Figure]:
    """What people ask first."""
    delay, count = outcome.detection_delay, {what: len(outcome.of(what)) for what in What}
    for who, found in (("the monitor's report", delay), ("the watch over the stream", outcome.shift_delay)):
        said = "not told" if found is None else f"{found:,} events"
        yield Figure(f"From the drift until {who} told it", said, found is not None)
    calm = sum(seen.report.rows for seen in outcome.calm)
    said = f"{outcome.false_alarms} and {outcome.early_shifts} in {len(outcome.calm)} windows, {calm:,} events"
    yield Figure("False alarms of both before it", said, not outcome.false_alarms + outcome.early_shifts)
    said = f"{count[What.STOPPED]} of {count[What.STOPPED] + count[What.REGISTERED]}"
    yield Figure("Candidates stopped by gates", said, bool(count[What.STOPPED]))
    # The first champion was promoted, too, before the stream.
    yield Figure("Promoted, rolled back", f"{count[What.PROMOTED] - 1}, {count[What.ROLLED_BACK]}")
    yield Figure("Rows asked, failed", f"{outcome.asked:,}, {outcome.failed:,}", not outcome.failed)
    yield Figure("Audit trail", f"{outcome.head.number} records, verified")


def cohorts(outcome: Outcome) -> list[Performance]:
    """How good each version was for whom, where there is enough to tell."""
    return [one for one in performance(outcome.joined, [COHORT]) if one.metrics] if outcome.joined is not None else []


def used(outcome: Outcome) -> list[dict[str, Any]]:
    """Who asked which version, and how much."""
    table = usage(outcome.folder / "captured" / "requests")
    with duckdb.connect() as connection:
        connection.register("used", table)
        return connection.execute(BY_TENANT).to_arrow_table().to_pylist()
