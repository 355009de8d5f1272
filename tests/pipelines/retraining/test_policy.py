"""Whether to train again: each reason, each veto, and how they are told."""

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_pipelines.monitoring.report import Finding, Kind, Report, Settings, Verdict
from ml_pipelines.retraining.audit import Event, Trail, read, verify
from ml_pipelines.retraining.events import Ended, Run, What, rolling_out, runs
from ml_pipelines.retraining.policy import HOUR_MS, Policy, PolicyError, Situation, Why, decide, main
from ml_pipelines.retraining.schedule import last_due

WORKLOADS = Path(__file__).parents[3] / "stacks" / "workloads"


def moment(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp() * 1000)


NOW = moment("2026-03-20 12:00")


def report(*alarms: tuple) -> Report:
    findings = [Finding(Kind.DATA, "age", "population_stability_index", Verdict.OK, "as before", 900)]
    findings += [
        Finding(kind, name, metric, Verdict.ALARM, f"{metric} is too large", 900) for kind, name, metric in alarms
    ]
    return Report("churn", 900, Settings(), tuple(findings))


DRIFT = report((Kind.DATA, "income", "population_stability_index"), (Kind.PREDICTION, "score", "wasserstein"))
DECAY = report((Kind.CONCEPT, "outcome", "roc_auc"))
BROKEN = report((Kind.QUALITY, "income", "missing_share"), (Kind.DATA, "income", "population_stability_index"))
NEW_WORDS = report((Kind.QUALITY, "job", "unknown_share"))
CALM = report()
POLICY = Policy("drift", cool_down_hours=6)


def whys(found) -> list[str]:
    return [one.why for one in found]


def situation(*reports: Report, labelled: int = 5000, **other) -> Situation:
    return Situation(NOW, reports, labelled, 4000, **other)


def test_nothing_asks_for_it():
    decision = decide(POLICY, situation(CALM))
    assert (decision.retrain, decision.reasons, decision.vetoes) == (False, (), ())
    assert decision.said == "No training: nothing asks for it."
    assert not decide(POLICY, situation()).retrain


@pytest.mark.parametrize(
    ("seen", "why", "says"),
    [
        (DRIFT, Why.DRIFT, "Train: income, score drifted."),
        (DECAY, Why.DECAY, "worse than it was: roc_auc is too large"),
        (NEW_WORDS, Why.DRIFT, "job drifted"),
    ],
)
def test_drift_and_decay_are_reasons(seen, why, says):
    decision = decide(POLICY, situation(CALM, seen))
    assert (decision.retrain, whys(decision.reasons)) == (True, [why])
    assert says in decision.said


def test_what_was_drift_once_and_isnt_any_more_is_no_reason():
    assert not decide(POLICY, situation(DRIFT, CALM)).retrain


def test_patience_asks_for_reports_in_a_row():
    patient = Policy("drift", patience=3)
    assert not decide(patient, situation(DRIFT, DRIFT)).retrain
    assert not decide(patient, situation(DRIFT, CALM, DRIFT, DRIFT)).retrain
    assert "3 reports in a row" in decide(patient, situation(CALM, DRIFT, DRIFT, DRIFT)).said


def test_much_more_data_is_a_reason_whatever_the_trigger():
    for policy in (Policy("drift", growth=1.5), Policy("schedule", "0 2 1 1 *", growth=1.5)):
        run = (Run(moment("2026-02-01 00:00"), Ended.REGISTERED),)
        assert not decide(policy, situation(labelled=5999, runs=run)).retrain
        assert whys(decide(policy, situation(labelled=6000, runs=run)).reasons) == [Why.VOLUME]


def test_a_schedule_is_a_reason_once_for_each_time_that_it_is_due():
    policy = Policy("schedule", "0 2 * * 0", outcomes=0)
    before, after = (Run(moment(day), Ended.REGISTERED) for day in ("2026-03-08 02:00", "2026-03-15 02:01"))
    assert whys(decide(policy, situation(runs=[before])).reasons) == [Why.SCHEDULE]
    assert decide(policy, situation(runs=[before, after])).reasons == ()
    assert "there was no run" in decide(policy, situation()).said


def test_what_the_trigger_doesnt_name_is_told_and_decides_nothing():
    run = (Run(moment("2026-03-19 00:00"), Ended.REGISTERED),)
    decision = decide(Policy("schedule", "0 2 1 * *"), situation(DRIFT, runs=run))
    assert (decision.retrain, whys(decision.ignored)) == (False, [Why.DRIFT])
    assert "income, score drifted: the trigger is `schedule`" in decision.said
    both = decide(Policy("drift_or_schedule", "0 2 1 * *", cool_down_hours=1), situation(DRIFT, runs=run))
    assert (both.retrain, whys(both.reasons)) == (True, [Why.DRIFT])


