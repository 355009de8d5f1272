"""The customer-managed key on Azure: the parts of a key that is brought along, and what is not a key's version."""

import re

import pytest
from ml_blueprints.azure.encryption import existing_key
from ml_blueprints.errors import BlueprintError

VAULT = "/subscriptions/s/resourceGroups/house/providers/Microsoft.KeyVault/vaults/House-Keys"
VERSION = f"{VAULT}/keys/data/versions/0123456789abcdef"


def test_the_id_of_a_version_says_where_key_and_vault_are():
    assert existing_key(VERSION) == {
        "key": f"{VAULT}/keys/data",
        "name": "data",
        "url": "https://house-keys.vault.azure.net/keys/data",
        "versioned_url": "https://house-keys.vault.azure.net/keys/data/0123456789abcdef",
        "vault": VAULT,
        "vault_url": "https://house-keys.vault.azure.net",
    }


def test_ids_are_read_in_any_case_and_kept_in_theirs():
    lower = VERSION.lower()
    assert existing_key(lower)["key"] == lower.partition("/versions/")[0]


@pytest.mark.parametrize(
    "given",
    [
        "https://house-keys.vault.azure.net/keys/data/0123456789abcdef",
        f"{VAULT}/keys/data",
        f"{VAULT}/keys/data/versions/",
        f"{VERSION}/more",
        f" {VERSION}",
        f"{VERSION}\n",
        f"{VAULT}/keys/the key/versions/1",
        VERSION.replace("/keys/", "/secrets/"),
        VERSION.replace("Microsoft.KeyVault", "MicrosoftxKeyVault"),
        "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00",
    ],
)
def test_anything_else_is_refused_with_what_is_expected(given):
    with pytest.raises(BlueprintError, match=re.escape("encryption.existing_key")) as refused:
        existing_key(given)
    assert "/keys/.../versions/..." in str(refused.value)


def test_a_platform_with_such_a_key_is_refused_before_anything_is_made(build):
    with pytest.raises(BlueprintError, match="the resource id of a key's version is expected"):
        build("azure", "credit_scoring", encryption={"existing_key": "https://house-keys.vault.azure.net/keys/data"})
