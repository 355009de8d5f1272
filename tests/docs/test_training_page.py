"""The page of training names all tasks, steps and gates, with the bounds that are the defaults."""

import re
from dataclasses import fields
from pathlib import Path

import ml_pipelines.steps
import pytest
from ml_pipelines.steps.gates import GATES
from ml_pipelines.tasks import TASKS
from ml_pipelines.tasks.task import Bounds

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
DEFAULTS = {field.name: field.default for field in fields(Bounds)}


def rows(section):
    """The cells of the first table of a section, without its head."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ][2:]


def test_each_task_has_its_goal():
    assert [row[0] for row in rows("Tasks")] == list(TASKS)
    for name, *_, goal in rows("Tasks"):
        number = TASKS[name].goal
        assert f"{number:g}" in goal or f"{number:.0%}" in goal


def test_each_step_is_there():
    folder = Path(ml_pipelines.steps.__path__[0])
    started = {
        file.stem for file in folder.glob("*.py") if "command.run(" in file.read_text() and file.stem != "command"
    }
    assert {name for row in rows("Steps") for name in row[0].split(", ")} == started


def test_what_is_due_is_told_as_tasks_tell_it():
    assert {row[0]: row[1] for row in rows("What is due")} == {
        task.name: task.due_sentence for task in TASKS.values() if task.due
    }


def test_each_gate_is_there():
    assert [row[0] for row in rows("Gates")] == list(GATES)


@pytest.mark.parametrize(
    ("gate", "written"),
    [
        ("labels", "{positives}; "),
        ("leakage", "ROC AUC or correlation {leakage}; none; none; {copies:.0%}"),
        ("champion", "{regression:.0%} of it"),
        ("calibration", "{calibration}"),
        ("fairness", "{parity}; {odds}; {group_error:g} times"),
        ("robustness", "{robustness:.0%} of the metric"),
        ("budget", "{latency_ms:g} ms; {megabytes:g} MB"),
    ],
)
def test_bounds_are_the_defaults(gate, written):
    (bound,) = [row[2] for row in rows("Gates") if row[0] == gate]
    assert bound.startswith(written.format(**DEFAULTS))
