"""Keys are read from a cloud's secret by reference; what can't be read is told by its name alone."""

import pytest
from azure.core.exceptions import ClientAuthenticationError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ml_pipelines.platforms import secrets
from ml_pipelines.platforms.secrets import SecretError
from ml_pipelines.steps import manifest
from ml_pipelines.steps.manifest import ManifestError

KEY = Ed25519PrivateKey.from_private_bytes(b"2" * 32)
PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.mark.parametrize("how", ["SecretString", "SecretBinary"])
def test_a_model_is_signed_with_a_key_of_secrets_manager(aws, how):
    given = {"SecretString": PEM.decode()} if how == "SecretString" else {"SecretBinary": PEM}
    arn = aws("secretsmanager").create_secret(Name=f"signing-{how}", **given)["ARN"]
    key = manifest.private_key(f"aws-secret:{arn}")
    assert manifest.as_word(key.public_key()) == manifest.as_word(KEY.public_key())


def test_a_secret_without_a_value_is_told_by_name(aws):
    arn = aws("secretsmanager").create_secret(Name="still-empty")["ARN"]
    with pytest.raises(ManifestError, match=f"secret {arn}"):
        manifest.private_key(f"aws-secret:{arn}")


def test_a_secret_that_is_no_key_is_refused_without_being_shown(aws):
    arn = aws("secretsmanager").create_secret(Name="password", SecretString="hunter2")["ARN"]
    with pytest.raises(ManifestError) as error:
        manifest.private_key(f"aws-secret:{arn}")
    assert "hunter2" not in str(error.value)


def test_a_reference_of_no_cloud_is_refused():
    with pytest.raises(SecretError, match="it begins with aws-secret or gcp-secret or azure-secret"):
        secrets.read("vault:x")


def test_an_address_that_is_no_secret_of_a_key_vault_is_refused():
    with pytest.raises(SecretError, match="secret https://example"):
        secrets.read("azure-secret:https://example")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DEFAULT_IDENTITY_CLIENT_ID": "job"}, "job"),
        ({"DEFAULT_IDENTITY_CLIENT_ID": "job", "AZURE_CLIENT_ID": "told"}, "told"),
        ({}, None),
    ],
)
def test_a_secret_of_azure_is_read_under_the_identity_of_the_job(monkeypatch, variables, expected):
    asked = []

    def credential(managed_identity_client_id: str | None) -> None:
        asked.append(managed_identity_client_id)
        raise ClientAuthenticationError("no identity here")

    for name in ("DEFAULT_IDENTITY_CLIENT_ID", "AZURE_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", credential)
    with pytest.raises(SecretError, match="no identity here"):
        secrets.read("azure-secret:https://signing.vault.azure.net/secrets/model-signing")
    assert asked == [expected]


@pytest.mark.parametrize("text", ["key.pem", "/keys/signing.pem", "C:/key.pem"])
def test_files_are_no_references(text):
    assert not secrets.is_reference(text)


def test_a_public_key_in_one_word_is_read_back():
    word = manifest.as_word(KEY.public_key())
    assert manifest.as_word(manifest.public_key(word)) == word
    for wrong in ("ed25519:", "ed25519:AAAA", "ed25519:!"):
        with pytest.raises(ManifestError, match="32 bytes in base64"):
            manifest.public_key(wrong)
