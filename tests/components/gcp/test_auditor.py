"""Who compares a platform on Google Cloud with its state: whose tokens it trusts, what it sees, and what it doesn't."""

import pytest
from ml_blueprints.gcp import facts
from ml_delivery.shadow.gcp import KINDS
from tests.components.test_conformance import PATTERNS

PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
ON_BUCKET = "gcp:storage/bucketIAMMember:BucketIAMMember"
# Read by a grant on their bucket, and by one on the billing account.
ELSEWHERE = {"storage/bucketObject", "billing/budget"}


@pytest.mark.parametrize(
    ("provider", "condition"),
    [
        ("github", "assertion.repository == 'example/ml-platform' && assertion.environment == 'production-audit'"),
        (
            "gitlab",
            "assertion.project_path == 'example/ml-platform' && assertion.ref_type == 'branch' && "
            "assertion.ref == 'main' && assertion.environment == 'production-audit'",
        ),
    ],
)
def test_it_trusts_an_environment_of_its_own_by_a_pool_of_its_own(build, named, provider, condition):
    built = build("gcp", "credit_scoring", delivery={"provider": provider, "repository": "example/ml-platform"})
    trusted = named(built, PROVIDER, "credit-scoring-audit").inputs
    assert trusted["attributeCondition"] == condition
    assert (
        trusted["workloadIdentityPoolId"]
        != named(built, PROVIDER, "credit-scoring-deploy").inputs["workloadIdentityPoolId"]
    )
    federated = named(built, "gcp:serviceaccount/iAMMember:IAMMember", "credit-scoring-auditor").inputs
    assert trusted["workloadIdentityPoolId"] in federated["member"]


def test_it_sees_every_type_that_stacks_have(once, streaming, batch, hybrid):
    workload, changes, settings = PATTERNS["asynchronous"]
    others = [once(workload, changes, **settings), once("churn", network={"internet_egress": True})]
    seen = set().union(*(built.kinds for built in (streaming, batch, hybrid, *others)))
    assert seen - ELSEWHERE == set(facts.GET_PERMISSIONS)


def test_it_sees_how_things_are_set_up_and_no_data_and_changes_nothing(streaming, named):
    permissions = named(streaming, ROLE, "fraud-detection-auditor").inputs["permissions"]
    assert {one.rpartition(".")[2] for one in permissions} == {"get", "list", "getIamPolicy", "getKeyString"}
    kept = {"storage.objects", "bigquery.tables.getData", "secretmanager.versions", "logging.logEntries"}
    assert not [one for one in permissions if any(one.startswith(data) for data in kept)]
    listed = [one for one in permissions if one.startswith("aiplatform.") and one.endswith(".list")]
    assert len(listed) == len(KINDS)


def test_it_reads_states_and_locks_them(streaming, named):
    state = named(streaming, "gcp:storage/bucket:Bucket", "fraud-detection-state").id
    reads = named(streaming, ON_BUCKET, "fraud-detection-auditor-state").inputs
    locks = named(streaming, ON_BUCKET, "fraud-detection-auditor-locks").inputs
    assert (reads["bucket"], reads["role"]) == (state, "roles/storage.objectViewer")
    assert (locks["bucket"], locks["role"]) == (state, "roles/storage.objectUser")
    within = f"projects/_/buckets/{state}/objects/.pulumi/locks/"
    assert locks["condition"]["expression"] == f'resource.name.startsWith("{within}")'
    key = named(streaming, "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember", "fraud-detection-key-auditor").inputs
    assert key["role"] == "roles/cloudkms.cryptoKeyDecrypter"
    # Of the lake it reads what runs, which stacks own, and nothing else.
    buckets = {one.inputs["bucket"] for one in streaming.of_type(ON_BUCKET) if one.inputs["member"] == reads["member"]}
    assert buckets == {state, named(streaming, "gcp:storage/bucket:Bucket", "fraud-detection-code").id}
