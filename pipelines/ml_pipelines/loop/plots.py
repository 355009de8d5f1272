"""Plots of the loop as SVG: what drifted, how good each version was, who answered, and what became known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_pipelines.loop.demonstration import Outcome
from ml_pipelines.monitoring.report import Kind
from ml_pipelines.retraining.events import What
from ml_pipelines.steps.report.plots import CHAMPION, INK, OURS, PLAIN, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE, HIGH = 9.6, 3.0
DRIFT = "#b3261e"
_COLOURS = (PLAIN, OURS, CHAMPION, "#1a7f4b", "#7a4fbf")
_SHOWN = 4
_LEAST = 60


def colours(outcome: Outcome) -> dict[str, str]:
    """A colour for each version that answered or was a shadow, the first one grey."""
    keys = dict.fromkeys(key for seen in outcome.windows for key in (seen.champion, seen.other) if key)
    return {key: _COLOURS[place % len(_COLOURS)] for place, key in enumerate(keys)}


def moments(outcome: Outcome) -> Iterator[tuple[int, str]]:
    """What happened after which event, in few words, for the plots."""
    names = {
        What.STOPPED: "stopped by a gate",
        What.SHADOW: "shadow",
        What.CANARY: "canary",
        What.PROMOTED: "promoted",
        What.ROLLED_BACK: "rolled back",
    }
    for record in outcome.records:
        number = outcome.number(record)
        if record["what"] in names and number > 0:
            yield number, names[What(record["what"])]


def _marked(axes: "Axes", outcome: Outcome, words: bool) -> None:
    """The recession, and what happened."""
    scenario = outcome.plan.scenario
    ends = outcome.recovery_at or outcome.windows[-1].until
    axes.axvspan(scenario.drift_at, ends, color=DRIFT, alpha=0.07, linewidth=0)
    for number, said in moments(outcome):
        axes.axvline(number, color=INK, linewidth=0.7, linestyle=":")
        if words:
            axes.annotate(
                said,
                (number, 1.01),
                xycoords=("data", "axes fraction"),
                rotation=35,
                fontsize=8,
                ha="left",
                va="bottom",
            )
    axes.set(xlabel="event", xlim=(0, outcome.windows[-1].until))


def drift(outcome: Outcome) -> str:
    """The distance of the inputs that moved most from the champion's baseline, window by window."""
    distances: dict[str, list[tuple[int, float]]] = {}
    for seen in outcome.windows:
        for one in (*seen.report.of(Kind.DATA), *seen.report.of(Kind.PREDICTION)):
            if one.found is not None:
                distances.setdefault(one.name, []).append((seen.until, one.found))
    most = sorted(distances, key=lambda name: -max(found for _, found in distances[name]))[:_SHOWN]

    def draw(axes: "Axes") -> None:
        for name, colour in zip(most, _COLOURS[1:], strict=False):
            axes.plot(*zip(*distances[name], strict=True), color=colour, label=name, linewidth=1.6, marker=".")
        axes.axhline(outcome.plan.drift.threshold, color=DRIFT, linewidth=1, linestyle="--")
        axes.set(ylabel=outcome.plan.drift.metric.replace("_", " "))
        axes.legend(loc="upper left", fontsize=8)
        _marked(axes, outcome, words=True)

    return drawn(draw, WIDE, HIGH + 0.5)


def losses(outcome: Outcome) -> str:
    """The mean logarithmic loss of each version's own scores, answers and shadows, window by window."""
    lines: dict[str, list[tuple[int, float, float, float]]] = {}
    for key in colours(outcome):
        numbers, found = outcome.scored.get(key, (np.zeros(0, np.int64), np.zeros(0)))
        for seen in outcome.windows:
            inside = found[(numbers >= seen.until - outcome.plan.window) & (numbers < seen.until)]
            if len(inside) >= _LEAST:
                spread = 1.96 * inside.std() / np.sqrt(len(inside))
                lines.setdefault(key, []).append(
                    (seen.until, inside.mean(), inside.mean() - spread, inside.mean() + spread)
                )

    def draw(axes: "Axes") -> None:
        for key, colour in colours(outcome).items():
            for part in _runs(lines.get(key, []), outcome.plan.window):
                until, mean, low, high = (np.array(column) for column in zip(*part, strict=True))
                axes.plot(until, mean, color=colour, linewidth=1.8, marker=".")
                axes.fill_between(until, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot([], [], color=colour, label=key)
        axes.set(ylabel="log loss: less is better")
        axes.legend(loc="upper left", fontsize=8)
        _marked(axes, outcome, words=True)

    return drawn(draw, WIDE, HIGH + 0.5)


def _runs(points: Sequence[tuple[int, float, float, float]], window: int) -> Iterator[Sequence[Any]]:
    """Points in a row, so that no line is drawn where a version didn't score."""
    run: list[tuple[int, float, float, float]] = []
    for point in points:
        if run and point[0] - run[-1][0] > window:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def answered(outcome: Outcome) -> str:
    """The share of each version in the answers of each window."""

    def draw(axes: "Axes") -> None:
        until = [seen.until for seen in outcome.windows]
        below = np.zeros(len(until))
        for key, colour in colours(outcome).items():
            shares = np.array([_share(seen.answered, key) for seen in outcome.windows])
            axes.bar(until, shares, -0.9 * outcome.plan.window, below, align="edge", color=colour, label=key)
            below += shares
        axes.set(ylabel="share of answers", ylim=(0, 1))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(colours(outcome)), fontsize=8)
        _marked(axes, outcome, words=False)

    return drawn(draw, WIDE, HIGH)


def _share(answered: Mapping[str, int], key: str) -> float:
    return answered.get(key, 0) / max(1, sum(answered.values()))


def known(outcome: Outcome) -> str:
    """Of how many events the outcome was known when."""

    def draw(axes: "Axes") -> None:
        until = [seen.until for seen in outcome.windows]
        axes.plot(until, until, color=PLAIN, label="answered")
        axes.plot(until, [seen.known for seen in outcome.windows], color=OURS, label="outcome known")
        axes.set(ylabel="events")
        axes.legend(loc="upper left", fontsize=8)
        _marked(axes, outcome, words=False)

    return drawn(draw, WIDE / 2, HIGH)
