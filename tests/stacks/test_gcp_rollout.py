"""What Google Cloud does when a workload file names other versions: the order of operations, from the engine's events.

A deployment needs its model and its endpoint, traffic names deployments that must be there, one that has traffic can't
be undeployed beside others, and what is deployed holds its model and its endpoint fast (terraform-provider-google
#15303, #23372, #25152).
"""

import pytest
from ml_blueprints.dynamic.vertex_client import Connection, Vertex
from sandbox.session import api_variables
from tests.stacks import rollouts
from tests.stacks.rollouts import in_order

ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
MODEL, DEPLOYMENT, TRAFFIC = (
    f"pulumi-python:dynamic/ml_blueprints:{name}" for name in ("VertexModel", "VertexDeployment", "VertexTraffic")
)
WORKFLOW = "gcp:workflows/workflow:Workflow"
OLD, CANARY, NEW = (f"endpoint-gradient-boosting-4-{number}-0" for number in (0, 1, 2))


class Rollout(rollouts.Rollout):
    """The program's stack, beside what is really on the sandbox's Vertex AI."""

    @property
    def vertex(self) -> Vertex:
        """The sandbox's Vertex AI, as somebody else than Pulumi asks it."""
        return Vertex(Connection(api_variables()["GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT"]), "europe-west1")

    def endpoint(self, name: str = "endpoint"):
        """An endpoint as it is on the cloud."""
        return self.vertex.endpoint(self.one(ENDPOINT, name).id)

    def traffic(self, name: str = "endpoint") -> dict[str, int]:
        """What an endpoint sends where, by what is deployed."""
        endpoint = self.endpoint(name)
        names = {one.id: one.display_name.removeprefix("delivery-eta-") for one in endpoint.deployed_models}
        return {names[one]: percent for one, percent in endpoint.traffic_split.items()}


@pytest.fixture
def rollout(playground, tmp_path) -> Rollout:
    return Rollout(playground, tmp_path, "gcp", ("gcp:", "pulumi-python:"))


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
    rollout.playground.pulumi("destroy", "--yes", "--stack", rollout.stack)
    assert not rollout.playground.things()
