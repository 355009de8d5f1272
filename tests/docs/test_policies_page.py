"""The page on the policy pack: its examples are run, so that they can't go stale."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from ml_policies import checks, rule
from ml_policies.__main__ import main
from ml_policies.checks import Undecided, Wrong
from ml_policies.configuration import Configuration
from ml_policies.evaluation import Evaluator
from ml_policies.resource import CLOUDS
from ml_policies.rules import RULES
from tests.policies.tables import _cases as cases_of

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/policies.md").read_text()


def blocks(language: str) -> list[str]:
    """The code on the page that is in a language, without its indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indentation}", "", code, flags=re.MULTILINE) for indentation, code in found]


@pytest.fixture
def example():
    """The page's rule, made of what rules are made of."""
    (code,) = blocks("python")
    return eval(code, {**vars(checks), **vars(rule)})  # noqa: S307 (our own page)


@pytest.fixture
def table():
    return yaml.safe_load(blocks("yaml")[-1])


def test_the_configuration_is_right():
    (text,) = blocks("json")
    configuration = Configuration.load(json.loads(text))
    assert configuration.level(RULES["MLB-ENC-001"]) == "mandatory"
    assert configuration.level(RULES["MLB-ENC-001"], "staging") == "advisory"
    assert configuration.level(RULES["MLB-IAM-001"], "experiment") == "mandatory"


def test_the_rule_is_whole(example):
    assert example.clouds | example.missing.keys() == set(CLOUDS.values())
    assert example.sentence == RULES[example.id].sentence


@pytest.mark.parametrize(("kind", "expected"), [("passes", None), ("fails", Wrong), ("unknown", Undecided)])
def test_the_rule_passes_its_cases(example, table, kind, expected):
    assert table[example.id].keys() == example.types
    for type_, one in table[example.id].items():
        for case in cases_of(example, type_, one, kind):
            found = [type(finding.result) for finding in Evaluator([example]).everything(case.stack)]
            assert found == ([expected] if expected else []), case


def test_the_commands_are_what_the_pack_takes(tmp_path, monkeypatch, capsys):
    """Every `policies/run` on the page, over an empty export."""
    monkeypatch.chdir(tmp_path)
    Path("prod.stack.json").write_text('{"version": 3, "deployment": {}}')
    commands = [line for code in blocks("sh") for line in code.splitlines() if "policies/run" in line]
    commands += re.findall(r"`(policies/run check prod.*?)`", PAGE)
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    rules = json.loads(Path("report.json").read_text())["rules"]
    assert {one["status"] for one in rules.values()} == {"not applicable"}


def test_the_action_and_the_hooks_are_used_as_they_are():
    action = yaml.safe_load((REPOSITORY / "policies/action.yml").read_text())
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    workflow, pre_commit = map(yaml.safe_load, blocks("yaml")[:2])
    (step,) = [one for one in workflow["jobs"]["policies"]["steps"] if "/policies@" in one["uses"]]
    assert step["with"].keys() <= action["inputs"].keys()
    assert [one["id"] for one in pre_commit["repos"][0]["hooks"]] == [one["id"] for one in hooks]


def test_options_that_the_page_names_exist(capsys):
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    known = capsys.readouterr().out + "--policy-pack --policy-pack-config --file"
    for option in set(re.findall(r"--[a-z][a-z-]+", PAGE)):
        assert option in known
