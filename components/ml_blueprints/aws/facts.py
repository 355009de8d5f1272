"""Facts of AWS that the layers rely on, each with its source."""

from ml_blueprints.compiled_pipelines import CompiledPipelines
from ml_blueprints.limits import Limits
from ml_blueprints.settings import Purpose

# Where the pipelines of this cloud's platform are compiled to.
PIPELINES = CompiledPipelines("sagemaker", "json")

LIMITS = Limits(
    cloud="aws",
    # SageMaker names have at most 63 characters; the longest of ours adds `-gradient-boosting-10-10-10-0123456`.
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
    name_length=28,
    name_reason="names of SageMaker models begin with it and have at most 63 characters",
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html: up to 10 variants, and
    # one shadow variant, which is only taken beside a single production variant.
    live_models=10,
    shadow_models=1,
    shadow_percent=100,
    canary_beside_shadow=False,
    # Variants on instances keep one.
    scale_to_zero=False,
    # One source, and up to five additional ones: AdditionalModelDataSources of
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
    models_in_container=6,
    # https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html, feature exclusions.
    serverless_gives_up="the private network, network isolation and data capture",
)

# Who may act under the identity of a purpose: the services that run its work.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
TRUSTED_SERVICES = {
    Purpose.INGEST: ("lambda.amazonaws.com", "sagemaker.amazonaws.com", "emr-serverless.amazonaws.com"),
    Purpose.TRAINING: ("sagemaker.amazonaws.com",),
    Purpose.SERVING: ("sagemaker.amazonaws.com",),
    Purpose.MONITORING: ("sagemaker.amazonaws.com", "scheduler.amazonaws.com", "events.amazonaws.com"),
    Purpose.EXPLORATION: ("sagemaker.amazonaws.com",),
}

# What people do with the tracker of experiments from their notebooks.
TRACKER_ACTIONS = (
    "sagemaker-mlflow:AccessUI",
    "sagemaker-mlflow:CreateExperiment",
    "sagemaker-mlflow:CreateRun",
    "sagemaker-mlflow:GetExperiment",
    "sagemaker-mlflow:GetExperimentByName",
    "sagemaker-mlflow:GetMetricHistory",
    "sagemaker-mlflow:GetRun",
    "sagemaker-mlflow:ListArtifacts",
    "sagemaker-mlflow:LogBatch",
    "sagemaker-mlflow:LogMetric",
    "sagemaker-mlflow:LogParam",
    "sagemaker-mlflow:SearchExperiments",
    "sagemaker-mlflow:SearchRuns",
    "sagemaker-mlflow:SetTag",
    "sagemaker-mlflow:UpdateRun",
)

# The most that any role of a platform may ever be granted: its permissions boundary. Grants are narrower by far.
BOUNDARY_ACTIONS = (
    "cloudwatch:PutMetricData",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "emr-serverless:StartJobRun",
    "emr-serverless:TagResource",
    "glue:GetDatabase",
    "glue:GetPartitions",
    "glue:GetSchemaVersion",
    "glue:GetTable",
    "glue:GetTableVersion",
    "glue:GetTableVersions",
    "glue:UpdateTable",
    "iam:PassRole",
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamConsumer",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
    "kinesis:PutRecords",
    "kinesis:SubscribeToShard",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "lakeformation:GetDataAccess",
    "lambda:GetFunctionConfiguration",
    "lambda:InvokeFunction",
    "logs:CreateLogDelivery",
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutLogEvents",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetBucketAcl",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "sagemaker:AddTags",
    "sagemaker:AssociateTrialComponent",
    "sagemaker:BatchGetRecord",
    "sagemaker:CreateApp",
    "sagemaker:CreateExperiment",
    "sagemaker:CreateHyperParameterTuningJob",
    "sagemaker:CreateModelPackage",
    "sagemaker:CreatePresignedMlflowTrackingServerUrl",
    "sagemaker:CreateProcessingJob",
    "sagemaker:CreateTrainingJob",
    "sagemaker:CreateTrial",
    "sagemaker:CreateTrialComponent",
    "sagemaker:DeleteApp",
    "sagemaker:DescribeApp",
    "sagemaker:DescribeDomain",
    "sagemaker:DescribeExperiment",
    "sagemaker:DescribeHyperParameterTuningJob",
    "sagemaker:DescribeModel",
    "sagemaker:DescribeModelPackage",
    "sagemaker:DescribeProcessingJob",
    "sagemaker:DescribeSpace",
    "sagemaker:DescribeTrainingJob",
    "sagemaker:DescribeTrial",
    "sagemaker:DescribeTrialComponent",
    "sagemaker:DescribeUserProfile",
    "sagemaker:GetRecord",
    "sagemaker:InvokeEndpoint",
    "sagemaker:ListApps",
    "sagemaker:ListSpaces",
    "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
    "sagemaker:ListUserProfiles",
    "sagemaker:PutRecord",
    "sagemaker:StartPipelineExecution",
    "sagemaker:StopHyperParameterTuningJob",
    "sagemaker:StopProcessingJob",
    "sagemaker:StopTrainingJob",
    "sagemaker:UpdateEndpointWeightsAndCapacities",
    "sagemaker:UpdateSpace",
    "sagemaker:UpdateTrialComponent",
    *TRACKER_ACTIONS,
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "sqs:SendMessage",
    "states:StartExecution",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)

