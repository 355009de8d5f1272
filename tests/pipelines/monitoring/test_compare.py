"""What pages people and what doesn't: noise, small windows, and each kind of drift and of broken data."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from ml_pipelines.monitoring.baseline import Baseline
from ml_pipelines.monitoring.compare import compare, silent
from ml_pipelines.monitoring.counting import count
from ml_pipelines.monitoring.distances import METRICS
from ml_pipelines.monitoring.report import Kind, Report, Settings, Verdict
from ml_pipelines.steps.errors import StepError

from .conftest import ROWS, drawn, said_of

MINUTE = 60_000


def alarms(report):
    """Kind, feature, segment and metric of each."""
    return {(str(one.kind), one.feature, one.segment, one.metric) for one in report.alarms}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [60, 500, 2000])
def test_noise_pages_nobody(metric, rows, baseline, window):
    settings = Settings(metric=metric, segments=("country",))
    for seed in range(10, 20):
        report = compare(baseline, count(baseline, window(rows, seed), ("country",)), settings)
        assert not report.alarm, report.lines()


@pytest.mark.parametrize("metric", METRICS)
def test_a_shift_is_found_where_it_is_and_told(metric, baseline, window):
    report = compare(baseline, count(baseline, window(1000, shift=1.0)), Settings(metric=metric))
    assert alarms(report) == {("data_drift", "level", "", metric)}
    (line,) = report.lines()
    assert line.startswith(f"data_drift, level: {metric} is ")
    assert "0.2 is allowed; values above 1." in line
    assert "noise doesn't explain it (p = " in line


def test_a_difference_that_is_sure_and_small_pages_nobody(baseline, window):
    report = compare(baseline, count(baseline, window(100_000, shift=0.1)))
    (level,) = [one for one in report.findings if (one.feature, one.kind) == ("level", Kind.DATA)]
    assert level.adjusted < 1e-20
    assert level.verdict is Verdict.OK
    assert not report.alarm


def test_a_large_difference_of_few_rows_is_too_few_to_tell(baseline, window):
    report = compare(baseline, count(baseline, window(50, shift=3.0)))
    (level,) = [one for one in report.findings if (one.feature, one.kind) == ("level", Kind.DATA)]
    assert (level.verdict, level.found, level.reason) == (
        Verdict.TOO_FEW,
        None,
        "50 rows are too few to tell; 200 are needed",
    )


def test_what_noise_may_explain_is_told_as_that(baseline, window):
    """A distance beyond the threshold alone is no alarm."""
    settings = Settings(threshold=0.01)
    report = compare(baseline, count(baseline, window(300)), settings)
    beyond = [one for one in report.findings if one.kind is Kind.DATA and one.found and one.found > 0.01]
    assert beyond
    assert all("noise may explain it" in one.reason for one in beyond)
    assert not report.alarm


def test_a_segment_is_found_that_the_whole_hides(baseline, window):
    table = window(4000, country=np.array(["DE"] * 3600 + ["FR"] * 400, dtype=object))
    level = table["level"].to_numpy().copy()
    level[3600:] += 1.5
    table = table.set_column(table.column_names.index("level"), "level", pa.array(level))
    report = compare(baseline, count(baseline, table, ("country",)), Settings(segments=("country",)))
    assert ("data_drift", "level", "country=FR", "population_stability_index") in alarms(report)
    assert ("data_drift", "level", "", "population_stability_index") not in alarms(report)
    assert report.alarms[0].name == "level of country=FR"
    assert report.notes == ("training kept no segment country=DE, country=FR: compared with all of training",)


def test_segments_are_compared_with_their_own_past():
    inputs = drawn(1, ROWS)
    said = said_of(inputs, np.random.default_rng(2).random(ROWS))
    whole = Baseline.of(said)
    low = inputs["level"] < 0
    counted = count(whole, pa.table({"level": inputs["level"][low]})).counts[""]["level"]
    segment = {"level": (counted.counts.tolist(), 0)}
    kept = Baseline.of(json.loads(json.dumps(said | {"segments": {"side=low": segment}})))
    again = drawn(5, 4000)["level"]
    table = pa.table({"level": again[again < 0], "side": ["low"] * int((again < 0).sum())})
    settings = Settings(segments=("side",))
    of_whole = [one.name for one in compare(whole, count(whole, table, ("side",)), settings).alarms if one.segment]
    of_own = compare(kept, count(kept, table, ("side",)), settings)
    assert of_whole == ["level of side=low"]
    assert [one.name for one in of_own.alarms if one.segment] == []
    assert of_own.notes == ()


def test_scores_drift_by_themselves(baseline, window):
    report = compare(baseline, count(baseline, window(1000, score=np.random.default_rng(0).beta(2, 5, 1000))))
    assert alarms(report) == {("prediction_drift", "score", "", "population_stability_index")}


BROKEN = {
    "missing": ("gaps", lambda old: np.where(np.arange(len(old)) % 3, old, np.nan), "missing_share"),
    "beyond": ("level", lambda old: np.where(np.arange(len(old)) % 10, old, 50.0), "outside_share"),
    "constant": ("level", lambda old: np.full(len(old), 0.5), "constant"),
    "one word": ("word", lambda old: np.full(len(old), "red", dtype=object), "constant"),
    "new word": ("word", lambda old: np.where(np.arange(len(old)) % 10, old, "violet"), "unknown_share"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_are_told_as_what_they_are(case, baseline, window):
    feature, broken, metric = BROKEN[case]
    values = window(1000)[feature].to_numpy(zero_copy_only=False)
    report = compare(baseline, count(baseline, window(1000, **{feature: broken(values)})))
    assert ("data_quality", feature, "", metric) in alarms(report)
    assert {one.feature for one in report.alarms} == {feature}
    said = {
        "missing": "% are missing, ",
        "beyond": "(the highest is 50; more than 6 isn't plausible)",
        "constant": "all 1,000 values are 0.5, where those of training differ",
        "one word": "values are `red`",
        "new word": "such as `violet`, 0.0% in training; 1.0% more are allowed",
    }
    assert any(said[case] in line for line in report.lines())


def test_what_was_constant_may_stay_so(baseline, window):
    report = compare(baseline, count(baseline, window(1000)))
    assert not report.alarm
    changed = compare(baseline, count(baseline, window(1000, fixed=np.full(1000, 8.0))))
    assert ("data_quality", "fixed", "", "outside_share") in alarms(changed)


def test_an_empty_window_is_an_alarm_and_says_nothing_else(baseline, window):
    report = compare(baseline, count(baseline, window(5).slice(0, 0)))
    assert alarms(report) == {("absence", "(window)", "", "rows")}
    assert len(report.findings) == 1


def test_a_column_that_is_captured_no_more_is_an_alarm(baseline, window):
    report = compare(baseline, count(baseline, window(500).drop_columns(["word", "score"])))
    assert alarms(report) == {("data_quality", "word", "", "column"), ("data_quality", "score", "", "column")}


@pytest.mark.parametrize(("minutes", "alarm"), [(30, False), (90, True), (-10, False)])
def test_silence_is_an_alarm(minutes, alarm, baseline, window):
    report = compare(baseline, count(baseline, window(500)))
    found = silent(report, report.until + minutes * MINUTE, 60 * MINUTE)
    assert found.alarm is alarm
    assert found.findings[0].kind is Kind.ABSENCE
    if minutes < 0:
        assert "10.0 minutes from now: clocks differ" in found.findings[0].reason


def test_a_report_survives_its_file(baseline, window):
    report = compare(baseline, count(baseline, window(500, shift=2.0)), model="boosting/1.0.0", notes=("one",))
    said = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert Report.from_json(said) == report
    assert (said["passed"], said["alarms"]) == (False, len(report.alarms))
    with pytest.raises(ValueError, match="field `rows` is missing"):
        Report.from_json({name: value for name, value in said.items() if name != "rows"})
    with pytest.raises(ValueError, match="format: 9 where 1 is right"):
        Report.from_json(said | {"format": 9})


def test_a_metric_that_there_is_not_is_refused(baseline, window):
    with pytest.raises(ValueError, match="metric `psi`: there are population_stability_index, jensen_shannon"):
        compare(baseline, count(baseline, window(500)), Settings(metric="psi"))


def test_baselines_of_before_are_read(window):
    """Without cuts and counts the wide bins are all there is."""
    said = said_of(drawn(1, ROWS), np.random.default_rng(2).random(ROWS))
    old = json.loads(json.dumps(said))
    for one in (*old["inputs"].values(), old["scores"], old["outcomes"]):
        for name in ("cuts", "counts"):
            one.pop(name, None)
    now, before = Baseline.of(said), Baseline.of(old)
    assert before.features["level"].counts.tolist() == now.features["level"].wide(now.features["level"].counts).tolist()
    for shift in (0.0, 1.0):
        reports = [compare(one, count(one, window(1000, shift=shift))) for one in (now, before)]
        assert alarms(reports[0]) == alarms(reports[1])
        found = [one.of(Kind.DATA)[0].found for one in reports]
        assert found[0] == pytest.approx(found[1])


def test_a_file_that_is_no_baseline_is_refused(tmp_path):
    file = tmp_path / "drift_baseline.json"
    for content, said in [
        ({"format": 2}, "format 2 where 1 is right"),
        ({"format": 1, "rows": 5, "inputs": {}}, "field `scores` is missing"),
        (
            {"format": 1, "rows": 5, "inputs": {"a": {"kind": "number", "missing": 0, "edges": [1], "counts": [5]}}},
            "1 counts where 1 cuts make 2",
        ),
    ]:
        file.write_text(json.dumps(content))
        with pytest.raises(StepError, match=f"drift_baseline.json: is no baseline .*{said}"):
            Baseline.read("drift", file)


def test_words_are_compared_by_what_suits_them(baseline, window):
    report = compare(baseline, count(baseline, window(500)), Settings(metric="wasserstein"))
    metrics = {one.feature: one.metric for one in report.of(Kind.DATA)}
    assert (metrics["level"], metrics["word"]) == ("wasserstein", "jensen_shannon")


def test_settings_of_a_report_are_those_that_were_asked_for(baseline, window):
    settings = replace(Settings(), threshold=0.4, segments=("country",))
    assert compare(baseline, count(baseline, window(300)), settings).settings == settings
