"""A sandbox of its own for each test: its home, its clouds, and the things that a test makes on them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sandbox.provider.cloud import Cloud
from sandbox.provider.clouds import CLOUDS
from sandbox.provider.control_plane import ControlPlane, Naming
from sandbox.store import Store

REGION_OF_AWS = "eu-west-1"
SETTINGS = {
    "aws": {"region": REGION_OF_AWS},
    "gcp": {"project": "acme-ml", "region": "europe-west1"},
    "azure-native": {"location": "westeurope"},
}
CREDENTIALS = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "ARM_", "AZURE_")


@dataclass(frozen=True)
class Thing:
    """One resource that a test has made."""

    type: str
    urn: str
    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class World:
    """One cloud, spoken to as the engine does: each resource is checked, then created."""

    def __init__(self, cloud: Cloud):
        self.cloud, self.store, self.plane = cloud, cloud.store, ControlPlane(cloud)

    def urn(self, type_: str, name: str = "thing") -> str:
        return f"urn:pulumi:dev::ml-blueprints::{type_}::{name}"

    def refusals(self, type_: str, inputs: dict[str, Any], naming: Naming | None = None) -> list[str]:
        """What the cloud says against these inputs, in the words that the user sees."""
        _, failures = self.plane.check(self.urn(type_), {}, inputs, naming or Naming())
        return [f"{failure.path}: {failure.reason}" for failure in failures]

    def make(self, type_: str, inputs: dict[str, Any], name: str = "thing", random: str = "a1b2c3d4e5f6a7b8") -> Thing:
        checked, failures = self.plane.check(self.urn(type_, name), {}, inputs, Naming(random=random))
        assert failures == []
        id_, outputs = self.plane.create(self.urn(type_, name), checked)
        return Thing(type_, self.urn(type_, name), id_, checked, outputs)

    def exists(self, thing: Thing) -> bool:
        return self.plane.read(thing.type, thing.id, thing.outputs) is not None

    def delete(self, thing: Thing) -> None:
        self.plane.delete(thing.type, thing.id, thing.outputs)


@pytest.fixture(autouse=True)
def sandbox_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sandbox's private folder, which nothing outside the test knows; no variable of the shell names a cloud."""
    for name in [name for name in os.environ if name.startswith(CREDENTIALS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def open_world(sandbox_home: Path) -> Iterator[Callable[..., World]]:
    """Opens a cloud of the sandbox, by the name of its provider, under the settings given or those of SETTINGS."""
    stores = []

    def world(package: str, settings: dict[str, Any] | None = None) -> World:
        store = Store(sandbox_home / "clouds" / f"{package}.sqlite")
        stores.append(store)
        cloud = CLOUDS[package](store)
        cloud.configuration = SETTINGS[package] if settings is None else settings
        return World(cloud)

    yield world
    for store in stores:
        store.close()


@pytest.fixture
def aws(open_world: Callable[..., World]) -> World:
    return open_world("aws")


@pytest.fixture
def gcp(open_world: Callable[..., World]) -> World:
    return open_world("gcp")


@pytest.fixture
def azure(open_world: Callable[..., World]) -> World:
    return open_world("azure-native")