# What of it reaches the platform's own alone, by how actions begin: whoever brings a stack up makes identities under
# the boundary, so that it, too, says where. `{place}` is region and account; the key isn't known by a name.
BOUNDARY_OWN = {
    "dynamodb:": "arn:aws:dynamodb:{place}:table/{name}-*",
    "ecr:Batch": "arn:aws:ecr:{place}:repository/{name}-{token}/*",
    "ecr:GetDownloadUrl": "arn:aws:ecr:{place}:repository/{name}-{token}/*",
    "iam:PassRole": "arn:aws:iam::{account}:role/{name}-*",
    "kinesis:": "arn:aws:kinesis:{place}:stream/{name}-*",
    "lambda:": "arn:aws:lambda:{place}:function:{name}-*",
    "s3:": "arn:aws:s3:::{name}-*",
    "sagemaker:BatchGetRecord": "arn:aws:sagemaker:{place}:feature-group/*-{token}",
    "sagemaker:GetRecord": "arn:aws:sagemaker:{place}:feature-group/*-{token}",
    "sagemaker:InvokeEndpoint": "arn:aws:sagemaker:{place}:endpoint/{name}-*",
    "sagemaker:PutRecord": "arn:aws:sagemaker:{place}:feature-group/*-{token}",
    "sagemaker:StartPipelineExecution": "arn:aws:sagemaker:{place}:pipeline/{name}-*",
    "sagemaker:UpdateEndpoint": "arn:aws:sagemaker:{place}:endpoint/{name}-*",
    "secretsmanager:": "arn:aws:secretsmanager:{place}:secret:{name}-*",
    "sns:": "arn:aws:sns:{place}:{name}-*",
    "sqs:": "arn:aws:sqs:{place}:{name}-*",
    "states:": "arn:aws:states:{place}:stateMachine:{name}-*",
}

# Interface endpoints for the services that the layers call, and those that only streams need.
# https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
INTERFACE_ENDPOINTS = (
    "athena",
    "ecr.api",
    "ecr.dkr",
    "emr-serverless",
    "glue",
    "kms",
    "lakeformation",
    "logs",
    "sagemaker.api",
    "sagemaker.runtime",
    "secretsmanager",
    "sts",
)
STREAM_INTERFACE_ENDPOINTS = (
    "kinesis-firehose",
    "kinesis-streams",
    "lambda",
    "sagemaker.featurestore-runtime",
    "sqs",
    "xray",
)

# By which a private API is reached. https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-apis.html
API_ENDPOINT = "execute-api"

# The tracker of experiments has an endpoint of its own kind, `aws.sagemaker.<region>.experiments`.
# https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow-interface-endpoint-create.html
TRACKER_ENDPOINT = "experiments"

# Services that are reached by a route, as S3 is. https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
STREAM_GATEWAY_ENDPOINTS = ("dynamodb",)

# Functions of the platform's image, by what they do, and how Lambda calls them in an image that isn't its own.
# https://docs.aws.amazon.com/lambda/latest/dg/python-image.html#python-image-clients
HANDLER_ENTRY_POINT = ("python", "-m", "awslambdaric")
HANDLERS = {
    "archive": "ml_pipelines.streaming.aws_firehose.handler",
    "process": "ml_pipelines.streaming.aws_lambda.handler",
    "router": "ml_pipelines.serving.aws_lambda.handle",
    "authorizer": "ml_pipelines.serving.aws_authorizer.handle",
}

# Steps of the platform's image that monitoring runs, by what they do.
COMMANDS = {"drift": "ml_pipelines.steps.drift", "feedback": "ml_pipelines.retraining.feedback"}

# How long events can be replayed. https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html
REPLAY_HOURS = 7 * 24

# Below this objective readers need a throughput of their own: those that share it are some 200 ms behind.
# https://docs.aws.amazon.com/streams/latest/dev/enhanced-consumers.html
SHARED_READ_MS = 200

# What one query may read: 1 TiB. https://docs.aws.amazon.com/athena/latest/ug/workgroups-setting-control-limits-cloudwatch.html
QUERY_SCAN_BYTES = 1024**4

# Release of EMR Serverless with Spark 3.5 (https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/release-versions.html)
# and the most that its jobs may use at once.
SPARK_RELEASE = "emr-7.9.0"
SPARK_MAXIMUM = ("64 vCPU", "256 GB", "1000 GB")

