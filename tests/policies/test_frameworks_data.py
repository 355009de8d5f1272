"""The frameworks' data: complete, of known sources, and honest about what infrastructure can't show.

That the files can be read, ids are told apart and rules exist, `frameworks()` itself sees to.
"""

import re
from urllib.parse import urlsplit

import pytest
from ml_policies.framework import frameworks
from ml_policies.rules import RULES

# How many controls each framework has in its version, which is known from its text; PCI DSS is told by sections where
# nothing of them can be shown.
CONTROLS = {
    "cis-aws": 70,
    "cis-azure": 127,
    "cis-gcp": 93,
    "eu-ai-act": 52,
    "hipaa": 51,
    "iso-27001": 93,
    "iso-42001": 38,
    "nist-ai-rmf": 72,
    "pci-dss-4": 139,
    "soc-2": 61,
}


@pytest.fixture(params=frameworks().values(), ids=frameworks().keys())
def framework(request):
    return request.param


def test_all_frameworks_are_there_with_all_controls():
    assert {id_: len(framework.controls) for id_, framework in frameworks().items()} == CONTROLS


def test_a_source_is_an_address(framework):
    source = urlsplit(framework.source)
    assert source.scheme == "https"
    assert "." in source.netloc


def test_a_framework_says_its_version(framework):
    assert re.search(r"\d", framework.version)


def test_titles_speak_to_people_and_are_told_apart(framework):
    titles = [control.title for control in framework.controls]
    assert all(re.match(r"[A-Z]\S", title) and len(title) <= 120 for title in titles)
    assert len(set(titles)) == len(titles)


def test_a_reason_is_a_sentence(framework):
    for control in framework.controls:
        assert control.rules or re.fullmatch(r"[A-Z].{20,}\.", control.not_checkable), control.id


def test_rules_of_a_control_are_sorted_and_named_once(framework):
    for control in framework.controls:
        assert list(control.rules) == sorted(set(control.rules)), control.id


def test_a_benchmark_of_a_cloud_names_rules_with_a_check_on_it():
    for cloud in ("aws", "azure", "gcp"):
        for control in frameworks()[f"cis-{cloud}"].controls:
            for rule in control.rules:
                assert cloud in RULES[rule].clouds, (control.id, rule)


def test_every_rule_serves_a_framework():
    served = frozenset[str]().union(*(framework.rules for framework in frameworks().values()))
    assert served == RULES.keys()
