"""Every rule on every type that it guards: what is right passes, what is wrong fails, what is unknown stays open."""

import pytest
from ml_policies.checks import Undecided, Wrong
from ml_policies.evaluation import Evaluator, Finding
from ml_policies.rules import RULES
from tests.policies.tables import Case, tables


def findings(case: Case) -> list[Finding]:
    """What the case's rule finds on the resource in question."""
    evaluator = Evaluator([case.rule], {case.rule.id: case.parameters})
    subject = case.stack.resources[0]
    return [found for found in evaluator.everything(case.stack) if found.resource.urn == subject.urn]


def test_what_is_right_passes(passing):
    assert [found.message for found in findings(passing)] == []


def test_what_is_wrong_fails(failing):
    found = findings(failing)
    assert any(isinstance(one.result, Wrong) for one in found), found
    for one in found:
        assert one.message


def test_what_is_unknown_is_left_to_the_deployment(undecided):
    found = findings(undecided)
    assert found, "a value that the rule needs is unknown, and it passes all the same"
    assert all(isinstance(one.result, Undecided) for one in found), [one.message for one in found]


@pytest.mark.parametrize(
    ("rule", "type_"), [(rule.id, type_) for rule in RULES.values() for type_ in sorted(rule.types)]
)
def test_every_rule_has_its_three_cases_on_every_type(rule, type_):
    found = [table for one, type_of, table in tables() if (one.id, type_of) == (rule, type_)]
    assert len(found) == 1, f"{rule} needs exactly one table for {type_} in tests/policies/cases/"
    assert found[0]["fails"]
    assert found[0]["unknown"] or found[0]["because"]
