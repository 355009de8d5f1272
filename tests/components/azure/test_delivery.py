"""The delivery layer on Azure: whose tokens are trusted, what they may do, and where states are kept."""

import re

import pytest

CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"


@pytest.mark.parametrize(
    ("platform", "provider", "issuer", "subject"),
    [
        (
            "streaming",
            "github",
            "https://token.actions.githubusercontent.com",
            "repo:example/ml-platform:environment:production",
        ),
        ("other", "gitlab", "https://gitlab.com", "project_path:example/ml-platform:ref_type:branch:ref:main"),
    ],
)
def test_only_tokens_of_the_repository_are_trusted(request, platform, provider, issuer, subject):
    built = request.getfixturevalue(platform)
    trusted = built.named(CREDENTIAL, f"{built.platform.context.name}-deployer")
    assert trusted.inputs["issuer"] == issuer
    assert trusted.inputs["subject"] == subject
    assert trusted.inputs["audiences"] == ["api://AzureADTokenExchange"]
    assert trusted.inputs["federatedIdentityCredentialResourceName"] == provider
    assert built.platform.delivery.issuer == issuer


@pytest.mark.parametrize("platform", ["streaming", "house"])
def test_the_deploy_identity_is_the_platforms_own(request, named, platform):
    built = request.getfixturevalue(platform)
    deployer = named(built, "azure-native:managedidentity:UserAssignedIdentity", "fraud-detection-deployer")
    trusted = built.named(CREDENTIAL, "fraud-detection-deployer")
    assert trusted.parent == deployer.urn
    assert trusted.inputs["resourceName"] == deployer.id.rpartition("/")[2]


@pytest.mark.parametrize(
    ("platform", "subject"),
    [
        ("streaming", "repo:example/ml-platform:environment:production-audit"),
        ("other", "project_path:example/ml-platform:ref_type:branch:ref:main"),
    ],
)
def test_an_auditor_of_its_own_reads_and_changes_nothing(request, granted, platform, subject):
    built = request.getfixturevalue(platform)
    trusted = built.named(CREDENTIAL, f"{built.platform.context.name}-auditor")
    assert trusted.inputs["subject"] == subject
    assert granted(built, "auditor") == {
        ("Reader", "ResourceGroup platform"),
        ("Reader", "ResourceGroup access"),
        ("Reader", "FlowLog flows"),
        ("Storage Blob Data Reader", "BlobContainer state"),
        ("decrypt states", "Key state-key"),
    }


@pytest.mark.parametrize(
    ("part", "kinds"), [("encrypt", {"read", "encrypt", "decrypt"}), ("decrypt", {"read", "decrypt"})]
)
def test_a_key_of_states_is_used_and_never_changed(streaming, named, part, kinds):
    role = named(streaming, "azure-native:authorization:RoleDefinition", f"fraud-detection-{part}-states").inputs
    (permission,) = role["permissions"]
    assert permission["actions"] == []
    prefix = "Microsoft.KeyVault/vaults/keys/"
    assert {action.removeprefix(prefix).partition("/")[0] for action in permission["dataActions"]} == kinds


@pytest.mark.parametrize("platform", ["streaming", "house"])
def test_states_have_versions_in_an_account_of_their_own(request, named, waits_for, platform):
    built = request.getfixturevalue(platform)
    account = named(built, "azure-native:storage:StorageAccount", "fraud-detection-state")
    container = named(built, "azure-native:storage:BlobContainer", "fraud-detection-state")
    service = named(built, "azure-native:storage:BlobServiceProperties", "fraud-detection-state").inputs
    assert container.inputs["accountName"] == account.id.rpartition("/")[2]
    assert container.inputs["publicAccess"] == "None"
    assert account.inputs["encryption"]["keySource"] == "Microsoft.Keyvault"
    assert service["isVersioningEnabled"] is True
    (rule,) = named(built, "azure-native:storage:ManagementPolicy", "fraud-detection-state").inputs["policy"]["rules"]
    # What a state is now stays; only what it was goes.
    assert rule["definition"]["actions"] == {"version": {"delete": {"daysAfterCreationGreaterThan": 90}}}


@pytest.mark.parametrize("platform", ["streaming", "house"])
def test_pulumi_is_told_where_states_are_and_by_which_key(request, named, resolved, platform):
    built = request.getfixturevalue(platform)
    key = named(built, "azure-native:keyvault:Key", "fraud-detection-state-key")
    # Pulumi encrypts, and services wrap: a key that is brought along for them need not do for it.
    assert set(key.inputs["properties"]["keyOps"]) == {"encrypt", "decrypt"}
    assert "expiryTime" not in key.inputs["properties"]["rotationPolicy"].get("attributes", {})
    delivery = built.platform.delivery
    told = resolved(lambda: {"url": delivery.state_url, "key": delivery.secrets_provider})
    account = named(built, "azure-native:storage:StorageAccount", "fraud-detection-state").id.rpartition("/")[2]
    assert told["url"] == f"azblob://state?storage_account={account}"
    # The workspaces' identity manages all that is in their own vault.
    vault = named(built, "azure-native:keyvault:Vault", f"state-{built.platform.context.token}").id.rpartition("/")[2]
    name = key.id.rpartition("/")[2]
    assert re.fullmatch(rf"azurekeyvault://{vault}\.vault\.azure\.net/keys/{name}/[0-9a-f]{{32}}", told["key"])
