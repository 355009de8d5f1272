"""Every check on machine learning that other tools have: a rule covers it, or it has a reason.

anchors.csv holds them, as read in the sources of the tools: Checkov, Prowler, Azure Policy, cdk-nag, the reference of
AWS Security Hub, and Google's organisation policies.
"""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from ml_policies import rules as package
from ml_policies.resource import CLOUDS
from ml_policies.rules import RULES

with (Path(__file__).parent / "anchors.csv").open(newline="") as file:
    ANCHORS = list(csv.DictReader(file))
REASONS = yaml.safe_load((Path(package.__file__).parents[1] / "not_checkable.yaml").read_text())


@pytest.fixture(params=ANCHORS, ids=[f"{one['tool']}:{one['id']}" for one in ANCHORS])
def anchor(request):
    return request.param


def covering(anchor: dict[str, str]) -> list[str]:
    """The ids of the rules that cover a check."""
    return [id_ for id_, rule in RULES.items() if f"{anchor['tool']}:{anchor['id']}" in rule.references]


def test_no_check_was_forgotten():
    assert Counter(one["tool"] for one in ANCHORS) == {
        "checkov": 33,
        "azure-policy": 26,
        "security-hub": 23,
        "prowler": 17,
        "cdk-nag": 4,
        "google-org-policy": 4,
    }


def test_a_rule_covers_the_check_or_a_reason_says_why_none_can(anchor):
    assert bool(covering(anchor)) != (f"{anchor['tool']}:{anchor['id']}" in REASONS)


def test_a_covering_rule_checks_the_cloud_of_the_check(anchor):
    rules = covering(anchor)
    assert not rules or any(anchor["cloud"] in RULES[id_].clouds for id_ in rules)


def test_what_one_cloud_has_the_others_have_or_a_reason_says_why_not(anchor):
    for id_ in covering(anchor):
        assert RULES[id_].clouds | RULES[id_].missing.keys() == set(CLOUDS.values())


def test_a_reason_is_a_sentence_on_a_check_that_there_is():
    assert REASONS.keys() <= {f"{one['tool']}:{one['id']}" for one in ANCHORS}
    assert all(re.fullmatch(r"[A-Z].{10,}\.", reason) for reason in REASONS.values())
