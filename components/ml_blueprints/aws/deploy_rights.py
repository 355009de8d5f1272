"""What bringing a stack up on AWS takes, by resource type, and which changes are an administrator's.

Reading comes on top, as the auditor has it (`facts.AUDIT_ACTIONS`). Nothing here reads or writes what a resource keeps,
or makes an identity that may do more than the platform's boundary says. Actions, the resources on which they can be
allowed and the keys of conditions are those of
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from ml_blueprints.aws import facts


class When(Enum):
    """Under which condition a right holds, beside the names of what it is for."""

    ALWAYS = "always"
    # What is made or tagged gets the platform's tags; what is there has them.
    NEW = "new"
    OURS = "ours"
    # EC2 tags what is being made, and nothing that somebody else has made.
    WHILE_MADE = "while it is made"
    # Only fleets of SageMaker are scaled.
    SCALED_NEW = "scaled, new"
    # An identity is made within the platform's boundary, and keeps it.
    BOUNDED = "bounded"
    BOUNDED_NEW = "bounded, new"
    OF_SERVICES = "of services"
    OF_OUR_FUNCTION = "of our function"
    BY_SPARK = "by EMR Serverless"


class Right(NamedTuple):
    """Actions on resources, given as ARNs in which `{place}` is region and account, and `{name}` the platform's."""

    actions: tuple[str, ...]
    on: tuple[str, ...]
    when: When = When.ALWAYS


