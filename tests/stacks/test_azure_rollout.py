"""What Azure does when a workload file names other versions: the order of operations, from the engine's own events.

An endpoint's traffic names deployments that must be there, deployments need the endpoint, one that has traffic can't be
deleted, and traffic that somebody else wrote is no difference (pulumi-azure-native #3090).
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from tests.stacks.conftest import opened

ONE_WORKER = pytest.mark.xdist_group("azure-rollout")
STACK, WORKLOAD = "azure-hybrid", "delivery_eta"
PROGRAM = Path(__file__).parent / "programs" / "azure_rollout.py"
ML = "azure-native:machinelearningservices"
ENDPOINT, DEPLOYMENT = f"{ML}:OnlineEndpoint", f"{ML}:OnlineDeployment"
TRAFFIC = "azure-native:resources:Deployment"
SCALING = "azure-native:monitor:AutoscaleSetting"
WORKFLOW = "azure-native:logic:Workflow"


class Rollout:
    """The small program's stack, brought up; `up` changes its workload file and tells what the engine then did."""

    def __init__(self, playground, folder: Path):
        self.playground, self.log = playground, folder / "events.jsonl"
        shutil.copy(PROGRAM, playground.repository / "stacks" / "__main__.py")
        playground.edit_workload(WORKLOAD, lambda workload: workload["serving"].update(size="small"))
        playground.pulumi("stack", "init", STACK, "--no-select")
        self.first = self.up()

    def up(self, change=lambda workload: None) -> list[tuple[str, str, str]]:
        """Operations that ended, in their order: operation, type, and logical name without the workload's."""
        self.playground.edit_workload(WORKLOAD, change)
        session = self.playground.session()
        self.log.write_bytes(b"")
        answer = subprocess.run(
            [session.pulumi, "up", "--yes", "--skip-preview", "--stack", STACK, "--event-log", str(self.log)],
            cwd=session.project,
            env={**session.environment, "PULUMI_DEBUG_COMMANDS": "true"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        done = [event["resOutputsEvent"]["metadata"] for event in events if "resOutputsEvent" in event]
        return [
            (one["op"], one["type"], one["urn"].rpartition("::")[2].removeprefix("delivery-eta-"))
            for one in done
            if one["op"] != "same" and one["type"].startswith("azure-native:")
        ]

    def traffic(self, name: str = "endpoint") -> dict[str, int]:
        """What an endpoint sends where, on the cloud."""
        (found,) = [one for one in self.playground.things(ENDPOINT) if one.urn.endswith(f"::delivery-eta-{name}")]
        return found.outputs["properties"]["traffic"]


def bump(workload):
    """Another version of the champion."""
    workload["models"][0]["version"] = "4.2.0"


def promote(workload):
    """The canary for all, and a word of the endpoint's own that changes, too."""
    workload["models"] = [{"name": "gradient-boosting", "version": "4.1.0", "role": "champion", "traffic": 100}]
    workload["description"] = "Another one"


@dataclass(frozen=True)
class Life:
    """One life of the endpoints: what was done, and what they then sent where."""

    made: list[tuple[str, str, str]]
    traffic: dict[str, int]
    bumped: list[tuple[str, str, str]]
    bumped_traffic: tuple[dict[str, int], dict[str, int]]
    promoted: list[tuple[str, str, str]]
    promoted_traffic: dict[str, int]
    refreshed: list[tuple[str, str, str]]


@pytest.fixture(scope="module")
def life(tmp_path_factory) -> Life:
    folder = tmp_path_factory.mktemp("rollout")
    with opened(folder) as playground:
        rollout = Rollout(playground, folder)
        made, traffic = rollout.first, rollout.traffic()
        bumped, bumped_traffic = rollout.up(bump), (rollout.traffic(), rollout.traffic("partners-endpoint"))
        promoted, promoted_traffic = rollout.up(promote), rollout.traffic()
        playground.pulumi("refresh", "--yes", "--skip-preview", "--stack", STACK)
        return Life(made, traffic, bumped, bumped_traffic, promoted, promoted_traffic, rollout.up())


def in_order(done: list[tuple[str, str, str]], *wanted: tuple[str, str, str]) -> None:
    """Assert that some operations ended in this order."""
    places = [done.index(one) for one in wanted]
    assert all(first < second for first, second in pairwise(places)), done


@ONE_WORKER
def test_an_endpoint_is_there_before_its_deployments_and_these_before_its_traffic(life):
    in_order(
        life.made,
        ("create", ENDPOINT, "endpoint"),
        ("create", DEPLOYMENT, "gradient-boosting-4-0-0"),
        ("create", TRAFFIC, "traffic"),
    )
    assert life.traffic == {"gradient-boosting-4-0-0": 95, "gradient-boosting-4-1-0": 5}


@ONE_WORKER
def test_a_version_is_there_before_it_gets_requests_and_gone_after_it_got_the_last(life):
    in_order(
        life.bumped,
        ("create", DEPLOYMENT, "gradient-boosting-4-2-0"),
        ("update", TRAFFIC, "traffic"),
        ("delete", SCALING, "gradient-boosting-4-0-0"),
        ("delete", DEPLOYMENT, "gradient-boosting-4-0-0"),
    )
    # The tenant with instances of its own has the champion: the same there.
    in_order(
        life.bumped,
        ("create", DEPLOYMENT, "partners-gradient-boosting-4-2-0"),
        ("update", TRAFFIC, "partners-traffic"),
        ("delete", DEPLOYMENT, "partners-gradient-boosting-4-0-0"),
    )
    assert not [one for one in life.bumped if one[1] == ENDPOINT]
    shared, partners = life.bumped_traffic
    assert shared == {"gradient-boosting-4-2-0": 95, "gradient-boosting-4-1-0": 5}
    assert partners == {"gradient-boosting-4-2-0": 100}


@ONE_WORKER
def test_a_canary_that_is_promoted_stays_as_it_is_and_the_endpoint_is_never_written_without_traffic(life):
    assert not [one for one in life.promoted if one[1:] == (DEPLOYMENT, "gradient-boosting-4-1-0")]
    in_order(life.promoted, ("update", TRAFFIC, "traffic"), ("delete", DEPLOYMENT, "gradient-boosting-4-2-0"))
    assert ("delete", WORKFLOW, "rollback") in life.promoted
    # Its new description is written with its traffic, in one.
    assert not [one for one in life.promoted if one[1] == ENDPOINT]
    assert life.promoted_traffic == {"gradient-boosting-4-1-0": 100}


@ONE_WORKER
def test_what_the_cloud_says_of_traffic_is_no_difference(life):
    assert life.refreshed == []
