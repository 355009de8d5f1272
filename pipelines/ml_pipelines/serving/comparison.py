"""Which is better, champion or shadow: `python -m ml_pipelines.serving.comparison --log FOLDER --labels FILE`.

Where a platform makes the copies, champion and shadow each keep what they were asked and answered, in lines of ours or
as SageMaker captures it: `--champion PLACE --shadow PLACE`, folders or URLs of object stores, are paired by event id.

Both scored the same requests, so that losses are compared in pairs: the logarithmic loss where the outcome is 0 or 1,
else the absolute error. Requests of one entity are no independent evidence, and are drawn and turned as one.
Significance comes of a test by random signs, which asks nothing of how losses are distributed.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml_pipelines.retraining.answers import FeedbackError
from ml_pipelines.retraining.captured import brought

DRAWS = 10_000
SIGNIFICANCE = 0.05
_LEAST = 30
_EDGE = 1e-6
# Which of --log, --champion and --shadow may be given together.
_SAID = ([True, False, False], [False, True, True])


@dataclass(frozen=True)
class Comparison:
    """A shadow beside the champion. `difference` is the shadow's mean loss less the champion's: below 0 is better."""

    champion: str
    shadow: str
    compared: int
    entities: int
    failed: int
    correlation: float | None
    loss: str | None
    champion_loss: float | None
    shadow_loss: float | None
    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    verdict: str


def compare(
    log: Iterable[Mapping[str, Any]], outcomes: Mapping[str, float], seed: int = 0, significance: float = SIGNIFICANCE
) -> list[Comparison]:
    """A comparison for each pair of versions in the log. `outcomes` are by event id."""
    pairs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in log:
        pairs.setdefault((line["champion"], line["shadow"]), []).append(line)
    # With several shadows one of them is the better one by chance more often (Bonferroni).
    level = significance / max(len(pairs), 1)
    return [_pair(*names, lines, outcomes, seed, level) for names, lines in sorted(pairs.items())]


def _pair(
    champion: str,
    shadow: str,
    lines: Sequence[Mapping[str, Any]],
    outcomes: Mapping[str, float],
    seed: int,
    level: float,
) -> Comparison:
    scored = [line for line in lines if line["shadow_score"] is not None]
    ours = np.array([line["score"] for line in scored], dtype=np.float64)
    theirs = np.array([line["shadow_score"] for line in scored], dtype=np.float64)
    varied = len(scored) > 1 and ours.std() > 0 and theirs.std() > 0
    correlation = float(np.corrcoef(ours, theirs)[0, 1]) if varied else None
    known = np.array([line["event_id"] in outcomes for line in scored], dtype=bool)
    failed = len(lines) - len(scored)
    if not known.any():
        said = "can't be told: no outcome is known of what both scored"
        return Comparison(champion, shadow, 0, 0, failed, correlation, None, None, None, None, None, None, said)
    outcome = np.array([outcomes[line["event_id"]] for line, there in zip(scored, known, strict=True) if there])
    whose = [line["entity"] or line["event_id"] for line, there in zip(scored, known, strict=True) if there]
    loss = "log_loss" if set(np.unique(outcome)) <= {0.0, 1.0} else "absolute_error"
    of_champion, of_shadow = (_loss(loss, scores[known], outcome) for scores in (ours, theirs))
    entity = np.unique(whose, return_inverse=True)[1]
    count = int(entity.max()) + 1
    sums = np.bincount(entity, of_shadow - of_champion, count)
    sizes = np.bincount(entity, minlength=count)
    difference = float(sums.sum() / sizes.sum())
    interval, p_value = _interval(sums, sizes, seed), _p_value(sums, seed)
    if count < _LEAST:
        said = f"can't be told: outcomes of {count} entities are too few, {_LEAST} are needed"
    elif p_value >= level:
        said = f"can't be told: a difference like this comes by chance (p = {p_value:.3g}, below {level:.3g} is needed)"
    else:
        better, which = (shadow, "the shadow") if difference < 0 else (champion, "the champion")
        said = f"{better} is better, {which} (p = {p_value:.2g})"
    return Comparison(
        champion,
        shadow,
        len(outcome),
        count,
        failed,
        correlation,
        loss,
        float(of_champion.mean()),
        float(of_shadow.mean()),
        difference,
        interval,
        p_value,
        said,
    )


def _loss(name: str, scores: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    if name == "absolute_error":
        return np.abs(scores - outcome)
    told = np.clip(scores, _EDGE, 1 - _EDGE)
    return -(outcome * np.log(told) + (1 - outcome) * np.log(1 - told))


def _interval(sums: np.ndarray, sizes: np.ndarray, seed: int) -> tuple[float, float]:
    """The 95% interval of the mean difference, by drawing entities anew."""
    draw = np.random.default_rng(seed)
    means = np.empty(1000)
    for place in range(len(means)):
        drawn = draw.integers(0, len(sums), len(sums))
        means[place] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _p_value(sums: np.ndarray, seed: int) -> float:
    """How often a difference as large comes where each entity's sign is drawn by chance."""
    draw = np.random.default_rng(seed)
    observed, at_least = abs(sums.sum()), 0
    for start in range(0, DRAWS, 500):
        signs = draw.integers(0, 2, (min(500, DRAWS - start), len(sums)), dtype=np.int8) * 2 - 1
        at_least += int((np.abs(signs @ sums) >= observed * (1 - 1e-12)).sum())
    return (at_least + 1) / (DRAWS + 1)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """What the service wrote: lines of JSON in files of a folder."""
    files = sorted(folder.glob("**/*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def read_pairs(champion: str, shadow: str) -> list[dict[str, Any]]:
    """What two places hold of the same events, as one line for each, as the service writes them side by side.

    What has no event id, and what one of them alone answered, is in none. Raises FeedbackError for an object store that
    can't be read.
    """
    ours = _by_event(champion)
    return [
        {
            **{name: ours[event][name] for name in ("at", "tenant", "entity", "event_id", "score")},
            "champion": ours[event]["model"],
            "shadow": theirs["model"],
            "shadow_score": theirs["score"],
            "shadow_ms": None,
            "failure": None,
        }
        for event, theirs in _by_event(shadow).items()
        if event in ours
    ]


def _by_event(place: str) -> dict[tuple[str | None, str], dict[str, Any]]:
    """Answers by tenant and event id, which several tenants may have. Of a request that came again it is the last."""
    with brought(place) as folder:
        lines = read_log(folder)
    return {(line["tenant"], line["event_id"]): line for line in lines if line.get("event_id") is not None}


def read_outcomes(file: Path) -> dict[str, float]:
    """Outcomes by event id: lines of JSON, or Parquet, with `event_id` and `outcome`."""
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(file, columns=["event_id", "outcome"]).to_pylist()
    else:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {row["event_id"]: float(row["outcome"]) for row in rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints a comparison for each shadow as JSON."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.serving.comparison", description=__doc__)
    parser.add_argument("--log", type=Path, help="the folder of comparisons that the service wrote")
    parser.add_argument("--champion", help="where what the champion was asked and answered is kept")
    parser.add_argument("--shadow", help="where what the shadow was asked and answered is kept")
    parser.add_argument("--labels", type=Path, required=True, help="outcomes: `event_id` and `outcome`")
    options = parser.parse_args(arguments)
    if [bool(said) for said in (options.log, options.champion, options.shadow)] not in _SAID:
        parser.error("--log, or --champion and --shadow together, say what is compared")
    try:
        log = read_log(options.log) if options.log else read_pairs(options.champion, options.shadow)
        found = compare(log, read_outcomes(options.labels))
    except (OSError, ValueError, KeyError, FeedbackError) as error:
        print(f"comparison: {error!r}", file=sys.stderr)
        return 2
    print(json.dumps([asdict(one) for one in found], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
