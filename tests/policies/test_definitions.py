"""Values at paths and inside of texts, times in their spellings, and runtimes in theirs."""

import re

import pytest
from ml_policies.checks import Scope, Undecided, Wrong
from ml_policies.definitions import every
from ml_policies.resource import UNKNOWN, Resource
from ml_policies.rules.cost.machines import minutes
from ml_policies.rules.supply_chain.runtimes import too_old


def found(check, properties):
    return list(check(Scope(Resource("t:job", "job", "urn:job", properties), properties)))


def refused(value, _):
    return "a small one" if value == "large" else None


def test_every_value_at_the_paths_is_judged():
    check = every(("jobs[].size", "size"), refused)
    assert found(check, {}) == []
    assert found(check, {"jobs": [{"size": "small"}, {"size": "large"}], "size": UNKNOWN}) == [
        Wrong("jobs[1].size", "large", "a small one"),
        Undecided("size"),
    ]


def test_every_part_that_a_pattern_finds_in_a_text_is_judged():
    check = every(("definition",), refused, re.compile(r'"size": "([^"]+)"'))
    assert found(check, {"definition": '[{"size": "small"}, {"size": "large"}]'}) == [
        Wrong("definition", "large", "a small one")
    ]
    assert found(check, {"definition": '{"size": "${input.size}"}'}) == [Undecided("definition")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PT30M", 30), ("PT1H30M", 90), ("P1D", 1440), ("10800s", 180), ("10800", 180), (3600, 60)],
)
def test_minutes_are_read_in_every_spelling_of_the_clouds(text, expected):
    assert minutes(text) == expected


@pytest.mark.parametrize("text", ["PT", "P", "", None, "soon", "-60s"])
def test_what_is_no_time_has_no_minutes(text):
    assert minutes(text) == 0


PARAMETERS = {"oldest": {"python": "3.11", "node": "22", "dotnet": "8"}, "refused": ["provided"]}


@pytest.mark.parametrize("runtime", ["python3.12", "python312", "PYTHON|3.12", "nodejs22.x", "Node|22-lts", "dotnet8"])
def test_runtimes_that_are_maintained_pass_in_every_spelling(runtime):
    assert too_old(runtime, PARAMETERS) is None


@pytest.mark.parametrize(
    "runtime", ["python3.9", "python39", "PYTHON|3.10", "nodejs20.x", "NODE|~18", "dotnetcore3.1", "Provided"]
)
def test_runtimes_that_are_not_maintained_fail_in_every_spelling(runtime):
    assert too_old(runtime, PARAMETERS)
