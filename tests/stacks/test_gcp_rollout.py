"""What Google Cloud does when a workload file names other versions: the order of operations, from the engine's events.

A deployment needs its model and its endpoint, traffic names deployments that must be there, one that has traffic can't
be undeployed beside others, and what is deployed holds its model and its endpoint fast (terraform-provider-google
#15303, #23372, #25152).
"""

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from ml_blueprints.dynamic.vertex_client import Connection, Vertex
from sandbox.session import api_variables

STACK, WORKLOAD = "gcp-hybrid", "delivery_eta"
PROGRAM = Path(__file__).parent / "programs" / "gcp_rollout.py"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
MODEL, DEPLOYMENT, TRAFFIC = (
    f"pulumi-python:dynamic/ml_blueprints:{name}" for name in ("VertexModel", "VertexDeployment", "VertexTraffic")
)
WORKFLOW = "gcp:workflows/workflow:Workflow"
OLD, CANARY, NEW = (f"endpoint-gradient-boosting-4-{number}-0" for number in (0, 1, 2))


class Rollout:
    """The small program's stack, brought up; `up` changes its workload file and tells what the engine then did."""

    def __init__(self, playground, folder: Path):
        self.playground, self.log = playground, folder / "events.jsonl"
        shutil.copy(PROGRAM, playground.repository / "stacks" / "__main__.py")
        playground.edit_workload(WORKLOAD, lambda workload: workload["serving"].update(size="small"))
        playground.pulumi("stack", "init", STACK, "--no-select")
        self.first = self.up()

    def up(self, change=lambda workload: None, *arguments: str) -> list[tuple[str, str, str]]:
        """Operations that ended, in their order: operation, type, and logical name without the workload's."""
        self.playground.edit_workload(WORKLOAD, change)
        session = self.playground.session()
        self.log.write_bytes(b"")
        command = ["up", "--yes", "--skip-preview", "--stack", STACK, "--event-log", str(self.log), *arguments]
        answer = subprocess.run(
            [session.pulumi, *command],
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
            if one["op"] not in ("same", "refresh") and one["type"].startswith(("gcp:", "pulumi-python:"))
        ]

    @property
    def vertex(self) -> Vertex:
        """The sandbox's Vertex AI, as somebody else than Pulumi asks it."""
        return Vertex(Connection(api_variables()["GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT"]), "europe-west1")

    def endpoint(self, name: str = "endpoint"):
        """An endpoint as it is on the cloud."""
        (found,) = [one for one in self.playground.things(ENDPOINT) if one.urn.endswith(f"::delivery-eta-{name}")]
        return self.vertex.endpoint(found.id)

    def traffic(self, name: str = "endpoint") -> dict[str, int]:
        """What an endpoint sends where, by what is deployed."""
        endpoint = self.endpoint(name)
        names = {one.id: one.display_name.removeprefix("delivery-eta-") for one in endpoint.deployed_models}
        return {names[one]: percent for one, percent in endpoint.traffic_split.items()}


@pytest.fixture
def rollout(playground, tmp_path) -> Rollout:
    return Rollout(playground, tmp_path)


def in_order(done: list[tuple[str, str, str]], *wanted: tuple[str, str, str]) -> None:
    """Assert that some operations ended in this order."""
    places = [done.index(one) for one in wanted]
    assert all(first < second for first, second in pairwise(places)), done


def test_a_version_is_there_before_it_gets_requests_and_gone_after_it_got_the_last(rollout):
    in_order(
        rollout.first,
        ("create", ENDPOINT, "endpoint"),
        ("create", DEPLOYMENT, OLD),
        ("create", TRAFFIC, "endpoint"),
        ("create", "gcp:compute/forwardingRule:ForwardingRule", "endpoint"),
    )
    in_order(rollout.first, ("create", MODEL, OLD), ("create", DEPLOYMENT, OLD))
    assert rollout.traffic() == {OLD: 95, CANARY: 5}
    done = rollout.up(lambda workload: workload["models"][0].update(version="4.2.0"))
    in_order(
        done,
        ("create", MODEL, NEW),
        ("create", DEPLOYMENT, NEW),
        ("update", TRAFFIC, "endpoint"),
        ("delete", DEPLOYMENT, OLD),
        ("delete", MODEL, OLD),
    )
    # The tenant with machines of its own has the champion: the same there.
    own = [f"endpoint-partners-gradient-boosting-4-{number}-0" for number in (0, 2)]
    in_order(
        done,
        ("create", DEPLOYMENT, own[1]),
        ("update", TRAFFIC, "endpoint-partners"),
        ("delete", DEPLOYMENT, own[0]),
    )
    # Neither the endpoints nor the ways to them are touched.
    assert not [one for one in done if one[1] == ENDPOINT or "forwardingRule" in one[1]]
    assert rollout.traffic() == {NEW: 95, CANARY: 5}
    assert rollout.traffic("endpoint-partners") == {own[1]: 100}


def promote(workload):
    workload["models"] = [{"name": "gradient-boosting", "version": "4.1.0", "role": "champion", "traffic": 100}]


def test_a_canary_is_rolled_back_by_others_said_again_by_git_and_promoted_without_a_deployment(rollout):
    champion = next(one.id for one in rollout.endpoint().deployed_models if one.display_name.endswith("4-0-0"))
    # As the workflow does, behind Pulumi's back.
    rolled_back = {"name": rollout.endpoint().name, "traffic_split": {champion: 100}}
    request = {"endpoint": rolled_back, "update_mask": {"paths": ["traffic_split"]}}
    rollout.vertex.endpoints.update_endpoint(request=request)
    assert rollout.traffic() == {OLD: 100}
    assert rollout.up() == []
    # What Git says holds again once Pulumi has looked.
    done = rollout.up(lambda workload: None, "--refresh")
    assert [one for one in done if one[1].startswith("pulumi-python:")] == [("update", TRAFFIC, "endpoint")]
    assert rollout.traffic() == {OLD: 95, CANARY: 5}
    done = rollout.up(promote)
    assert not [one for one in done if one[1:] == (DEPLOYMENT, CANARY) or one[1:] == (MODEL, CANARY)]
    in_order(done, ("update", TRAFFIC, "endpoint"), ("delete", DEPLOYMENT, OLD), ("delete", MODEL, OLD))
    assert ("delete", WORKFLOW, "rollback") in done
    assert rollout.traffic() == {CANARY: 100}
    rollout.playground.pulumi("destroy", "--yes", "--stack", STACK)
    assert not rollout.playground.things()