@pytest.mark.parametrize(
    ("known", "why", "says"),
    [
        (situation(BROKEN), Why.BROKEN_DATA, "a model learns its faults (income: missing_share"),
        (situation(DRIFT, labelled=499), Why.FEW_OUTCOMES, "499 outcomes are known to learn from, 500"),
        (situation(DRIFT, challenger="trees/2"), Why.ROLLING_OUT, "trees/2 is being rolled out"),
        (situation(DRIFT, runs=[Run(NOW - 9 * HOUR_MS, Ended.RUNNING)]), Why.RUNNING, "a training is running"),
        (
            situation(DRIFT, runs=[Run(NOW - 5 * HOUR_MS, Ended.REGISTERED)]),
            Why.COOL_DOWN,
            "until 2026-03-20 13:00 UTC",
        ),
    ],
)
def test_each_veto_is_enough_and_is_told(known, why, says):
    decision = decide(POLICY, known)
    assert (decision.retrain, whys(decision.vetoes)) == (False, [why])
    assert says in decision.said
    assert decision.reasons or why is Why.BROKEN_DATA


def test_a_run_that_never_tells_its_end_is_over_some_day():
    begun = situation(DRIFT, runs=[Run(NOW - 25 * HOUR_MS, Ended.RUNNING)])
    assert decide(POLICY, begun).retrain
    assert whys(decide(replace(POLICY, silent_hours=48), begun).vetoes) == [Why.RUNNING]


def test_a_monitor_that_stops_reporting_is_no_reason_to_train():
    decision = decide(POLICY, situation(report((Kind.ABSENCE, "(window)", "rows"))))
    assert (decision.retrain, whys(decision.vetoes)) == (False, [Why.BROKEN_DATA])


def test_runs_that_were_stopped_make_the_next_one_wait_twice_as_long_each():
    for stopped, hours in ((0, 6), (1, 12), (2, 24), (3, 48), (9, 48)):
        past = [Run(NOW - 90 * HOUR_MS, Ended.REGISTERED)] + [Run(NOW - HOUR_MS, Ended.STOPPED)] * stopped
        past[-1] = Run(NOW - HOUR_MS, past[-1].ended)
        decision = decide(POLICY, situation(DRIFT, runs=past))
        assert decision.not_before == NOW + (hours - 1) * HOUR_MS


def test_the_budget_is_of_a_calendar_month():
    policy = Policy("drift", cool_down_hours=0, run_usd=40, monthly_usd=100)
    month = [
        Run(moment(day), Ended.REGISTERED, 40) for day in ("2026-02-27 10:00", "2026-03-02 10:00", "2026-03-09 10:00")
    ]
    assert decide(policy, situation(DRIFT, runs=month[:2])).retrain
    decision = decide(policy, situation(DRIFT, runs=month))
    assert whys(decision.vetoes) == [Why.BUDGET]
    assert "80.00 of 100.00 of March 2026" in decision.said
    assert decision.not_before == moment("2026-04-01 00:00")
    never = decide(Policy("drift", run_usd=101, monthly_usd=100), situation(DRIFT))
    assert (never.retrain, never.not_before) == (False, None)


@given(
    st.lists(st.sampled_from([CALM, DRIFT, DECAY, BROKEN, NEW_WORDS]), max_size=4),
    st.integers(0, 2000),
    st.lists(st.builds(Run, st.integers(NOW - 10**9, NOW), st.sampled_from(Ended), st.floats(0, 60)), max_size=4),
    st.sampled_from([None, "trees/2"]),
)
def test_it_trains_only_for_a_reason_and_without_a_veto_and_tells_all_of_it(reports, labelled, past, challenger):
    policy = Policy("drift", run_usd=40, monthly_usd=100, growth=3)
    known = Situation(NOW, reports, labelled, 400, sorted(past, key=lambda run: run.started_at), challenger)
    decision = decide(policy, known)
    assert decision.retrain is (bool(decision.reasons) and not decision.vetoes)
    assert decision == decide(policy, known)
    for one in decision.reasons + (decision.vetoes if decision.reasons else ()):
        assert one.said in decision.said
    assert json.loads(json.dumps(decision.as_json()))["retrain"] is decision.retrain


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"trigger": "always"}, "trigger"),
        ({"trigger": "drift", "schedule": "0 2 * * 0"}, "schedule"),
        ({"trigger": "schedule"}, "schedule"),
        ({"trigger": "schedule", "schedule": "0 25 * * *"}, "schedule: the hour"),
        ({"trigger": "drift", "patience": 0}, "patience"),
        ({"trigger": "drift", "growth": 0.5}, "growth"),
        ({"trigger": "drift", "monthly_usd": float("nan")}, "monthly_usd"),
    ],
)
def test_a_policy_that_cant_be(said, field):
    with pytest.raises(PolicyError, match=field):
        Policy(**said)


