"""The foundation on Azure: vault and key and who may use it, identities and their roles, logs."""

import pytest
from ml_blueprints.azure import LIMITS, foundation
from ml_blueprints.errors import BlueprintError
from ml_blueprints.settings import Purpose

VAULT = "azure-native:keyvault:Vault"
KEY = "azure-native:keyvault:Key"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
GRANT = "azure-native:authorization:RoleAssignment"
ROLE = "azure-native:authorization:RoleDefinition"
OURS = ["streaming", "batch", "hybrid"]


@pytest.fixture
def workspaces_vault(streaming, named):
    """The vault of the workspaces' secrets and of the key."""
    return named(streaming, VAULT, f"vault-{streaming.platform.context.token}")


def test_the_vault_is_closed_and_nothing_in_it_can_be_purged(workspaces_vault):
    vault = workspaces_vault
    properties = vault.inputs["properties"]
    assert properties["publicNetworkAccess"] == "Disabled"
    assert properties["networkAcls"] == {"defaultAction": "Deny", "bypass": "AzureServices"}
    assert properties["enableRbacAuthorization"] is True
    assert "accessPolicies" not in properties
    assert properties["enableSoftDelete"] is True
    assert properties["softDeleteRetentionInDays"] == 90
    assert properties["enablePurgeProtection"] is True


def test_the_vaults_names_keep_to_24_characters(streaming):
    token = streaming.platform.context.token
    names = [vault.name for vault in streaming.of_type(VAULT)]
    assert set(names) == {f"vault-{token}", f"signing-{token}", f"state-{token}"}
    # Auto-naming adds eight characters.
    assert all(len(name) + 8 <= 24 for name in names)


@pytest.mark.parametrize(("platform", "days"), [("streaming", 365), ("other", 90)])
def test_the_key_rotates_as_the_settings_say_and_outlives_its_rotation(request, platform, days):
    built = request.getfixturevalue(platform)
    key = built.named(KEY, f"{built.platform.context.name}-key")
    policy = key.inputs["properties"]["rotationPolicy"]
    assert policy["lifetimeActions"] == [{"action": {"type": "rotate"}, "trigger": {"timeAfterCreate": f"P{days}D"}}]
    assert policy["attributes"]["expiryTime"] == f"P{days + 30}D"


def test_the_key_wraps_keys_and_does_nothing_else(streaming):
    key = streaming.named(KEY, "fraud-detection-key")
    assert key.inputs["properties"]["keyOps"] == ["wrapKey", "unwrapKey"]
    assert key.inputs["properties"]["kty"] == "RSA"
    assert key.inputs["properties"]["keySize"] >= 3072


def test_one_identity_may_use_the_key_and_nothing_more(streaming, granted):
    assert granted(streaming, "encryption") == {("Key Vault Crypto Service Encryption User", "Key key")}


def test_an_existing_key_is_used_and_our_identity_may_use_it(house, named):
    # That of states is no key of data.
    assert [key.name for key in house.of_type(KEY)] == ["fraud-detection-state-key"]
    grant = named(house, GRANT, "fraud-detection-use-key").inputs
    assert grant["scope"].endswith("/resourceGroups/house/providers/Microsoft.KeyVault/vaults/house-keys/keys/data")
    assert grant["roleDefinitionId"].endswith("/e147488a-f6f5-4113-8e2d-b22465e65bf6")


def test_a_vault_for_the_workspaces_secrets_is_there_beside_an_existing_key(house, named):
    vault = named(house, VAULT, f"vault-{house.platform.context.token}")
    workspaces = house.of_type("azure-native:machinelearningservices:Workspace")
    assert {workspace.inputs["keyVault"] for workspace in workspaces} == {vault.id}


def test_each_purpose_has_an_identity_of_its_own(streaming, identity):
    ids = {purpose: identity(streaming, purpose) for purpose in Purpose}
    assert len(set(ids.values())) == len(Purpose)
    assert {entry.name.removeprefix("fraud-detection-") for entry in streaming.of_type(IDENTITY)} == {
        *Purpose,
        "encryption",
        "flows",
        "workspaces",
        "materialization",
        "rollback",
        "deployer",
        "auditor",
    }


@pytest.mark.parametrize("platform", OURS)
def test_a_grant_is_to_an_identity_of_the_platform_or_to_a_person(request, platform, principal):
    built = request.getfixturevalue(platform)
    parts = [found.name.removeprefix(f"{built.platform.context.name}-") for found in built.of_type(IDENTITY)]
    identities = {principal(built, part): part for part in parts}
    assert len(identities) == len(parts)
    people = set(built.platform.context.settings.workbench_users.values())
    equipped = set()
    for grant in built.of_type(GRANT):
        if grant.inputs["principalId"] in people:
            assert grant.inputs["principalType"] == "User"
            continue
        assert grant.inputs["principalType"] == "ServicePrincipal"
        owner = identities[grant.inputs["principalId"]]
        assert any(urn.endswith(f"-{owner}") and f"{IDENTITY}::" in urn for urn in grant.depends_on)
        equipped.add(owner)
    # The gateway's identity is let in by the router, and what rolls back has its roles with a canary.
    back = {part for part in parts if part.endswith("rollback")}
    assert equipped | back == set(parts) - {"api"}


