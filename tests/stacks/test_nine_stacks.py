"""The main job: all nine stacks side by side, as `make up` brings them up, and the page that is generated from them."""

import json
import re
from pathlib import Path

import pytest
from docs import generate
from ml_blueprints.capabilities import Layer
from sandbox import project
from sandbox.stacks import Phase
from tests.stacks.conftest import AGAIN

REPOSITORY = Path(__file__).parents[2]
STACKS = project.stack_names(REPOSITORY)


def test_nine_stacks_are_three_clouds_times_three_architectures():
    assert project.stack_names(REPOSITORY) == [
        f"{cloud}-{kind}" for cloud in ("aws", "azure", "gcp") for kind in ("batch", "hybrid", "streaming")
    ]


@pytest.mark.xdist_group("nine")
def test_one_worker_has_the_whole_group(request):
    if not request.config.getoption("loadgroup", False):
        pytest.skip("tests aren't dealt out to workers")
    # Otherwise each worker brings all nine stacks up (see docs/lessons.md).
    assert request.node.nodeid.endswith("@nine")


@pytest.mark.xdist_group("nine")
def test_all_stacks_come_up_with_every_capability(nine):
    code, printed = nine.first
    assert code == 0, printed
    for stack in STACKS:
        (row,) = re.findall(rf"^{stack} +(\d+) +[\d.]+ +(\d+) of (\d+) +created (\d+)", printed, re.MULTILINE)
        resources, realised, asked, created = map(int, row)
        assert resources == created > 100
        assert realised == asked >= 21


@pytest.mark.xdist_group("nine")
def test_what_is_up_stays_unchanged(nine):
    code, printed = nine.again
    assert code == 0, printed
    assert printed.count(" unchanged") == len(AGAIN)
    assert "Nothing changed" in printed
    assert nine.previewed.keys() == set(STACKS)
    assert {run.phase for run in nine.previewed.values()} == {Phase.DONE}
    assert all(run.changes.keys() == {"same"} for run in nine.previewed.values())


@pytest.mark.xdist_group("nine")
def test_the_generated_pages_are_up_to_date(nine):
    outputs = {stack: run.outputs for stack, run in nine.previewed.items()}
    states = {stack: json.loads(file.read_text()) for stack, file in nine.exports.items()}
    for name, text in generate.pages(outputs, states).items():
        assert (REPOSITORY / "docs" / name).read_text() == text, f"docs/{name} is stale: `make docs` writes it anew"


@pytest.mark.xdist_group("nine")
def test_all_stacks_tell_what_they_cost_in_the_same_breakdown(nine):
    costs = {stack: run.outputs["cost"] for stack, run in nine.previewed.items()}
    assert len({frozenset(cost) for cost in costs.values()}) == 1
    for stack, cost in costs.items():
        assert cost["layers"].keys() <= set(Layer), stack
        assert {"foundation", "monitoring"} <= cost["layers"].keys(), stack
        assert cost["monthlyUsd"] == pytest.approx(sum(cost["layers"].values()), abs=1), stack
        assert sum(cost["types"].values()) == pytest.approx(sum(cost["layers"].values()), abs=1), stack
        # Whatever has no price is counted, so that each resource is somewhere.
        counted = sum(cost[part]["resources"] for part in ("priced", "free", "notPriced")) + len(cost["undecided"])
        state = json.loads(nine.exports[stack].read_text())["deployment"]["resources"]
        custom = [one for one in state if one.get("custom") and not one["type"].startswith("pulumi:providers:")]
        assert counted == len(custom), stack


@pytest.mark.xdist_group("nine")
def test_all_stacks_go_without_a_trace(nine):
    code, printed = nine.gone
    assert code == 0, printed
    assert "Remaining in the sandbox: nothing." in printed
    assert nine.left == ([], set())
