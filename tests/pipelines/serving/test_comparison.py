"""Which of two is better is told where it can be, and only there."""

import json

import numpy as np
import pytest
from ml_pipelines.serving.comparison import compare, main


def log(count=400, noise=0.5, per_entity=1, seed=1, shadow="trees/2.0.0"):
    """The champion sees the truth through noise of 1, the shadow through `noise`."""
    draw = np.random.default_rng(seed)
    truth = np.repeat(draw.normal(size=count // per_entity), per_entity)
    outcomes = (draw.random(count) < 1 / (1 + np.exp(-2 * truth))).astype(float)

    def scores(spread):
        return 1 / (1 + np.exp(-2 * (truth + spread * np.repeat(draw.normal(size=count // per_entity), per_entity))))

    pairs = zip(scores(1.0), scores(noise), strict=True)
    lines = [
        {
            "event_id": f"event-{place}",
            "entity": f"card-{place // per_entity}",
            "champion": "trees/1.0.0",
            "score": ours,
            "shadow": shadow,
            "shadow_score": theirs,
        }
        for place, (ours, theirs) in enumerate(pairs)
    ]
    return lines, {f"event-{place}": outcome for place, outcome in enumerate(outcomes)}


def test_a_better_shadow_is_told():
    (found,) = compare(*log(noise=0.1))
    assert found.verdict.startswith("trees/2.0.0 is better, the shadow")
    assert found.loss == "log_loss"
    assert found.interval[1] < 0
    assert found.p_value < 0.01


def test_a_worse_shadow_is_told():
    (found,) = compare(*log(noise=3.0))
    assert found.verdict.startswith("trees/1.0.0 is better, the champion")


def test_what_is_equally_good_is_seldom_called_better():
    called = sum("is better" in compare(*log(noise=1.0, seed=seed))[0].verdict for seed in range(40))
    assert called <= 6


def test_requests_of_one_entity_are_no_independent_evidence():
    alone = compare(*log(count=2000, noise=0.6))[0]
    together = compare(*log(count=2000, noise=0.6, per_entity=50))[0]
    assert together.entities == 40
    assert together.p_value > alone.p_value


def test_without_outcomes_nothing_is_told():
    lines, outcomes = log()
    assert compare(lines, {})[0].verdict.startswith("can't be told: no outcome")
    few = dict(list(outcomes.items())[:10])
    assert "too few" in compare(lines, few)[0].verdict


def test_several_shadows_need_more_evidence():
    first, outcomes = log(noise=0.5)
    others = [line | {"shadow": f"trees/3.{number}.0"} for number in range(4) for line in first]
    found = compare(first + others, outcomes)
    assert len(found) == 5


def test_numbers_are_compared_by_their_absolute_error():
    draw = np.random.default_rng(0)
    truth = draw.normal(20, 5, 200)
    lines = [
        {
            "event_id": str(place),
            "entity": None,
            "champion": "a/1.0.0",
            "score": value + 3,
            "shadow": "b/1.0.0",
            "shadow_score": None if place == 0 else value + 1,
        }
        for place, value in enumerate(truth)
    ]
    (found,) = compare(lines, {str(place): value for place, value in enumerate(truth)})
    assert (found.loss, found.failed, found.compared) == ("absolute_error", 1, 199)
    assert found.difference == pytest.approx(-2)


def test_the_command_line(tmp_path, capsys):
    lines, outcomes = log(noise=0.1)
    (tmp_path / "log" / "day=2026-01-01").mkdir(parents=True)
    file = tmp_path / "log" / "day=2026-01-01" / "a.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(json.dumps({"event_id": id_, "outcome": value}) for id_, value in outcomes.items()))
    assert main(["--log", str(tmp_path / "log"), "--labels", str(labels)]) == 0
    assert "is better" in json.loads(capsys.readouterr().out)[0]["verdict"]
    assert main(["--log", str(tmp_path / "log"), "--labels", str(tmp_path / "none.jsonl")]) == 2
