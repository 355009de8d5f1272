"""Plots of an evaluation as SVG, the same bytes for the same numbers."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from ml_pipelines.steps.gates import Evidence
from ml_pipelines.steps.metrics import reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, PLAIN, CHAMPION, INK, GRID = "#1f5fbf", "#9aa3ad", "#c77700", "#22272e", "#e4e7eb"
_STYLE = {
    "svg.hashsalt": "ml-pipelines",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": PLAIN,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.transparent": True,
}
_POINTS = 400
_SHOWN = 12


def drawn(draw: Callable[["Axes"], None], width: float = 4.6, height: float = 3.3) -> str:
    """What `draw` puts on one pair of axes, as an SVG element."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def scorers(evidence: Evidence) -> Iterator[tuple[str, np.ndarray, str]]:
    """Who scored, the scores and the colour: the model, the champion if there is one, and the baseline."""
    yield "model", evidence.scores, OURS
    if evidence.champion is not None:
        yield "champion", evidence.champion, CHAMPION
    yield evidence.task.baseline.name, evidence.plain, PLAIN


def roc(evidence: Evidence) -> str:
    """How many positives are found for how many false alarms."""

    def draw(axes: "Axes") -> None:
        for name, scores, colour in scorers(evidence):
            hits, misses = _found(evidence.test.outcomes, scores)
            axes.plot(misses / misses[-1], hits / hits[-1], color=colour, label=name, linewidth=1.8)
        axes.set(xlabel="false alarms, share of negatives", ylabel="found, share of positives")
        axes.legend(loc="lower right")

    return drawn(draw)


def precision(evidence: Evidence) -> str:
    """How many of those selected are right, for how many positives are found."""

    def draw(axes: "Axes") -> None:
        for name, scores, colour in scorers(evidence):
            hits, misses = _found(evidence.test.outcomes, scores)
            recall, right = hits[1:] / hits[-1], hits[1:] / (hits[1:] + misses[1:])
            if len(recall) == 1:
                recall, right = np.array([0.0, 1.0]), np.repeat(right, 2)
            axes.plot(recall, right, color=colour, label=name, linewidth=1.8)
        axes.set(xlabel="found, share of positives", ylabel="right, share of selected", ylim=(0, 1.03))
        axes.legend(loc="upper right")

    return drawn(draw)