@pytest.mark.parametrize("platform", OURS)
def test_no_identity_of_a_purpose_has_a_role_on_more_than_a_resource(request, platform, granted):
    built = request.getfixturevalue(platform)
    for purpose in Purpose:
        roles = granted(built, purpose)
        assert roles
        assert not [scope for _, scope in roles if scope.startswith(("ResourceGroup", "StorageAccount"))]
        assert not {role for role, _ in roles} & {"Contributor", "Owner", "Key Vault Administrator"}


@pytest.mark.parametrize("platform", OURS)
def test_roles_of_our_own_name_what_they_may_do(request, platform):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    group = built.named("azure-native:resources:ResourceGroup", f"{name}-platform")
    # Those of the deployer are in test_deployer.py.
    for role in (found for found in built.of_type(ROLE) if not found.name.startswith(f"{name}-deploy")):
        assert role.inputs["roleType"] == "CustomRole"
        assert role.inputs["assignableScopes"] == [role.inputs["scope"]] == [group.id]
        assert built.platform.context.token in role.inputs["roleName"]
        (permission,) = role.inputs["permissions"]
        # A wildcard stands for kinds below a workspace, never for what is done to them.
        for action in permission["actions"]:
            assert action.startswith("Microsoft.MachineLearningServices/workspaces/")
            assert action.rpartition("/")[2] in {"read", "write", "action"}
            assert not action.endswith(("listKeys/action", "delete"))


def test_existing_identities_are_used_and_get_no_roles(house, granted):
    assert {entry.name.removeprefix("fraud-detection-") for entry in house.of_type(IDENTITY)} == {
        "encryption",
        "workspaces",
        "materialization",
        "rollback",
        "deployer",
        "auditor",
    }
    owners = {grant.name.removeprefix("fraud-detection-").partition("-")[0] for grant in house.of_type(GRANT)}
    assert not owners & set(Purpose)


def test_one_existing_identity_leaves_the_others_new(other, named):
    identities = {entry.name for entry in other.of_type(IDENTITY)}
    assert "churn-training" not in identities
    assert {"churn-ingest", "churn-serving", "churn-monitoring"} <= identities
    assert not [grant.name for grant in other.of_type(GRANT) if grant.name.startswith("churn-training-")]
    compute = named(other, "azure-native:machinelearningservices:Compute", "churn-jobs").inputs
    assert compute["identity"]["userAssignedIdentities"][0].endswith("/house-training")


def test_logs_are_kept_for_a_year_and_read_and_written_by_identities_only(streaming):
    (logs,) = streaming.of_type("azure-native:operationalinsights:Workspace")
    assert logs.inputs["retentionInDays"] == 365
    assert logs.inputs["features"] == {
        "disableLocalAuth": True,
        "enableLogAccessUsingOnlyResourcePermissions": True,
    }
    assert logs.inputs["publicNetworkAccessForIngestion"] == "Disabled"


@pytest.mark.parametrize(
    ("platform", "parts"),
    [
        ("streaming", ["apps", "endpoint", "online"]),
        ("hybrid", ["api", "apps", "endpoint", "online", "partners-endpoint", "rollback"]),
        ("batch", []),
    ],
)
def test_what_has_logs_sends_all_of_them(request, platform, parts):
    built = request.getfixturevalue(platform)
    (logs,) = built.of_type("azure-native:operationalinsights:Workspace")
    settings = built.of_type("azure-native:monitor:DiagnosticSetting")
    parts += ["events", "features", "images", "ml", "retraining", "signing", "state", "vault"]
    parts += ["flows-blob", "lake-blob", "mlstore-blob", "state-blob"]
    assert {entry.name for entry in settings} == {f"{built.platform.context.name}-{part}-logs" for part in parts}
    assert len(settings) == len(parts)
    for setting in settings:
        assert setting.inputs["logs"] == [{"categoryGroup": "allLogs", "enabled": True}]
        assert setting.inputs["workspaceId"] == logs.id
        (watched,) = [resource for resource in built.resources if resource.urn == setting.parent]
        assert setting.inputs["resourceUri"] == watched.id


@pytest.mark.parametrize(("written", "location"), [("westeurope", "westeurope"), ("West Europe", "westeurope")])
def test_a_location_is_read_as_azure_writes_it(monkeypatch, written, location):
    monkeypatch.setattr(foundation.pulumi.Config, "get", lambda *_: written)
    assert foundation._location() == location


def test_a_missing_location_is_said_in_words(build, monkeypatch):
    monkeypatch.setattr(foundation.pulumi.Config, "get", lambda *_: None)
    with pytest.raises(BlueprintError, match="azure-native:location: found nothing"):
        build("azure", "credit_scoring")


@pytest.mark.parametrize("workload", ["fraud_detection", "delivery_eta"])
def test_a_platform_that_reads_events_takes_no_network_with_one_subnet(build, workload):
    network = "/subscriptions/s/resourceGroups/house/providers/Microsoft.Network/virtualNetworks/shared"
    with pytest.raises(BlueprintError, match=r"the last delegated to Microsoft\.App"):
        build(
            "azure",
            workload,
            network={"existing_network": network, "existing_subnets": [f"{network}/subnets/one"]},
        )


def test_the_longest_name_fits_an_online_endpoint():
    # https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas: 32 characters; ours are a hyphen and 8.
    assert LIMITS.name_length + 1 + 8 <= 32
    assert LIMITS.name_length >= len("demand-forecasting")
