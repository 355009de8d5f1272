"""What an organisation may bring along to AWS; ids told apart, so that a test sees where each of them goes."""

import pytest

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
NETWORK = "vpc-0123456789abcdef0"
SUBNETS = ("subnet-0123456789abcdef1", "subnet-0123456789abcdef2")
IDENTITIES = {
    purpose: f"arn:aws:iam::210987654321:role/house-{purpose}"
    for purpose in ("ingest", "training", "serving", "monitoring")
}


@pytest.fixture(scope="session")
def cloud() -> str:
    """The cloud that these tests build on."""
    return "aws"


@pytest.fixture(scope="session")
def brought_along() -> dict[str, object]:
    """Settings that bring key, network and identities along."""
    return {
        "network": {"existing_network": NETWORK, "existing_subnets": list(SUBNETS)},
        "encryption": {"existing_key": KEY},
        "identities": IDENTITIES,
    }