def _found(outcomes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives with at least each score, thinned out."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    hits = np.concatenate([[0.0], np.cumsum(outcomes[order])[last]])
    misses = np.concatenate([[0.0], last + 1 - hits[1:]])
    if len(hits) > _POINTS:
        # As many points for each step of positives found as for each step of false alarms.
        keep = np.unique(
            np.concatenate(
                [np.searchsorted(side, np.linspace(0, side[-1], _POINTS // 2)) for side in (hits, misses)]
                + [[0, len(hits) - 1]]
            ).astype(int)
        )
        hits, misses = hits[keep], misses[keep]
    return hits, misses


def calibration(evidence: Evidence) -> str:
    """What was told against what came, in ten bins of as many examples each."""

    def draw(axes: "Axes") -> None:
        told, came, counts = (
            np.array(column) for column in zip(*reliability(evidence.test.outcomes, evidence.scores), strict=True)
        )
        ends = (min(told.min(), came.min()), max(told.max(), came.max()))
        axes.plot(ends, ends, color=PLAIN, linewidth=1, linestyle="--", label="perfect")
        if evidence.is_class:
            spread = 1.96 * np.sqrt(np.maximum(came * (1 - came), 1e-12) / counts)
            axes.errorbar(
                told, came, yerr=spread, color=OURS, linewidth=1.4, marker="o", markersize=4, label="model, 95%"
            )
        else:
            axes.plot(told, came, color=OURS, linewidth=1.4, marker="o", markersize=4, label="model")
        what = "share" if evidence.is_class else evidence.task.outcome
        axes.set(xlabel="told, mean of bin", ylabel=f"came, {what}")
        axes.legend(loc="upper left")

    return drawn(draw)


def importance(found: Mapping[str, float], metric: str) -> str:
    """What is lost when an input is shuffled."""
    names = list(found)[:_SHOWN][::-1]

    def draw(axes: "Axes") -> None:
        axes.barh(names, [found[name] for name in names], color=OURS, height=0.65)
        axes.set(xlabel=f"loss of {metric.replace('_', ' ')} when shuffled")
        axes.grid(axis="y", visible=False)

    return drawn(draw, width=9.4, height=max(2.0, 0.24 * len(names) + 0.8))


def distribution(evidence: Evidence) -> str:
    """Scores of both classes, each as a share of its own."""

    def draw(axes: "Axes") -> None:
        edges = np.linspace(0, max(float(evidence.scores.max()), 1e-6), 41)
        for outcome, colour, name in ((0, PLAIN, "others"), (1, OURS, evidence.task.outcome)):
            chosen = evidence.scores[evidence.test.outcomes == outcome]
            weights = np.full(len(chosen), 1 / max(len(chosen), 1))
            axes.hist(chosen, edges.tolist(), weights=weights, color=colour, alpha=0.65, label=name)
        if evidence.threshold is not None:
            axes.axvline(evidence.threshold, color=INK, linewidth=1, linestyle=":", label="threshold")
        axes.set(xlabel="score", ylabel="share of the class", yscale="log" if _rare(evidence) else "linear")
        axes.legend(loc="upper right")

    return drawn(draw)


def _rare(evidence: Evidence) -> bool:
    return float(evidence.test.outcomes.mean()) < 0.02


def residuals(evidence: Evidence) -> str:
    """How far off the model and the baseline are."""

    def draw(axes: "Axes") -> None:
        found = [(name, evidence.test.outcomes - scores, colour) for name, scores, colour in scorers(evidence)]
        reach = float(np.quantile(np.abs(found[-1][1]), 0.98)) or 1.0
        edges = np.linspace(-reach, reach, 61)
        for name, errors, colour in reversed(found):
            share = np.full(len(errors), 1 / len(errors))
            axes.hist(
                np.clip(errors, -reach, reach), edges.tolist(), weights=share, color=colour, alpha=0.6, label=name
            )
        axes.set(xlabel=f"outcome less forecast, {evidence.task.outcome}", ylabel="share of examples")
        axes.legend(loc="upper right")

    return drawn(draw)


def over_time(evidence: Evidence) -> str:
    """The mean absolute error by time, of the model and the baseline."""

    def draw(axes: "Axes") -> None:
        place = np.argsort(evidence.test.decided_at, kind="stable")
        parts = np.array_split(place, min(26, max(2, len(place) // 50)))
        days = [np.datetime64(int(np.mean(evidence.test.decided_at[part])), "ms").astype(Any) for part in parts]
        for name, scores, colour in scorers(evidence):
            errors = np.abs(evidence.test.outcomes - scores)
            axes.plot(days, [errors[part].mean() for part in parts], color=colour, label=name, linewidth=1.6)
        axes.set(ylabel=f"mean absolute error, {evidence.task.outcome}", ylim=(0, None))
        axes.tick_params(axis="x", rotation=30)
        axes.legend(loc="best")

    return drawn(draw)


def told_and_came(evidence: Evidence) -> str:
    """Outcomes against forecasts, for some of the examples."""

    def draw(axes: "Axes") -> None:
        step = max(1, len(evidence.test) // 1500)
        told, came = evidence.scores[::step], evidence.test.outcomes[::step]
        ends = (float(min(told.min(), came.min())), float(max(told.max(), came.max())))
        axes.plot(ends, ends, color=PLAIN, linewidth=1, linestyle="--")
        axes.scatter(told, came, s=5, color=OURS, alpha=0.35, linewidths=0)
        axes.set(xlabel=f"forecast, {evidence.task.outcome}", ylabel="outcome")

    return drawn(draw)


def by_group(rows: Sequence[tuple[str, float, float, float]], label: str, overall: float) -> str:
    """A value with its interval for each group, and that of all as a line. rows: group, value, low, high."""

    def draw(axes: "Axes") -> None:
        names = [name for name, *_ in rows][::-1]
        values = np.array([value for _, value, _, _ in rows][::-1])
        low = np.array([low for _, _, low, _ in rows][::-1])
        high = np.array([high for _, _, _, high in rows][::-1])
        spread = np.maximum([values - low, high - values], 0)
        axes.errorbar(values, names, xerr=spread, fmt="o", color=OURS, markersize=5, linewidth=1.4)
        axes.axvline(overall, color=PLAIN, linewidth=1, linestyle="--", label="all")
        axes.set(xlabel=label)
        axes.margins(y=0.3 if len(names) < 4 else 0.08)
        axes.legend(loc="best")

    return drawn(draw, height=max(1.8, 0.27 * len(rows) + 0.9))
