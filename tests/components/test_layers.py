"""Layers: what all of them share, and the contract that each cloud's implementation must meet exactly."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_blueprints import capabilities, layers
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload

STACKS = Path(__file__).parents[2] / "stacks"
CLOUDS = ("aws", "gcp", "azure")
CONTRACTS = (
    layers.Foundation,
    layers.Data,
    layers.Features,
    layers.Development,
    layers.Serving,
    layers.Monitoring,
    layers.Delivery,
)


class Features(layers.Features):
    """The last layer on a cloud of the tests' own."""

    cloud = "cumulus"


FENCE = {"expires_on": "2027-01-31", "monthly_usd": 200, "classification": "restricted"}


def context(experiment: dict[str, Any] | None = None, /, **workload: Any) -> layers.Context:
    """Fraud detection on AWS, with other values in the workload, in staging or in an experiment."""
    wanted = Workload.load(STACKS / "workloads" / "fraud_detection.yaml").model_copy(update=workload)
    settings = Settings.model_validate(
        {
            "cloud": "aws",
            "architecture": "streaming",
            "environment": "experiment" if experiment else "staging",
            "workload": "workloads/fraud_detection.yaml",
            "serving_image": f"ml-serving@sha256:{'5f70bf18' * 8}",
            "delivery": {"repository": "example/ml-platform"},
            "trusted_keys": ["ed25519:u0eLuYxoWsIhPj6ab8/6P/4nBD0s5MYZ6+Qt0RrWo10="],
            "experiment": experiment,
        }
    )
    return layers.Context("fraud", wanted, settings, capabilities.Register("aws", frozenset()))


@pytest.fixture
def give(run_program: Callable) -> Callable[..., Any]:
    """Make the layer `Features` and let it give outputs; returns the layer, the record and what it raised."""

    def make(**outputs: Any) -> tuple[Features, list, Exception | None]:
        made: list[Any] = []

        def program(_: Any) -> None:
            layer = Features(context())
            try:
                layer.give(**outputs)
            except TypeError as error:
                made.extend((layer, error))
            else:
                made.extend((layer, None))

        record = run_program("aws", program).resources
        return made[0], record, made[1]

    return make


def test_a_layer_is_a_component_named_after_cloud_and_platform(give):
    layer, record, error = give(offline="group", online="table")
    assert error is None
    assert [(found.type, found.name, found.custom) for found in record] == [
        ("ml-blueprints:cumulus:Features", "fraud-features", False)
    ]
    assert (layer.offline, layer.online) == ("group", "table")


@pytest.mark.parametrize(
    ("outputs", "gives"),
    [
        ({"offline": "group"}, "['offline']"),
        ({}, "[]"),
        ({"offline": "group", "online": "table", "role": "r"}, "['offline', 'online', 'role']"),
    ],
)
def test_a_layer_that_gives_more_or_less_than_its_contract_is_refused(give, outputs, gives):
    layer, _, error = give(**outputs)
    assert f"Features gives {gives}; its contract is ['offline', 'online']" in str(error)
    assert not hasattr(layer, "offline")


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_a_contract_types_and_describes_what_it_gives(contract):
    assert set(contract.GIVES) == set(contract.__annotations__)
    for output in contract.GIVES:
        assert re.search(rf"\b{output}\b", contract.__doc__), output


def test_there_is_one_contract_per_layer_in_the_order_of_building():
    assert [contract.layer for contract in CONTRACTS] == list(capabilities.Layer)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_every_cloud_implements_every_contract(cloud, contract):
    implementation = getattr(importlib.import_module(f"ml_blueprints.{cloud}"), contract.__name__)
    assert issubclass(implementation, contract)
    assert implementation.cloud == cloud
    assert implementation.GIVES is contract.GIVES


def test_names_of_resources_begin_with_the_platforms_name():
    assert context().logical("stream") == "fraud-stream"


def test_a_platform_has_a_token_of_its_own_that_stays(run_program):
    tokens = []

    def program(_: Any) -> None:
        here = context()
        tokens.append((here.token, context().token, layers.Context("x", *here_parts(here)).token))

    def here_parts(here: layers.Context) -> tuple:
        return here.workload, here.settings, here.register

    run_program("aws", program)
    run_program("gcp", program)
    (first, again, other_name), (other_stack, *_) = tokens
    assert re.fullmatch(r"[0-9a-f]{8}", first)
    assert first == again
    assert len({first, other_name, other_stack}) == 3


def test_tags_say_whose_the_resources_are():
    assert context().tags == {
        "workload": "fraud-detection",
        "environment": "staging",
        "architecture": "streaming",
        "classification": "restricted",
        "owner": "payments-risk_at_example_com",
    }


def test_an_experiment_says_when_it_ends_and_has_a_budget_of_its_own():
    fenced = context(FENCE)
    assert (fenced.tags["environment"], fenced.tags["expires-on"]) == ("experiment", "2027-01-31")
    assert (fenced.monthly_usd, context().monthly_usd) == (200, context().workload.budget.monthly_usd)


@pytest.mark.parametrize(
    "owner", ["Team+ml@Example.com", "o'neil@example.com", "équipe@example.fr", f"{'a' * 80}@b.com"]
)
def test_tags_are_what_google_cloud_takes_as_labels(owner):
    for value in context(owner=owner).tags.values():
        assert re.fullmatch(r"[a-z0-9_-]{1,63}", value)
