"""Conformance: for each workload, every cloud's platform has the same capabilities, by resources that really exist.

The workloads are those of the stacks, and some of these with other words for serving, so that each pattern of serving
is there in each architecture that can have it. Each platform is built once. A failure names the cloud, the architecture
with its workload and pattern, and the capability.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from ml_blueprints.capabilities import CAPABILITIES, Layer, asked_by
from ml_blueprints.layers import Data, Delivery, Development, Features, Foundation, Monitoring, Serving
from tests.components.conftest import WORKLOADS, changed_workload

CLOUDS = ("aws", "gcp", "azure")
CONTRACTS = (Foundation, Data, Features, Development, Serving, Monitoring, Delivery)
MEMBERS = [
    {"name": "gradient-boosting", "version": "4.0.0", "role": "champion", "traffic": 100},
    {"name": "linear", "version": "1.0.0", "role": "member"},
    {"name": "top", "version": "1.0.0", "role": "member"},
]
CASCADE = {"method": "cascade", "members": ["linear", "gradient-boosting"], "band": [0.3, 0.7]}
STACKED = {"method": "stacked", "members": ["linear", "gradient-boosting"], "stacker": "top"}
OWN_MODEL = {"name": "kiosk-boosting", "version": "1.0.0", "role": "champion", "traffic": 100, "tenant": "kiosk"}
KIOSK = {"name": "kiosk", "requests_per_second": 10, "concurrency": 2, "requests_per_day": 1000}
NONE_AT_REST = {"scale_to_zero": True, "replicas": {"minimum": 0, "maximum": 4}}

# Patterns of serving by the workload that they change; several of them in one platform where they go together.
PATTERNS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "ensemble-and-tenant-of-its-own": (
        "personalization",
        {
            "models": [*MEMBERS[:2], OWN_MODEL],
            "serving": {"ensemble": CASCADE, "tenants": [KIOSK | {"placement": "dedicated", "features": "own"}]},
        },
        {},
    ),
    "shadow-and-co-hosted-tenant": (
        "delivery_eta",
        {
            "models": [MEMBERS[0], MEMBERS[0] | {"version": "4.1.0", "role": "shadow", "traffic": 20}, OWN_MODEL],
            "serving": {"size": "medium", "tenants": [KIOSK, {"name": "web", "requests_per_second": 5}]},
        },
        {},
    ),
    "serverless-ensemble": (
        "delivery_eta",
        {
            "models": MEMBERS,
            "serving": {
                "inference": "serverless",
                "size": "small",
                "ensemble": STACKED,
                "tenants": [KIOSK],
                **NONE_AT_REST,
            },
        },
        {"environment": "staging"},
    ),
    "serverless": (
        "fraud_detection",
        {"models": MEMBERS[:1], "serving": {"inference": "serverless", **NONE_AT_REST}},
        {"environment": "staging"},
    ),
    "asynchronous": (
        "delivery_eta",
        {
            "models": MEMBERS[:1],
            "serving": {"inference": "asynchronous", "size": "small", "tenants": [], **NONE_AT_REST},
        },
        {},
    ),
}
PLATFORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    f"{changed_workload(stem, changes).architecture}-{stem}" + (f"-{pattern}" if pattern else ""): (
        stem,
        changes,
        settings,
    )
    for pattern, (stem, changes, settings) in [
        *(("", (file.stem, {}, {})) for file in sorted(WORKLOADS.iterdir())),
        *PATTERNS.items(),
    ]
}
ASKED = {
    name: asked_by(workload.architecture, workload)
    for name, (stem, changes, _) in PLATFORMS.items()
    for workload in [changed_workload(stem, changes)]
}


@pytest.fixture(scope="session")
def platform(build: Callable) -> Callable[[str, str], Any]:
    """The platform of a cloud for a workload, built once; where that fails, each of its tests says why."""
    built: dict[tuple[str, str], Any] = {}

    def get(cloud: str, name: str) -> Any:
        if (cloud, name) not in built:
            try:
                stem, changes, settings = PLATFORMS[name]
                built[cloud, name] = build(cloud, stem, changes, **settings)
            except Exception as error:
                built[cloud, name] = error
        found = built[cloud, name]
        if isinstance(found, Exception):
            pytest.fail(f"{name} can't be built on {cloud}: {type(found).__name__}: {found}", pytrace=False)
        return found

    return get


def told(built: Any, capability: str) -> list[str]:
    """The URNs by which a stack says what realises a capability."""
    resolve = asyncio.get_event_loop().run_until_complete
    return [resolve(urn.future()) for urn in built.platform.capabilities.get(capability, [])]


def parents(built: Any, urn: str) -> list[str]:
    """The types of a resource's parents, from the nearest on."""
    registered = {found.urn: found for found in built.resources}
    types = []
    while (urn := registered[urn].parent) in registered:
        types.append(registered[urn].type)
    return types


