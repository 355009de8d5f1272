"""Command lines: `none` is no option, `now` is now, and a pipeline that branches on a verdict gets it."""

import datetime
import time

import pytest
from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError


@pytest.fixture
def run(monkeypatch):
    """Runs a step with arguments; returns the exit code."""

    def with_arguments(*arguments, step=lambda options: {}, refused=None):
        monkeypatch.setattr("sys.argv", ["step", "--task", "churn", *arguments])
        parser = command.parser("step", "A step.")
        parser.add_argument("--key")
        parser.add_argument("--as-of", type=command.moment)
        with pytest.raises(SystemExit) as ended:
            command.run(parser, step, refused)
        return ended.value.code

    return with_arguments


@pytest.mark.parametrize("words", [("--key", "none"), ("--key=none",), ()])
def test_an_option_of_none_is_not_given(run, words):
    seen = []
    assert run(*words, step=seen.append) == 0
    assert seen[0].key is None


def test_none_is_a_value_only_where_it_stands_alone(run):
    seen = []
    run("--key", "nonesuch", step=seen.append)
    assert seen[0].key == "nonesuch"


def test_a_required_option_of_none_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["step", "--task", "none"])
    with pytest.raises(SystemExit) as ended:
        command.run(command.parser("step", None), lambda options: {})
    assert ended.value.code == 2
    assert "--task" in capsys.readouterr().err


def test_moments_are_in_utc_unless_they_say_otherwise():
    wanted = int(datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC).timestamp() * 1000)
    assert command.moment("2026-01-31T12:00:00") == command.moment("2026-01-31T13:00:00+01:00") == wanted
    assert abs(command.moment("now") - time.time() * 1000) < 5000


@pytest.mark.parametrize(("branch", "code"), [((), 3), (("--branch",), 0)])
def test_a_verdict_that_says_no_ends_with_3_unless_the_pipeline_branches_on_it(run, branch, code, capsys):
    answer = {"passed": False, "failed": ["why"]}
    assert run(*branch, step=lambda options: answer, refused=lambda said: said["failed"]) == code
    printed = capsys.readouterr()
    assert '"passed": false' in printed.out
    assert printed.err == "step: why\n"


def test_a_step_that_cant_do_its_work_ends_with_2_and_one_line(run, capsys):
    def step(options):
        raise StepError("step", "column `x`", "is missing")

    assert run(step=step) == 2
    assert capsys.readouterr().err == "step: column `x`: is missing\n"
