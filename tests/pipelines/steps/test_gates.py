"""Each gate lets a sound model pass, and stops one that is made to fail, by how much and with what would help."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from ml_pipelines.steps.gates import (
    GATES,
    budget,
    calibration,
    champion,
    fairness,
    floors,
    judge,
    labels,
    leakage,
    robustness,
)
from ml_pipelines.steps.verdict import Check, Verdict
from ml_pipelines.tasks.task import By, Split


def failed(gate, evidence):
    return {check.name: check for check in gate.check(evidence) if not check.passed}


def with_bounds(task, **bounds):
    return replace(task, bounds=replace(task.bounds, **bounds))


@pytest.mark.parametrize("gate", GATES)
def test_a_sound_model_passes(gate, evidence):
    found = list(GATES[gate](evidence()))
    assert found
    assert [check.said for check in found if not check.passed] == []


@pytest.mark.parametrize("gate", GATES)
def test_a_sound_forecast_passes(gate, evidence, number_task):
    found = list(GATES[gate](evidence(number_task)))
    assert found
    assert [check.said for check in found if not check.passed] == []


def test_a_model_below_the_floor_is_stopped_and_told_by_how_much(evidence, class_task):
    found = failed(floors, evidence(with_bounds(class_task, floor=0.95)))
    check = found["roc_auc"]
    assert check.short_by == pytest.approx(0.95 - check.value)
    assert 0 < check.short_by < 0.3
    assert check.remedy


def test_a_value_above_the_floor_with_an_interval_below_is_stopped(evidence, class_task):
    sound = evidence()
    just_below = with_bounds(class_task, floor=sound.value - 0.005)
    assert "roc_auc" in failed(floors, evidence(just_below))


def test_scores_without_sense_are_not_better_than_the_baseline(evidence):
    scores = np.random.default_rng(1).random(1000)
    assert {"roc_auc", "better than the baseline"} <= set(failed(floors, evidence(scores=scores)))


def test_a_forecast_worse_than_the_baseline_is_stopped(evidence, number_task):
    sound = evidence(number_task)
    assert "mean error" in failed(floors, replace(sound, scores=sound.plain + 5))


def test_whoever_is_as_good_as_the_champion_passes(evidence):
    sound = evidence()
    assert not failed(champion, replace(sound, champion=sound.scores))


def test_a_model_worse_than_the_champion_is_stopped(evidence):
    sound = evidence()
    noise = np.random.default_rng(2).normal(0, 0.3, len(sound.scores))
    (check,) = failed(champion, replace(sound, champion=sound.scores, scores=sound.scores + noise)).values()
    assert check.value < check.bound < 0


def test_the_comparison_is_paired(evidence):
    """Two models that hardly differ are told apart from noise, though each one's own interval is wide."""
    sound = evidence()
    alike = sound.scores + np.random.default_rng(3).normal(0, 0.01, len(sound.scores))
    (check,) = champion.check(replace(sound, champion=sound.scores, scores=alike))
    assert check.passed
    assert abs(check.value) < 0.005


def test_scores_that_are_too_extreme_are_stopped(evidence):
    sound = evidence()
    extreme = np.where(sound.scores > 0.5, 0.999, 0.001)
    assert {"calibration error"} <= set(failed(calibration, replace(sound, scores=extreme)))


def test_probabilities_worse_than_the_mean_are_stopped(evidence):
    sound = evidence()
    assert "Brier score" in failed(calibration, replace(sound, scores=1 - sound.scores))


def test_a_forecast_that_is_always_too_high_is_stopped(evidence, number_task):
    sound = evidence(number_task)
    assert failed(calibration, replace(sound, scores=sound.scores + 2))


def test_a_group_that_is_never_selected_is_found(evidence):
    sound = evidence()
    scores = np.where(sound.groups["group"] == "a", sound.scores * 0.1, sound.scores)
    found = failed(fairness, replace(sound, scores=scores))
    assert set(found) == {"group: selected alike", "group: right alike"}
    assert "a 0.000" in found["group: selected alike"].said


def test_a_group_for_which_a_forecast_errs_more_is_found(evidence, number_task):
    sound = evidence(number_task)
    scores = np.where(sound.groups["group"] == "a", sound.scores + 20, sound.scores)
    task = with_bounds(number_task, group_error=1.5)
    assert "group: errors alike" in failed(fairness, replace(sound, scores=scores, task=task))


def test_a_group_that_is_too_small_is_named_and_not_judged(evidence):
    sound = evidence()
    members = np.where(np.arange(1000) < 10, "tiny", sound.groups["group"]).astype(object)
    scores = np.where(members == "tiny", 0.0, sound.scores)
    found = list(fairness.check(replace(sound, scores=scores, groups={"group": members})))
    assert all(check.passed for check in found)
    assert "too small to judge: tiny" in found[0].said


@pytest.mark.parametrize(
    ("name", "fragile"),
    [
        ("noise", lambda arrays, sound: np.where(np.round(arrays["strong"], 6) == arrays["rounded"], sound, 0.5)),
        ("missing values", lambda arrays, sound: np.where(np.isnan(arrays["flag"]), 1 - sound, sound)),
        ("out of range", lambda arrays, sound: np.where(arrays["weak"] > 20, 1 - sound, sound)),
        ("unknown words", lambda arrays, sound: np.where(arrays["word"] == robustness.UNHEARD_OF, 1 - sound, sound)),
    ],
)
def test_a_model_that_breaks_under_a_disturbance_is_found(name, fragile, evidence, class_task):
    sound = evidence()
    rounded = np.round(sound.test.arrays["strong"], 6)

    def score(arrays):
        return fragile({**arrays, "rounded": rounded[: len(arrays["strong"])]}, sound.score(arrays))

    if name == "noise":
        exact = {**sound.test.arrays, "strong": rounded}
        sound = replace(sound, test=replace(sound.test, arrays=exact))
    broken = replace(sound, score=score, task=with_bounds(class_task, robustness=0.01))
    found = failed(robustness, broken)
    assert name in found
    assert found[name].short_by > 0


