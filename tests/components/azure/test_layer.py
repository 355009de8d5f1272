"""What all layers on Azure do to their resources: the SDK's aliases of API versions go, everybody else's stay."""

import pulumi
import pytest
from ml_blueprints.azure.layer import without_api_versions


def transformed(*aliases: str | pulumi.Alias) -> list[str | pulumi.Alias] | None:
    """The aliases of a resource that had these, after the transformation; None where it changes nothing."""
    opts = pulumi.ResourceOptions(aliases=list(aliases), protect=True)
    args = pulumi.ResourceTransformationArgs(None, "azure-native:storage:StorageAccount", "lake", {"a": 1}, opts)
    result = without_api_versions(args)
    if result is None:
        return None
    assert result.props == {"a": 1}
    assert result.opts.protect is True
    assert opts.aliases == list(aliases), "the caller's own options must stay as they are"
    return result.opts.aliases


@pytest.mark.parametrize("version", ["v20230101", "v20260115preview"])
def test_an_alias_of_an_api_version_goes(version):
    assert transformed(pulumi.Alias(type_=f"azure-native:storage/{version}:StorageAccount")) == []


@pytest.mark.parametrize(
    "alias",
    [
        pulumi.Alias(name="old-lake"),
        pulumi.Alias(type_="azure-native:cache:RedisEnterprise"),
        "urn:pulumi:azure-batch::ml-blueprints::azure-native:storage/v20230101:StorageAccount::lake",
    ],
    ids=["a name", "a type of another module", "a URN"],
)
def test_any_other_alias_stays(alias):
    versioned = pulumi.Alias(type_="azure-native:storage/v20230101:StorageAccount")
    assert transformed(versioned, alias) == [alias]


def test_without_aliases_nothing_changes():
    assert transformed() is None


def test_every_layer_passes_it_on_to_what_it_makes(hybrid):
    layers = [getattr(hybrid.platform, name) for name in ("foundation", "data", "features", "development", "serving")]
    for layer in (*layers, hybrid.platform.monitoring, hybrid.platform.delivery):
        assert without_api_versions in layer._transformations
    assert without_api_versions in hybrid.platform.data.account._transformations
    assert hybrid.platform.data.account._aliases == []
