"""Templates of `pulumi new`: what they make is whole, and works with Pulumi's own commands."""

import subprocess
from pathlib import Path

import pytest
import yaml
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload

REPOSITORY = Path(__file__).parents[2]
TEMPLATES = REPOSITORY / "delivery" / "templates"
ENVIRONMENTS = {"dev": "experiment", "staging": "staging", "prod": "production"}

clouds = pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])


def made(playground, cloud, folder):
    """A new project, as `pulumi new` makes it of a template."""
    session = playground.session()
    folder.mkdir()
    command = [session.pulumi, "new", TEMPLATES / cloud, "--generate-only", "--yes", "--offline"]
    subprocess.run(
        [*command, "--name", "retention", "--description", "Who leaves", "--dir", folder],
        env=session.environment,
        check=True,
        capture_output=True,
    )
    return session


@clouds
def test_a_new_project_holds_all_that_it_needs_and_nothing_of_this_repository(playground, tmp_path, cloud):
    folder = tmp_path / "new"
    made(playground, cloud, folder)
    assert not [file for file in folder.rglob("*") if file.is_symlink()]
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    assert (project["name"], project["description"]) == ("retention", "Who leaves")
    assert "template" not in project
    for stack, environment in ENVIRONMENTS.items():
        config = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["config"]
        ours = {name.removeprefix("ml-blueprints:"): value for name, value in config.items() if name.startswith("ml-")}
        settings = Settings.model_validate(ours)
        workload = Workload.load(folder / settings.workload)
        assert (settings.cloud, settings.environment) == (cloud, environment)
        assert workload.architecture is settings.architecture
        assert len(list((folder / "pipelines").rglob("*/churn/*"))) == 3


def test_a_stack_of_a_new_project_can_be_brought_up(playground, tmp_path):
    folder = tmp_path / "new"
    session = made(playground, "aws", folder)
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    for arguments in (["stack", "init", "dev"], ["preview", "--stack", "dev"]):
        command = [session.pulumi, *arguments, "--non-interactive", "--color", "never"]
        answer = subprocess.run(command, cwd=folder, env=session.environment, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "to create" in answer.stdout
    assert "retention" in answer.stdout


def test_the_workload_is_that_of_the_stacks_but_for_its_paths():
    ours = yaml.safe_load((TEMPLATES / "shared" / "churn.yaml").read_text())
    theirs = yaml.safe_load((REPOSITORY / "stacks" / "workloads" / "churn.yaml").read_text())
    for content in (ours, theirs):
        del content["data"]["contract"]["path"], content["features"]["job"], content["pipelines"]
    assert ours == theirs
