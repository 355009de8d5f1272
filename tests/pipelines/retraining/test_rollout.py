"""How a challenger comes into use, and how it is taken back: by evidence that is sure, and told in the trail."""

import json

import numpy as np
import pytest
from ml_pipelines.retraining.audit import Trail, read, verify
from ml_pipelines.retraining.events import What
from ml_pipelines.retraining.performance import Performance
from ml_pipelines.retraining.rollout import Evidence, Rollout, Rules, Stage, Verdict, judge_canary, judge_shadow
from ml_pipelines.serving.comparison import Comparison, compare
from ml_pipelines.serving.table import Table
from ml_pipelines.steps.metrics import Estimate

OLD, NEW = "trees/1.0.0", "trees/1.0.1"
RULES = Rules()


def compared(champion: str, shadow: str, noise: float, count: int = 600, seed: int = 1) -> Comparison:
    """The champion sees the truth through noise of 1, the shadow through `noise`."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=count)
    came = (draw.random(count) < 1 / (1 + np.exp(-2 * truth))).astype(float)
    ours, theirs = (1 / (1 + np.exp(-2 * (truth + spread * draw.normal(size=count)))) for spread in (1.0, noise))
    lines = [
        {"event_id": str(place), "entity": str(place), "champion": champion, "shadow": shadow}
        | {"score": ours[place], "shadow_score": theirs[place]}
        for place in range(count)
    ]
    return compare(lines, {str(place): value for place, value in enumerate(came)}, significance=RULES.level)[0]


def performance(model: str, value: float, rows: int = 400, spread: float = 0.05) -> Performance:
    metrics = {"log_loss": Estimate(value, value - spread, value + spread)}
    return Performance(model, "all", "all", rows, rows, 0.3, 0.3, metrics)


class Served:
    """What was put into the routing table; each is one that the service takes."""

    def __init__(self) -> None:
        self.tables: list[list] = []
        self.fails = False

    def put(self, models) -> None:
        if self.fails:
            raise RuntimeError("the service doesn't take it")
        said = {"workload": "w", "entity": "e", "features": [], "models": list(models), "tenants": {}}
        assert Table.parse(json.dumps(said))
        self.tables.append([(one["version"], one["role"], one["traffic"]) for one in models])


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def rollout(served, tmp_path) -> Rollout:
    trail = Trail(tmp_path / "trail")
    return Rollout(OLD, served.put, trail, RULES, lambda key: {"manifest.json": key})


def told(tmp_path) -> list[str]:
    verify(tmp_path / "trail")
    return [record["what"] for record in read(tmp_path / "trail")]


CANARIES = {OLD: performance(OLD, 0.5), NEW: performance(NEW, 0.45)}


def promoted(rollout: Rollout) -> None:
    rollout.start(NEW)
    rollout.look(Evidence(compared(OLD, NEW, 0.1)), 600)
    rollout.look(Evidence(performances=CANARIES), 400)


def test_a_better_challenger_becomes_champion_step_by_step(rollout, served, tmp_path):
    rollout.start(NEW)
    assert rollout.look(Evidence(), 0).verdict is Verdict.WAIT
    assert rollout.look(Evidence(compared(OLD, NEW, 0.1)), 600).verdict is Verdict.ON
    assert rollout.stage is Stage.CANARY
    assert rollout.look(Evidence(performances=CANARIES), 400).verdict is Verdict.ON
    assert (rollout.stage, rollout.champion, rollout.other) == (Stage.PROBATION, NEW, OLD)
    assert rollout.look(Evidence(compared(NEW, OLD, 1.5)), 4000).verdict is Verdict.ON
    assert (rollout.stage, rollout.champion, rollout.other) == (Stage.SETTLED, NEW, None)
    assert served.tables == [
        [("1.0.0", "champion", 100), ("1.0.1", "shadow", 100)],
        [("1.0.0", "champion", 80), ("1.0.1", "canary", 20)],
        [("1.0.1", "champion", 100), ("1.0.0", "shadow", 100)],
        [("1.0.1", "champion", 100)],
    ]
    assert told(tmp_path) == [What.SHADOW, What.SHADOW_JUDGED, What.CANARY, What.CANARY_JUDGED, What.PROMOTED]
    assert read(tmp_path / "trail")[-1]["hashes"] == {"manifest.json": NEW}


@pytest.mark.parametrize(("noise", "verdict"), [(0.1, Verdict.ON), (3.0, Verdict.BACK), (1.0, Verdict.WAIT)])
def test_a_shadow_is_judged_by_what_is_sure(noise, verdict):
    assert judge_shadow(compared(OLD, NEW, noise), RULES).verdict is verdict


def test_who_isnt_better_after_many_outcomes_isnt_worth_the_change(rollout, served, tmp_path):
    rollout.start(NEW)
    judged = rollout.look(Evidence(compared(OLD, NEW, 1.0, count=4000)), 4000)
    assert (judged.verdict, rollout.stage, rollout.champion) == (Verdict.BACK, Stage.SETTLED, OLD)
    assert served.tables[-1] == [("1.0.0", "champion", 100)]
    assert told(tmp_path)[-1] == What.REJECTED


def test_equals_are_seldom_called_better_however_often_it_is_looked():
    wrong = 0
    for seed in range(8):
        looks = [compared(OLD, NEW, 1.0, count, seed) for count in (100, 200, 300)]
        wrong += any(judge_shadow(one, RULES).verdict is Verdict.ON for one in looks)
    assert wrong <= 1


@pytest.mark.parametrize(
    ("evidence", "verdict", "says"),
    [
        (Evidence(performances={OLD: performance(OLD, 0.5), NEW: performance(NEW, 0.7)}), Verdict.BACK, "surely worse"),
        (Evidence(performances={OLD: performance(OLD, 0.5), NEW: performance(NEW, 0.57)}), Verdict.ON, "isn't worse"),
        (
            Evidence(performances={OLD: performance(OLD, 0.5), NEW: performance(NEW, 0.9, 20)}),
            Verdict.WAIT,
            "20 of its",
        ),
        (Evidence(performances={NEW: performance(NEW, 0.9)}), Verdict.WAIT, "too few answers of trees/1.0.0"),
        (Evidence(), Verdict.WAIT, "0 of its answers"),
        (Evidence(performances=CANARIES, withdrawn={NEW: "9 of 20 failed"}), Verdict.BACK, "withdrew it: 9 of 20"),
    ],
)
def test_a_canary_is_judged_by_the_guard_and_by_its_outcomes(evidence, verdict, says):
    judged = judge_canary(OLD, NEW, evidence, RULES)
    assert judged.verdict is verdict
    assert says in judged.said


def test_a_canary_that_was_withdrawn_is_rolled_back(rollout, served, tmp_path):
    rollout.start(NEW)
    rollout.look(Evidence(compared(OLD, NEW, 0.1)), 600)
    rollout.look(Evidence(withdrawn={NEW: "9 of its last 20 requests failed"}), 5)
    assert (rollout.stage, rollout.champion, rollout.other) == (Stage.SETTLED, OLD, None)
    assert served.tables[-1] == [("1.0.0", "champion", 100)]
    assert told(tmp_path)[-2:] == [What.CANARY_JUDGED, What.ROLLED_BACK]


def test_a_champion_whose_predecessor_does_better_is_rolled_back(rollout, served, tmp_path):
    promoted(rollout)
    assert rollout.look(Evidence(compared(NEW, OLD, 1.0)), 600).verdict is Verdict.WAIT
    assert rollout.look(Evidence(compared(NEW, OLD, 0.1)), 900).verdict is Verdict.BACK
    assert (rollout.stage, rollout.champion, rollout.other) == (Stage.SETTLED, OLD, None)
    assert served.tables[-1] == [("1.0.0", "champion", 100)]
    assert told(tmp_path)[-1] == What.ROLLED_BACK
    assert "its predecessor does better" in read(tmp_path / "trail")[-1]["why"]


def test_one_challenger_at_a_time(rollout):
    rollout.start(NEW)
    with pytest.raises(ValueError, match=r"trees/1\.0\.1 is being rolled out; trees/1\.0\.2 has to wait"):
        rollout.start("trees/1.0.2")


def test_a_challenger_may_come_while_the_champion_is_on_probation(rollout, served):
    promoted(rollout)
    rollout.start("trees/1.0.2")
    assert served.tables[-1] == [("1.0.1", "champion", 100), ("1.0.2", "shadow", 100)]


def test_what_the_service_doesnt_take_changes_nothing_and_tells_nothing(rollout, served, tmp_path):
    rollout.start(NEW)
    before = read(tmp_path / "trail")
    served.fails = True
    with pytest.raises(RuntimeError):
        rollout.look(Evidence(withdrawn={}, comparison=compared(OLD, NEW, 0.1)), 600)
    assert (rollout.stage, rollout.champion, rollout.other) == (Stage.SHADOW, OLD, NEW)
    assert [record["what"] for record in read(tmp_path / "trail")][len(before) :] == [What.SHADOW_JUDGED]


def test_without_a_challenger_there_is_nothing_to_judge(rollout):
    assert rollout.look(Evidence(), 0).said == "trees/1.0.0 runs alone"