def test_an_answer_that_is_no_number_is_stopped(evidence):
    sound = evidence()
    broken = replace(sound, score=lambda arrays: np.where(np.isnan(arrays["weak"]), np.nan, 0.5))
    assert {"missing values", "any input"} <= set(failed(robustness, broken))


def test_a_model_that_crashes_is_stopped(evidence):
    sound = evidence()

    def score(arrays):
        if np.isinf(arrays["weak"]).any():
            raise ValueError("infinite")
        return sound.score(arrays)

    found = failed(robustness, replace(sound, score=score))
    assert found["any input"].said == "the model failed: infinite"


def test_a_slow_model_is_stopped(evidence, class_task):
    assert "latency" in failed(budget, evidence(with_bounds(class_task, latency_ms=1e-6)))


def test_a_large_model_is_stopped(evidence, class_task, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(bytes(2_000_000))
    task = with_bounds(class_task, megabytes=1.5)
    assert failed(budget, evidence(task, model_file=file))["size"].short_by == pytest.approx(0.5)
    assert not failed(budget, evidence(with_bounds(class_task, megabytes=2.5), model_file=file))


@pytest.mark.parametrize("leak", ["number", "gap", "word"])
def test_an_input_that_tells_the_outcome_is_named(leak, evidence):
    sound = evidence()
    outcomes = sound.train.outcomes
    name, values = {
        "number": ("weak", outcomes + 0.001),
        "gap": ("weak", np.where(outcomes == 1, np.nan, sound.train.decided_at)),
        "word": ("word", np.where(outcomes == 1, "closed", "open").astype(object)),
    }[leak]
    train = replace(sound.train, arrays={**sound.train.arrays, name: values})
    check = failed(leakage, replace(sound, train=train))["no input tells the outcome"]
    assert f"`{name}` alone" in check.said


def test_an_id_as_a_word_tells_nothing(evidence):
    sound = evidence()
    train = replace(sound.train, arrays={**sound.train.arrays, "word": sound.train.ids})
    assert not failed(leakage, replace(sound, train=train))


def test_a_forecast_input_that_tells_the_outcome_is_named(evidence, number_task):
    sound = evidence(number_task)
    train = replace(sound.train, arrays={**sound.train.arrays, "weak": 2 * sound.train.outcomes})
    assert "`weak`" in failed(leakage, replace(sound, train=train))["no input tells the outcome"].said


def test_an_example_on_both_sides_is_found(evidence):
    sound = evidence()
    test = replace(sound.test, ids=np.concatenate([sound.train.ids[:1], sound.test.ids[1:]]))
    assert failed(leakage, replace(sound, test=test))["examples apart"].value == 1


def test_an_entity_on_both_sides_is_found(evidence):
    sound = evidence()
    test = replace(sound.test, entities=np.concatenate([sound.train.entities[:1], sound.test.entities[1:]]))
    assert "entities apart" in failed(leakage, replace(sound, test=test))


def test_what_comes_from_the_future_is_found(evidence, class_task):
    sound = evidence(replace(class_task, split=Split(By.TIME, "Made up.", test_days=10)))
    assert not failed(leakage, sound)
    late = replace(sound.train, decided_at=sound.train.decided_at + 90 * 86_400_000)
    assert "time goes forward" in failed(leakage, replace(sound, train=late))


def test_copies_under_another_id_are_found(evidence):
    sound = evidence()
    arrays = {
        name: np.concatenate([sound.train.arrays[name][:50], values[50:]]) for name, values in sound.test.arrays.items()
    }
    outcomes = np.concatenate([sound.train.outcomes[:50], sound.test.outcomes[50:]])
    copied = replace(sound, test=replace(sound.test, arrays=arrays, outcomes=outcomes))
    assert failed(leakage, copied)["no copies"].value == pytest.approx(0.05)


def test_too_few_of_a_class_are_found(evidence):
    sound = evidence()
    few = np.zeros(1000)
    few[:5] = 1
    assert "enough of each class" in failed(labels, replace(sound, test=replace(sound.test, outcomes=few)))


def test_a_mean_outcome_that_jumps_is_found(evidence, number_task):
    sound = evidence(number_task)
    jumped = replace(sound.test, outcomes=sound.test.outcomes + 50)
    assert "the mean outcome doesn't jump" in failed(labels, replace(sound, test=jumped))


def test_a_placeholder_among_the_outcomes_is_found(evidence, number_task):
    sound = evidence(number_task)
    same = np.where(np.arange(1000) < 700, 1.0, sound.test.outcomes)
    assert "outcomes vary" in failed(labels, replace(sound, test=replace(sound.test, outcomes=same)))


def test_a_verdict_is_json_and_junit(evidence, class_task, tmp_path):
    verdict = judge(evidence(with_bounds(class_task, floor=0.99)))
    verdict.write(tmp_path)
    said = json.loads((tmp_path / "verdict.json").read_text())
    assert said["passed"] is False
    assert said["failed"] == 1
    suites = ElementTree.fromstring((tmp_path / "verdict.xml").read_text())  # noqa: S314 - our own
    assert sorted(suite.get("name") for suite in suites) == sorted(GATES)
    assert sum(int(suite.get("tests")) for suite in suites) == len(verdict.checks)
    (failure,) = suites.iter("failure")
    assert "(by 0." in failure.get("message")


def test_nothing_checked_is_not_passed():
    assert not Verdict("nothing").passed
    assert Verdict("one", [Check("gate", "name", True, "said")]).passed
