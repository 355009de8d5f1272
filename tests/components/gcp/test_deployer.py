"""Whom workflows bring a stack up as on Google Cloud: each right that it needs, and none by which it gets more."""

import json
import re

import pytest
from ml_blueprints.gcp import deploy_rights
from tests.components.conftest import kind
from tests.components.test_conformance import PATTERNS

ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
ON_PROJECT = "gcp:projects/iAMMember:IAMMember"
ON_ACCOUNT = "gcp:serviceaccount/iAMMember:IAMMember"
ON_BUCKET = "gcp:storage/bucketIAMMember:BucketIAMMember"
# By a grant on the bucket, and by one on the billing account.
ELSEWHERE = {"storage/bucketObject", "billing/budget"}
EXPERIMENT = {
    "environment": "experiment",
    "experiment": {"expires_on": "2099-12-30", "monthly_usd": 100, "classification": "confidential"},
}
TODAY = "2026-11-26T00:00:00Z"


def member(built) -> str:
    return built.named("gcp:serviceaccount/account:Account", f"{built.platform.context.name}-deployer").inputs[
        "accountId"
    ]


def granted(built, token: str) -> list:
    """What the deployer is granted on resources of a type."""
    return [one for one in built.of_type(token) if one.inputs["member"].startswith(f"serviceAccount:{member(built)}@")]


def holds(expression: str, resource: str, now: str) -> bool:
    """The little of CEL that our conditions have: how names begin, and until when."""
    text = re.sub(
        r'resource\.name\.startsWith\("([^"]+)"\)', lambda found: str(resource.startswith(found[1])), expression
    )
    text = re.sub(r'request\.time < timestamp\("([^"]+)"\)', lambda found: str(now < found[1]), text)
    assert re.fullmatch(r"(True|False|&&|\|\||[() ])+", text), expression
    return eval(text.replace("&&", "and").replace("||", "or"), {"__builtins__": {}})  # noqa: S307 (looked at above)


def may(built, permission: str, resource: str = "", now: str = TODAY) -> bool:
    """Whether the deployer's roles in the project let it, with a resource as conditions name it."""
    roles = {one.id: one.inputs["permissions"] for one in built.of_type(ROLE)}
    return any(
        permission in roles[grant.inputs["role"]]
        and holds(grant.inputs.get("condition", {}).get("expression", "True"), resource, now)
        for grant in granted(built, ON_PROJECT)
    )


def permissions(built) -> set[str]:
    roles = {one.id: one.inputs["permissions"] for one in built.of_type(ROLE)}
    return {one for grant in granted(built, ON_PROJECT) for one in roles[grant.inputs["role"]]}


def in_conditions(resource) -> str:
    """A resource's name as conditions have it."""
    if kind(resource.type) == "storage/bucket":
        return f"projects/_/buckets/{resource.id}"
    if kind(resource.type) == "secretmanager/secret":
        return re.sub(r"^projects/[^/]+", "projects/102283182876", resource.id)
    return resource.id


@pytest.fixture
def all_options(once, streaming, batch, hybrid):
    workload, changes, settings = PATTERNS["asynchronous"]
    others = [once(workload, changes, **settings), once("churn", network={"internet_egress": True})]
    return [streaming, batch, hybrid, *others]


def test_each_type_that_stacks_have_is_the_deployers_or_an_administrators(all_options):
    types = set().union(*(built.kinds for built in all_options))
    assert not set(deploy_rights.RIGHTS) & set(deploy_rights.ADMINISTRATORS)
    assert types - ELSEWHERE == {*deploy_rights.RIGHTS, *deploy_rights.ADMINISTRATORS}


def test_it_may_what_each_resource_takes(all_options):
    for built in all_options:
        for resource in built.resources:
            rights = deploy_rights.RIGHTS.get(kind(resource.type), deploy_rights.Rights())
            for permission in (*rights.anywhere, *rights.named):
                assert may(built, permission, in_conditions(resource)), f"{permission} on {resource.id}"


