"""Secrets of the clouds by reference: `aws-secret:<arn>`, `gcp-secret:<version>`, `azure-secret:<address>`.

Steps know no cloud; what runs on one is told where its secrets are, and reads them under its own identity.
"""

import os
from collections.abc import Callable, Mapping

# Which of its cluster's identities a job on Azure Machine Learning has: azure-identity would take the cluster's first.
# https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication
_JOB_IDENTITY = "DEFAULT_IDENTITY_CLIENT_ID"


class SecretError(Exception):
    """A secret that can't be read; the message names it and never holds it."""


def is_reference(text: str) -> bool:
    """Whether this is a reference to a secret, and not a file."""
    return text.partition(":")[0] in _READERS


def read(reference: str) -> bytes:
    """The secret. Raises SecretError."""
    kind, _, name = reference.partition(":")
    if kind not in _READERS:
        raise SecretError(f"`{reference}` is no reference to a secret; it begins with {' or '.join(_READERS)}")
    return _READERS[kind](name)


def _aws(arn: str) -> bytes:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # Jobs are told no region; the secret's own says it.
        region = arn.split(":")[3] if arn.startswith("arn:") else None
        found = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=arn)
    except (BotoCoreError, ClientError) as error:
        raise SecretError(f"secret {arn}: {error}") from error
    return found["SecretBinary"] if "SecretBinary" in found else found["SecretString"].encode()


def _gcp(version: str) -> bytes:
    """`projects/<project>/secrets/<secret>/versions/<version>`."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import secretmanager

    try:
        return secretmanager.SecretManagerServiceClient().access_secret_version(name=version).payload.data
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise SecretError(f"secret {version}: {error}") from error


def _azure(address: str) -> bytes:
    """`https://<vault>/secrets/<secret>`, with or without a version."""
    from azure.core.exceptions import AzureError
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import KeyVaultSecretIdentifier, SecretClient

    identity = os.environ.get("AZURE_CLIENT_ID") or os.environ.get(_JOB_IDENTITY)
    try:
        named = KeyVaultSecretIdentifier(address)
        with SecretClient(named.vault_url, DefaultAzureCredential(managed_identity_client_id=identity)) as client:
            found = client.get_secret(named.name, named.version)
    except (AzureError, ValueError) as error:
        raise SecretError(f"secret {address}: {error}") from error
    return (found.value or "").encode()


_READERS: Mapping[str, Callable[[str], bytes]] = {"aws-secret": _aws, "gcp-secret": _gcp, "azure-secret": _azure}
