"""The README: what it tells a new user to type works, and what it names is there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
README = PAGES[0].read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    """The commands of a block without their comments."""
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def targets() -> set[str]:
    """What `make` alone lists."""
    # As from a shell, also where `make test` runs this test.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    listed = subprocess.run(["make"], cwd=REPOSITORY, env=outside, capture_output=True, text=True, check=True).stdout
    return {line.split()[1] for line in listed.splitlines()}


def test_it_opens_with_what_it_is_and_two_commands():
    assert README.index("Pulumi (Python) collection") < README.index("```sh")
    assert commands(BLOCKS[0]) == ["make up", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_make_target_that_a_page_names_exists(page):
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets()


def test_every_target_says_what_it_does_and_has_no_name_of_a_file():
    makefile = (REPOSITORY / "Makefile").read_text()
    named = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert named == targets()
    assert named <= set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())


def test_every_target_is_one_line():
    makefile = (REPOSITORY / "Makefile").read_text()
    recipes = re.findall(r"^[a-z]+:.*\n((?:\t.*\n)*)", makefile, re.MULTILINE)
    assert [recipe.count("\n") for recipe in recipes] == [1] * len(targets())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_the_commands_for_the_shell_work_as_they_stand(playground, standing):
    (block,) = (block for block in BLOCKS if "pulumi stack ls" in block)
    # A new user has run `make up` before; one stack is enough of it.
    standing("gcp-batch")
    for command in commands(block):
        program, *arguments = command.split()
        assert program == "pulumi"
        printed = playground.pulumi(*arguments)
        assert printed.strip()
    assert playground.things() == []


def test_the_table_of_workloads_is_that_of_the_stacks():
    used = {}
    for file in sorted((REPOSITORY / "stacks").glob("Pulumi.*.yaml")):
        config = yaml.safe_load(file.read_text())["config"]
        used.setdefault(Path(config["ml-blueprints:workload"]).stem, []).append(file.name.split(".")[1])
    rows = re.findall(r"^\| ([a-z_, ]+) \| (streaming|batch|hybrid) \|(.*)\|$", README, re.MULTILINE)
    told = {
        name: (kind, sorted(re.findall(r"[a-z]+-[a-z]+", stacks)))
        for names, kind, stacks in rows
        for name in names.split(", ")
    }
    assert told == {
        file.stem: (yaml.safe_load(file.read_text())["architecture"], used.get(file.stem, []))
        for file in (REPOSITORY / "stacks" / "workloads").iterdir()
    }


def test_a_machine_without_python_3_11_is_told_so_in_one_sentence(tmp_path):
    """The set-up itself, with a Python that is too old: no traceback, and nothing is left behind."""
    shutil.copytree(REPOSITORY / "requirements", tmp_path / "requirements")
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.10" && exit 0\nexit 1\n')
    old.chmod(0o755)
    answer = subprocess.run(
        [tmp_path / "requirements" / "install"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(old)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "Python 3.11 or newer" in answer.stderr
    assert "found: Python 3.8.10" in answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["python3", "requirements"]
