"""What an organisation may bring along to Google Cloud; ids told apart, so that a test sees where each of them goes."""

import pytest

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
NETWORK = "projects/network/global/networks/shared"
SUBNETS = (
    "projects/network/regions/europe-west1/subnetworks/services",
    "projects/network/regions/europe-west1/subnetworks/jobs",
)
PURPOSES = ("ingest", "training", "serving", "monitoring", "exploration")
IDENTITIES = {purpose: f"{purpose}@house.iam" for purpose in PURPOSES}


@pytest.fixture(scope="session")
def cloud() -> str:
    """The cloud that these tests build on."""
    return "gcp"


@pytest.fixture(scope="session")
def brought_along() -> dict[str, object]:
    """Settings that bring key, network and identities along."""
    return {
        "network": {"existing_network": NETWORK, "existing_subnets": list(SUBNETS)},
        "encryption": {"existing_key": KEY},
        "identities": IDENTITIES,
    }
