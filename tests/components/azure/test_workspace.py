"""Workspaces on Azure: closed, encrypted, under their own identity, with a managed network; and what they share."""

import pytest

WORKSPACE = "azure-native:machinelearningservices:Workspace"
RULE = "azure-native:machinelearningservices:ManagedNetworkSettingsRule"
REGISTRY = "azure-native:containerregistry:Registry"
PARTS = pytest.mark.parametrize("part", ["ml", "features"])


@pytest.fixture
def workspace(named):
    """The workspace of a platform that is for a part of it."""

    def find(built, part: str):
        return named(built, WORKSPACE, f"{part}-{built.platform.context.token}")

    return find


@PARTS
def test_workspaces_are_closed_and_their_stores_take_identities(streaming, workspace, part):
    inputs = workspace(streaming, part).inputs
    assert inputs["publicNetworkAccess"] == "Disabled"
    assert inputs["systemDatastoresAuthMode"] == "Identity"
    assert inputs["v1LegacyMode"] is False
    assert not inputs.get("allowPublicAccessWhenBehindVnet")


@PARTS
def test_workspaces_are_encrypted_with_our_key(streaming, named, workspace, identity, part):
    inputs = workspace(streaming, part).inputs
    vault = named(streaming, "azure-native:keyvault:Vault", f"vault-{streaming.platform.context.token}")
    key = named(streaming, "azure-native:keyvault:Key", "fraud-detection-key")
    user = identity(streaming, "encryption")
    assert inputs["encryption"]["status"] == "Enabled"
    assert inputs["encryption"]["identity"] == {"userAssignedIdentity": user}
    properties = inputs["encryption"]["keyVaultProperties"]
    assert properties["keyVaultArmId"] == vault.id
    assert properties["keyIdentifier"].endswith(f".vault.azure.net/keys/{key.id.rpartition('/')[2]}")
    assert inputs["enableServiceSideCMKEncryption"] is True
    assert inputs["identity"]["userAssignedIdentities"][:2] == [identity(streaming, "workspaces"), user]
    assert inputs["primaryUserAssignedIdentity"] == identity(streaming, "workspaces")


@pytest.mark.parametrize("part", ["ml", "features"])
def test_serverless_spark_acts_under_identities_that_are_attached(streaming, workspace, identity, part):
    # https://learn.microsoft.com/azure/machine-learning/how-to-submit-spark-jobs
    attached = workspace(streaming, part).inputs["identity"]["userAssignedIdentities"]
    assert attached[2:] == [identity(streaming, "materialization")]


@PARTS
def test_workspaces_are_encrypted_with_a_key_that_is_brought_along(house, named, workspace, part):
    inputs = workspace(house, part).inputs
    properties = inputs["encryption"]["keyVaultProperties"]
    assert properties["keyIdentifier"] == "https://house-keys.vault.azure.net/keys/data"
    assert properties["keyVaultArmId"].endswith("/resourceGroups/house/providers/Microsoft.KeyVault/vaults/house-keys")
    vault = named(house, "azure-native:keyvault:Vault", f"vault-{house.platform.context.token}")
    assert inputs["keyVault"] == vault.id


@pytest.mark.parametrize(
    ("platform", "mode"), [("streaming", "AllowOnlyApprovedOutbound"), ("other", "AllowInternetOutbound")]
)
@PARTS
def test_jobs_reach_the_internet_only_where_asked_for(request, workspace, platform, mode, part):
    inputs = workspace(request.getfixturevalue(platform), part).inputs
    assert inputs["managedNetwork"]["isolationMode"] == mode
    assert inputs["managedNetwork"]["status"] == {"sparkReady": True}
    assert inputs["provisionNetworkNow"] is True


@PARTS
def test_what_azure_adds_to_a_managed_network_is_left_alone(streaming, workspace, part):
    assert workspace(streaming, part).ignore_changes == ("managedNetwork.outboundRules",)


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_workspaces_share_what_they_need(request, workspace, by_id, platform):
    built = request.getfixturevalue(platform)
    for part in ("ml", "features"):
        inputs = workspace(built, part).inputs
        assert by_id(built, inputs["storageAccount"]) == "StorageAccount mlstore"
        assert by_id(built, inputs["containerRegistry"]) == "Registry images"
        assert by_id(built, inputs["applicationInsights"]) == "Component insights"
        assert by_id(built, inputs["keyVault"]) == "Vault vault"


def test_the_kinds_of_the_workspaces_are_told_apart(streaming, workspace):
    assert workspace(streaming, "ml").inputs["kind"] == "Default"
    assert "featureStoreSettings" not in workspace(streaming, "ml").inputs
    assert workspace(streaming, "features").inputs["kind"] == "FeatureStore"


