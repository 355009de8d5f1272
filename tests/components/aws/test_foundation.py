"""The foundation on AWS: the key and who may use it, identities under a boundary and their rights, logs."""

import json
import re

import pytest
from ml_blueprints.aws import LIMITS
from ml_blueprints.settings import Purpose
from tests.components.aws import iam

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
ROLE = "aws:iam/role:Role"
GRANT = "aws:iam/rolePolicy:RolePolicy"
KMS_KEY = "aws:kms/key:Key"


def statements(document: str) -> list[dict]:
    return json.loads(document)["Statement"]


def of_all(built):
    """The boundary of all identities but the auditor's and the deployer's."""
    return built.named("aws:iam/policy:Policy", f"{built.platform.context.name}-boundary")


def grants(built):
    """What is granted to identities under that boundary."""
    name = built.platform.context.name
    others = {f"{name}-{part}" for part in ("auditor", "auditor-state", "deployer-state")}
    return [grant for grant in built.of_type(GRANT) if grant.name not in others]


def test_the_key_rotates_as_the_settings_say(once):
    (key,) = once("credit_scoring", encryption={"rotation_days": 90}).of_type(KMS_KEY)
    assert key.inputs["enableKeyRotation"] is True
    assert key.inputs["rotationPeriodInDays"] == 90
    assert key.inputs["deletionWindowInDays"] == 30


def test_the_key_has_an_alias_of_this_platform(streaming):
    (key,) = streaming.of_type(KMS_KEY)
    (alias,) = streaming.of_type("aws:kms/alias:Alias")
    assert re.fullmatch(r"alias/ml-blueprints/fraud-detection-[0-9a-f]{8}", alias.inputs["name"])
    assert key.urn in alias.depends_on


def test_the_account_administers_the_key_and_services_use_it_for_this_account_only(streaming):
    (key,) = streaming.of_type(KMS_KEY)
    account, logs, alerts, *_of_trails = statements(key.inputs["policy"])
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert logs["Principal"] == {"Service": ["logs.eu-west-1.amazonaws.com"]}
    assert logs["Condition"] == {
        "ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-west-1:123456789012:log-group:*"}
    }
    assert "cloudwatch.amazonaws.com" in alerts["Principal"]["Service"]
    assert alerts["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert alerts["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_an_existing_key_is_used_and_its_owner_grants_it(house, named):
    assert not house.of_type(KMS_KEY)
    assert not house.of_type("aws:kms/alias:Alias")
    assert named(house, "aws:cloudwatch/logGroup:LogGroup", "fraud-detection-logs").inputs["kmsKeyId"] == KEY


@pytest.mark.parametrize(
    ("purpose", "services"),
    [
        ("ingest", ["lambda.amazonaws.com", "sagemaker.amazonaws.com", "emr-serverless.amazonaws.com"]),
        ("training", ["sagemaker.amazonaws.com"]),
        ("serving", ["sagemaker.amazonaws.com"]),
        ("monitoring", ["sagemaker.amazonaws.com", "scheduler.amazonaws.com", "events.amazonaws.com"]),
        ("exploration", ["sagemaker.amazonaws.com"]),
        ("flow-logs", ["vpc-flow-logs.amazonaws.com"]),
        ("archive", ["firehose.amazonaws.com"]),
        ("lake-formation", ["glue.amazonaws.com", "lakeformation.amazonaws.com"]),
    ],
)
def test_each_role_trusts_its_services_for_this_account_only(streaming, named, purpose, services):
    role = named(streaming, ROLE, f"fraud-detection-{purpose}").inputs
    (trust,) = statements(role["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": services}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


# The router, and what is there for tenants and for a canary.
SERVING_TENANTS = {"router", "authorizer", "access-log", "rollback", "rollback-start"}


@pytest.mark.parametrize(
    ("platform", "of_services"),
    [
        ("streaming", {"flow-logs", "lake-formation", "archive"}),
        ("hybrid", {"flow-logs", "lake-formation", "archive", *SERVING_TENANTS}),
        ("batch", {"flow-logs", "lake-formation"}),
    ],
)
def test_every_role_is_under_the_boundary(request, platform, of_services):
    built = request.getfixturevalue(platform)
    boundary = of_all(built)
    roles = built.of_type(ROLE)
    prefix = f"{built.platform.context.name}-"
    named = {role.name.removeprefix(prefix): role for role in roles}
    assert set(named) == {*Purpose, *of_services, "audit", "deployer", "auditor"}
    # Who deploys, and who compares what is there with its state, have boundaries of their own (test_deployer.py).
    del named["auditor"], named["deployer"]
    for role in named.values():
        assert f"policy/{prefix}boundary" in role.inputs["permissionsBoundary"]
        assert boundary.urn in role.depends_on


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "house"])
def test_what_is_granted_is_within_the_boundary(request, platform):
    built = request.getfixturevalue(platform)
    boundary = of_all(built).inputs["policy"]
    beyond = [
        (grant.name, action, resource)
        for grant in grants(built)
        for statement in statements(grant.inputs["policy"])
        for action in statement["Action"]
        for resource in statement["Resource"]
        if not iam.allowed([boundary], (action, resource, {}))
    ]
    assert beyond == []
    assert not [action for statement in statements(boundary) for action in statement["Action"] if "*" in action]


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", "arn:aws:s3:::payroll-0123456/salaries.parquet"),
        ("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/payroll"),
        ("kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/1b2c3d4e-0000-4000-8000-000000000000"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/payroll"),
        ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:payroll-0a1b2c"),
        ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:123456789012:function:payroll"),
        ("sagemaker:InvokeEndpoint", "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/payroll"),
        ("sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:payroll"),
    ],
)
def test_no_identity_ever_reaches_what_is_beside_the_platform(streaming, house, action, resource):
    for built in (streaming, house):
        assert not iam.allowed([of_all(built).inputs["policy"]], (action, resource, {}))


