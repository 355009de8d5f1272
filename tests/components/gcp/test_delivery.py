"""The delivery layer on Google Cloud: whose tokens are trusted, and what the deploy account may do."""

import pytest

PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
POOL = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"


@pytest.mark.parametrize(
    ("provider", "issuer", "claim", "condition"),
    [
        (
            "github",
            "https://token.actions.githubusercontent.com",
            "assertion.repository",
            "assertion.repository == 'example/ml-platform' && assertion.environment == 'production'",
        ),
        (
            "gitlab",
            "https://gitlab.com",
            "assertion.project_path",
            "assertion.project_path == 'example/ml-platform' && "
            "assertion.ref_type == 'branch' && assertion.ref == 'main'",
        ),
    ],
)
def test_only_tokens_of_the_repository_are_trusted(build, provider, issuer, claim, condition):
    built = build("gcp", "credit_scoring", delivery={"provider": provider, "repository": "example/ml-platform"})
    (trusted,) = built.of_type(PROVIDER)
    assert trusted.inputs["oidc"] == {"issuerUri": issuer}
    assert trusted.inputs["attributeMapping"] == {"google.subject": "assertion.sub", "attribute.repository": claim}
    assert trusted.inputs["attributeCondition"] == condition
    assert built.platform.delivery.issuer == issuer


def test_the_pool_is_the_platforms_own(streaming):
    (pool,) = streaming.of_type(POOL)
    (provider,) = streaming.of_type(PROVIDER)
    name = pool.inputs["workloadIdentityPoolId"]
    assert 4 <= len(name) <= 32
    assert not name.startswith("gcp-")
    assert provider.inputs["workloadIdentityPoolId"] == name


def test_only_the_repository_acts_as_the_deploy_account(streaming, named):
    federated = named(streaming, "gcp:serviceaccount/iAMMember:IAMMember", "fraud-detection-deployer").inputs
    assert federated["role"] == "roles/iam.workloadIdentityUser"
    assert federated["member"].startswith("principalSet://iam.googleapis.com/")
    assert federated["member"].endswith("/attribute.repository/example/ml-platform")


def test_the_deploy_account_pushes_images_and_changes_pipelines(streaming, named):
    grant = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    assert named(streaming, grant, "fraud-detection-deployer").inputs["role"] == "roles/artifactregistry.writer"
    role = named(streaming, "gcp:projects/iAMCustomRole:IAMCustomRole", "fraud-detection-deployer").inputs
    assert "workflows.workflows.update" in role["permissions"]
    assert all(permission.startswith("workflows.") for permission in role["permissions"])


def test_the_deploy_account_goes_on_under_the_training_identity_of_ours_only(streaming, house):
    def may_act(built) -> bool:
        grants = built.of_type("gcp:serviceaccount/iAMMember:IAMMember")
        return "fraud-detection-deployer-as-training" in [grant.name for grant in grants]

    assert may_act(streaming)
    assert not may_act(house)


def test_the_deploy_account_goes_on_as_serving_only_where_batches_are_scored(streaming, batch):
    def acts(built) -> set[str]:
        grants = built.of_type("gcp:serviceaccount/iAMMember:IAMMember")
        return {one.name.partition("deployer-as-")[2] for one in grants if "deployer-as-" in one.name}

    assert acts(streaming) == {"training"}
    assert acts(batch) == {"training", "serving"}


def test_the_deploy_account_uploads_pipelines_for_those_who_start_one_by_hand(streaming, named):
    grant = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    uploads = named(streaming, grant, "fraud-detection-deployer-pipelines").inputs
    assert "fraud-detection-pipelines" in uploads["repository"]
    assert uploads["role"] == "roles/artifactregistry.writer"
