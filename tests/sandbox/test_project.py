"""The mirror of the project: what it holds, what an edit on either side does to it, and that the repository stays."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from sandbox import project
from sandbox.errors import SandboxError

CONFIGURATION = "config:\n  aws:region: eu-west-1\n"
SALT = "encryptionsalt: v1:abc=:v1:def\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project with two stacks, a program and a folder of workloads."""
    folder = tmp_path / "repository"
    (folder / "stacks" / "workloads").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: acme\nruntime: python\n")
    (folder / "stacks" / "__main__.py").write_text("print('hello')\n")
    (folder / "stacks" / "__pycache__").mkdir()
    (folder / "stacks" / "workloads" / "churn.yaml").write_text("name: churn\n")
    for stack in ("dev", "prod"):
        (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(CONFIGURATION)
    return folder


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    return tmp_path / "home" / "project"


def test_the_stacks_are_those_with_a_configuration_in_order(repository: Path) -> None:
    (repository / "stacks" / "Pulumi.beta.yaml").write_text(CONFIGURATION)
    (repository / "stacks" / "Pulumi.yaml").write_text("name: not a stack\n")
    assert project.stack_names(repository) == ["beta", "dev", "prod"]
    assert project.stack_names(repository / "stacks") == []


def test_the_projects_name_is_that_of_its_file(repository: Path) -> None:
    assert project.project_name(repository) == "acme"


@pytest.mark.parametrize("content", [None, b"", b"runtime: python\n", b"name: [\n", b"- name\n", b"name: caf\xe9\n"])
def test_a_project_file_without_a_name_is_refused_in_one_line(repository: Path, content: bytes | None) -> None:
    (repository / "Pulumi.yaml").unlink()
    if content is not None:
        (repository / "Pulumi.yaml").write_bytes(content)
    with pytest.raises(SandboxError, match=r"Pulumi\.yaml is no Pulumi project file: ") as refusal:
        project.project_name(repository)
    assert "\n" not in str(refusal.value)


def test_a_mirror_copies_the_stacks_configurations_and_links_the_rest(repository: Path, mirror: Path) -> None:
    assert project.synchronise(repository, mirror) == []
    assert sorted(file.name for file in (mirror / "stacks").iterdir()) == [
        ".venv",
        "Pulumi.dev.yaml",
        "Pulumi.prod.yaml",
        "__main__.py",
        "workloads",
    ]
    assert not stack_file(mirror).is_symlink()
    assert stack_file(mirror).read_text() == CONFIGURATION
    assert (mirror / "Pulumi.yaml").readlink() == repository / "Pulumi.yaml"
    assert (mirror / "stacks" / "__main__.py").readlink() == repository / "stacks" / "__main__.py"
    assert (mirror / ".venv").readlink() == Path(sys.prefix)


def test_an_edit_of_the_program_or_a_workload_holds_at_once(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    (repository / "stacks" / "workloads" / "churn.yaml").write_text("name: edited\n")
    assert (mirror / "stacks" / "workloads" / "churn.yaml").read_text() == "name: edited\n"


def test_what_pulumi_writes_into_a_copy_never_reaches_the_repository(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    stack_file(mirror).write_text(SALT + CONFIGURATION)
    assert project.synchronise(repository, mirror) == []
    assert stack_file(repository).read_text() == CONFIGURATION
    assert stack_file(mirror).read_text() == SALT + CONFIGURATION


def test_a_copy_follows_its_source_and_keeps_the_sandboxs_encryption(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    stack_file(mirror).write_text(SALT + CONFIGURATION)
    stack_file(repository).write_text("encryptionsalt: the real one\nsecretsprovider: awskms://key\nconfig: {a:b: c}\n")
    assert project.synchronise(repository, mirror) == []
    assert stack_file(mirror).read_text() == SALT + "config: {a:b: c}\n"


def test_what_was_set_in_a_copy_is_kept_and_said_each_time(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    edited = CONFIGURATION.replace("eu-west-1", "us-east-1")
    stack_file(mirror).write_text(edited)
    for _ in range(2):
        assert project.synchronise(repository, mirror) == [
            f"dev: keeping what was set in the sandbox, {stack_file(mirror)}"
        ]
        assert stack_file(mirror).read_text() == edited


def test_a_newer_source_replaces_what_was_set_in_a_copy_and_says_so_once(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    stack_file(mirror).write_text(CONFIGURATION.replace("eu-west-1", "us-east-1"))
    newer = CONFIGURATION.replace("eu-west-1", "eu-north-1")
    stack_file(repository).write_text(newer)
    assert project.synchronise(repository, mirror) == [
        f"dev: {stack_file(repository)} is newer than what was set in the sandbox, and replaces it"
    ]
    assert stack_file(mirror).read_text() == newer
    assert project.synchronise(repository, mirror) == []


def test_a_copy_that_pulumi_only_wrote_in_another_order_counts_as_unchanged(repository: Path, mirror: Path) -> None:
    stack_file(repository).write_text("config:\n  a:b: '1'\n  # why\n  c:d: 2\n")
    project.synchronise(repository, mirror)
    stack_file(mirror).write_text('config:\n  c:d: 2\n  a:b: "1"\n')
    assert project.synchronise(repository, mirror) == []


def test_a_lost_copy_comes_back(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    stack_file(mirror).unlink()
    assert project.synchronise(repository, mirror) == []
    assert stack_file(mirror).read_text() == CONFIGURATION


@pytest.mark.parametrize("content", [b"config: [\n", b"config: {a:b: caf\xe9}\n", b""])
def test_a_configuration_that_is_no_yaml_is_left_to_pulumis_judgement(
    repository: Path, mirror: Path, content: bytes
) -> None:
    stack_file(repository).write_bytes(content)
    for _ in range(2):
        assert project.synchronise(repository, mirror) == []
        assert stack_file(mirror).read_bytes().strip() == content.strip()
    stack_file(mirror).write_text(CONFIGURATION)
    assert len(project.synchronise(repository, mirror)) == 1


def test_what_is_gone_from_the_repository_is_gone_from_the_mirror(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    (repository / "stacks" / "__main__.py").rename(repository / "stacks" / "main.py")
    project.synchronise(repository, mirror)
    assert not (mirror / "stacks" / "__main__.py").is_symlink()
    assert (mirror / "stacks" / "main.py").exists()


def test_a_stack_that_the_user_made_in_the_sandbox_keeps_its_configuration(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    stack_file(mirror, "mine").write_text(CONFIGURATION)
    project.synchronise(repository, mirror)
    assert yaml.safe_load(stack_file(mirror, "mine").read_text()) == yaml.safe_load(CONFIGURATION)


def test_a_mirror_of_a_repository_that_moved_leads_to_its_new_place(repository: Path, mirror: Path) -> None:
    project.synchronise(repository, mirror)
    moved = repository.rename(repository.with_name("moved"))
    project.synchronise(moved, mirror)
    assert (mirror / "stacks" / "__main__.py").resolve() == moved / "stacks" / "__main__.py"
    assert (mirror / "Pulumi.yaml").read_text().startswith("name: acme")


def test_commands_that_start_at_the_same_moment_do_not_disturb_each_other(repository: Path, mirror: Path) -> None:
    for number in range(400):
        (repository / "stacks" / f"module_{number}.py").write_text("")
    with ThreadPoolExecutor(8) as commands:
        notices = list(commands.map(lambda _: project.synchronise(repository, mirror), range(8)))
    assert notices == [[]] * 8
    assert len(list((mirror / "stacks").iterdir())) == 405


def stack_file(folder: Path, stack: str = "dev") -> Path:
    return folder / "stacks" / f"Pulumi.{stack}.yaml"
