"""The delivery layer on AWS: whose tokens are trusted, and what the deploy role may do."""

import asyncio
import json
import re

import pytest
from tests.components.aws import iam

ROLE = "aws:iam/role:Role"
ISSUER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"


def with_provider(once, provider: str, **delivery: object):
    return once("credit_scoring", delivery={"provider": provider, "repository": "example/ml-platform", **delivery})


@pytest.mark.parametrize(
    ("provider", "issuer", "audience", "subject"),
    [
        (
            "github",
            "token.actions.githubusercontent.com",
            "sts.amazonaws.com",
            "repo:example/ml-platform:environment:production",
        ),
        ("gitlab", "gitlab.com", "https://gitlab.com", "project_path:example/ml-platform:ref_type:branch:ref:main"),
    ],
)
def test_only_workflows_of_the_repository_assume_the_deploy_role(once, named, provider, issuer, audience, subject):
    built = with_provider(once, provider)
    role = named(built, ROLE, "credit-scoring-deployer").inputs
    assert json.loads(role["assumeRolePolicy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{issuer}"},
            "Condition": {"StringEquals": {f"{issuer}:aud": audience, f"{issuer}:sub": subject}},
        }
    ]
    assert role["maxSessionDuration"] == 3600
    assert built.platform.delivery.issuer == f"https://{issuer}"


@pytest.mark.parametrize("environment", ["experiment", "staging", "production"])
def test_each_environment_has_its_own_trust(once, experiment, named, environment):
    built = experiment("churn") if environment == "experiment" else once("churn", environment=environment)
    role = named(built, ROLE, "churn-deployer").inputs
    (trust,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"].endswith(
        f":environment:{environment}"
    )


@pytest.mark.parametrize(
    ("provider", "url", "audience"),
    [
        ("github", "https://token.actions.githubusercontent.com", "sts.amazonaws.com"),
        ("gitlab", "https://gitlab.com", "https://gitlab.com"),
    ],
)
def test_the_issuer_is_registered_where_this_stack_is_the_one_to_do_so(once, named, provider, url, audience):
    built = with_provider(once, provider, create_issuer=True)
    (issuer,) = built.of_type(ISSUER)
    assert issuer.inputs["url"] == url
    assert issuer.inputs["clientIdLists"] == [audience]
    assert issuer.urn in named(built, ROLE, "credit-scoring-deployer").depends_on


def test_an_issuer_that_the_account_knows_is_not_registered_again(streaming):
    assert not streaming.of_type(ISSUER)


def test_the_deployer_pushes_images_deletes_none_and_starts_the_pipelines_that_train(streaming, named):
    def may(action, resource):
        return iam.may(streaming, "fraud-detection-deployer", (action, resource, {}))

    repository = named(streaming, "aws:ecr/repository:Repository", "fraud-detection-images").arn
    assert may("ecr:GetAuthorizationToken", "*")
    assert all(may(f"ecr:{verb}", repository) for verb in ("InitiateLayerUpload", "PutImage", "UploadLayerPart"))
    assert not may("ecr:BatchDeleteImage", repository)
    pipelines = {one.name: one.arn for one in streaming.of_type("aws:sagemaker/pipeline:Pipeline")}
    started = {name for name, arn in pipelines.items() if may("sagemaker:StartPipelineExecution", arn)}
    assert started == {"fraud-detection-training", "fraud-detection-retraining"}


def test_of_platforms_identities_the_deployer_and_the_auditor_alone_reach_the_state(batch, named):
    bucket = named(batch, "aws:s3/bucket:Bucket", "credit-scoring-state")
    said = json.loads(named(batch, "aws:s3/bucketPolicy:BucketPolicy", "credit-scoring-state").inputs["policy"])
    (denied,) = (one for one in said["Statement"] if "s3:PutObject" in one["Action"])
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    # Every role of a platform has the tag.
    assert denied["Condition"]["Null"] == {"aws:PrincipalTag/workload": "false"}
    assert all("workload" in role.inputs["tags"] for role in batch.of_type(ROLE))
    deployer, auditor = denied["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert ":role/credit-scoring-deployer-" in deployer
    assert ":role/credit-scoring-auditor-" in auditor
    assert bucket.urn in named(batch, "aws:s3/bucketLogging:BucketLogging", "credit-scoring-state").depends_on
    versions = named(batch, "aws:s3/bucketVersioning:BucketVersioning", "credit-scoring-state").inputs
    assert versions["versioningConfiguration"]["status"] == "Enabled"
    assert batch.platform.context.register.realised["state-backend"][0].pulumi_resource_type == bucket.type


@pytest.mark.parametrize(("who", "written"), [("deployer", "/*"), ("auditor", "/.pulumi/locks/*")])
def test_states_are_read_by_both_and_written_by_the_deployer(batch, named, who, written):
    grant = named(batch, "aws:iam/rolePolicy:RolePolicy", f"credit-scoring-{who}-state").inputs
    assert grant["role"].startswith(f"credit-scoring-{who}-")
    listed, read, wrote, key = json.loads(grant["policy"])["Statement"]
    (bucket,) = listed["Resource"]
    assert read["Resource"] == [f"{bucket}/*"]
    assert wrote["Resource"] == [f"{bucket}{written}"]
    assert "kms:Decrypt" in key["Action"]


def test_pulumi_is_told_where_states_are_and_by_which_key_secrets_are_kept(batch):
    resolve = asyncio.get_event_loop().run_until_complete
    delivery = batch.platform.delivery
    url, key = (resolve(value.future()) for value in (delivery.state_url, delivery.secrets_provider))
    assert re.fullmatch(r"s3://credit-scoring-state-[0-9a-f]+\?region=eu-west-1", url)
    assert re.fullmatch(r"awskms:///arn:aws:kms:eu-west-1:123456789012:key/[0-9a-f-]+\?region=eu-west-1", key)


def test_the_auditor_is_another_environments_and_sees_no_data(batch, named):
    role = named(batch, ROLE, "credit-scoring-auditor")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"].endswith(
        ":environment:production-audit"
    )
    most = named(batch, "aws:iam/policy:Policy", "credit-scoring-auditor")
    assert most.urn in role.depends_on
    everywhere, *narrow = json.loads(most.inputs["policy"])["Statement"]
    assert not [action for action in everywhere["Action"] if "*" in action]
    verbs = {action.partition(":")[2] for action in everywhere["Action"]}
    assert all(verb.startswith(("Describe", "Get", "List", "GET", "View")) for verb in verbs)
    data = {"s3:GetObject", "secretsmanager:GetSecretValue", "kms:Decrypt", "dynamodb:GetItem"}
    data |= {"kinesis:GetRecords", "sqs:ReceiveMessage", "logs:GetLogEvents", "sagemaker:GetRecord"}
    assert not data & set(everywhere["Action"])
    assert "*" not in [resource for statement in narrow for resource in statement["Resource"]]
    granted = [
        statement
        for part in ("auditor", "auditor-state")
        for statement in json.loads(
            named(batch, "aws:iam/rolePolicy:RolePolicy", f"credit-scoring-{part}").inputs["policy"]
        )["Statement"]
    ]
    (jobs,) = (one for one in granted if "s3:GetObjectTagging" in one["Action"])
    assert "s3:GetObject" in jobs["Action"]
    assert [one.rpartition("/")[0].endswith("/jobs") for one in jobs["Resource"]] == [True]
    most_of_all = {action for statement in (everywhere, *narrow) for action in statement["Action"]}
    beyond = {action for statement in granted for action in statement["Action"]} - most_of_all
    assert beyond == set()
