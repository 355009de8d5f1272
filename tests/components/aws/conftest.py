"""What an organisation may bring along to AWS, with ids told apart; and what IAM allows an identity of ours."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ml_blueprints.aws.endpoint import Endpoint
from ml_blueprints.aws.fleets import fleets
from ml_blueprints.capabilities import Register, asked_by
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Settings
from tests.components.conftest import IMAGE, TRUSTED_KEY, changed_workload

WORKLOADS = Path(__file__).parents[3] / "stacks" / "workloads"

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
GROUP = "sg-0123456789abcdef0"
NETWORK = "vpc-0123456789abcdef0"
SUBNETS = ("subnet-0123456789abcdef1", "subnet-0123456789abcdef2")
IDENTITIES = {
    purpose: f"arn:aws:iam::210987654321:role/house-{purpose}"
    for purpose in ("ingest", "training", "serving", "monitoring", "exploration")
}
FENCE = {"expires_on": "2099-01-31", "monthly_usd": 200, "classification": "restricted"}


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


@pytest.fixture
def experiment(once: Callable) -> Callable:
    """Build the platform of a workload (the stem of its file) as an experiment."""

    def get(workload: str = "fraud_detection", **settings: object) -> Any:
        return once(workload, environment="experiment", experiment=FENCE, **settings)

    return get


@pytest.fixture
def alone(run_program: Callable) -> Callable:
    """Build the endpoints of delivery times, changed as is said, with nothing around them but what they name."""

    def get(changes: dict[str, Any], environment: str = "staging") -> Any:
        workload = changed_workload("delivery_eta", changes)
        settings = Settings.model_validate(
            {
                "cloud": "aws",
                "architecture": "hybrid",
                "environment": environment,
                "workload": "delivery_eta.yaml",
                "serving_image": IMAGE,
                "delivery": {"repository": "example/ml-platform"},
                "trusted_keys": [TRUSTED_KEY],
            }
        )
        foundation = SimpleNamespace(
            key=KEY,
            subnets=list(SUBNETS),
            security_group=SimpleNamespace(id=GROUP),
            identities=IDENTITIES,
            rights=lambda purpose: [],
            grant=lambda *said: [],
        )
        data = SimpleNamespace(zones=dict.fromkeys(Zone, "s3://models"))

        def program(_: Any) -> None:
            register = Register("aws", asked_by(workload.architecture, workload))
            context = Context(workload.name, workload, settings, register)
            for fleet in fleets(workload):
                Endpoint(context, foundation, data, IMAGE, fleet, "s3://models/captured")

        return run_program("aws", program, (*SUBNETS, GROUP, "models"))

    return get


@pytest.fixture
def rights() -> Callable:
    """The statements of all policies that the identity of a purpose has."""

    def find(built, purpose: str) -> list[dict[str, Any]]:
        prefix = f"{built.platform.context.name}-{purpose}-"
        return [
            statement
            for grant in built.of_type("aws:iam/rolePolicy:RolePolicy")
            if grant.name.startswith(prefix)
            for statement in json.loads(grant.inputs["policy"])["Statement"]
        ]

    return find


@pytest.fixture
def allowed(rights: Callable) -> Callable:
    """The resources on which the identity of a purpose may do an action."""

    def find(built, purpose: str, action: str) -> list[str]:
        return [
            resource
            for statement in rights(built, purpose)
            if action in statement["Action"]
            for resource in statement["Resource"]
        ]

    return find


@pytest.fixture
def changed(build: Callable, tmp_path: Path) -> Callable:
    """Build the platform of a workload (the stem of its file) with a change made to what the file says."""

    def build_changed(workload: str, change: Callable[[dict[str, Any]], None], **settings: object) -> Any:
        content = yaml.safe_load((WORKLOADS / f"{workload}.yaml").read_text())
        for named, field in (
            (content["data"]["contract"], "path"),
            (content["features"], "job"),
            (content, "pipelines"),
        ):
            named[field] = str(WORKLOADS / named[field])
        change(content)
        (tmp_path / f"{workload}.yaml").write_text(yaml.safe_dump(content))
        return build("aws", str(tmp_path / workload), **settings)

    return build_changed
