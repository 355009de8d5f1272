"""The three clouds of the sandbox, by the name of their provider."""

from sandbox import home
from sandbox.provider.aws import Aws
from sandbox.provider.azure_native import AzureNative
from sandbox.provider.cloud import Cloud
from sandbox.provider.gcp import Gcp
from sandbox.store import Store

CLOUDS: dict[str, type[Cloud]] = {cloud.package: cloud for cloud in (Aws, Gcp, AzureNative)}


def open_cloud(package: str) -> Cloud:
    """The cloud of a provider (`aws`, `gcp` or `azure-native`), with its state in the sandbox's home."""
    return CLOUDS[package](Store(home.cloud_state(package)))