def test_a_workload_says_its_policy():
    import yaml

    for file in WORKLOADS.glob("*.yaml"):
        workload = yaml.safe_load(file.read_text())
        policy = Policy.of(workload)
        assert policy.trigger == workload["retraining"]["trigger"]
        assert policy.schedule == workload["retraining"].get("schedule")
        assert policy.monthly_usd == workload["budget"]["monthly_usd"]
    assert Policy.of(workload, monthly_usd=5.0).monthly_usd == 5


@pytest.mark.parametrize(
    ("expression", "until", "due"),
    [
        ("0 2 * * 0", "2026-03-20 12:00", "2026-03-15 02:00"),
        ("0 2 * * 7", "2026-03-15 02:00", "2026-03-15 02:00"),
        ("0 2 * * 0", "2026-03-15 01:59", "2026-03-08 02:00"),
        ("*/15 9-17/4 * * 1-5", "2026-03-21 08:00", "2026-03-20 17:45"),
        ("30 0 1,15 * *", "2026-03-14 00:00", "2026-03-01 00:30"),
        ("0 0 29 2 *", "2026-03-01 00:00", "2024-02-29 00:00"),
        ("5/20 * * * *", "2026-03-01 10:44", "2026-03-01 10:25"),
    ],
)
def test_when_a_schedule_was_due(expression, until, due):
    found = last_due(expression, datetime.datetime.fromisoformat(until).replace(tzinfo=datetime.UTC))
    assert found == datetime.datetime.fromisoformat(due).replace(tzinfo=datetime.UTC)


def test_schedules_that_never_are_or_cant_be():
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert last_due("0 0 31 2 *", now) is None
    for expression in ("0 0 * *", "60 0 * * *", "*/0 * * * *", "5-1 * * * *", "a * * * *"):
        with pytest.raises(ValueError, match="cron"):
            last_due(expression, now)


def test_the_trail_is_the_memory_of_runs(tmp_path):
    trail = Trail(tmp_path / "trail")

    def told(what: What, subject: str = "", **details) -> None:
        trail.append(Event("loop", what, "Because.", subject, details=details))

    told(What.STARTED, run="a", usd=3.0)
    assert [run.ended for run in runs(read(trail.file))] == [Ended.RUNNING]
    told(What.STOPPED, run="a")
    told(What.STARTED, run="b", usd=3.0)
    told(What.REGISTERED, "trees/2.0.0", run="b")
    found = runs(read(trail.file))
    assert [(run.ended, run.usd) for run in found] == [(Ended.STOPPED, 3.0), (Ended.REGISTERED, 3.0)]
    assert rolling_out(read(trail.file)) == "trees/2.0.0"
    told(What.PROMOTED, "trees/2.0.0")
    assert rolling_out(read(trail.file)) is None


def test_the_command_line_tells_the_decision_and_the_trail(tmp_path, capsys):
    files = [tmp_path / "calm.json", tmp_path / "drift.json"]
    for file, said in zip(files, (CALM, DRIFT), strict=True):
        file.write_text(json.dumps(said.as_json()))
    trail = tmp_path / "trail.jsonl"
    asked = ["--workload", str(WORKLOADS / "credit_scoring.yaml"), "--labelled", "900", "--trail", str(trail)]
    asked += ["--as-of", "2026-03-20T12:00"]
    assert main([*asked, "--report", str(files[0])]) == 3
    assert main([*asked, "--report", str(files[0]), "--branch"]) == 0
    capsys.readouterr()
    assert main([*asked, "--report", str(files[0]), "--report", str(files[1])]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["retrain"], said["reasons"][0]["why"], said["policy"]["monthly_usd"]) == (True, "drift", 1000)
    assert main([*asked, "--report", str(files[1]), "--outcomes", "901"]) == 3
    assert main([*asked, "--report", str(tmp_path / "none")]) == 2
    assert verify(trail).number == 4
    assert {record["what"] for record in read(trail)} == {"retraining.decided"}
