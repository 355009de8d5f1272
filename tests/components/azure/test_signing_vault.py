"""The vault of the key that signs models on Azure: closed, kept, and read by training alone."""

import pytest

VAULT = "azure-native:keyvault:Vault"
FENCE = {"expires_on": "2199-12-31", "monthly_usd": 100, "classification": "confidential"}


@pytest.fixture
def vault(named):
    """The vault of a platform."""
    return lambda built: named(built, VAULT, f"signing-{built.platform.context.token}")


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_it_is_reached_privately_and_opens_to_identities_only(request, vault, named, by_id, platform):
    built = request.getfixturevalue(platform)
    properties = vault(built).inputs["properties"]
    assert properties["publicNetworkAccess"] == "Disabled"
    assert properties["networkAcls"] == {"defaultAction": "Deny", "bypass": "None"}
    assert properties["enableRbacAuthorization"] is True
    endpoint = named(built, "azure-native:network:PrivateEndpoint", f"{built.platform.context.name}-signing")
    (connection,) = endpoint.inputs["privateLinkServiceConnections"]
    assert by_id(built, connection["privateLinkServiceId"]) == "Vault signing"


def test_jobs_in_the_managed_network_reach_it(streaming, named, vault):
    rule = named(
        streaming, "azure-native:machinelearningservices:ManagedNetworkSettingsRule", "fraud-detection-ml-to-signing"
    )
    destination = rule.inputs["properties"]["destination"]
    assert (destination["serviceResourceId"], destination["subresourceTarget"]) == (vault(streaming).id, "vault")


def test_what_is_deleted_can_be_recovered_for_as_long_as_the_environment_asks(streaming, once):
    experiment = once("churn", environment="experiment", experiment=FENCE)
    for built, days in ((streaming, 90), (experiment, 14)):
        # The workspaces' own and that of states are made alike.
        vaults = built.of_type("azure-native:keyvault:Vault")
        assert len(vaults) == 3
        for properties in (one.inputs["properties"] for one in vaults):
            assert properties["softDeleteRetentionInDays"] == days
            assert properties["enablePurgeProtection"] is properties["enableSoftDelete"] is True


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_training_alone_reads_the_key(request, granted, platform):
    built = request.getfixturevalue(platform)
    assert ("Key Vault Secrets User", "Vault signing") in granted(built, "training")
    for identity in ("ingest", "serving", "monitoring", "exploration", "workspaces", "materialization", "deployer"):
        assert "Vault signing" not in {scope for _, scope in granted(built, identity)}


def test_no_stack_holds_the_key(streaming):
    assert not streaming.of_type("azure-native:keyvault:Secret")


def test_who_reads_the_key_is_logged(streaming, named, vault):
    setting = named(streaming, "azure-native:monitor:DiagnosticSetting", "fraud-detection-signing-logs")
    assert setting.inputs["resourceUri"] == vault(streaming).id
