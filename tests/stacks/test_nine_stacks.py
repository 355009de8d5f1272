"""The main job: all nine stacks side by side, as `make up` brings them up, and the page that is generated from them."""

import re
from pathlib import Path

import pytest
from docs import generate
from sandbox import project
from sandbox.stacks import Operation, Phase

REPOSITORY = Path(__file__).parents[2]
STACKS = project.stack_names(REPOSITORY)


def test_nine_stacks_are_three_clouds_times_three_architectures():
    assert project.stack_names(REPOSITORY) == [
        f"{cloud}-{kind}" for cloud in ("aws", "azure", "gcp") for kind in ("batch", "hybrid", "streaming")
    ]


@pytest.mark.xdist_group("nine")
def test_all_stacks_come_up_with_every_capability_then_stay_unchanged_and_go_without_a_trace(playground):
    code, first, _ = playground.command("up")
    assert code == 0, first
    for stack in STACKS:
        (row,) = re.findall(rf"^{stack} +(\d+) +[\d.]+ +(\d+) of (\d+) +created (\d+)", first, re.MULTILINE)
        resources, realised, asked, created = map(int, row)
        assert resources == created > 100
        assert realised == asked >= 21

    code, second, _ = playground.command("up")
    assert code == 0, second
    assert second.count(" unchanged") == len(STACKS)
    assert "Nothing changed" in second

    unchanged = playground.run(Operation.PREVIEW, *STACKS)
    assert {run.phase for run in unchanged.values()} == {Phase.DONE}
    assert all(run.changes.keys() == {"same"} for run in unchanged.values())
    for name, text in generate.pages({stack: run.outputs for stack, run in unchanged.items()}).items():
        assert (REPOSITORY / "docs" / name).read_text() == text, f"docs/{name} is stale: `make docs` writes it anew"

    code, gone, _ = playground.command("down")
    assert code == 0, gone
    assert "Remaining in the sandbox: nothing." in gone
    assert playground.things() == []
