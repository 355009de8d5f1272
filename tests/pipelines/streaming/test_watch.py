"""The watch over a stream: what changed is found soon and told once, and events are none the worse."""

import json
import logging
import random

import numpy as np
import pytest
from ml_pipelines.features.online import Plan
from ml_pipelines.monitoring.baseline import Baseline
from ml_pipelines.steps.drift_baseline import described
from ml_pipelines.steps.errors import StepError
from ml_pipelines.streaming.core import Outcome
from ml_pipelines.streaming.environment import LEARN, SettingError, Settings
from ml_pipelines.streaming.sinks import Collected, SinkError
from ml_pipelines.streaming.watch import QUIET_MS, Watch

FEATURES = {"amount": "float", "count": "integer", "word": "string", "idle": "float"}


def decisions(seed, rows, at=0, amount=0.0, width=1.0, lacking=0.0, red=0.5, score=0.0):
    """What a processor hands on: numbers, few whole numbers, words, and a feature that is never there."""
    draw = np.random.default_rng(seed)
    amounts = draw.normal(amount, width, rows)
    missing = draw.random(rows) < lacking
    words = draw.choice(["red", "green", ""], rows, p=[red, 0.9 - red, 0.1])
    return [
        {
            "features": {
                "amount": None if missing[place] else float(amounts[place]),
                "count": int(draw.poisson(2)),
                "word": str(words[place]),
                "idle": None,
            },
            "answer": {"score": float(draw.random() ** (1 + score)), "selected": False},
            "arrived_at": at + place,
        }
        for place in range(rows)
    ]


def shown(watch, *parts):
    """What is found while decisions come in batches of 100."""
    found = []
    for part in parts:
        for start in range(0, len(part), 100):
            found += watch.see(part[start : start + 100])
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_that_stays_the_same_is_left_alone(seed):
    assert shown(Watch("made-up", FEATURES), decisions(seed, 20_000)) == []