def test_their_identity_has_the_roles_that_azure_asks_for_and_workspaces_wait_for_them(
    streaming, workspace, granted, waits_for
):
    assert granted(streaming, "workspaces") == {
        ("Contributor", "StorageAccount mlstore"),
        ("Storage Blob Data Contributor", "StorageAccount mlstore"),
        ("Storage File Data Privileged Contributor", "StorageAccount mlstore"),
        ("Contributor", "Vault vault"),
        ("Key Vault Administrator", "Vault vault"),
        ("Contributor", "Registry images"),
        ("Contributor", "Component insights"),
        ("Azure AI Enterprise Network Connection Approver", "ResourceGroup platform"),
        # To publish contracts, not to be a workspace.
        ("Schema Registry Contributor", "Namespace events"),
    }
    grants = {
        f"RoleAssignment workspaces-{part}"
        for part in (
            "account",
            "account-blobs",
            "account-files",
            "vault",
            "vault-secrets",
            "images",
            "insights",
            "connections",
        )
    }
    for part in ("ml", "features"):
        assert grants | {"RoleAssignment use-key"} <= waits_for(streaming, workspace(streaming, part))


@pytest.mark.parametrize(
    ("platform", "rules"),
    [
        ("streaming", ["lake-dfs", "lake-blob", "contracts", "online-features", "signing"]),
        ("batch", ["lake-dfs", "lake-blob", "contracts", "signing"]),
    ],
)
def test_jobs_and_endpoints_reach_lake_and_online_features_one_rule_at_a_time(
    request, named, by_id, waits_for, platform, rules
):
    built = request.getfixturevalue(platform)
    targets = {
        "lake-dfs": ("dfs", "StorageAccount lake", True),
        "lake-blob": ("blob", "StorageAccount lake", True),
        "contracts": ("namespace", "Namespace events", False),
        "online-features": ("redisEnterprise", "RedisEnterprise online", False),
        "signing": ("vault", "Vault signing", False),
    }
    prefix = f"{built.platform.context.name}-ml-to-"
    assert {rule.name for rule in built.of_type(RULE) if rule.name.startswith(prefix)} == {
        prefix + rule for rule in rules
    }
    for before, rule in zip([None, *rules], rules, strict=False):
        found = named(built, RULE, prefix + rule)
        destination = found.inputs["properties"]["destination"]
        service, target, spark = targets[rule]
        assert destination["subresourceTarget"] == service
        assert by_id(built, destination["serviceResourceId"]) == target
        assert destination["sparkEnabled"] is spark
        earlier = {name for name in waits_for(built, found) if name.startswith("ManagedNetworkSettingsRule")}
        assert earlier == ({f"ManagedNetworkSettingsRule ml-to-{before}"} if before else set())


def test_the_feature_store_reaches_the_lake_from_spark(streaming):
    prefix = "fraud-detection-features-to-"
    rules = {
        rule.name.removeprefix(prefix): rule.inputs["properties"]["destination"]
        for rule in streaming.of_type(RULE)
        if rule.name.startswith(prefix)
    }
    assert set(rules) == {"lake-dfs", "lake-blob"}
    assert all(destination["sparkEnabled"] is True for destination in rules.values())


@pytest.mark.parametrize(
    ("workload", "classification", "high"),
    [
        ("fraud_detection", "restricted", True),
        ("delivery_eta", "confidential", True),
        ("demand_forecasting", "internal", False),
    ],
)
def test_data_that_must_not_leave_has_high_business_impact(once, workspace, workload, classification, high):
    built = once(workload)
    assert built.platform.context.workload.data.classification == classification
    for part in ("ml", "features"):
        assert workspace(built, part).inputs["hbiWorkspace"] is high


def test_images_are_pulled_privately_by_identities_and_not_exported(streaming):
    (registry,) = streaming.of_type(REGISTRY)
    assert registry.inputs["sku"] == {"name": "Premium"}
    assert registry.inputs["publicNetworkAccess"] == "Disabled"
    assert registry.inputs["adminUserEnabled"] is False
    assert registry.inputs["anonymousPullEnabled"] is False
    assert registry.inputs["policies"]["exportPolicy"] == {"status": "disabled"}
    assert registry.inputs["zoneRedundancy"] == "Enabled"


@pytest.mark.parametrize(("platform", "key"), [("streaming", None), ("house", "house-keys.vault.azure.net/keys/data")])
def test_images_are_encrypted(request, identity, waits_for, platform, key):
    built = request.getfixturevalue(platform)
    (registry,) = built.of_type(REGISTRY)
    encryption = registry.inputs["encryption"]
    assert encryption["status"] == "enabled"
    expected = key or f"/keys/{built.of_type('azure-native:keyvault:Key')[0].id.rpartition('/')[2]}"
    assert encryption["keyVaultProperties"]["keyIdentifier"].endswith(expected)
    assert set(registry.inputs["identity"]["userAssignedIdentities"]) == {identity(built, "encryption")}
    assert "RoleAssignment use-key" in waits_for(built, registry)


def test_telemetry_is_kept_with_the_logs_and_takes_identities_only(streaming):
    (insights,) = streaming.of_type("azure-native:applicationinsights:Component")
    (logs,) = streaming.of_type("azure-native:operationalinsights:Workspace")
    assert insights.inputs["workspaceResourceId"] == logs.id
    assert insights.inputs["ingestionMode"] == "LogAnalytics"
    assert insights.inputs["disableLocalAuth"] is True
    assert insights.inputs["publicNetworkAccessForIngestion"] == "Disabled"


def test_names_of_workspaces_keep_to_33_characters(streaming):
    for found in streaming.of_type(WORKSPACE):
        # Auto-naming adds eight characters.
        assert 3 <= len(found.name) + 8 <= 33