# A run of the feature job on a stream's archive computes the last days anew, so that one that failed is made up for.
# Files of a batch may come later than any number of days. It ends at the latest after these minutes.
FEATURE_JOB_SINCE = "3d"
FEATURE_JOB_MINUTES = 4 * 60

# Memory of a serverless container by size class, and how many answer at once; an account has 1,000 for all endpoints.
# https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
SERVERLESS_MEMORY_MIB = {"small": 2048, "medium": 4096, "large": 6144}
SERVERLESS_CONCURRENCY = 20

# How a new version takes over: by steps of so many percent, each after so many seconds; the old fleet stays a while,
# and all is done in two hours. A step is at most half of a variant's instances; with ten of them, each step is one.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html and
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_BlueGreenUpdatePolicy.html
ROLLOUT_STEP_PERCENT = 10
ROLLOUT_WAIT_SECONDS = 300
ROLLOUT_KEPT_SECONDS = 600
ROLLOUT_MOST_SECONDS = 7200
LINEAR_INSTANCES = 10

# Requests that may wait in an asynchronous endpoint's queue for each of its instances.
# https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
BACKLOG_PER_INSTANCE = 5

# What API Gateway waits for an answer, and how long it relies on what the authorizer said of a token.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
API_SECONDS = 29
AUTHORIZED_SECONDS = 60

# Memory of the functions that answer requests, with which they get more than half of a processor.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
FUNCTION_MEMORY_MIB = 1024

# Requests that such a function may have at once at the least, and for how long a router has one at the peak, so that
# it may have as many at once as arrive in that time. An account has 1,000 for all functions unless it asks for more.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
FUNCTION_CONCURRENCY = 10
ROUTED_SECONDS = 0.1

# What the log of the API says of a request: who, what and how it ended; neither tokens nor bodies.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
ACCESS_LOG_FIELDS = {
    "request_id": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "tenant": "$context.authorizer.tenant",
    "address": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.resourcePath",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "refused": "$context.error.responseType",
}

# Where the compiled pipelines keep what their steps hand over, in the zone of the models.
RUNS = "runs/"

# Notebooks: the machine, its disk in GiB (which may grow to twice that), and the minutes after which one that is idle
# stops. https://docs.aws.amazon.com/sagemaker/latest/dg/studio-updated-idle-shutdown.html
NOTEBOOK_INSTANCE_TYPE = "ml.t3.medium"
NOTEBOOK_GIB = 20
NOTEBOOK_IDLE_MINUTES = 60

# Days in which a deleted signing key can be had back; an experiment leaves nothing behind.
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
SECRET_RECOVERY_DAYS = 30

# Seconds that a job on spot instances may wait and run: twice what it may run.
# https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html
SPOT_WAIT_FACTOR = 2

# Instances of jobs, which run and end: of those that look at all events, and of the others.
JOB_INSTANCE_TYPE = "ml.m5.xlarge"
SMALL_JOB_INSTANCE_TYPE = "ml.m5.large"
JOB_VOLUME_GIB = 30

# What a step of monitoring may take: less than the time to the next look.
SCHEDULED_STEP_SECONDS = 3300

# Days that CloudWatch Logs can keep a group. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_RETENTION_DAYS = 365

# Days after which an image that no tag names any more is deleted.
UNTAGGED_IMAGE_DAYS = 30

# Avro to Glue (Hive) types. https://docs.aws.amazon.com/athena/latest/ug/data-types.html
GLUE_TYPES = {
    "string": "string",
    "boolean": "boolean",
    "int": "int",
    "long": "bigint",
    "float": "float",
    "double": "double",
    "bytes": "binary",
}

# Attributes of the table of windows: whose they are, and when (seconds since 1970) they go.
STATE_KEY, STATE_EXPIRY = "entity", "expires_at"

# Units that an event takes of it: one for each KiB written, and one for 4 KiB read with strong consistency.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
STATE_UNITS_PER_EVENT = 4

# Runs of the archive's function at once; Firehose starts up to five for each shard of the stream.
# https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
ARCHIVE_CONCURRENCY_PER_SHARD = 5

# Types of the features' columns in the catalog, as the feature job writes them.
FEATURE_COLUMNS = {"integer": "bigint", "float": "double", "string": "string", "boolean": "boolean"}

# Types of feature definitions. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_FeatureDefinition.html
FEATURE_TYPES = {"integer": "Integral", "float": "Fractional", "string": "String", "boolean": "Integral"}

