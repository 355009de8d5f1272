"""The delivery layer on Azure: whose tokens are trusted, and what the deploy identity may do."""

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
    (trusted,) = built.of_type(CREDENTIAL)
    assert trusted.inputs["issuer"] == issuer
    assert trusted.inputs["subject"] == subject
    assert trusted.inputs["audiences"] == ["api://AzureADTokenExchange"]
    assert trusted.inputs["federatedIdentityCredentialResourceName"] == provider
    assert built.platform.delivery.issuer == issuer


@pytest.mark.parametrize("platform", ["streaming", "house"])
def test_the_deploy_identity_is_the_platforms_own(request, named, platform):
    built = request.getfixturevalue(platform)
    deployer = named(built, "azure-native:managedidentity:UserAssignedIdentity", "fraud-detection-deployer")
    (trusted,) = built.of_type(CREDENTIAL)
    assert trusted.parent == deployer.urn
    assert trusted.inputs["resourceName"] == deployer.id.rpartition("/")[2]


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "house"])
def test_the_deploy_identity_pushes_images_and_changes_pipelines_only(request, granted, platform):
    assert granted(request.getfixturevalue(platform), "deployer") == {
        ("AcrPush", "Registry images"),
        ("deploy", "Workspace ml"),
    }


def test_a_deployment_writes_jobs_components_and_models_and_deletes_nothing(streaming, named):
    role = named(streaming, "azure-native:authorization:RoleDefinition", "fraud-detection-deploy").inputs
    (permission,) = role["permissions"]
    kinds = {
        action.removeprefix("Microsoft.MachineLearningServices/workspaces/").partition("/")[0]
        for action in permission["actions"]
        if not action.endswith("/read")
    }
    assert kinds == {"experiments", "jobs", "metadata", "components", "models"}
    assert set(permission) == {"actions"}
