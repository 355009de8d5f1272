"""The workflows that anyone can copy: right by their linters, least rights, pinned, and what they call is there."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ml_delivery.__main__ import main

REPOSITORY = Path(__file__).parents[2]
GITHUB = REPOSITORY / "delivery" / "github"
GITLAB = REPOSITORY / "delivery" / "gitlab" / ".gitlab-ci.yml"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))
FILES = [*WORKFLOWS, GITHUB / "actions" / "stack" / "action.yaml", GITLAB]
LINTER = Path(__file__).parent / "actionlint"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ml-blueprints"

by_name = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
of_github = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)


@pytest.fixture(scope="session")
def actionlint():
    """The linter of workflows, built once for its version."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go isn't here, with which actionlint is built")
    version = hashlib.sha256((LINTER / "go.sum").read_bytes()).hexdigest()[:12]
    binary = CACHE / f"actionlint-{version}"
    if not binary.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        building = binary.with_suffix(f".{os.getpid()}")
        package = "github.com/rhysd/actionlint/cmd/actionlint"
        subprocess.run([go, "build", "-o", building, package], cwd=LINTER, check=True, capture_output=True)
        building.replace(binary)
    return binary


@pytest.fixture
def copied(tmp_path):
    """A repository into which the folder was copied, as docs/delivery.md says."""
    shutil.copytree(GITHUB, tmp_path / ".github")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def linted(actionlint, folder):
    return subprocess.run([actionlint, "-no-color"], cwd=folder, capture_output=True, text=True)


def test_actionlint_finds_nothing_in_a_copy(actionlint, copied):
    answer = linted(actionlint, copied)
    assert answer.returncode == 0, answer.stdout


def test_actionlint_would_find_an_input_that_an_action_does_not_have(actionlint, copied):
    file = copied / ".github" / "workflows" / "deploy-stack.yaml"
    file.write_text(file.read_text().replace("aws-role:", "aws-roll:"))
    assert 'input "aws-roll" is not defined' in linted(actionlint, copied).stdout


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-actions", [GITHUB / "actions" / "stack" / "action.yaml"]),
        ("vendor.gitlab-ci", [GITLAB]),
    ],
)
def test_files_are_as_their_schemas_say(schema, files):
    transform = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *transform, *map(str, files)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


@by_name
def test_actions_are_pinned_by_the_hash_of_a_commit_and_say_which_version_that_is(file):
    for used in re.findall(r"uses: (.+)", file.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


def jobs():
    for file in WORKFLOWS:
        content = yaml.safe_load(file.read_text())
        for name, job in content["jobs"].items():
            yield pytest.param(content, job, id=f"{file.stem}-{name}")


@pytest.mark.parametrize(("workflow", "job"), jobs())
def test_a_job_may_no_more_than_it_does(workflow, job):
    assert workflow["permissions"] in ({"contents": "read"}, {"contents": "read", "id-token": "write"})
    may = job.get("permissions", workflow["permissions"])
    steps = job.get("steps", [])
    text = yaml.safe_dump(steps)
    allowed = {"contents": "read"} if "actions/checkout" in text or "uses" in job else {}
    if "./.github/actions/stack" in text or "uses" in job:
        allowed["id-token"] = "write"
    if "upload-sarif" in text:
        allowed["security-events"] = "write"
    if "gh pr comment" in text:
        allowed["pull-requests"] = "write"
    assert may == allowed
    # What signs in to a cloud does it in an environment: its name is in the subject that the cloud looks at.
    assert "./.github/actions/stack" not in text or "environment" in job


@pytest.mark.parametrize(("workflow", "job"), jobs())
def test_a_job_ends_and_hands_its_token_to_no_later_step(workflow, job):
    if "uses" in job:
        return
    assert job["timeout-minutes"] <= 90
    for step in job["steps"]:
        if "actions/checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@by_name
def test_there_is_no_secret_that_lasts(file):
    text = file.read_text()
    assert "secrets." not in text
    assert not re.search(r"ACCESS_KEY|CLIENT_SECRET|credentials_json|PASSPHRASE|PULUMI_ACCESS_TOKEN", text)


@of_github
def test_what_others_write_never_becomes_a_command(file):
    for step in re.findall(r"run: (?:\|\n(?: {10,}.*\n)+|.*)", file.read_text()):
        assert "${{" not in step


def test_what_runs_of_a_pull_request_has_no_right_to_write_and_what_writes_runs_nothing_of_it():
    jobs = yaml.safe_load((GITHUB / "workflows" / "pull-request.yaml").read_text())["jobs"]
    assert "permissions" not in jobs["preview"]
    assert "permissions" not in jobs["check"]
    assert "actions/checkout" not in yaml.safe_dump(jobs["comment"])


def test_production_waits_for_staging_and_both_are_environments():
    jobs = yaml.safe_load((GITHUB / "workflows" / "deploy.yaml").read_text())["jobs"]
    assert jobs["production"]["needs"] == "staging"
    assert {name: job["with"]["environment"] for name, job in jobs.items()} == {
        "staging": "staging",
        "production": "production",
    }
    gitlab = yaml.load(GITLAB.read_text().replace("!reference", ""), Loader=yaml.SafeLoader)
    assert gitlab["stages"].index("production") == gitlab["stages"].index("staging") + 1
    assert gitlab["production"]["rules"][0]["when"] == "manual"


@by_name
def test_what_is_called_is_there(file, capsys):
    text = file.read_text()
    targets = set(re.findall(r"^([a-z]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:run: |- )make ([a-z]+)", text)) <= targets
    for command in re.findall(r"-m ml_delivery (\w+)", text):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        known = capsys.readouterr().out
        (line,) = re.findall(rf"-m ml_delivery {command}((?:.*\\\n)*.*)", text)
        assert set(re.findall(r" (--[a-z-]+)", line)) <= set(re.findall(r"--[a-z-]+", known))


def test_the_nightly_check_is_the_one_that_the_engine_was_asked():
    test = (REPOSITORY / "tests" / "stacks" / "test_life_cycle.py").read_text()
    (asked,) = re.findall(r'nightly = \("refresh", (.*), "--stack"', test)
    options = re.findall(r'"(--[a-z-]+)"', asked)
    for workflow in (GITHUB / "workflows" / "nightly.yaml", GITLAB):
        (line,) = re.findall(r"pulumi refresh (.*)", workflow.read_text())
        assert set(options) <= set(line.split())