# How what a stack owns is read, and what no stack owns is found; no objects, records, secrets, messages, lines of logs.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
AUDIT_ACTIONS = (
    "apigateway:GET",
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:ListTagsForResource",
    "athena:GetNamedQuery",
    "athena:GetWorkGroup",
    "athena:ListTagsForResource",
    "bedrock:GetCustomModel",
    "bedrock:ListCustomModels",
    "bedrock:ListProvisionedModelThroughputs",
    "bedrock:ListTagsForResource",
    "budgets:ListTagsForResource",
    "budgets:ViewBudget",
    "ce:GetAnomalyMonitors",
    "ce:GetAnomalySubscriptions",
    "ce:ListTagsForResource",
    "cloudtrail:DescribeTrails",
    "cloudtrail:GetEventSelectors",
    "cloudtrail:GetInsightSelectors",
    "cloudtrail:GetTrail",
    "cloudtrail:GetTrailStatus",
    "cloudtrail:ListTags",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetDashboard",
    "cloudwatch:ListTagsForResource",
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:ListTagsOfResource",
    "ec2:DescribeAddresses",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeFlowLogs",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNatGateways",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribePrefixLists",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "ecr:DescribeRepositories",
    "ecr:GetLifecyclePolicy",
    "ecr:GetRepositoryPolicy",
    "ecr:ListTagsForResource",
    "emr-serverless:GetApplication",
    "emr-serverless:ListTagsForResource",
    "events:DescribeRule",
    "events:ListTagsForResource",
    "events:ListTargetsByRule",
    "firehose:DescribeDeliveryStream",
    "firehose:ListTagsForDeliveryStream",
    "glue:GetDatabase",
    "glue:GetRegistry",
    "glue:GetSchema",
    "glue:GetSchemaVersion",
    "glue:GetTable",
    "glue:GetTags",
    "iam:GetOpenIDConnectProvider",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListPolicyVersions",
    "iam:ListRolePolicies",
    "kinesis:DescribeStreamConsumer",
    "kinesis:DescribeStreamSummary",
    "kinesis:ListTagsForResource",
    "kinesis:ListTagsForStream",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListResourceTags",
    "lakeformation:DescribeResource",
    "lakeformation:ListLakeFormationOptIns",
    "lakeformation:ListPermissions",
    "lambda:GetEventSourceMapping",
    "lambda:GetFunction",
    "lambda:GetFunctionCodeSigningConfig",
    "lambda:GetFunctionConcurrency",
    "lambda:GetPolicy",
    "lambda:ListTags",
    "lambda:ListVersionsByFunction",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:DescribeMetricFilters",
    "logs:ListTagsForResource",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLocation",
    "s3:GetBucketLogging",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "sagemaker:DescribeDomain",
    "sagemaker:DescribeEndpoint",
    "sagemaker:DescribeEndpointConfig",
    "sagemaker:DescribeFeatureGroup",
    "sagemaker:DescribeMlflowTrackingServer",
    "sagemaker:DescribeModel",
    "sagemaker:DescribeModelPackageGroup",
    "sagemaker:DescribeNotebookInstance",
    "sagemaker:DescribePipeline",
    "sagemaker:DescribeSpace",
    "sagemaker:DescribeUserProfile",
    "sagemaker:GetModelPackageGroupPolicy",
    "sagemaker:ListApps",
    "sagemaker:ListDomains",
    "sagemaker:ListEndpoints",
    "sagemaker:ListFeatureGroups",
    "sagemaker:ListMlflowTrackingServers",
    "sagemaker:ListModelPackageGroups",
    "sagemaker:ListModels",
    "sagemaker:ListNotebookInstances",
    "sagemaker:ListPipelines",
    "sagemaker:ListSpaces",
    "sagemaker:ListTags",
    "sagemaker:ListTransformJobs",
    "sagemaker:ListUserProfiles",
    "scheduler:GetSchedule",
    "scheduler:ListTagsForResource",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "sns:GetSubscriptionAttributes",
    "sns:GetTopicAttributes",
    "sns:ListTagsForResource",
    "sqs:GetQueueAttributes",
    "sqs:ListQueueTags",
    "states:DescribeStateMachine",
    "states:ListStateMachineVersions",
    "states:ListTagsForResource",
    "wafv2:GetLoggingConfiguration",
    "wafv2:GetWebACL",
    "wafv2:GetWebACLForResource",
    "wafv2:ListTagsForResource",
)

# Whose tokens a deployment trusts, and what their subject says of a repository's environment.
# https://docs.github.com/en/actions/concepts/security/openid-connect and https://docs.gitlab.com/ci/cloud_services/aws/
OIDC_ISSUERS = {"github": "https://token.actions.githubusercontent.com", "gitlab": "https://gitlab.com"}
OIDC_AUDIENCES = {"github": "sts.amazonaws.com", "gitlab": "https://gitlab.com"}
OIDC_SUBJECTS = {
    "github": "repo:{repository}:environment:{environment}",
    "gitlab": "project_path:{repository}:ref_type:branch:ref:main",
}
