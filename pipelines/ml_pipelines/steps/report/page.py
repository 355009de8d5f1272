"""The report as one HTML page without anything from elsewhere."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ml_pipelines.steps.gates import Evidence
from ml_pipelines.steps.metrics import Estimate, Ranked, estimates, mean_error
from ml_pipelines.steps.report import plots

if TYPE_CHECKING:
    from ml_pipelines.steps.evaluate import Evaluation

NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "precision_lift": "Average precision over the share of the outcome",
    "brier": "Brier score",
    "skill": "Mean absolute error saved against the baseline",
    "mean_absolute_error": "Mean absolute error",
    "root_mean_squared_error": "Root mean squared error",
    "ndcg_10": "nDCG of the first ten",
}
LESS_IS_BETTER = ("brier", "mean_absolute_error", "root_mean_squared_error")
_GROUP_ROWS = 30
_TRIALS = 12


@dataclass(frozen=True)
class Plot:
    """A plot and what it tells; a wide one takes a line of its own."""

    title: str
    says: str
    svg: str
    wide: bool = False


def html(found: "Evaluation") -> str:
    """The report of an evaluation."""
    environment = Environment(
        loader=PackageLoader("ml_pipelines.steps.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "moment": moment, "ticks": ticks}
    return environment.get_template("page.html.jinja").render(
        found=found,
        task=found.task,
        manifest=found.manifest,
        split=found.split,
        verdict=found.verdict,
        headline=headline(found),
        metrics=list(metric_rows(found)),
        board=board(found),
        plots=list(_plots(found)),
        plot_tables=list(_groups(found.evidence)),
        who=list(found.metrics),
        names=NAMES,
    )


def number(value: float | None) -> str:
    """A number with as many digits as tell something."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.01 or not size:
        return f"{value:.3f}"
    return f"{value:.2g}"


def moment(milliseconds: int) -> str:
    """The day of a time; sets without dates have 0."""
    return (
        datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%d %B %Y") if milliseconds else "-"
    )


def ticks(text: str) -> Markup:
    """Text in which names stand between backticks, as HTML."""
    plain, code = Markup("{}"), Markup("<code>{}</code>")
    parts = enumerate(text.split("`"))
    return Markup("").join((code if place % 2 else plain).format(part) for place, part in parts)


def headline(found: "Evaluation") -> str:
    """What came out, in a sentence."""
    task, best = found.task, found.metrics["model"][found.task.metric]
    plain = found.metrics["baseline"][task.metric]
    if task.metric == "skill":
        ours, theirs = (found.metrics[who]["mean_absolute_error"] for who in ("model", "baseline"))
        return (
            f"The mean error is {number(ours.value)} {task.outcome} where `{task.baseline.name}` has "
            f"{number(theirs.value)}: {best.value:.1%} less (95% interval {best.low:.1%} to {best.high:.1%})."
        )
    return (
        f"{NAMES[task.metric]} is {number(best.value)} (95% interval {number(best.low)} to {number(best.high)}) where "
        f"`{task.baseline.name}` has {number(plain.value)}."
    )


def reached(found: "Evaluation") -> str:
    """Whether the goal lies below, within or above the interval."""
    best, goal = found.metrics["model"][found.task.metric], found.task.goal
    if best.low >= goal:
        return "surely reached"
    if best.value >= goal:
        return "reached, and within the interval"
    return "within the interval, not reached" if best.high >= goal else "missed"


def metric_rows(found: "Evaluation") -> Iterator[tuple[str, str, list[Estimate]]]:
    """A row for each metric: its name, whether more is better, and the estimates by who scored."""
    for name in found.metrics["model"]:
        better = "less is better" if name in LESS_IS_BETTER else "more is better"
        yield NAMES[name], better, [found.metrics[who][name] for who in found.metrics]


def board(found: "Evaluation") -> list[dict[str, Any]]:
    """The best trial of each candidate, best first."""
    best: dict[str, dict[str, Any]] = {}
    for trial in found.tuning.get("trials", []):
        best.setdefault(trial["candidate"], trial)
    return list(best.values())


def _plots(found: "Evaluation") -> Iterator[Plot]:
    evidence = found.evidence
    if evidence.is_class:
        yield Plot("Found and false alarms", "The ROC curve: further up and left is better.", plots.roc(evidence))
        yield Plot(
            "Right among selected",
            "Precision and recall: what matters if the outcome is rare.",
            plots.precision(evidence),
        )
        yield Plot("Scores", "Each class as a share of its own.", plots.distribution(evidence))
    else:
        yield Plot("Forecasts and outcomes", "On the line, they are the same.", plots.told_and_came(evidence))
        yield Plot("Errors", "Narrow and around zero is better.", plots.residuals(evidence))
        yield Plot("Errors over time", "Whether the model gets worse with age.", plots.over_time(evidence))
    yield Plot("Calibration", "Whether what was told is what came.", plots.calibration(evidence))
    yield Plot(
        "Importance",
        "What is lost if an input is shuffled. Inputs that tell the same share it.",
        plots.importance(found.importance, evidence.task.metric),
        wide=True,
    )


def _groups(evidence: Evidence) -> Iterator[tuple[str, list[dict[str, Any]], str]]:
    """For each grouping its name, a row for each group and a plot."""
    for name, members in evidence.groups.items():
        rows = [_group(evidence, group, members == group) for group in sorted(set(members.tolist()))]
        rows = [row for row in rows if row["rows"] >= _GROUP_ROWS]
        told = [(row["group"], row["estimate"]) for row in rows if np.isfinite(row["estimate"].low)]
        label = "ROC AUC" if evidence.is_class else f"mean absolute error, {evidence.task.outcome}"
        even = np.ones(len(evidence.test))
        overall = _quality(evidence, even.astype(bool))(even)
        chart = [(group, one.value, one.low, one.high) for group, one in told]
        yield name, rows, plots.by_group(chart, label, overall) if chart else ""


def _group(evidence: Evidence, group: str, chosen: np.ndarray) -> dict[str, Any]:
    (estimate,) = estimates(
        [_quality(evidence, chosen)], np.unique(evidence.clusters[chosen], return_inverse=True)[1], evidence.seed, 200
    )
    selected = evidence.scores[chosen] > evidence.threshold if evidence.threshold is not None else None
    return {
        "group": group,
        "rows": int(chosen.sum()),
        "outcome": float(evidence.test.outcomes[chosen].mean()),
        "told": float(evidence.scores[chosen].mean()),
        "selected": None if selected is None else float(selected.mean()),
        "estimate": estimate,
    }


def _quality(evidence: Evidence, chosen: np.ndarray) -> Any:
    outcomes, scores = evidence.test.outcomes[chosen], evidence.scores[chosen]
    return Ranked(outcomes, scores).roc_auc if evidence.is_class else mean_error(outcomes, scores)
