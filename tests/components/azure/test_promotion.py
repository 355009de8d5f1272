"""The registry on Azure from which the next environment takes models: closed, and read by whom the stack names."""

import pytest

ML = "azure-native:machinelearningservices"
REGISTRY = f"{ML}:Registry"
ROLE = "azure-native:authorization:RoleDefinition"
READER = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"


@pytest.fixture
def promoting(once):
    """Batch centric, churn, from staging, whose models one other environment takes on."""
    return once("churn", environment="staging", promotes_to=[READER])


def test_there_is_none_where_nobody_takes_models_on(streaming):
    assert not streaming.of_type(REGISTRY)
    assert streaming.platform.development.promotion is None


def test_it_is_reached_privately_by_people_and_by_jobs(promoting, named):
    (registry,) = promoting.of_type(REGISTRY)
    assert registry.inputs["publicNetworkAccess"] == "Disabled"
    assert registry.inputs["identity"] == {"type": "SystemAssigned"}
    assert len(registry.inputs["registryName"]) <= 33
    endpoint = named(promoting, "azure-native:network:PrivateEndpoint", "churn-promotion")
    (connection,) = endpoint.inputs["privateLinkServiceConnections"]
    assert connection["groupIds"] == ["amlregistry"]
    rule = named(promoting, f"{ML}:ManagedNetworkSettingsRule", "churn-ml-to-promotion").inputs["properties"]
    assert rule["destination"]["serviceResourceId"] == connection["privateLinkServiceId"] == registry.id


def test_its_files_are_not_public(promoting):
    (registry,) = promoting.of_type(REGISTRY)
    (region,) = registry.inputs["regionDetails"]
    (storage,) = region["storageAccountDetails"]
    assert region["location"] == registry.inputs["location"]
    assert storage["systemCreatedStorageAccount"]["allowBlobPublicAccess"] is False


def rights(role) -> list[str]:
    """What a role of ours may do with a registry."""
    (permission,) = role.inputs["permissions"]
    return [action.removeprefix("Microsoft.MachineLearningServices/registries/") for action in permission["actions"]]


def test_those_whom_the_stack_names_read_it_and_a_deployment_shares_models_in_it(promoting, named):
    (registry,) = promoting.of_type(REGISTRY)
    grants = [
        found
        for found in promoting.of_type("azure-native:authorization:RoleAssignment")
        if found.inputs["scope"] == registry.id
    ]
    takes = named(promoting, ROLE, "churn-promote")
    shares = named(promoting, ROLE, "churn-share")
    deployer = named(promoting, "azure-native:authorization:RoleAssignment", "churn-deployer-promotion")
    reader = named(promoting, "azure-native:authorization:RoleAssignment", "churn-promotes-0")
    assert {grant.urn for grant in grants} == {deployer.urn, reader.urn}
    assert (reader.inputs["principalId"], reader.inputs["roleDefinitionId"]) == (READER, takes.id)
    assert deployer.inputs["roleDefinitionId"] == shares.id
    assert rights(takes) == ["read", "assets/read"]
    assert rights(shares) == ["read", "assets/read", "assets/write"]


def test_what_happens_in_it_is_logged(promoting, named):
    (registry,) = promoting.of_type(REGISTRY)
    setting = named(promoting, "azure-native:monitor:DiagnosticSetting", "churn-promotion-logs")
    assert setting.inputs["resourceUri"] == registry.id
