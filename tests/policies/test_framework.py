"""Frameworks: what a file must hold, and how controls stand, given how the rules do."""

import re

import pytest
import yaml
from ml_policies.compliance import Standing, combined, controls
from ml_policies.framework import Control, Framework, FrameworkError, frameworks, read_framework
from ml_policies.rules import RULES as REAL_RULES
from ml_policies.verdict import Status
from tests.policies.samples import KEY, RULES

WHOLE = {
    "id": "small",
    "title": "A small framework",
    "version": 2.0,
    "source": "https://example.com/small",
    "controls": [
        {"id": 1.1, "title": "Keys", "rules": ["MLB-ENC-001"]},
        {"id": "1.2", "title": "People", "not_checkable": "People show it."},
    ],
}


@pytest.fixture
def read(tmp_path):
    def read_content(content):
        file = tmp_path / "small.yaml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return read_framework(file, RULES)

    return read_content


def with_control(**control):
    return {**WHOLE, "controls": [control]}


def test_a_framework_is_read(read):
    framework = read(WHOLE)
    assert (framework.id, framework.version) == ("small", "2.0")
    assert framework.controls == (
        Control("1.1", "Keys", ("MLB-ENC-001",)),
        Control("1.2", "People", (), "People show it."),
    )
    assert framework.rules == {"MLB-ENC-001"}
    assert framework.controls_of(KEY) == ["1.1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't be read"),
        ("", "expected are the fields"),
        ("- a", "expected are the fields"),
        ({**WHOLE, "more": 1}, "expected are the fields controls, id, source, title, version"),
        ({**WHOLE, "controls": {}}, "with a list of controls"),
        ({**WHOLE, "id": "other"}, "id: `other` was found; expected is the file's name, `small`"),
        ({**WHOLE, "controls": ["1.1"]}, "controls[0]: expected are id and title"),
        (with_control(id="1.1"), "controls[0]: expected are id and title"),
        (with_control(id="1.1", title="Keys"), "controls[0] (1.1): expected is either rules or not_checkable"),
        (with_control(id="1.1", title="Keys", rules=["MLB-ENC-001"], not_checkable="x"), "expected is either"),
        (with_control(id="1.1", title="Keys", rules=[]), "rules must be a list of ids"),
        (with_control(id="1.1", title="Keys", rules="MLB-ENC-001"), "rules must be a list of ids"),
        (with_control(id="1.1", title="Keys", rules=["MLB-ENC-999"]), "there is no rule MLB-ENC-999"),
        (with_control(id="1.1", title="Keys", not_checkable=""), "not_checkable must be a reason"),
        ({**WHOLE, "controls": [WHOLE["controls"][0]] * 2}, "controls[1] (1.1): the id is taken"),
    ],
)
def test_a_file_that_is_not_as_it_must_be_is_refused(read, content, message):
    with pytest.raises(FrameworkError, match=re.escape(message)):
        read(content)


def standing(*statuses, more=()):
    rules = tuple(f"MLB-ENC-{index:03}" for index in range(len(statuses)))
    framework = Framework("f", "F", "1", "https://example.com", (Control("1", "One", (*rules, *more)),))
    (verdict,) = controls(framework, dict(zip(rules, statuses, strict=True)))
    return verdict


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([Status.PASSED], Standing.MET),
        ([Status.PASSED, Status.NOT_APPLICABLE], Standing.MET),
        ([Status.PASSED, Status.EXEMPTED], Standing.MET),
        ([Status.PASSED, Status.UNDECIDED], Standing.UNDECIDED),
        ([Status.PASSED, Status.VIOLATED, Status.DISABLED], Standing.NOT_MET),
        ([Status.UNDECIDED, Status.VIOLATED], Standing.NOT_MET),
        ([Status.PASSED, Status.DISABLED], Standing.NOT_CHECKABLE),
        ([Status.NOT_APPLICABLE, Status.NOT_APPLICABLE], Standing.NOT_APPLICABLE),
    ],
)
def test_a_control_stands_as_its_rules_do(statuses, expected):
    assert standing(*statuses).standing is expected


def test_a_reason_names_the_rules():
    assert standing(Status.PASSED, Status.EXEMPTED).reason == "passes with exemptions: MLB-ENC-001"
    assert standing(Status.VIOLATED, Status.PASSED).reason == "violated: MLB-ENC-000"
    assert standing(Status.PASSED).reason == ""


def test_a_rule_that_was_not_run_shows_nothing():
    assert standing(Status.PASSED, more=("MLB-NET-001",)).standing is Standing.NOT_CHECKABLE


def test_what_infrastructure_cannot_show_says_why(read):
    verdict = controls(read(WHOLE), {"MLB-ENC-001": Status.PASSED})[1]
    assert (verdict.standing, verdict.reason) == (Standing.NOT_CHECKABLE, "People show it.")


def test_over_several_stacks_the_worst_counts():
    assert combined(
        [
            {"a": Status.PASSED, "b": Status.NOT_APPLICABLE, "c": Status.VIOLATED},
            {"a": Status.UNDECIDED, "b": Status.PASSED, "c": Status.EXEMPTED},
        ]
    ) == {"a": Status.UNDECIDED, "b": Status.PASSED, "c": Status.VIOLATED}


def test_the_frameworks_of_the_pack_can_be_read():
    assert all(framework.rules <= REAL_RULES.keys() for framework in frameworks().values())