def _each(service: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{service}:{verb}" for verb in verbs)


def _on(service: str, *resources: str) -> tuple[str, ...]:
    return tuple(f"arn:aws:{service}:{{place}}:{resource}" for resource in resources)


def _writes(kind: str) -> tuple[str, ...]:
    return f"Create{kind}", f"Update{kind}", f"Delete{kind}"


_TAGS = ("TagResource", "UntagResource")

# Networks: their parts have ids for names, so that tags tell whose they are.
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-policy-examples.html
_PARTS = (
    *("elastic-ip", "internet-gateway", "natgateway", "route-table", "security-group", "security-group-rule"),
    *("subnet", "vpc", "vpc-endpoint", "vpc-flow-log"),
)
_NETWORK = _on("ec2", *(f"{part}/*" for part in _PARTS))


def _part(*made: str, changed: tuple[str, ...] = ()) -> tuple[Right, ...]:
    """A part of a network: what makes it (in a network that is ours), and what changes it and what it hangs on."""
    makes = _each("ec2", *made)
    return (
        *((Right(makes, _NETWORK, When.NEW), Right(("ec2:CreateTags",), _NETWORK, When.WHILE_MADE)) if made else ()),
        Right((*makes, *_each("ec2", *changed, "CreateTags", "DeleteTags")), _NETWORK, When.OURS),
    )


# What is deleted or leaves a network may still have interfaces in it, which the provider looks for.
_INTERFACES = Right(("ec2:DescribeNetworkInterfaces",), ("*",))

NETWORK: Mapping[str, tuple[Right, ...]] = {
    "ec2/defaultSecurityGroup": _part(changed=("RevokeSecurityGroupEgress", "RevokeSecurityGroupIngress")),
    "ec2/eip": _part("AllocateAddress", changed=("DisassociateAddress", "ReleaseAddress")),
    "ec2/flowLog": _part("CreateFlowLogs", changed=("DeleteFlowLogs",)),
    "ec2/internetGateway": _part(
        "CreateInternetGateway", changed=("AttachInternetGateway", "DeleteInternetGateway", "DetachInternetGateway")
    ),
    "ec2/natGateway": _part("CreateNatGateway", changed=("DeleteNatGateway",)),
    "ec2/route": _part(changed=("CreateRoute", "DeleteRoute", "ReplaceRoute")),
    "ec2/routeTable": _part("CreateRouteTable", changed=("DeleteRouteTable",)),
    "ec2/routeTableAssociation": _part(
        changed=("AssociateRouteTable", "DisassociateRouteTable", "ReplaceRouteTableAssociation")
    ),
    "ec2/securityGroup": (
        *_part(
            "CreateSecurityGroup",
            changed=("DeleteSecurityGroup", "RevokeSecurityGroupEgress", "RevokeSecurityGroupIngress"),
        ),
        _INTERFACES,
    ),
    "ec2/subnet": (*_part("CreateSubnet", changed=("DeleteSubnet", "ModifySubnetAttribute")), _INTERFACES),
    "ec2/vpc": _part("CreateVpc", changed=("DeleteVpc", "ModifyVpcAttribute")),
    "ec2/vpcEndpoint": _part("CreateVpcEndpoint", changed=("DeleteVpcEndpoints", "ModifyVpcEndpoint")),
    "vpc/securityGroupEgressRule": _part(
        "AuthorizeSecurityGroupEgress", changed=("ModifySecurityGroupRules", "RevokeSecurityGroupEgress")
    ),
    "vpc/securityGroupIngressRule": _part(
        "AuthorizeSecurityGroupIngress", changed=("ModifySecurityGroupRules", "RevokeSecurityGroupIngress")
    ),
}

_BUCKETS = ("arn:aws:s3:::{name}-*",)
# The code of the feature job: of what is in the lake's buckets, all that a stack owns.
CODE = "arn:aws:s3:::{name}-models-*/jobs/*"
_CATALOG = _on("glue", "catalog", "database/{catalog}", "table/{catalog}/*")
_REGISTRY = _on("glue", "registry/{name}-{token}", "schema/{name}-{token}/*")
_APPLICATIONS = _on("emr-serverless", "/applications/*")
_STREAMS = _on("kinesis", "stream/{name}-*")
_DELIVERY_STREAMS = _on("firehose", "deliverystream/{name}-*", "deliverystream/amazon-apigateway-{name}-*")
_TOPICS, _QUEUES = _on("sns", "{name}-*"), _on("sqs", "{name}-*")


def _bucket(*verbs: str) -> tuple[Right, ...]:
    return (Right(_each("s3", *verbs), _BUCKETS),)


DATA: Mapping[str, tuple[Right, ...]] = {
    "athena/namedQuery": (Right(_each("athena", *_writes("NamedQuery")), _on("athena", "workgroup/{name}-*")),),
    "athena/workgroup": (Right(_each("athena", *_writes("WorkGroup"), *_TAGS), _on("athena", "workgroup/{name}-*")),),
    "dynamodb/table": (
        Right(
            _each("dynamodb", *_writes("Table"), "UpdateContinuousBackups", "UpdateTimeToLive", *_TAGS),
            _on("dynamodb", "table/{name}-*"),
        ),
    ),
    "emrserverless/application": (
        Right(_each("emr-serverless", "CreateApplication"), ("*",), When.NEW),
        # https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/security-iam-user-access-policies.html
        Right(
            ("ec2:CreateNetworkInterface",),
            _on("ec2", "network-interface/*", "security-group/*", "subnet/*"),
            When.BY_SPARK,
        ),
        Right(_each("emr-serverless", "TagResource"), _APPLICATIONS, When.NEW),
        Right(
            _each("emr-serverless", "DeleteApplication", "StopApplication", "UpdateApplication", *_TAGS),
            _APPLICATIONS,
            When.OURS,
        ),
    ),
    "glue/catalogDatabase": (Right(_each("glue", *_writes("Database"), *_TAGS), _CATALOG),),
    "glue/catalogTable": (Right(_each("glue", *_writes("Table"), "GetPartitionIndexes"), _CATALOG),),
    "glue/registry": (Right(_each("glue", *_writes("Registry"), *_TAGS), _REGISTRY),),
    "glue/schema": (
        Right(_each("glue", *_writes("Schema"), "DeleteSchemaVersions", "RegisterSchemaVersion", *_TAGS), _REGISTRY),
    ),
    "kinesis/firehoseDeliveryStream": (
        Right(
            _each(
                "firehose",
                *("CreateDeliveryStream", "DeleteDeliveryStream", "StartDeliveryStreamEncryption"),
                *("StopDeliveryStreamEncryption", "TagDeliveryStream", "UntagDeliveryStream", "UpdateDestination"),
            ),
            _DELIVERY_STREAMS,
        ),
    ),
    "kinesis/stream": (
        Right(
            _each(
                "kinesis",
                *("AddTagsToStream", "CreateStream", "DecreaseStreamRetentionPeriod", "DeleteStream"),
                *("IncreaseStreamRetentionPeriod", "RemoveTagsFromStream", "StartStreamEncryption"),
                *("StopStreamEncryption", *_TAGS),
            ),
            _STREAMS,
        ),
        # Kinesis doesn't tell of which stream shards are added.
        Right(("kinesis:UpdateShardCount",), ("*",)),
    ),
    "kinesis/streamConsumer": (
        Right(_each("kinesis", "DeregisterStreamConsumer", "RegisterStreamConsumer", *_TAGS), _STREAMS),
    ),
    "kms/alias": (
        Right(_each("kms", *_writes("Alias")), _on("kms", "alias/ml-blueprints/{name}-{token}")),
        Right(_each("kms", *_writes("Alias")), _on("kms", "key/*"), When.OURS),
    ),
    # Who may use a key, which it is made with, and its end, with which all data goes, are an administrator's.
    "kms/key": (
        Right(
            _each("kms", "EnableKeyRotation", "TagResource", "UntagResource", "UpdateKeyDescription"),
            _on("kms", "key/*"),
            When.OURS,
        ),
    ),
    "s3/bucket": _bucket("CreateBucket", "DeleteBucket", "ListBucketVersions", "PutBucketTagging", *_TAGS),
    "s3/bucketLifecycleConfiguration": _bucket("PutLifecycleConfiguration"),
    "s3/bucketLogging": _bucket("PutBucketLogging"),
    "s3/bucketObjectv2": (
        Right(
            _each("s3", "DeleteObject", "DeleteObjectVersion", "GetObject", "GetObjectTagging", "GetObjectVersion"),
            (CODE,),
        ),
        Right(_each("s3", "PutObject", "PutObjectTagging"), (CODE,)),
    ),
    "s3/bucketPolicy": _bucket("DeleteBucketPolicy", "PutBucketPolicy"),
    "s3/bucketPublicAccessBlock": _bucket("PutBucketPublicAccessBlock"),
    "s3/bucketServerSideEncryptionConfiguration": _bucket("PutEncryptionConfiguration"),
    "s3/bucketVersioning": _bucket("PutBucketVersioning"),
    "sns/topic": (Right(_each("sns", "CreateTopic", "DeleteTopic", "SetTopicAttributes", *_TAGS), _TOPICS),),
    "sns/topicPolicy": (Right(_each("sns", "SetTopicAttributes"), _TOPICS),),
    # SNS doesn't tell whose subscription it is that ends or changes.
    "sns/topicSubscription": (
        Right(_each("sns", "Subscribe"), _TOPICS),
        Right(_each("sns", "SetSubscriptionAttributes", "Unsubscribe"), ("*",)),
    ),
    "sqs/queue": (
        Right(_each("sqs", "CreateQueue", "DeleteQueue", "SetQueueAttributes", "TagQueue", "UntagQueue"), _QUEUES),
    ),
    "sqs/queuePolicy": (Right(_each("sqs", "SetQueueAttributes"), _QUEUES),),
}

_NAMED_ML = _on(
    "sagemaker",
    *(f"{kind}/{{name}}-*" for kind in ("endpoint", "endpoint-config", "model", "model-package-group")),
    *("feature-group/*-{token}", "mlflow-tracking-server/{name}-{token}", "pipeline/{name}-*"),
)
_ROOMS = _on("sagemaker", "domain/*", "space/*", "user-profile/*")
_TARGETS = _on("application-autoscaling", "scalable-target/*")
_REPOSITORIES = _on("ecr", "repository/{name}-{token}/*")


def _named_ml(*verbs: str) -> tuple[Right, ...]:
    return (Right(_each("sagemaker", *verbs, "AddTags", "DeleteTags"), _NAMED_ML),)


def _room(kind: str) -> tuple[Right, ...]:
    """What is in a domain has its id for a name."""
    return (
        Right(_each("sagemaker", f"Create{kind}", "AddTags"), _ROOMS, When.NEW),
        Right(_each("sagemaker", f"Update{kind}", f"Delete{kind}", "AddTags", "DeleteTags"), _ROOMS, When.OURS),
    )


ML: Mapping[str, tuple[Right, ...]] = {
    # Scaling looks at the fleet, and watches it by alarms of its own name.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
    "appautoscaling/policy": (
        Right(_each("application-autoscaling", "DeleteScalingPolicy", "PutScalingPolicy"), _TARGETS, When.OURS),
        Right(
            _each("cloudwatch", "DeleteAlarms", "PutMetricAlarm"),
            _on("cloudwatch", "alarm:TargetTracking-endpoint/{name}-*"),
        ),
    ),
    "appautoscaling/target": (
        Right(_each("application-autoscaling", "RegisterScalableTarget"), _TARGETS, When.SCALED_NEW),
        Right(_each("application-autoscaling", "TagResource"), _TARGETS, When.NEW),
        Right(
            _each("application-autoscaling", "DeregisterScalableTarget", "RegisterScalableTarget"),
            _TARGETS,
            When.OURS,
        ),
        Right(_each("application-autoscaling", *_TAGS), _TARGETS, When.OURS),
        Right(_each("sagemaker", "UpdateEndpointWeightsAndCapacities"), _on("sagemaker", "endpoint/{name}-*")),
    ),
    "ecr/lifecyclePolicy": (Right(_each("ecr", "DeleteLifecyclePolicy", "PutLifecyclePolicy"), _REPOSITORIES),),
    "ecr/repository": (
        Right(
            _each(
                "ecr",
                *("CreateRepository", "DeleteRepository", "PutImageScanningConfiguration", "PutImageTagMutability"),
                *_TAGS,
            ),
            _REPOSITORIES,
        ),
    ),
    "ecr/repositoryPolicy": (Right(_each("ecr", "DeleteRepositoryPolicy", "SetRepositoryPolicy"), _REPOSITORIES),),
    # Its file system, with what people keep there, and its application in IAM Identity Center come and go with it: an
    # administrator makes it and takes it away.
    "sagemaker/domain": (Right(_each("sagemaker", "AddTags", "DeleteTags", "UpdateDomain"), _ROOMS, When.OURS),),
    "sagemaker/endpoint": _named_ml(*_writes("Endpoint")),
    "sagemaker/endpointConfiguration": _named_ml("CreateEndpointConfig", "DeleteEndpointConfig"),
    "sagemaker/featureGroup": _named_ml(*_writes("FeatureGroup")),
    "sagemaker/mlflowTrackingServer": _named_ml(*_writes("MlflowTrackingServer")),
    "sagemaker/model": _named_ml("CreateModel", "DeleteModel"),
    "sagemaker/modelPackageGroup": _named_ml("CreateModelPackageGroup", "DeleteModelPackageGroup"),
    "sagemaker/modelPackageGroupPolicy": _named_ml("DeleteModelPackageGroupPolicy", "PutModelPackageGroupPolicy"),
    "sagemaker/pipeline": _named_ml(*_writes("Pipeline")),
    "sagemaker/space": _room("Space"),
    "sagemaker/userProfile": _room("UserProfile"),
}

# Parts of an API are as their API is tagged, for conditions.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
_APIS = tuple(
    f"arn:aws:apigateway:{{region}}::/{kind}{rest}"
    for kind in ("apikeys", "restapis", "usageplans")
    for rest in ("", "/*")
)
_TAGGED = ("arn:aws:apigateway:{region}::/tags/*",)
_STAGES = ("arn:aws:apigateway:{region}::/restapis/*/stages/*",)
_API = (
    Right(("apigateway:POST",), _APIS, When.NEW),
    Right(_each("apigateway", "DELETE", "PATCH", "POST", "PUT"), _APIS, When.OURS),
    Right(_each("apigateway", "POST", "PUT"), _TAGGED, When.NEW),
)
# A private API is made with the policy that says from where it is reached.
_API_POLICY = (
    Right(("apigateway:UpdateRestApiPolicy",), ("arn:aws:apigateway:{region}::/restapis",)),
    Right(("apigateway:UpdateRestApiPolicy",), ("arn:aws:apigateway:{region}::/restapis/*",), When.OURS),
)
_FUNCTIONS = _on("lambda", "function:{name}-*")
_FIREWALLS = _on("wafv2", "regional/webacl/{name}-*")
_LOGS = _on("logs", *(f"log-group:{prefix}{{name}}-*" for prefix in ("", "aws-waf-logs-")))

RUNNING: Mapping[str, tuple[Right, ...]] = {
    **{
        f"apigateway/{kind}": _API
        for kind in (
            *("apiKey", "authorizer", "deployment", "integration", "method", "methodSettings", "model"),
            *("requestValidator", "resource", "stage", "usagePlan", "usagePlanKey"),
        )
    },
    "apigateway/restApi": (*_API, *_API_POLICY),
    "lambda/eventSourceMapping": (
        Right(
            _each("lambda", "CreateEventSourceMapping", "DeleteEventSourceMapping", "UpdateEventSourceMapping"),
            ("*",),
            When.OF_OUR_FUNCTION,
        ),
        Right(_each("lambda", *_TAGS), _on("lambda", "event-source-mapping:*"), When.OURS),
        Right(_each("lambda", "TagResource"), _on("lambda", "event-source-mapping:*"), When.NEW),
    ),
    # A function's image is looked at when it is made, and its repository lets Lambda in.
    # https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#gettingstarted-images-permissions
    "lambda/function": (
        Right(
            _each(
                "lambda",
                *("CreateFunction", "DeleteFunction", "DeleteFunctionConcurrency", "PublishVersion"),
                *("PutFunctionConcurrency", *_TAGS, "UpdateFunctionCode", "UpdateFunctionConfiguration"),
                "GetFunctionConfiguration",
            ),
            _FUNCTIONS,
        ),
        Right(_each("ecr", "BatchGetImage", "GetDownloadUrlForLayer", "SetRepositoryPolicy"), _REPOSITORIES),
    ),
    "lambda/permission": (Right(_each("lambda", "AddPermission", "RemovePermission"), _FUNCTIONS),),
    "scheduler/schedule": (
        Right(_each("scheduler", *_writes("Schedule")), _on("scheduler", "schedule/default/{name}-*")),
    ),
    "sfn/stateMachine": (
        Right(
            _each(
                "states", *_writes("StateMachine"), "DeleteStateMachineVersion", "PublishStateMachineVersion", *_TAGS
            ),
            _on("states", "stateMachine:{name}-*"),
        ),
        Right(_each("states", "ValidateStateMachineDefinition"), ("*",)),
    ),
    # Rules of AWS are resources that a firewall names.
    "wafv2/webAcl": (
        Right(
            _each("wafv2", "CreateWebACL", "DeleteWebACL", *_TAGS, "UpdateWebACL"),
            (*_FIREWALLS, *_on("wafv2", "regional/managedruleset/*/*")),
        ),
    ),
    "wafv2/webAclAssociation": (
        Right(_each("wafv2", "AssociateWebACL", "DisassociateWebACL"), (*_FIREWALLS, *_STAGES)),
        Right(_each("apigateway", "SetWebACL"), _STAGES, When.OURS),
    ),
    # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
    "wafv2/webAclLoggingConfiguration": (
        Right(_each("wafv2", "DeleteLoggingConfiguration", "PutLoggingConfiguration"), _FIREWALLS),
        Right(
            _each("logs", "CreateLogDelivery", "DeleteLogDelivery", "DescribeResourcePolicies", "PutResourcePolicy"),
            ("*",),
        ),
    ),
}

_ALARMS = _on("cloudwatch", "alarm:{name}-*")
_RULES = _on("events", "rule/{name}-*")
_ANOMALIES = tuple(f"arn:aws:ce::{{account}}:anomaly{kind}/*" for kind in ("monitor", "subscription"))


def _anomaly(kind: str) -> tuple[Right, ...]:
    return (
        Right(_each("ce", f"CreateAnomaly{kind}", "TagResource"), ("*",), When.NEW),
        Right(_each("ce", f"DeleteAnomaly{kind}", f"UpdateAnomaly{kind}", *_TAGS), _ANOMALIES, When.OURS),
    )


WATCHING: Mapping[str, tuple[Right, ...]] = {
    "budgets/budget": (
        Right(_each("budgets", "ModifyBudget", *_TAGS), ("arn:aws:budgets::{account}:budget/{name}-*",)),
    ),
    "cloudwatch/compositeAlarm": (Right(_each("cloudwatch", "DeleteAlarms", "PutCompositeAlarm", *_TAGS), _ALARMS),),
    "cloudwatch/dashboard": (
        Right(
            _each("cloudwatch", "DeleteDashboards", "PutDashboard"),
            ("arn:aws:cloudwatch::{account}:dashboard/{name}-*",),
        ),
    ),
    "cloudwatch/eventRule": (
        Right(_each("events", "DeleteRule", "DisableRule", "EnableRule", "PutRule", *_TAGS), _RULES),
    ),
    "cloudwatch/eventTarget": (Right(_each("events", "PutTargets", "RemoveTargets"), _RULES),),
    "cloudwatch/logGroup": (
        Right(
            _each(
                "logs",
                *("AssociateKmsKey", "CreateLogGroup", "DeleteLogGroup", "DeleteRetentionPolicy"),
                *("DisassociateKmsKey", "PutRetentionPolicy", *_TAGS),
            ),
            _LOGS,
        ),
    ),
    "cloudwatch/logMetricFilter": (Right(_each("logs", "DeleteMetricFilter", "PutMetricFilter"), _LOGS),),
    "cloudwatch/logStream": (Right(_each("logs", "CreateLogStream", "DeleteLogStream"), _LOGS),),
    "cloudwatch/metricAlarm": (Right(_each("cloudwatch", "DeleteAlarms", "PutMetricAlarm", *_TAGS), _ALARMS),),
    "costexplorer/anomalyMonitor": _anomaly("Monitor"),
    "costexplorer/anomalySubscription": _anomaly("Subscription"),
}

ROLES = "arn:aws:iam::{account}:role/{name}-*"
# Roles that AWS makes for a service when an account first uses it.
_SERVICES_ROLES = "arn:aws:iam::{account}:role/aws-service-role/*"

IDENTITIES: Mapping[str, tuple[Right, ...]] = {
    "iam/role": (
        Right(_each("iam", "CreateRole"), (ROLES,), When.BOUNDED_NEW),
        Right(
            _each("iam", "DeleteRole", "PutRolePermissionsBoundary", "UpdateAssumeRolePolicy"), (ROLES,), When.BOUNDED
        ),
        Right(
            _each("iam", "ListInstanceProfilesForRole", "TagRole", "UntagRole", "UpdateRole", "UpdateRoleDescription"),
            (ROLES,),
        ),
        Right(("iam:CreateServiceLinkedRole",), (_SERVICES_ROLES,), When.OF_SERVICES),
    ),
    "iam/rolePolicy": (Right(_each("iam", "DeleteRolePolicy", "PutRolePolicy"), (ROLES,), When.BOUNDED),),
}

# The policies that hold these rights, each below what a managed policy may have.
AREAS: Mapping[str, Mapping[str, tuple[Right, ...]]] = {
    "network": NETWORK,
    "data": DATA,
    "ml": ML,
    "running": RUNNING,
    "watching": WATCHING,
    "identities": IDENTITIES,
}
RIGHTS: Mapping[str, tuple[Right, ...]] = {type_: rights for area in AREAS.values() for type_, rights in area.items()}

# Types whose resources name an identity, and the service that it is handed to.
HANDED_TO: Mapping[str, str] = {
    "cloudwatch/eventTarget": "events.amazonaws.com",
    "ec2/flowLog": "vpc-flow-logs.amazonaws.com",
    "kinesis/firehoseDeliveryStream": "firehose.amazonaws.com",
    "lambda/function": "lambda.amazonaws.com",
    **{
        f"sagemaker/{kind}": "sagemaker.amazonaws.com"
        for kind in ("domain", "featureGroup", "mlflowTrackingServer", "model", "pipeline", "userProfile")
    },
    "scheduler/schedule": "scheduler.amazonaws.com",
    "sfn/stateMachine": "states.amazonaws.com",
}

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
SERVICE_LINKED = (
    "ops.apigateway.amazonaws.com",
    "ops.emr-serverless.amazonaws.com",
    "sagemaker.application-autoscaling.amazonaws.com",
    "wafv2.amazonaws.com",
)

_MOST = "the most that identities may do"
_ROWS = "who may read which rows, which administrators of Lake Formation say"
_SIGNS = "the key that signs models, and who may read it"
# Types whose resources an administrator makes and changes, each with the reason.
ADMINISTRATORS: Mapping[str, str] = {
    "cloudtrail/trail": "the record of who did what",
    "iam/openIdConnectProvider": "whose tokens the account trusts",
    "iam/policy": _MOST,
    "iam/rolePolicyAttachment": _MOST,
    "lakeformation/optIn": _ROWS,
    "lakeformation/permissions": _ROWS,
    "lakeformation/resource": _ROWS,
    "secretsmanager/secret": _SIGNS,
    "secretsmanager/secretPolicy": _SIGNS,
}


def grouped(area: Mapping[str, tuple[Right, ...]]) -> Iterator[Right]:
    """The rights of an area with those together that are on the same resources under the same condition."""
    found: dict[tuple[tuple[str, ...], When], set[str]] = {}
    for rights in area.values():
        for right in rights:
            found.setdefault((right.on, right.when), set()).update(right.actions)
    for (on, when), actions in found.items():
        yield Right(tuple(sorted(actions)), on, when)


def services() -> list[str]:
    """All services of which something is changed."""
    return sorted({action.partition(":")[0] for right in RIGHTS.values() for one in right for action in one.actions})


# What keeps its values from whoever brings the stack up, whatever it is granted, by a resource's own policy too.
DATA_ACTIONS = (
    *_each("athena", "GetQueryResults*", "StartQueryExecution"),
    *_each("dynamodb", "*Item*", "Export*", "PartiQL*", "Query", "Scan"),
    *_each("firehose", "PutRecord*"),
    *_each("kinesis", "GetRecords", "PutRecord*", "SubscribeToShard"),
    *_each("kms", "PutKeyPolicy", "ScheduleKeyDeletion"),
    *_each("lakeformation", "*Grant*", "GetDataAccess", "PutDataLakeSettings"),
    *_each("lambda", "Invoke*"),
    *_each("logs", "FilterLogEvents", "GetLogEvents", "GetLogRecord", "GetQueryResults", "StartLiveTail", "StartQuery"),
    *_each("sagemaker", "*Record", "CreatePresigned*", "InvokeEndpoint*"),
    *_each("secretsmanager", "*SecretValue", "DeleteSecret", "UpdateSecret"),
    *_each("sns", "Publish"),
    *_each("sqs", "*Message*", "PurgeQueue"),
)
# Services of which it only reads how things are set up.
_READ = sorted({action.partition(":")[0] for action in facts.AUDIT_ACTIONS} - set(services()))
# All that it may do at most, before what is denied.
MOST_ACTIONS = (
    *(f"{service}:*" for service in services() if service not in {"iam", "kms"}),
    *(f"{service}:{verb}*" for service in _READ for verb in ("Describe", "Get", "List")),
    *_each("iam", "*Role*", "Get*", "List*"),
    *_each("route53", "AssociateVPCWithHostedZone"),
    *_each("kms", "*Alias*", "*Key*", "*Grant*", "*Resource*", "Decrypt", "Describe*", "Encrypt", "Get*", "List*"),
)
