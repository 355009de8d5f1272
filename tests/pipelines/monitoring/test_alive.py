"""A monitor that stops reporting is found by the age of its newest report."""

import json
from dataclasses import replace

import pytest
from ml_pipelines.monitoring import alive as module
from ml_pipelines.monitoring.alive import alive
from ml_pipelines.monitoring.compare import compare
from ml_pipelines.monitoring.counting import count
from ml_pipelines.monitoring.report import Verdict

NOW, HOUR = 1_767_225_600_000, 3_600_000


@pytest.fixture
def report(baseline, window, tmp_path):
    """Writes a report that was made at some time."""
    made = compare(baseline, count(baseline, window(300)))

    def write(as_of):
        file = tmp_path / "drift.json"
        file.write_text(json.dumps(replace(made, as_of=as_of).as_json()))
        return file

    return write


def test_a_fresh_report_is_well_and_an_old_one_an_alarm(report):
    fresh = alive(report(NOW - HOUR // 2), HOUR, NOW)
    assert (fresh.verdict, fresh.found, fresh.sample) == (Verdict.OK, HOUR / 2, 300)
    old = alive(report(NOW - 3 * HOUR), HOUR, NOW)
    assert old.verdict is Verdict.ALARM
    assert "was made 180 minutes ago; 60 are allowed" in old.reason


def test_what_is_no_report_is_an_alarm(report, tmp_path):
    broken = tmp_path / "broken.json"
    for content, said in [
        (None, "there is no report"),
        ("no", "can't be read"),
        ("{}", "can't be read: format: None where 1 is right"),
        ("[]", "can't be read"),
    ]:
        if content is not None:
            broken.write_text(content)
        found = alive(broken, HOUR, NOW)
        assert found.verdict is Verdict.ALARM
        assert said in found.reason
    assert "doesn't say when it was made" in alive(report(None), HOUR, NOW).reason


def test_the_command_line_ends_with_the_verdict(report, tmp_path, capsys):
    assert module.main([str(tmp_path / "nothing.json"), "--within-minutes", "5"]) == 3
    assert "nothing.json: there is no report" in capsys.readouterr().err
    assert module.main([str(report(NOW)), "--within-minutes", "1e9"]) == 0
    assert "drift.json: was made " in capsys.readouterr().out