@pytest.mark.parametrize(
    "changes",
    [
        {
            "models": [
                {"name": "gradient-boosting", "version": "1.3.0", "role": "champion", "traffic": 100},
                {"name": "sequence-network", "version": "0.3.0", "role": "shadow", "traffic": 20},
            ]
        },
        {"serving": {"size": "large", "replicas": {"minimum": 4, "maximum": 12}}},
        {"monitoring": {"latency_objective_ms": 200, "error_rate_objective": 0.01}},
        {"retraining": {"schedule": "0 3 * * 0"}},
        {"budget": {"monthly_usd": 9000}},
    ],
    ids=["promotion", "size", "objectives", "schedule", "budget"],
)
def test_what_changes_from_day_to_day_needs_no_administrator(once, streaming, changes):
    def administrators(built) -> dict[str, str]:
        """An administrator's resources, without what a generated name or number adds to each."""
        return {
            one.urn: re.sub(r"-[0-9a-f]{7}\b|\d{10}\b", "", json.dumps(one.inputs, sort_keys=True, default=str))
            for one in built.resources
            if kind(one.type) in deploy_rights.ADMINISTRATORS
        }

    assert administrators(once("fraud_detection", changes)) == administrators(streaming)


def test_a_model_of_another_name_needs_an_administrator_for_its_grants(once, streaming):
    models = [{"name": "gradient-boosting", "version": "1.2.0", "role": "champion", "traffic": 100}]
    models.append({"name": "isolation-forest", "version": "0.1.0", "role": "shadow", "traffic": 20})
    names = {one.urn: one.name for one in streaming.resources}
    new = [one for one in once("fraud_detection", {"models": models}).resources if one.urn not in names]
    asked = {one.name for one in new if kind(one.type) in deploy_rights.ADMINISTRATORS}
    assert asked == {"fraud-detection-training-model-isolation-forest"}


def test_it_reads_how_all_is_set_up(streaming):
    assert may(streaming, "storage.buckets.getIamPolicy")
    assert may(streaming, "iam.roles.get")
    assert may(streaming, "resourcemanager.projects.get")


@pytest.mark.parametrize(
    ("permission", "other"),
    [
        ("storage.buckets.update", "projects/_/buckets/payroll-1a2b3c4"),
        ("bigquery.tables.delete", "projects/ml-blueprints-dev/datasets/payroll/tables/salaries"),
        ("bigtable.instances.delete", "projects/ml-blueprints-dev/instances/state-ffffffff"),
        ("cloudkms.cryptoKeys.update", "projects/ml-blueprints-dev/locations/europe-west1/keyRings/payroll-keys-1"),
        ("secretmanager.secrets.update", "projects/102283182876/secrets/payroll-password"),
        ("compute.firewalls.delete", "projects/ml-blueprints-dev/global/firewalls/payroll-deny-ingress-1a2b3c4"),
        ("compute.forwardingRules.delete", "projects/ml-blueprints-dev/regions/europe-west1/forwardingRules/payroll"),
        ("compute.globalForwardingRules.delete", "projects/ml-blueprints-dev/global/forwardingRules/apisffffffff"),
    ],
)
def test_it_may_not_with_what_is_beside_the_platform_where_names_can_tell(streaming, permission, other):
    assert permission in permissions(streaming)
    assert not may(streaming, permission, other)


def test_it_changes_neither_grants_nor_roles_nor_identities_nor_whom_they_trust(all_options):
    for built in all_options:
        has = permissions(built)
        assert not [one for one in has if one.lower().endswith(".setiampolicy") or "*" in one]
        assert {one.rpartition(".")[2] for one in has if one.startswith("iam.")} == {"get", "getIamPolicy"}
        others = {"deploymentmanager", "cloudbuild", "orgpolicy", "iamcredentials", "privilegedaccessmanager"}
        assert not [one for one in has if one.partition(".")[0] in others]


def test_it_leaves_the_record_of_who_did_what_alone(streaming):
    logs = {one for one in permissions(streaming) if one.startswith("logging.")}
    assert {one for one in logs if not one.endswith((".get", ".list"))} == {
        f"logging.logMetrics.{verb}" for verb in ("create", "delete", "update")
    }