CHANGES = {
    "level": ({"amount": 1.0}, "amount", "level"),
    "spread": ({"width": 3.0}, "amount", "spread"),
    "missing": ({"lacking": 0.2}, "amount", "missing"),
    "words": ({"red": 0.1}, "word", "level"),
    "scores": ({"score": 2.0}, "score", "level"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_sudden_change_is_found_within_2000_events(case):
    changed, feature, aspect = CHANGES[case]
    watch = Watch("made-up", FEATURES)
    assert shown(watch, decisions(1, 5000)) == []
    found = shown(watch, decisions(2, 2000, at=5000, **changed))
    assert (found[0].feature, found[0].aspect) == (feature, aspect)
    assert {shift.feature for shift in found} == {feature}
    assert found[0].at <= 7000
    assert f"{feature} changed: the " in found[0].said()


def test_a_feature_that_goes_on_changing_is_told_once_in_a_while():
    watch = Watch("made-up", FEATURES)
    ramp = [decisions(place, 500, at=place * 500, amount=place / 4) for place in range(20)]
    assert [shift.feature for shift in shown(watch, *ramp)] == ["amount"]
    later = [decisions(place, 500, at=2 * QUIET_MS + place * 500, amount=4 - place) for place in range(10)]
    assert [shift.feature for shift in shown(watch, *later)] == ["amount"]


def test_ranks_are_those_of_training_where_there_is_a_baseline():
    first = decisions(1, 4000)
    columns = {
        name: np.array(["" if is_word else np.nan if row["features"][name] is None else 0 for row in first])
        for name, is_word in (("idle", False), ("word", True))
    }
    columns["amount"] = np.array([row["features"]["amount"] for row in first])
    columns["count"] = np.array([float(row["features"]["count"]) for row in first])
    columns["word"] = np.array([row["features"]["word"] for row in first], dtype=object)
    scores = np.array([row["answer"]["score"] for row in first])
    said = {
        **{"format": 1, "task": "made-up", "rows": 4000, "scores": described(scores), "outcomes": described(scores)},
        "inputs": {name: described(values) for name, values in columns.items()},
    }
    watch = Watch("made-up", FEATURES, Baseline.of(said))
    # Nothing has to be learned: what changes among the first values is found, too.
    found = shown(watch, decisions(2, 512), decisions(3, 488, at=512, amount=1.5))
    assert [(shift.feature, shift.aspect) for shift in found] == [("amount", "level")]


def test_changes_are_logged_and_published(caplog):
    out = Collected()
    watch = Watch("made-up", FEATURES, alarms=out)
    with caplog.at_level(logging.WARNING):
        (shift,) = shown(watch, decisions(1, 3000), decisions(2, 1000, at=3000, amount=2.0))
    ((key, message),) = out.messages
    assert key == "amount"
    assert json.loads(message) == {
        **{"workload": "made-up", "feature": "amount", "aspect": "level", "before": shift.before},
        **{"after": shift.after, "older": shift.older, "newer": shift.newer, "at": shift.at},
    }
    assert f"drift: {shift.said()} {message.decode()}" in caplog.text


class Broken:
    def publish(self, messages):
        raise SinkError("not here")


def test_a_change_that_can_not_be_published_is_found_all_the_same(caplog):
    watch = Watch("made-up", FEATURES, alarms=Broken())
    assert len(shown(watch, decisions(1, 3000), decisions(2, 1000, amount=2.0))) == 1
    assert "a change can't be published: not here" in caplog.text


def test_memory_is_bounded():
    watch = Watch("made-up", FEATURES)
    shown(watch, decisions(1, 10_000))
    assert len(watch._rows) < watch.every
    assert watch._adwin._levels.nbytes < 200_000


def test_a_processor_counts_what_its_watch_finds(house):
    house.processor.watch = watch = Watch("fraud-detection", house.plan.features)
    draw = random.Random(1)
    number = 0

    def pay(count, low, high):
        nonlocal number
        for _ in range(count // 100):
            records = []
            for _ in range(100):
                number += 1
                # Each card pays once, so that its windows hold this payment alone.
                records.append(house.record(number, f"card-{number}", number * 10, amount=draw.uniform(low, high)))
            assert {result.outcome for result in house.processor.process(records)} == {Outcome.DECIDED}

    pay(3000, 1, 10)
    assert house.processor.counts["changes"] == 0
    pay(1500, 5, 50)
    assert house.processor.counts["changes"] >= 1
    assert house.processor.counts["watch_failed"] == 0
    seen = len(watch._rows)
    again = house.processor.process([house.record(number, f"card-{number}", number * 10, amount=5.0)])
    assert again[0].outcome is Outcome.REPEATED
    assert len(watch._rows) == seen


def test_a_watch_that_fails_takes_no_event_with_it(house, caplog):
    class Failing:
        def see(self, decisions):
            raise ValueError("broken")

    house.processor.watch = Failing()
    assert house.processor.process([house.record(1)])[0].outcome is Outcome.DECIDED
    assert house.processor.counts["watch_failed"] == 1
    assert "the watch over the stream failed" in caplog.text


NEEDED = {"WORKLOAD": "fraud-detection", "STATE": "memory:", "FEATURE_STORE": "f", "DEAD_LETTERS": "d"}


def test_the_environment_says_whether_there_is_a_watch(tmp_path):
    assert Settings.read(NEEDED).watching(lambda place: Broken()) is None
    opened = []
    watch = Settings.read(NEEDED | {"WATCH": LEARN, "CHANGES": "queue"}).watching(
        lambda place: opened.append(place) or Broken()
    )
    assert opened == ["queue"]
    assert watch.names == [*Plan.load("fraud-detection").features, "score"]
    with pytest.raises(SettingError, match="WATCH: found nothing; CHANGES needs it: `learn`"):
        Settings.read(NEEDED | {"CHANGES": "queue"})
    with pytest.raises(StepError, match=r"watch: .*nothing\.json: there is no such file"):
        Settings.read(NEEDED | {"WATCH": str(tmp_path / "nothing.json")}).watching(lambda place: Broken())
