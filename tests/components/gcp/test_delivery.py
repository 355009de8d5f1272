"""The delivery layer on Google Cloud: whose tokens are trusted, and what the deploy account may do."""

import asyncio

import pulumi
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
    trusted = built.named(PROVIDER, "credit-scoring-deploy")
    assert trusted.inputs["oidc"] == {"issuerUri": issuer}
    assert trusted.inputs["attributeMapping"] == {"google.subject": "assertion.sub", "attribute.repository": claim}
    assert trusted.inputs["attributeCondition"] == condition
    assert built.platform.delivery.issuer == issuer


@pytest.mark.parametrize("part", ["deploy", "audit"])
def test_the_pool_is_the_platforms_own(streaming, named, part):
    pool = named(streaming, POOL, f"fraud-detection-{part}")
    provider = named(streaming, PROVIDER, f"fraud-detection-{part}")
    name = pool.inputs["workloadIdentityPoolId"]
    assert 4 <= len(name) <= 32
    assert not name.startswith("gcp-")
    assert provider.inputs["workloadIdentityPoolId"] == name


def test_only_the_repository_acts_as_the_deploy_account(streaming, named):
    federated = named(streaming, "gcp:serviceaccount/iAMMember:IAMMember", "fraud-detection-deployer").inputs
    assert federated["role"] == "roles/iam.workloadIdentityUser"
    assert federated["member"].startswith("principalSet://iam.googleapis.com/")
    assert federated["member"].endswith("/attribute.repository/example/ml-platform")


def test_the_deploy_account_pushes_images(streaming, named):
    grant = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    assert named(streaming, grant, "fraud-detection-deployer").inputs["role"] == "roles/artifactregistry.writer"


def test_the_deploy_account_uploads_pipelines_for_those_who_start_one_by_hand(streaming, named):
    grant = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    uploads = named(streaming, grant, "fraud-detection-deployer-pipelines").inputs
    assert "fraud-detection-pipelines" in uploads["repository"]
    assert uploads["role"] == "roles/artifactregistry.writer"


def test_states_are_kept_where_the_deployer_alone_writes_them(streaming, named):
    bucket = named(streaming, "gcp:storage/bucket:Bucket", "fraud-detection-state")
    assert bucket.inputs["versioning"] == {"enabled": True}
    assert (
        bucket.inputs["encryption"]["defaultKmsKeyName"]
        == named(streaming, "gcp:kms/cryptoKey:CryptoKey", "fraud-detection-key").id
    )
    assert (bucket.inputs["publicAccessPrevention"], bucket.inputs["uniformBucketLevelAccess"]) == ("enforced", True)
    grants = [
        (one.inputs["role"], one.inputs["member"], one.inputs.get("condition"))
        for one in streaming.of_type("gcp:storage/bucketIAMMember:BucketIAMMember")
        if one.inputs["bucket"] == bucket.id
    ]
    writers = [member for role, member, condition in grants if role == "roles/storage.objectUser" and not condition]
    assert [member.partition("-")[0] for member in writers] == ["serviceAccount:deploy"]
    others = {member.partition("-")[0] for _, member, _ in grants if member not in writers}
    assert others == {"serviceAccount:audit"}
    # A state that is written over can be had back; the newest is never deleted.
    assert {rule["condition"].get("withState") for rule in bucket.inputs["lifecycleRules"]} == {"ARCHIVED", None}


def test_pulumi_is_told_where_states_are_and_by_which_key_secrets_are_encrypted(streaming, house, named):
    delivery = streaming.platform.delivery
    told = asyncio.get_event_loop().run_until_complete(
        pulumi.Output.all(delivery.state_url, delivery.secrets_provider).future()
    )
    bucket = named(streaming, "gcp:storage/bucket:Bucket", "fraud-detection-state").id
    key = named(streaming, "gcp:kms/cryptoKey:CryptoKey", "fraud-detection-key").id
    assert told == [f"gs://{bucket}", f"gcpkms://{key}"]
    grant = named(streaming, "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember", "fraud-detection-key-deployer").inputs
    assert grant["member"].startswith("serviceAccount:deploy-")
    # The organisation's own key is its owner's to let be used.
    assert not house.of_type("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember")
