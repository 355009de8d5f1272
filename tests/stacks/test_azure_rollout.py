"""What Azure does when a workload file names other versions: the order of operations, from the engine's own events.

An endpoint's traffic names deployments that must be there, deployments need the endpoint, one that has traffic can't be
deleted, and traffic that somebody else wrote is no difference (pulumi-azure-native #3090).
"""

from dataclasses import dataclass

import pytest
from tests.stacks.conftest import opened
from tests.stacks.rollouts import Done, Rollout, in_order

ONE_WORKER = pytest.mark.xdist_group("azure-rollout")
ML = "azure-native:machinelearningservices"
ENDPOINT, DEPLOYMENT = f"{ML}:OnlineEndpoint", f"{ML}:OnlineDeployment"
TRAFFIC = "azure-native:resources:Deployment"
SCALING = "azure-native:monitor:AutoscaleSetting"
WORKFLOW = "azure-native:logic:Workflow"


def traffic(rollout: Rollout, name: str = "endpoint") -> dict[str, int]:
    """What an endpoint sends where, on the cloud."""
    return rollout.one(ENDPOINT, name).outputs["properties"]["traffic"]


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

    made: list[Done]
    traffic: dict[str, int]
    bumped: list[Done]
    bumped_traffic: tuple[dict[str, int], dict[str, int]]
    promoted: list[Done]
    promoted_traffic: dict[str, int]
    refreshed: list[Done]


@pytest.fixture(scope="module")
def life(tmp_path_factory) -> Life:
    folder = tmp_path_factory.mktemp("rollout")
    with opened(folder) as playground:
        rollout = Rollout(playground, folder, "azure", ("azure-native:",))
        made, divided = rollout.first, traffic(rollout)
        bumped, bumped_traffic = rollout.up(bump), (traffic(rollout), traffic(rollout, "partners-endpoint"))
        promoted, promoted_traffic = rollout.up(promote), traffic(rollout)
        playground.pulumi("refresh", "--yes", "--skip-preview", "--stack", rollout.stack)
        return Life(made, divided, bumped, bumped_traffic, promoted, promoted_traffic, rollout.up())


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
