"""The endpoints and the rollback of a workload on Google Cloud, with as little around them as they take.

The stack's configuration and its workload file are those of `gcp-hybrid`; a test edits the latter.
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pulumi
from ml_blueprints import capabilities
from ml_blueprints.gcp import containers
from ml_blueprints.gcp.endpoint import Endpoint
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.network import Network
from ml_blueprints.gcp.rollback import Rollback
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose, Settings
from ml_blueprints.workload import Workload
from pulumi_gcp import compute, kms, organizations, serviceaccount

settings = Settings.from_config()
workload = Workload.load(Path(__file__).parent / settings.workload)
register = capabilities.Register("gcp", capabilities.asked_by(settings.architecture, workload))
context = Context(workload.name, workload, settings, register)

project = organizations.get_project_output()
ring = kms.KeyRing("keys", location="europe-west1")
network = compute.Network("network", auto_create_subnetworks=False)
subnet = compute.Subnetwork("services", network=network.id, region="europe-west1", ip_cidr_range="10.64.0.0/18")
accounts = {purpose: serviceaccount.Account(purpose, account_id=f"{purpose}-1234") for purpose in Purpose}
foundation = SimpleNamespace(
    context=context,
    project=project.project_id,
    project_number=project.number,
    region="europe-west1",
    key=kms.CryptoKey("key", key_ring=ring.id).id,
    network=network.id,
    subnets=[subnet.id],
    services=[],
    ready=[],
    agents={"monitoring": accounts[Purpose.MONITORING].member},
    identities={purpose: account.email for purpose, account in accounts.items()},
    child=pulumi.ResourceOptions,
)
for name in ("member", "role"):
    setattr(foundation, name, partial(getattr(Foundation, name), foundation))
foundation.network_component = SimpleNamespace(context=context, network=network, network_id=network.id)
foundation.network_component.let_out = partial(Network.let_out, foundation.network_component)


def endpoint(part: str, held: tuple[containers.Container, ...]) -> Endpoint:
    """The endpoint of these containers, and the way back from those that are canaries."""
    image = "europe-west1-docker.pkg.dev/ml-blueprints-dev/images/" + settings.serving_image
    made = Endpoint(part, context, foundation, held, image, {"MODELS": "gs://models"}, [])
    if held[1:]:
        Rollback(context, foundation, made, held[1:])
    return made


endpoint("endpoint", containers.shared(workload))
for tenant, held in containers.dedicated(workload).items():
    endpoint(f"endpoint-{tenant}", held)
