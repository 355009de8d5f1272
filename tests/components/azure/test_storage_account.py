"""Storage accounts on Azure: closed, without shared keys, encrypted with the customer's key."""

import re

import pytest

ACCOUNT = "azure-native:storage:StorageAccount"
ACCOUNTS = pytest.mark.parametrize("part", ["lake", "mlstore", "flows", "state"])


@ACCOUNTS
def test_accounts_are_reached_by_private_endpoints_and_trusted_services_only(streaming, named, part):
    account = named(streaming, ACCOUNT, f"fraud-detection-{part}").inputs
    assert account["publicNetworkAccess"] == "Disabled"
    assert account["networkRuleSet"] == {"defaultAction": "Deny", "bypass": "AzureServices"}
    assert account["allowBlobPublicAccess"] is False
    assert account["allowCrossTenantReplication"] is False
    assert account["enableHttpsTrafficOnly"] is True
    assert account["minimumTlsVersion"] == "TLS1_2"


@ACCOUNTS
def test_accounts_take_identities_and_no_keys(streaming, named, part):
    account = named(streaming, ACCOUNT, f"fraud-detection-{part}").inputs
    assert account["allowSharedKeyAccess"] is False
    assert account["defaultToOAuthAuthentication"] is True
    assert account["isLocalUserEnabled"] is False


@ACCOUNTS
def test_accounts_are_encrypted_with_the_key_under_the_identity_for_it(streaming, named, identity, waits_for, part):
    account = named(streaming, ACCOUNT, f"fraud-detection-{part}")
    vault = named(streaming, "azure-native:keyvault:Vault", f"vault-{streaming.platform.context.token}")
    key = named(streaming, "azure-native:keyvault:Key", "fraud-detection-key")
    encryption = account.inputs["encryption"]
    assert encryption["keySource"] == "Microsoft.Keyvault"
    assert encryption["keyVaultProperties"] == {
        "keyName": key.id.rpartition("/")[2],
        "keyVaultUri": f"https://{vault.id.rpartition('/')[2]}.vault.azure.net/",
    }
    assert encryption["requireInfrastructureEncryption"] is True
    user = identity(streaming, "encryption")
    assert encryption["encryptionIdentity"] == {"encryptionUserAssignedIdentity": user}
    assert account.inputs["identity"] == {"type": "UserAssigned", "userAssignedIdentities": [user]}
    assert "RoleAssignment use-key" in waits_for(streaming, account)


@pytest.mark.parametrize("part", ["lake", "mlstore"])
def test_accounts_take_a_key_that_is_brought_along_in_its_latest_version(house, named, part):
    properties = named(house, ACCOUNT, f"fraud-detection-{part}").inputs["encryption"]["keyVaultProperties"]
    assert properties == {"keyName": "data", "keyVaultUri": "https://house-keys.vault.azure.net"}


def test_only_the_lake_has_a_hierarchy(streaming):
    hierarchical = {account.name: account.inputs["isHnsEnabled"] for account in streaming.of_type(ACCOUNT)}
    assert hierarchical == {
        "fraud-detection-lake": True,
        "fraud-detection-mlstore": False,
        "fraud-detection-flows": False,
        "fraud-detection-state": False,
    }


@ACCOUNTS
def test_deleted_data_can_be_brought_back_for_a_month(streaming, named, part):
    service = named(streaming, "azure-native:storage:BlobServiceProperties", f"fraud-detection-{part}")
    account = named(streaming, ACCOUNT, f"fraud-detection-{part}")
    kept = {"enabled": True, "days": 30}
    assert service.inputs["accountName"] == account.inputs["accountName"]
    assert service.inputs["deleteRetentionPolicy"] == service.inputs["containerDeleteRetentionPolicy"] == kept
    assert service.parent == account.urn


def test_accounts_survive_the_loss_of_a_zone(streaming):
    assert {account.inputs["sku"]["name"] for account in streaming.of_type(ACCOUNT)} == {"Standard_ZRS"}


def test_names_are_legal_and_the_platforms_own(streaming, batch):
    def names(built) -> set[str]:
        return {account.inputs["accountName"] for account in built.of_type(ACCOUNT)}

    assert all(re.fullmatch(r"[a-z0-9]{3,24}", name) for name in names(streaming))
    assert len(names(streaming)) == 4
    assert not names(streaming) & names(batch)
