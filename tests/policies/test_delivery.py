"""What users run: the action's step, the hooks, and the script that both start."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ml_policies.__main__ import main
from tests.policies.test_main import ENDPOINT, state

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
ACTION = yaml.safe_load((POLICIES / "action.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
(STEP,) = ACTION["runs"]["steps"]


@pytest.fixture
def action(tmp_path):
    """Runs the action's step with some inputs, in a folder with two exports, one of which has a space in its name."""
    work, own = tmp_path / "work", tmp_path / "action"
    (work / "exports/deep").mkdir(parents=True)
    own.mkdir()
    (work / "exports/deep/bad one.json").write_text(state((ENDPOINT, "scoring", {})))
    (work / "exports/good.json").write_text(state(("random:index/randomId:RandomId", "id", {})))
    (own / "run").write_text(f'#!/bin/sh\nexec {sys.executable} -m ml_policies "$@"\n')
    (own / "run").chmod(0o755)

    def run(**given):
        inputs = {name: str(one["default"]) for name, one in ACTION["inputs"].items()} | given
        environment = {
            name: re.sub(r"\${{ inputs\.(\w+) }}", lambda found: inputs[found[1]], value)
            for name, value in STEP["env"].items()
        }
        outside = {"GITHUB_ACTION_PATH": str(own), "GITHUB_STEP_SUMMARY": str(work / "summary.md")}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEP["run"]],
            cwd=work,
            env={**os.environ, **environment, **outside},
            capture_output=True,
            text=True,
        )

    run.work = work
    return run


def test_the_action_checks_all_files_of_its_patterns_and_reports(action):
    done = action(files="exports/**/*.json\n", html="report.html", junit="report.xml")
    assert (done.returncode, done.stderr) == (1, "")
    assert "exports/deep/bad one.json: 1 resource" in done.stdout
    assert "exports/good.json: 1 resource" in done.stdout
    assert (action.work / "summary.md").read_text().startswith("# Failed")
    assert json.loads((action.work / "ml-policies.sarif").read_text())["runs"][0]["results"]
    assert (action.work / "report.html").exists()
    assert (action.work / "report.xml").exists()


def test_the_action_passes_on_its_other_inputs(action):
    (action.work / "policies.json").write_text('{"settings": {"levels": {"experiment": {"all": "advisory"}}}}')
    done = action(
        files="exports/deep/bad one.json", config="policies.json", environment="experiment", frameworks="soc-2\nhipaa\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "in experiment" in done.stdout


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "one of the arguments FILE --stack is required"),
        ({"files": "nothing/*.json"}, "no file matches nothing/*.json"),
        ({"files": "none.json"}, "none.json can't be read"),
        ({"stacks": "prod", "files": "exports/good.json"}, "not allowed with argument"),
    ],
)
def test_the_action_ends_with_2_where_nothing_can_be_checked(action, given, message):
    done = action(**given)
    assert done.returncode == 2
    assert message in done.stdout + done.stderr


def test_what_an_input_holds_is_never_run(action):
    action(files="$(touch hacked)\n`touch hacked`", environment="$(touch hacked)", config="; touch hacked")
    assert not (action.work / "hacked").exists()
    assert "${{" not in STEP["run"]


def test_every_input_is_described_and_used():
    used = set(re.findall(r"\${{ inputs\.(\w+) }}", " ".join(STEP["env"].values())))
    assert used == ACTION["inputs"].keys()
    assert all(one["description"] for one in ACTION["inputs"].values())
    assert all(f"${name}" in STEP["run"] for name in STEP["env"] if name != "ML_POLICIES_DOCUMENTATION")


@pytest.mark.parametrize("hook", HOOKS, ids=[hook["id"] for hook in HOOKS])
def test_a_hook_starts_the_script_with_a_command_that_takes_its_files(hook, tmp_path):
    script, command = hook["entry"].split()
    assert os.access(ROOT / script, os.X_OK)
    name = {"check": "prod.stack.json", "configuration": "infra/ml-policies-prod.json"}[command]
    assert re.search(hook["files"], name)
    assert not re.search(hook["files"], "package.json")
    file = tmp_path / Path(name).name
    file.write_text(state() if command == "check" else "{}")
    assert main([command, str(file)]) == 0


# A Python that makes environments of itself in no time, and installs what isn't `broken`.
PYTHON = f"""#!/bin/sh
case "$1 $2" in
    "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    "-m pip") for last; do :; done; ! grep broken "$last" ;;
    "-c "*) exit 0 ;;
    *) exec {sys.executable} "$@" ;;
esac
"""


@pytest.fixture
def pack(tmp_path):
    """A copy of the script, with a pack that prints how it was called and needs nothing."""
    (tmp_path / "policies/ml_policies").mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/policies.txt").write_text("")
    (tmp_path / "policies/ml_policies/__init__.py").touch()
    (tmp_path / "policies/ml_policies/__main__.py").write_text("import sys; print(sys.argv[1:])")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    script = Path(shutil.copy(POLICIES / "run", tmp_path / "policies/run"))

    def run(*arguments, **environment):
        environment = {**os.environ, "PYTHON": str(tmp_path / "python"), **environment}
        return subprocess.run([script, *arguments], env=environment, capture_output=True, text=True)

    run.ready = tmp_path / "policies/.venv/.ready"
    run.requirements = tmp_path / "requirements/policies.txt"
    return run


def test_the_script_makes_its_environment_until_it_is_whole_and_then_keeps_it(pack):
    pack.requirements.write_text("broken")
    assert pack("check").returncode == 2
    pack.requirements.write_text("")
    done = pack("check", "a b.json")
    assert (done.returncode, done.stdout) == (0, "['check', 'a b.json']\n"), done.stderr
    made = pack.ready.stat().st_mtime_ns
    assert pack().returncode == 0
    assert pack.ready.stat().st_mtime_ns == made


def test_the_script_renews_its_environment_for_other_requirements(pack):
    pack()
    later = pack.ready.stat().st_mtime + 10
    pack.requirements.write_text("broken")
    os.utime(pack.requirements, (later, later))
    assert pack("check").returncode == 2


def test_the_script_says_which_python_it_needs(pack):
    done = pack("check", PYTHON="false")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ml-policies: Python 3.11 or newer")
