"""What AWS does when a workload file names other versions: the order of operations, from the engine's own events.

Configurations are immutable: with a fixed name an endpoint doesn't see that its own has changed, and one that is
deleted before the endpoint has moved breaks the update (terraform-provider-aws #40048, #21811, #40080).
"""

from itertools import pairwise

import pytest
from tests.stacks.rollouts import Done, Rollout

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
MODEL = "aws:sagemaker/model:Model"
SCALABLE = "aws:appautoscaling/target:Target"
ROUTER = "aws:lambda/function:Function"


@pytest.fixture
def rollout(playground, tmp_path) -> Rollout:
    return Rollout(playground, tmp_path, "aws", ("aws:",))


def kinds(done: list[Done]) -> list[tuple[str, str]]:
    """Operations and types: some of a kind are made for more than one name."""
    return [(one.operation, one.type) for one in done]


def all_in_order(done: list[tuple[str, str]], *wanted: tuple[str, str]) -> bool:
    """Whether all of some operations of these kinds end before any of the next kind."""
    places = [[place for place, one in enumerate(done) if one == kind] for kind in wanted]
    assert all(places), (wanted, done)
    return all(max(first) < min(second) for first, second in pairwise(places))


def test_a_new_version_is_there_before_the_endpoint_moves_and_the_old_one_goes_after(rollout):
    before = rollout.one(ENDPOINT)
    done = kinds(rollout.up(lambda workload: workload["models"][1].update(version="4.2.0")))
    assert all_in_order(
        done,
        # Models are named by their versions: a new version is another resource.
        ("create", MODEL),
        ("create-replacement", CONFIGURATION),
        ("update", ENDPOINT),
        ("delete-replaced", CONFIGURATION),
        ("delete", MODEL),
    )
    assert not {ENDPOINT, ROUTER} & {type_ for operation, type_ in done if operation != "update"}
    after = rollout.one(ENDPOINT)
    assert after.id == before.id
    assert after.inputs["endpointConfigName"] == rollout.one(CONFIGURATION).id != before.inputs["endpointConfigName"]
    # The tenant with instances of its own has the champion, which is what it was.
    assert [type_ for _, type_ in done].count(ENDPOINT) == 1
    assert rollout.up() == []


def promote(workload):
    workload["models"] = [{"name": "gradient-boosting", "version": "4.1.0", "role": "champion", "traffic": 100}]


@pytest.mark.parametrize(
    ("change", "replaced"), [(promote, 1), (lambda workload: workload["serving"].update(size="medium"), 2)]
)
def test_other_variants_or_instances_are_an_endpoint_beside_the_old_one(rollout, change, replaced):
    # Promoting the canary takes a variant away that scales, and a larger size changes its type of instance: both are
    # refused of an endpoint (terraform-provider-aws #14337).
    before = rollout.one(ENDPOINT)
    done = kinds(rollout.up(change))
    assert all_in_order(
        done,
        ("create-replacement", CONFIGURATION),
        ("create-replacement", ENDPOINT),
        ("update", ROUTER),
        ("delete-replaced", SCALABLE),
        ("delete-replaced", ENDPOINT),
        ("delete-replaced", CONFIGURATION),
    )
    assert done.count(("create-replacement", ENDPOINT)) == replaced
    after = rollout.one(ENDPOINT)
    assert after.id != before.id
    router = rollout.one(ROUTER, "router")
    assert router.inputs["environment"]["variables"]["SCORING_ENDPOINT"] == after.id
    assert rollout.up() == []