@pytest.mark.parametrize(
    "data",
    [
        r"storage\.objects\..*",
        r"bigquery\.(jobs|readsessions|routines|models)\..*|bigquery\.tables\.(getData|updateData|export|createSnapshot)",
        r"bigquery\.datasets\.(create|update|delete)",
        r"bigtable\.tables\.(readRows|mutateRows|sampleRowKeys)|bigtable\.backups\..*",
        r"pubsub\.(subscriptions\.consume|topics\.publish|snapshots\..*)",
        r"secretmanager\.versions\..*",
        r"cloudkms\.cryptoKeyVersions\..*",
        r"aiplatform\.(endpoints\.(predict|explain)|featureViews\.(fetch|search|stream).*|models\.export)",
        r"dataplex\.datascans\.(getData|run)",
        r"run\.(routes\.invoke|.*ssh.*)",
        r"notebooks\.instances\.use",
        r"logging\.(logEntries|privateLogEntries|views)\..*",
        r"artifactregistry\.repositories\.(down|up)load.*",
    ],
)
def test_it_has_no_right_to_data_in_the_project(all_options, data):
    assert not [one for built in all_options for one in permissions(built) if re.fullmatch(data, one)]


def test_it_writes_the_objects_that_stacks_own_and_their_states(all_options):
    for built in all_options:
        name = built.platform.context.name
        buckets = {one.inputs["bucket"]: one.inputs["role"] for one in granted(built, ON_BUCKET)}
        kept = {built.named("gcp:storage/bucket:Bucket", f"{name}-{part}").id for part in ("code", "state")}
        assert buckets == dict.fromkeys(kept, "roles/storage.objectUser")
        objects = built.of_type("gcp:storage/bucketObject:BucketObject")
        assert {one.inputs["bucket"] for one in objects} <= kept


def test_it_acts_as_what_runs_and_as_nobody_else(all_options):
    for built in all_options:
        grants = granted(built, ON_ACCOUNT)
        assert {one.inputs["role"] for one in grants} == {"roles/iam.serviceAccountUser"}
        acts = {one.inputs["serviceAccountId"].rpartition("/")[2].partition("@")[0] for one in grants}
        ours = {one.inputs["accountId"] for one in built.of_type("gcp:serviceaccount/account:Account")}
        assert acts == {one for one in ours if not one.startswith(("deploy-", "audit-"))}


def test_what_is_brought_along_is_its_owners_to_let_act(house):
    assert [one.name for one in granted(house, ON_ACCOUNT)] == ["fraud-detection-deployer-as-features"]


def test_an_experiments_deployer_ends_with_it(once):
    experiment = once("churn", **EXPERIMENT)
    bucket = experiment.named("gcp:storage/bucket:Bucket", "churn-raw")
    for permission, resource in (("run.services.create", ""), ("storage.buckets.update", in_conditions(bucket))):
        assert may(experiment, permission, resource)
        assert not may(experiment, permission, resource, now="2099-12-31T00:00:00Z")
    federated = experiment.named(ON_ACCOUNT, "churn-deployer").inputs
    assert not holds(federated["condition"]["expression"], "", now="2099-12-31T00:00:00Z")


def test_roles_and_conditions_keep_to_googles_limits(all_options, once):
    # https://cloud.google.com/iam/quotas: permissions, and bytes of title, description and permissions of a role;
    # logical operators of a condition.
    for built in (*all_options, once("churn", **EXPERIMENT)):
        for role in built.of_type(ROLE):
            words = [role.inputs["title"], *role.inputs["permissions"]]
            assert len(role.inputs["permissions"]) <= 3000
            assert len("".join(words)) <= 64 * 1024
            assert len(role.inputs["title"].encode()) <= 100
        for grant in granted(built, ON_PROJECT):
            expression = grant.inputs.get("condition", {}).get("expression", "")
            assert expression.count("&&") + expression.count("||") <= 12