def test_the_boundary_has_nothing_of_streams_and_spark_that_no_platform_grants(streaming, batch, hybrid):
    most = {action for statement in statements(of_all(streaming).inputs["policy"]) for action in statement["Action"]}
    granted = {
        action
        for built in (streaming, batch, hybrid)
        for grant in grants(built)
        for statement in statements(grant.inputs["policy"])
        for action in statement["Action"]
    }
    services = ("dynamodb", "emr-serverless", "kinesis", "lakeformation", "lambda", "sqs", "xray")
    assert {action for action in most if action.startswith(services)} - granted == set()


# https://docs.aws.amazon.com/service-authorization/latest/reference/: these have no resource but `*`.
# Of Lake Formation: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslakeformation.html
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    # By a version's id: https://docs.aws.amazon.com/glue/latest/dg/schema-registry-gs.html, for deserializers.
    "glue:GetSchemaVersion",
    "lakeformation:GetDataAccess",
    "sagemaker:ListApps",
    "sagemaker:ListSpaces",
    "sagemaker:ListUserProfiles",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
    # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
}


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_no_grant_has_a_wildcard_where_aws_takes_a_name(request, platform):
    for grant in grants(request.getfixturevalue(platform)):
        for statement in statements(grant.inputs["policy"]):
            assert statement["Effect"] == "Allow"
            assert not [action for action in statement["Action"] if "*" in action]
            if "*" in statement["Resource"]:
                assert set(statement["Action"]) <= WITHOUT_RESOURCE, grant.name
            if "cloudwatch:PutMetricData" in statement["Action"]:
                assert statement["Condition"]["StringEquals"]["cloudwatch:namespace"]


@pytest.mark.parametrize("purpose", list(Purpose))
def test_jobs_work_in_our_subnets_with_our_key_and_logs(streaming, allowed, purpose):
    interfaces = allowed(streaming, purpose, "ec2:CreateNetworkInterface")
    kinds = [arn.split(":")[5].split("/")[0] for arn in interfaces]
    assert kinds == ["subnet", "subnet", "network-interface", "security-group"]
    assert not [arn for arn in interfaces if arn.endswith(("subnet/*", "security-group/*"))]
    (key,) = allowed(streaming, purpose, "kms:GenerateDataKey")
    assert key.startswith("arn:aws:kms:eu-west-1:123456789012:key/")
    own, of_sagemaker = allowed(streaming, purpose, "logs:PutLogEvents")
    assert "log-group:fraud-detection-logs" in own
    assert of_sagemaker.endswith(":log-group:/aws/sagemaker/*")


