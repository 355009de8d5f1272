"""Platforms on Google Cloud, built once for each kind of test: one per architecture, and one in an existing house."""

from collections.abc import Callable
from typing import Any

import pytest

# What an organisation may bring along; ids that are told apart, so that a test sees where each of them goes.
KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
NETWORK = "projects/network/global/networks/shared"
SUBNETS = (
    "projects/network/regions/europe-west1/subnetworks/services",
    "projects/network/regions/europe-west1/subnetworks/jobs",
)
IDENTITIES = {purpose: f"{purpose}@house.iam" for purpose in ("ingest", "training", "serving", "monitoring")}


@pytest.fixture(scope="session")
def built_platforms() -> dict[str, Any]:
    """What was built so far: a record of registrations doesn't change, so that tests can share it."""
    return {}


@pytest.fixture
def once(build: Callable, built_platforms: dict[str, Any]) -> Callable:
    """Build a platform on Google Cloud, or take the one that an earlier test built."""

    def get(name: str, workload: str, **settings: object):
        if name not in built_platforms:
            built_platforms[name] = build("gcp", workload, **settings)
        return built_platforms[name]

    return get


@pytest.fixture
def streaming(once: Callable):
    """Streaming first: fraud detection, a champion and a shadow."""
    return once("streaming", "fraud_detection")


@pytest.fixture
def batch(once: Callable):
    """Batch centric: credit scoring."""
    return once("batch", "credit_scoring")


@pytest.fixture
def hybrid(once: Callable):
    """Hybrid: delivery times, a champion and a canary."""
    return once("hybrid", "delivery_eta")


@pytest.fixture
def house(once: Callable):
    """Streaming first, with key, network and identities of the organisation."""
    return once("house", "fraud_detection", **brought_along())


@pytest.fixture
def hybrid_house(once: Callable):
    """Hybrid, with key, network and identities of the organisation."""
    return once("hybrid house", "delivery_eta", **brought_along())


def brought_along() -> dict[str, object]:
    """Settings that bring everything along."""
    return {
        "network": {"existing_network": NETWORK, "existing_subnets": list(SUBNETS)},
        "encryption": {"existing_key": KEY},
        "identities": IDENTITIES,
    }


@pytest.fixture
def named() -> Callable:
    """Find the one resource of a type with a logical name."""

    def find(built, token: str, name: str):
        found = [record for record in built.of_type(token) if record.name == name]
        assert len(found) == 1, f"{name} among {[record.name for record in built.of_type(token)]}"
        return found[0]

    return find