@pytest.mark.parametrize(
    ("cloud", "name", "capability"),
    [(cloud, name, capability) for cloud in CLOUDS for name, asked in ASKED.items() for capability in sorted(asked)],
)
def test_a_capability_that_is_asked_for_is_realised_in_its_layer(platform, cloud, name, capability):
    built = platform(cloud, name)
    wanted = CAPABILITIES[capability]
    urns = told(built, capability)
    assert urns, f"nothing realises {capability} on {cloud}"
    for urn in urns:
        (found,) = (registration for registration in built.resources if registration.urn == urn)
        assert found.type in wanted.realised_by(cloud)
        assert found.custom
        assert found.id
        assert urn.endswith(f"{found.type}::{found.name}")
        architecture = name.partition("-")[0].title()
        assert parents(built, urn)[-2:] == [
            f"ml-blueprints:{cloud}:{wanted.made_in(cloud).title()}",
            f"ml-blueprints:architectures:{architecture}",
        ]


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("name", ASKED)
def test_nothing_is_realised_that_was_not_asked_for(platform, cloud, name):
    assert set(platform(cloud, name).platform.capabilities) - ASKED[name] == set()


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("name", ASKED)
def test_resources_that_realise_a_capability_are_named_once(platform, cloud, name):
    built = platform(cloud, name)
    for capability in built.platform.capabilities:
        urns = told(built, capability)
        assert len(urns) == len(set(urns)), capability


@pytest.mark.parametrize("cloud", CLOUDS[1:])
@pytest.mark.parametrize("name", ASKED)
def test_every_cloud_has_the_same_capabilities_for_the_same_workload(platform, cloud, name):
    first = platform(CLOUDS[0], name).platform.capabilities
    assert set(platform(cloud, name).platform.capabilities) == set(first)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.layer.value)
@pytest.mark.parametrize("cloud", CLOUDS[1:])
@pytest.mark.parametrize("name", ASKED)
def test_every_cloud_gives_the_next_layer_the_same(platform, cloud, name, contract):
    first, other = (getattr(platform(one, name).platform, contract.layer.value) for one in (CLOUDS[0], cloud))
    assert {output: shape(getattr(other, output)) for output in contract.GIVES} == {
        output: shape(getattr(first, output)) for output in contract.GIVES
    }


def shape(given: Any) -> Any:
    """What an output has that layers after it rely on: whether it is there, and by which keys or how often."""
    if isinstance(given, dict):
        return {key: shape(value) for key, value in given.items()}
    return "a list" if isinstance(given, list) else given is not None


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("name", ASKED)
def test_the_outline_of_a_platform_is_one_component_per_layer(platform, cloud, name):
    built = platform(cloud, name)
    (root,) = built.of_type(f"ml-blueprints:architectures:{name.partition('-')[0].title()}")
    components = [found.type for found in built.resources if found.parent == root.urn and not found.custom]
    assert sorted(components) == sorted(f"ml-blueprints:{cloud}:{layer.title()}" for layer in Layer)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("name", ASKED)
def test_every_resource_belongs_to_the_platform_and_has_its_name_or_token(platform, cloud, name):
    built = platform(cloud, name)
    context = built.platform.context
    (root,) = built.of_type(f"ml-blueprints:architectures:{name.partition('-')[0].title()}")
    for found in built.resources:
        assert found is root or parents(built, found.urn)[-1] == root.type, found.urn
        assert found.name.startswith(context.name) or context.token in found.name, found.urn


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_capability_without_a_resource_would_be_noticed(platform, cloud):
    """The suite can fail: what a register was never told is missing from what a stack tells."""
    built = platform(cloud, "batch-churn")
    assert told(built, "canary") == []
    assert "canary" not in built.platform.capabilities


def test_every_capability_is_asked_for_by_some_platform():
    assert frozenset().union(*ASKED.values()) == set(CAPABILITIES)


@pytest.mark.parametrize(
    ("capability", "architectures"),
    [
        ("canary", {"streaming", "hybrid"}),
        ("shadow", {"streaming", "hybrid"}),
        ("ensemble", {"streaming", "hybrid"}),
        ("api", {"streaming", "hybrid"}),
        ("tenant-quotas", {"streaming", "hybrid"}),
        ("dedicated-placement", {"streaming", "hybrid"}),
        ("automatic-rollback", {"streaming", "hybrid"}),
        ("asynchronous-scoring", {"hybrid"}),
    ],
)
def test_a_pattern_of_serving_is_there_in_each_architecture_that_can_have_it(capability, architectures):
    assert {name.partition("-")[0] for name, asked in ASKED.items() if capability in asked} == architectures