@pytest.mark.parametrize("purpose", list(Purpose))
def test_jobs_encrypt_volumes_and_results_and_make_their_log_groups(streaming, rights, allowed, purpose):
    assert allowed(streaming, purpose, "kms:Encrypt") == allowed(streaming, purpose, "kms:Decrypt")
    (grants,) = [statement for statement in rights(streaming, purpose) if "kms:CreateGrant" in statement["Action"]]
    assert grants["Resource"] == allowed(streaming, purpose, "kms:Decrypt")
    assert grants["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    assert allowed(streaming, purpose, "logs:CreateLogGroup") == [
        "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/*"
    ]


def test_existing_identities_are_used_and_get_no_rights(house):
    # Services that act by themselves have identities of their own, which no purpose stands for; the others deploy.
    ours = {f"fraud-detection-{part}" for part in ("archive", "audit", "auditor", "deployer", "lake-formation")}
    states = {f"fraud-detection-{part}-state" for part in ("auditor", "deployer")}
    assert {role.name for role in house.of_type(ROLE)} == ours
    deployers = {"fraud-detection-deployer"}
    assert {grant.name for grant in house.of_type(GRANT)} == (ours - deployers) | states


def test_one_existing_identity_leaves_the_others_new(once, named):
    trainer = "arn:aws:iam::210987654321:role/trainer"
    built = once("credit_scoring", identities={"training": trainer})
    roles = {role.name for role in built.of_type(ROLE)}
    assert "credit-scoring-training" not in roles
    assert {"credit-scoring-ingest", "credit-scoring-serving", "credit-scoring-monitoring"} <= roles
    assert not [grant.name for grant in built.of_type(GRANT) if grant.name.startswith("credit-scoring-training-")]
    assert named(built, "aws:sagemaker/pipeline:Pipeline", "credit-scoring-training").inputs["roleArn"] == trainer


def test_logs_are_encrypted_and_kept_for_a_year(streaming):
    groups = streaming.of_type("aws:cloudwatch/logGroup:LogGroup")
    (key,) = streaming.of_type(KMS_KEY)
    assert {group.name for group in groups} == {"fraud-detection-logs", "fraud-detection-audit"}
    for group in groups:
        assert group.inputs["retentionInDays"] == 365
        assert group.inputs["kmsKeyId"].startswith("arn:aws:kms:")
        assert key.urn in group.depends_on


def test_the_longest_name_fits_a_sagemaker_model():
    # 63 characters; a deployment has at most 32, and auto-naming adds a hyphen and seven characters.
    assert LIMITS.name_length + len("-gradient-boosting-10-10-10") + 8 <= 63
    assert LIMITS.name_length >= len("demand-forecasting")


def test_rights_of_an_experiment_end_with_it(streaming, experiment):
    assert not [one for one in statements(of_all(streaming).inputs["policy"]) if "Condition" in one]
    # To the end of the last day; every role of the platform is under this boundary.
    ends = {"DateLessThanEquals": {"aws:CurrentTime": "2099-01-31T23:59:59Z"}}
    assert all(one["Condition"] == ends for one in statements(of_all(experiment()).inputs["policy"]))


def test_accounts_that_take_models_on_decrypt_them_from_s3_and_ecr_only(once, streaming):
    (key,) = once("fraud_detection", promotes_to=["210987654321"]).of_type(KMS_KEY)
    (taken,) = [one for one in statements(key.inputs["policy"]) if "210987654321" in json.dumps(one["Principal"])]
    assert taken["Action"] == ["kms:Decrypt", "kms:DescribeKey"]
    assert taken["Condition"] == {
        "StringEquals": {"kms:ViaService": ["s3.eu-west-1.amazonaws.com", "ecr.eu-west-1.amazonaws.com"]}
    }
    (key,) = streaming.of_type(KMS_KEY)
    assert "kms:ViaService" not in key.inputs["policy"]
