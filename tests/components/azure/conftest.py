"""What an organisation may bring along to Azure, with ids told apart; and who was granted what on which resource."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from ml_blueprints.settings import Purpose

_HOUSE = "/subscriptions/5ec0de00-0000-4000-8000-000000000000/resourceGroups/house/providers"
KEY = f"{_HOUSE}/Microsoft.KeyVault/vaults/house-keys/keys/data/versions/0123456789abcdef"
NETWORK = f"{_HOUSE}/Microsoft.Network/virtualNetworks/shared"
SUBNETS = tuple(f"{NETWORK}/subnets/{name}" for name in ("endpoints", "api", "apps"))
IDENTITIES = {
    purpose: f"{_HOUSE}/Microsoft.ManagedIdentity/userAssignedIdentities/house-{purpose}" for purpose in Purpose
}

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "e147488a-f6f5-4113-8e2d-b22465e65bf6": "Key Vault Crypto Service Encryption User",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "69566ab7-960f-475b-8e7c-b3118f30c6bd": "Storage File Data Privileged Contributor",
    "a638d3c7-ab3a-418d-83e6-5f17a39d4fde": "Azure Event Hubs Data Receiver",
    "2b629674-e913-4c01-ae53-ef4638d8f975": "Azure Event Hubs Data Sender",
    "2c56ea50-c6b3-40a6-83c0-9d98858bc7d2": "Schema Registry Reader",
    "5dffeca3-4936-4216-b2bc-10343a5abb25": "Schema Registry Contributor",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
    "635dd51f-9968-44d3-b7fb-6d9a6bd613ae": "AzureML Metrics Writer",
    "f1a07417-d97a-45cb-824c-7a7467783830": "Managed Identity Operator",
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": "AzureML Data Scientist",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
    "b556d68e-0be0-4f35-a333-ad7ee1ce17ea": "Azure AI Enterprise Network Connection Approver",
}


@pytest.fixture(scope="session")
def cloud() -> str:
    """The cloud that these tests build on."""
    return "azure"


@pytest.fixture(scope="session")
def brought_along() -> dict[str, object]:
    """Settings that bring key, network and identities along."""
    return {
        "network": {"existing_network": NETWORK, "existing_subnets": list(SUBNETS)},
        "encryption": {"existing_key": KEY},
        "identities": IDENTITIES,
    }


@pytest.fixture
def other(once: Callable) -> Any:
    """Batch centric: churn, with another value for each setting that a platform with its own network can have."""
    return once(
        "churn",
        environment="staging",
        serving_image=f"registry.example.com/house/scorer@sha256:{'0a' * 32}",
        network={"cidr": "10.8.0.0/20", "internet_egress": True},
        encryption={"rotation_days": 90},
        identities={"training": IDENTITIES["training"]},
        delivery={"provider": "gitlab", "repository": "example/ml-platform"},
    )


@pytest.fixture
def called() -> Callable:
    """A resource as its type and its own part of the name, such as `StorageAccount lake`."""

    def describe(built, type_: str, name: str) -> str:
        context = built.platform.context
        own = name.removeprefix(f"{context.name}-").removesuffix(f"-{context.token}")
        return f"{type_.rpartition(':')[2]} {own}"

    return describe


@pytest.fixture
def by_id(called: Callable) -> Callable:
    """The resource of this platform that has an id."""

    def find(built, id_: str) -> str:
        (resource,) = [resource for resource in built.resources if resource.custom and resource.id == id_]
        return called(built, resource.type, resource.name)

    return find


@pytest.fixture
def waits_for(called: Callable) -> Callable:
    """What a resource depends on."""

    def find(built, resource) -> set[str]:
        parts = (urn.split("::") for urn in resource.depends_on)
        return {called(built, type_.rpartition("$")[2], name) for *_, type_, name in parts}

    return find


@pytest.fixture
def principal() -> Callable:
    """The object id of an identity of the platform; None of one that is brought along."""

    def find(built, part: str) -> str | None:
        delivery = built.platform.delivery
        own = {"deployer": delivery.deploy_identity, "auditor": delivery.audit_identity}
        identity = (built.platform.foundation.own_identities | own).get(part)
        return None if identity is None else asyncio.get_event_loop().run_until_complete(identity.principal_id.future())

    return find


@pytest.fixture
def granted(by_id: Callable, principal: Callable) -> Callable:
    """The roles that an identity of the platform has, each with the resource on which it has it."""

    def find(built, identity: str) -> set[tuple[str, str]]:
        roles = ROLES | {
            role.id.rpartition("/")[2]: role.inputs["roleName"].partition(": ")[2]
            for role in built.of_type("azure-native:authorization:RoleDefinition")
        }
        return {
            (roles[grant.inputs["roleDefinitionId"].rpartition("/")[2]], by_id(built, grant.inputs["scope"]))
            for grant in built.of_type("azure-native:authorization:RoleAssignment")
            if grant.inputs["principalId"] == principal(built, identity)
        }

    return find


@pytest.fixture
def identity(named: Callable) -> Callable:
    """The id of an identity of the platform."""

    def find(built, part: str) -> str:
        token = "azure-native:managedidentity:UserAssignedIdentity"
        return named(built, token, f"{built.platform.context.name}-{part}").id

    return find


@pytest.fixture
def published() -> Callable:
    """The files that a platform's run publishes, by name."""

    def find(built) -> dict[str, str]:
        name = f"{built.platform.context.name}-publish-features"
        run = built.named("azure-native:machinelearningservices:Job", name)
        return json.loads(base64.b64decode(run.inputs["properties"]["environmentVariables"]["FILES"]))

    return find


@pytest.fixture
def resolved(run_program: Callable) -> Callable:
    """Plain data of what has outputs in it; a program makes it, and it is looked at when that has ended."""

    def resolve(make: Callable[[], Any]) -> Any:
        texts: list[str] = []
        run_program("azure", lambda _: pulumi.export("made", pulumi.Output.json_dumps(make()).apply(texts.append)))
        (text,) = texts
        return json.loads(text)

    return resolve
