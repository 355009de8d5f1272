"""AWS in the sandbox: account 123456789012, with the ids and ARNs that each service gives.

Formats: the ARN column of the Service Authorization Reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/) and the Import sections of the provider's pages.
"""

import os
import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from sandbox.provider.cloud import Cloud, CloudError, hexadecimal
from sandbox.schema import Failure, ResourceSchema

ACCOUNT = "123456789012"
ZONES = "abc"
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_BUCKET = "aws:s3/bucket:Bucket"
_OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
_LOG_STREAM = "aws:cloudwatch/logStream:LogStream"
_ALIAS = "aws:kms/alias:Alias"
_MODEL = "aws:sagemaker/model:Model"
_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_SCALABLE = "aws:appautoscaling/target:Target"
_REST_API = "aws:apigateway/restApi:RestApi"
_DEPLOYMENT = "aws:apigateway/deployment:Deployment"
_STAGE = "aws:apigateway/stage:Stage"
_METHOD = "aws:apigateway/method:Method"
_INTEGRATION = "aws:apigateway/integration:Integration"
_AUTHORIZER = "aws:apigateway/authorizer:Authorizer"
_VALIDATOR = "aws:apigateway/requestValidator:RequestValidator"
_BODY = "aws:apigateway/model:Model"
_RESOURCE = "aws:apigateway/resource:Resource"
_METHOD_SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
_API_KEY = "aws:apigateway/apiKey:ApiKey"
_PLAN = "aws:apigateway/usagePlan:UsagePlan"
_PLAN_KEY = "aws:apigateway/usagePlanKey:UsagePlanKey"
_OF_AN_API = (_DEPLOYMENT, _STAGE, _METHOD, _INTEGRATION, _AUTHORIZER, _VALIDATOR, _BODY, _RESOURCE, _METHOD_SETTINGS)

# Type to the format of its id and of its ARN. Names in braces are inputs; `{hex}` are 17 digits, `{uuid}` a UUID, and
# `{id}` is the id itself, `{short}` are 10 digits. A type that isn't here has its name as id.
_FORMATS: Mapping[str, tuple[str, str | None]] = {
    _REST_API: ("{short}", "arn:aws:apigateway:{region}::/restapis/{id}"),
    _STAGE: ("ags-{restApi}-{stageName}", "arn:aws:apigateway:{region}::/restapis/{restApi}/stages/{stageName}"),
    _METHOD: ("agm-{restApi}-{resourceId}-{httpMethod}", None),
    _INTEGRATION: ("agi-{restApi}-{resourceId}-{httpMethod}", None),
    _METHOD_SETTINGS: ("{restApi}-{stageName}-{methodPath}", None),
    _DEPLOYMENT: ("{short}", None),
    _RESOURCE: ("{short}", None),
    _AUTHORIZER: ("{short}", "arn:aws:apigateway:{region}::/restapis/{restApi}/authorizers/{id}"),
    _VALIDATOR: ("{short}", None),
    _BODY: ("{short}", None),
    _API_KEY: ("{short}", "arn:aws:apigateway:{region}::/apikeys/{id}"),
    _PLAN: ("{short}", "arn:aws:apigateway:{region}::/usageplans/{id}"),
    _PLAN_KEY: ("{keyId}", None),
    "aws:appautoscaling/policy:Policy": (
        "{name}",
        "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid}"
        ":resource/{serviceNamespace}/{resourceId}:policyName/{name}",
    ),
    _SCALABLE: (
        "{resourceId}",
        "arn:aws:application-autoscaling:{region}:{account}:scalable-target/{hex}",
    ),
    "aws:athena/namedQuery:NamedQuery": ("{uuid}", None),
    "aws:athena/workgroup:Workgroup": ("{name}", "arn:aws:athena:{region}:{account}:workgroup/{name}"),
    "aws:budgets/budget:Budget": ("{account}:{name}", "arn:aws:budgets::{account}:budget/{name}"),
    "aws:cloudtrail/trail:Trail": ("{arn}", "arn:aws:cloudtrail:{region}:{account}:trail/{name}"),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": (
        "{alarmName}",
        "arn:aws:cloudwatch:{region}:{account}:alarm:{alarmName}",
    ),
    "aws:cloudwatch/dashboard:Dashboard": (
        "{dashboardName}",
        "arn:aws:cloudwatch::{account}:dashboard/{dashboardName}",
    ),
    "aws:cloudwatch/eventRule:EventRule": ("{name}", "arn:aws:events:{region}:{account}:rule/{name}"),
    "aws:cloudwatch/eventTarget:EventTarget": ("{rule}-{hex}", None),
    "aws:cloudwatch/logGroup:LogGroup": ("{name}", "arn:aws:logs:{region}:{account}:log-group:{name}"),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": ("{name}", None),
    _LOG_STREAM: ("{name}", "arn:aws:logs:{region}:{account}:log-group:{logGroupName}:log-stream:{name}"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("{name}", "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": ("{arn}", "arn:aws:ce::{account}:anomalymonitor/{uuid}"),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": (
        "{arn}",
        "arn:aws:ce::{account}:anomalysubscription/{uuid}",
    ),
    "aws:dynamodb/table:Table": ("{name}", "arn:aws:dynamodb:{region}:{account}:table/{name}"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": (
        "sg-{hex}",
        "arn:aws:ec2:{region}:{account}:security-group/{id}",
    ),
    "aws:ec2/eip:Eip": ("eipalloc-{hex}", "arn:aws:ec2:{region}:{account}:elastic-ip/{id}"),
    "aws:ec2/flowLog:FlowLog": ("fl-{hex}", "arn:aws:ec2:{region}:{account}:vpc-flow-log/{id}"),
    "aws:ec2/internetGateway:InternetGateway": ("igw-{hex}", "arn:aws:ec2:{region}:{account}:internet-gateway/{id}"),
    "aws:ec2/natGateway:NatGateway": ("nat-{hex}", "arn:aws:ec2:{region}:{account}:natgateway/{id}"),
    "aws:ec2/route:Route": ("r-{routeTableId}{hex}", None),
    "aws:ec2/routeTable:RouteTable": ("rtb-{hex}", "arn:aws:ec2:{region}:{account}:route-table/{id}"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("rtbassoc-{hex}", None),
    "aws:ec2/securityGroup:SecurityGroup": ("sg-{hex}", "arn:aws:ec2:{region}:{account}:security-group/{id}"),
    "aws:ec2/subnet:Subnet": ("subnet-{hex}", "arn:aws:ec2:{region}:{account}:subnet/{id}"),
    "aws:ec2/vpc:Vpc": ("vpc-{hex}", "arn:aws:ec2:{region}:{account}:vpc/{id}"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("vpce-{hex}", "arn:aws:ec2:{region}:{account}:vpc-endpoint/{id}"),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": ("{repository}", None),
    "aws:ecr/repository:Repository": ("{name}", "arn:aws:ecr:{region}:{account}:repository/{name}"),
    "aws:emrserverless/application:Application": (
        "{hex}",
        "arn:aws:emr-serverless:{region}:{account}:/applications/{id}",
    ),
    "aws:glue/catalogDatabase:CatalogDatabase": (
        "{account}:{name}",
        "arn:aws:glue:{region}:{account}:database/{name}",
    ),
    "aws:glue/catalogTable:CatalogTable": (
        "{account}:{databaseName}:{name}",
        "arn:aws:glue:{region}:{account}:table/{databaseName}/{name}",
    ),
    "aws:glue/registry:Registry": ("{arn}", "arn:aws:glue:{region}:{account}:registry/{registryName}"),
    "aws:glue/schema:Schema": ("{arn}", "arn:aws:glue:{region}:{account}:schema/{registry}/{schemaName}"),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": ("{arn}", "arn:aws:iam::{account}:oidc-provider/{host}"),
    "aws:iam/policy:Policy": ("{arn}", "arn:aws:iam::{account}:policy/{name}"),
    "aws:iam/role:Role": ("{name}", "arn:aws:iam::{account}:role/{name}"),
    "aws:iam/rolePolicy:RolePolicy": ("{role}:{name}", None),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": (
        "{arn}",
        "arn:aws:firehose:{region}:{account}:deliverystream/{name}",
    ),
    "aws:kinesis/streamConsumer:StreamConsumer": ("{arn}", "{streamArn}/consumer/{name}:1"),
    "aws:kinesis/stream:Stream": ("{arn}", "arn:aws:kinesis:{region}:{account}:stream/{name}"),
    _ALIAS: ("{name}", "arn:aws:kms:{region}:{account}:{name}"),
    "aws:kms/key:Key": ("{uuid}", "arn:aws:kms:{region}:{account}:key/{id}"),
    "aws:lakeformation/resource:Resource": ("{arn_input}", None),
    "aws:lambda/eventSourceMapping:EventSourceMapping": (
        "{uuid}",
        "arn:aws:lambda:{region}:{account}:event-source-mapping:{id}",
    ),
    "aws:lambda/permission:Permission": ("{hex}", None),
    "aws:lambda/function:Function": ("{name}", "arn:aws:lambda:{region}:{account}:function:{name}"),
    _BUCKET: ("{bucket}", "arn:aws:s3:::{bucket}"),
    _OBJECT: ("{bucket}/{key}", "arn:aws:s3:::{bucket}/{key}"),
    "aws:s3/bucketLogging:BucketLogging": ("{bucket}", None),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("{bucket}", None),
    "aws:s3/bucketPolicy:BucketPolicy": ("{bucket}", None),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("{bucket}", None),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": ("{bucket}", None),
    "aws:s3/bucketVersioning:BucketVersioning": ("{bucket}", None),
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": (
        "{name}",
        "arn:aws:sagemaker:{region}:{account}:data-quality-job-definition/{name}",
    ),
    _ENDPOINT: ("{name}", "arn:aws:sagemaker:{region}:{account}:endpoint/{name}"),
    _CONFIGURATION: (
        "{name}",
        "arn:aws:sagemaker:{region}:{account}:endpoint-config/{name}",
    ),
    "aws:sagemaker/featureGroup:FeatureGroup": (
        "{featureGroupName}",
        "arn:aws:sagemaker:{region}:{account}:feature-group/{featureGroupName}",
    ),
    "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer": (
        "{trackingServerName}",
        "arn:aws:sagemaker:{region}:{account}:mlflow-tracking-server/{trackingServerName}",
    ),
    _MODEL: ("{name}", "arn:aws:sagemaker:{region}:{account}:model/{name}"),
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": (
        "{modelPackageGroupName}",
        "arn:aws:sagemaker:{region}:{account}:model-package-group/{modelPackageGroupName}",
    ),
    "aws:sagemaker/monitoringSchedule:MonitoringSchedule": (
        "{name}",
        "arn:aws:sagemaker:{region}:{account}:monitoring-schedule/{name}",
    ),
    "aws:sagemaker/pipeline:Pipeline": (
        "{pipelineName}",
        "arn:aws:sagemaker:{region}:{account}:pipeline/{pipelineName}",
    ),
    "aws:sagemaker/domain:Domain": ("d-{hex}", "arn:aws:sagemaker:{region}:{account}:domain/{id}"),
    "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy": ("{modelPackageGroupName}", None),
    "aws:sagemaker/space:Space": ("{arn}", "arn:aws:sagemaker:{region}:{account}:space/{domainId}/{spaceName}"),
    "aws:sagemaker/userProfile:UserProfile": (
        "{arn}",
        "arn:aws:sagemaker:{region}:{account}:user-profile/{domainId}/{userProfileName}",
    ),
    "aws:scheduler/schedule:Schedule": (
        "default/{name}",
        "arn:aws:scheduler:{region}:{account}:schedule/default/{name}",
    ),
    "aws:secretsmanager/secret:Secret": ("{arn}", "arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}"),
    "aws:secretsmanager/secretPolicy:SecretPolicy": ("{secretArn}", None),
    "aws:sfn/stateMachine:StateMachine": ("{arn}", "arn:aws:states:{region}:{account}:stateMachine:{name}"),
    "aws:sns/topic:Topic": ("{arn}", "arn:aws:sns:{region}:{account}:{name}"),
    "aws:sns/topicPolicy:TopicPolicy": ("{arn_input}", None),
    "aws:sns/topicSubscription:TopicSubscription": ("{arn}", "{topic}:{uuid}"),
    "aws:sqs/queue:Queue": (
        "https://sqs.{region}.amazonaws.com/{account}/{name}",
        "arn:aws:sqs:{region}:{account}:{name}",
    ),
    "aws:sqs/queuePolicy:QueuePolicy": ("{queueUrl}", None),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "sgr-{hex}",
        "arn:aws:ec2:{region}:{account}:security-group-rule/{id}",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "sgr-{hex}",
        "arn:aws:ec2:{region}:{account}:security-group-rule/{id}",
    ),
    "aws:wafv2/webAcl:WebAcl": ("{uuid}", "arn:aws:wafv2:{region}:{account}:regional/webacl/{name}/{id}"),
    "aws:wafv2/webAclAssociation:WebAclAssociation": ("{webAclArn},{resourceArn}", None),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": ("{resourceArn}", None),
}

# Services whose names are unique in the account, whatever the region; bucket names even beyond it.
_GLOBAL = ("aws:iam/", "aws:s3/", "aws:budgets/")

# Longest names that auto-naming may make. The reference of each service's Create call gives them.
_NAME_LENGTHS = {"aws:s3/": 63, "aws:iam/": 64, "aws:sagemaker/": 63, "aws:lambda/": 64, "aws:sqs/": 80}

_SERVICE_IDS = re.compile(r"(vpc|subnet|sg|rtb|igw|nat|eipalloc|vpce|fl|d)-[0-9a-f]{17}")
_ARN = re.compile(rf"arn:aws:[a-z0-9-]+:[a-z0-9-]*:({ACCOUNT})?:[^*\s]+")
_S3_URI = re.compile(r"s3://([a-z0-9.-]+)(/.*)?")


class Aws(Cloud):
    """AWS: one account in the region that the provider is configured with."""

    package = "aws"
    settings_of_a_parent = frozenset(
        type_
        for type_ in _FORMATS
        if (type_.startswith("aws:s3/bucket") and type_ not in (_BUCKET, _OBJECT))
        or type_ in ("aws:sns/topicPolicy:TopicPolicy", "aws:sqs/queuePolicy:QueuePolicy")
    )
    # https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html; DeleteEndpointConfig warns of the same, and
    # https://docs.aws.amazon.com/sagemaker/latest/dg/gs-studio-delete-domain.html asks for it.
    held_by: ClassVar[Mapping[str, frozenset[str]]] = {
        "aws:ec2/vpc:Vpc": frozenset(
            {
                "aws:ec2/subnet:Subnet",
                "aws:ec2/securityGroup:SecurityGroup",
                "aws:ec2/routeTable:RouteTable",
                "aws:ec2/vpcEndpoint:VpcEndpoint",
            }
        ),
        "aws:ec2/subnet:Subnet": frozenset({"aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/natGateway:NatGateway"}),
        _CONFIGURATION: frozenset({_ENDPOINT}),
        # SageMaker itself lets a model go; the endpoint then finds none for an instance that it adds.
        _MODEL: frozenset({_CONFIGURATION}),
        # https://docs.aws.amazon.com/apigateway/latest/api/API_DeleteDeployment.html and those of the others: a stage
        # keeps its deployment, and what a method names stays.
        _DEPLOYMENT: frozenset({_STAGE}),
        _AUTHORIZER: frozenset({_METHOD}),
        _BODY: frozenset({_METHOD}),
        "aws:sagemaker/domain:Domain": frozenset(
            {"aws:sagemaker/userProfile:UserProfile", "aws:sagemaker/space:Space"}
        ),
    }
    name_references: ClassVar[Mapping[tuple[str, str], str]] = {
        ("aws:appautoscaling/policy:Policy", "resourceId"): _SCALABLE,
        (_LOG_STREAM, "logGroupName"): "aws:cloudwatch/logGroup:LogGroup",
        (_STAGE, "deployment"): _DEPLOYMENT,
        (_METHOD, "authorizerId"): _AUTHORIZER,
        (_METHOD, "requestValidatorId"): _VALIDATOR,
        (_METHOD, "requestModels.application/json"): _BODY,
        (_PLAN, "apiStages[].apiId"): _REST_API,
        (_PLAN_KEY, "keyId"): _API_KEY,
        (_PLAN_KEY, "usagePlanId"): _PLAN,
        ("aws:s3/bucketLogging:BucketLogging", "targetBucket"): _BUCKET,
        ("aws:cloudwatch/eventTarget:EventTarget", "rule"): "aws:cloudwatch/eventRule:EventRule",
        ("aws:glue/catalogTable:CatalogTable", "databaseName"): "aws:glue/catalogDatabase:CatalogDatabase",
        ("aws:iam/rolePolicy:RolePolicy", "role"): "aws:iam/role:Role",
        (_ALIAS, "targetKeyId"): "aws:kms/key:Key",
        (
            "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
            "dataQualityJobInput.endpointInput.endpointName",
        ): _ENDPOINT,
        (
            _ENDPOINT,
            "endpointConfigName",
        ): _CONFIGURATION,
        (
            _ENDPOINT,
            "deploymentConfig.autoRollbackConfiguration.alarms[].alarmName",
        ): "aws:cloudwatch/metricAlarm:MetricAlarm",
        (
            _CONFIGURATION,
            "productionVariants[].modelName",
        ): _MODEL,
        (
            _CONFIGURATION,
            "shadowProductionVariants[].modelName",
        ): _MODEL,
        (
            "aws:sagemaker/monitoringSchedule:MonitoringSchedule",
            "monitoringScheduleConfig.monitoringJobDefinitionName",
        ): "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
        **{(type_, "restApi"): _REST_API for type_ in _OF_AN_API},
    } | {(type_, "bucket"): _BUCKET for type_ in _FORMATS if type_.startswith("aws:s3/bucket") and type_ != _BUCKET}
    # What the provider's pages don't say, and the API has no Update call or parameter for:
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Service.html and EC2's.
    replaced_by: ClassVar[Mapping[str, frozenset[str]]] = {
        "*": frozenset({"region", "namePrefix"}),
        # By these a target and its policies are identified.
        # https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
        _SCALABLE: frozenset({"resourceId", "scalableDimension", "serviceNamespace"}),
        "aws:appautoscaling/policy:Policy": frozenset({"resourceId", "scalableDimension", "serviceNamespace"}),
        # What is part of an API stays so, and its deployment is what it was then.
        # https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
        **{type_: frozenset({"restApi", "resourceId", "httpMethod", "stageName"}) for type_ in _OF_AN_API},
        _DEPLOYMENT: frozenset({"*"}),
        _RESOURCE: frozenset({"restApi"}),
        _API_KEY: frozenset({"value"}),
        _PLAN_KEY: frozenset({"*"}),
        "aws:lambda/permission:Permission": frozenset({"*"}),
        "aws:wafv2/webAcl:WebAcl": frozenset({"scope"}),
        "aws:wafv2/webAclAssociation:WebAclAssociation": frozenset({"*"}),
        "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": frozenset({"resourceArn"}),
        _LOG_STREAM: frozenset({"*"}),
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": frozenset({"vpcId"}),
        "aws:ec2/flowLog:FlowLog": frozenset({"*"}),
        "aws:ec2/routeTable:RouteTable": frozenset({"vpcId"}),
        "aws:ec2/securityGroup:SecurityGroup": frozenset({"vpcId", "description"}),
        "aws:ec2/subnet:Subnet": frozenset({"vpcId", "cidrBlock", "availabilityZone"}),
        "aws:ec2/vpc:Vpc": frozenset({"cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength"}),
        "aws:ec2/vpcEndpoint:VpcEndpoint": frozenset({"vpcId", "serviceName", "vpcEndpointType"}),
        "aws:ecr/repository:Repository": frozenset({"encryptionConfigurations"}),
        "aws:glue/registry:Registry": frozenset({"registryName"}),
        "aws:glue/schema:Schema": frozenset({"registryArn", "schemaName", "dataFormat"}),
        "aws:iam/rolePolicy:RolePolicy": frozenset({"role"}),
        "aws:kms/key:Key": frozenset({"customerMasterKeySpec", "keyUsage", "multiRegion"}),
        "aws:lambda/eventSourceMapping:EventSourceMapping": frozenset({"eventSourceArn", "startingPosition"}),
        "aws:lambda/function:Function": frozenset({"packageType"}),
        "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": frozenset({"*"}),
        _CONFIGURATION: frozenset({"*"}),
        "aws:sagemaker/featureGroup:FeatureGroup": frozenset(
            {
                "featureGroupName",
                "recordIdentifierFeatureName",
                "eventTimeFeatureName",
                "roleArn",
                "offlineStoreConfig",
                "description",
            }
        ),
        "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer": frozenset({"trackingServerName", "roleArn"}),
        _MODEL: frozenset({"*"}),
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup": frozenset(
            {"modelPackageGroupName", "modelPackageGroupDescription"}
        ),
        "aws:sagemaker/pipeline:Pipeline": frozenset({"pipelineName"}),
        "aws:sagemaker/space:Space": frozenset({"domainId", "spaceName", "ownershipSettings", "spaceSharingSettings"}),
        "aws:sagemaker/userProfile:UserProfile": frozenset({"domainId", "userProfileName"}),
        "aws:sagemaker/domain:Domain": frozenset(
            {"domainName", "authMode", "appNetworkAccessType", "kmsKeyId", "subnetIds", "vpcId"}
        ),
        _BUCKET: frozenset({"objectLockEnabled"}),
        "aws:sns/topicSubscription:TopicSubscription": frozenset({"topic", "protocol", "endpoint"}),
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider": frozenset({"url"}),
    }

    @property
    def region(self) -> str:
        """The region of the provider's configuration, or of the variables that the AWS provider reads."""
        return self.configuration.get("region") or next(filter(None, map(os.environ.get, _REGION_VARIABLES)), "")

    def check_configuration(self, configuration: Mapping[str, Any]) -> list[Failure]:
        if configuration.get("region") or any(map(os.environ.get, _REGION_VARIABLES)):
            return []
        return [Failure("region", "missing region; set it with `pulumi config set aws:region ...`")]

    def name_property(self, resource: ResourceSchema) -> str | None:
        name = "bucket" if resource.token == _BUCKET else "name"
        known = resource.inputs.get(name)
        return name if known is not None and known.type.kind == "string" and not known.required else None

    def generated_name(self, resource: ResourceSchema, logical: str, random: str) -> str:
        limit = next((length for prefix, length in _NAME_LENGTHS.items() if resource.token.startswith(prefix)), 255)
        if resource.token.startswith("aws:s3/"):
            logical = logical.lower()
        name = f"{logical}-{random[:7]}"
        if len(name) > limit:
            raise CloudError(
                f"the name `{name}` that would be generated has {len(name)} characters; {resource.token} takes {limit}"
            )
        return name if resource.token != _ALIAS else f"alias/{name}"

    def scope(self, resource: ResourceSchema, properties: Mapping[str, Any]) -> str:
        """Names are unique in a region, of some services in the account, and those of log streams in their group."""
        if resource.token == _LOG_STREAM:
            return str(properties.get("logGroupName", ""))
        return "" if resource.token.startswith(_GLOBAL) else properties.get("region", self.region)

    def identify(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> str:
        format_ = _FORMATS.get(resource.token, ("{name}" if "name" in inputs else "{uuid}", None))[0]
        seed = str(uuid.uuid4())
        values = self._values(inputs, seed)
        values["arn"] = self._arn(resource, inputs, seed)
        return format_.format_map(values)

    def known_outputs(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> dict[str, Any]:
        known: dict[str, Any] = {}
        if "arn" in resource.outputs:
            is_arn = _FORMATS.get(resource.token, ("", None))[0] == "{arn}"
            known["arn"] = id_ if is_arn else inputs.get("arn") or self._arn(resource, inputs, id_)
        tags = (self.configuration.get("defaultTags") or {}).get("tags", {}) | inputs.get("tags", {})
        values = self._values(inputs, id_)
        values["arn"] = known.get("arn", "")
        candidates = {
            "tagsAll": tags,
            "region": inputs.get("region", self.region),
            "accountId": ACCOUNT,
            "ownerId": ACCOUNT,
            "registryId": ACCOUNT,
            "catalogId": ACCOUNT,
            "keyId": id_,
            "url": id_ if id_.startswith("https://sqs.") else None,
            "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{self.region}.amazonaws.com/{inputs.get('name')}",
            "bucketRegion": inputs.get("region", self.region),
            "bucketDomainName": f"{id_}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{id_}.s3.{self.region}.amazonaws.com",
            "prefixListId": f"pl-{hexadecimal(id_, 8)}",
            "invokeArn": "arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations",
            "qualifiedArn": "{arn}:$LATEST",
            "uniqueId": "AROA" + hexadecimal(id_, 17).upper(),
            "trackingServerUrl": "https://{hex}.experiments.sagemaker.{region}.app",
            "executionArn": "arn:aws:execute-api:{region}:{account}:{id}",
            "invokeUrl": "https://{restApi}.execute-api.{region}.amazonaws.com/{stageName}",
            "registryName": str(inputs.get("registryArn", "")).rpartition("/")[2] or inputs.get("registryName"),
        }
        for name, value in candidates.items():
            if name in resource.outputs and name not in inputs and value is not None:
                known[name] = value.format_map(values) if isinstance(value, str) else value
        return known

    def identifiers(self, id_: str, outputs: Mapping[str, Any]) -> set[str]:
        found = {id_, outputs.get("arn", id_)}
        # Ids of some services are longer than the name by which others refer to them.
        return found | {
            outputs[name]
            for name in ("name", "keyId", "url", "bucket", "executionArn")
            if isinstance(outputs.get(name), str)
        }

    def check_references(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> list[str]:
        used = super().check_references(resource, inputs)
        match resource.token:
            case "aws:sagemaker/endpointConfiguration:EndpointConfiguration":
                self._check_configuration(inputs)
            case "aws:sagemaker/endpoint:Endpoint":
                self._check_move(inputs)
            case "aws:apigateway/deployment:Deployment":
                self._check_deployment(inputs)
        return used

    def _check_configuration(self, inputs: Mapping[str, Any]) -> None:
        """What SageMaker's kinds of inference exclude.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html,
        https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html and, beside the latter,
        shadow-tests-exclusions.html.
        """
        live, shadows = inputs["productionVariants"], inputs.get("shadowProductionVariants") or []
        if shadows and (len(live) > 1 or len(shadows) > 1):
            raise CloudError("shadowProductionVariants: one variant is shadowed by one; there may be no other")
        if shadows and inputs.get("asyncInferenceConfig"):
            raise CloudError("shadowProductionVariants: asynchronous inference takes no shadow")
        serverless = [variant for variant in live if variant.get("serverlessConfig")]
        if not serverless:
            return
        if shadows or len(live) > 1:
            raise CloudError("productionVariants: a serverless variant is the only one")
        for part in ("dataCaptureConfig", "asyncInferenceConfig"):
            if inputs.get(part):
                raise CloudError(f"{part}: a serverless variant takes none")
        for model in self.store.find(_MODEL):
            if model.outputs["name"] == serverless[0].get("modelName"):
                container = model.inputs.get("primaryContainer") or {}
                for part, found in (
                    ("vpcConfig", model.inputs.get("vpcConfig")),
                    ("enableNetworkIsolation", model.inputs.get("enableNetworkIsolation")),
                    ("primaryContainer.modelDataSource", container.get("modelDataSource")),
                ):
                    if found:
                        raise CloudError(f"productionVariants[0].modelName: a serverless variant's model has no {part}")

    def _check_move(self, inputs: Mapping[str, Any]) -> None:
        """What SageMaker refuses when an endpoint moves to another configuration.

        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html and
        https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html
        """
        name = inputs.get("name", "")
        endpoint = self.store.get((_ENDPOINT, inputs.get("region", self.region), name))
        if endpoint is None or endpoint.inputs["endpointConfigName"] == inputs["endpointConfigName"]:
            return
        before, after = (self._variants(of["endpointConfigName"]) for of in (endpoint.inputs, inputs))
        scaling = {target.inputs.get("resourceId") for target in self.store.find(_SCALABLE)}
        for variant, instances in before.items():
            if f"endpoint/{name}/variant/{variant}" in scaling and after.get(variant) != instances:
                raise CloudError(
                    f"endpointConfigName: variant `{variant}` must be deregistered as a scalable target before it can "
                    "be removed or have its instance type changed"
                )
        if (inputs.get("deploymentConfig") or {}).get("blueGreenUpdatePolicy") and before.keys() != after.keys():
            raise CloudError(
                f"endpointConfigName: a blue/green deployment keeps the variants {', '.join(before)}; "
                f"the new configuration has {', '.join(after)}"
            )

    def _variants(self, configuration: str) -> dict[str, str]:
        """The variants of a configuration by name, with their types of instance."""
        for found in self.store.find(_CONFIGURATION):
            if found.outputs["name"] == configuration:
                parts = (found.inputs.get(part) or [] for part in ("productionVariants", "shadowProductionVariants"))
                return {
                    variant.get("variantName", f"variant-{place}"): variant.get("instanceType", "serverless")
                    for place, variant in enumerate(variant for part in parts for variant in part)
                }
        return {}

    def _check_deployment(self, inputs: Mapping[str, Any]) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html"""
        places = {
            kind: {
                (one.inputs["resourceId"], one.inputs["httpMethod"])
                for one in self.store.find(kind)
                if one.inputs["restApi"] == inputs["restApi"]
            }
            for kind in (_METHOD, _INTEGRATION)
        }
        if not places[_METHOD]:
            raise CloudError("restApi: it has no methods, so there is nothing to deploy")
        if places[_METHOD] - places[_INTEGRATION]:
            raise CloudError("restApi: a method has no integration")

    def is_reference(self, text: str) -> bool:
        return bool(_SERVICE_IDS.fullmatch(text) or _S3_URI.fullmatch(text) or self._is_own_arn(text))

    def normal(self, identifier: str) -> str:
        bucket = _S3_URI.fullmatch(identifier)
        if ":execute-api:" in identifier:
            return identifier.partition("/")[0]
        # Streams of a group's logs, and objects of a bucket, by how their names begin.
        return bucket[1] if bucket else identifier.removesuffix(":*").removesuffix("/")

    def _is_own_arn(self, text: str) -> bool:
        """ARNs of this account's things, which S3's don't name; the account's root and issuers exist by themselves."""
        match = _ARN.fullmatch(text.removesuffix(":*"))
        if match is None or text.endswith(":root") or ":oidc-provider/" in text:
            return False
        return match[1] is not None or text.startswith("arn:aws:s3:::")

    def _arn(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> str:
        service, _, kind = resource.token.split(":")[1].partition("/")
        fallback = f"arn:aws:{service}:{{region}}:{{account}}:{kind}/{{name}}"
        format_ = _FORMATS.get(resource.token, ("", fallback))[1]
        if format_ is None:
            return ""
        return format_.format_map(self._values(inputs, id_))

    def _values(self, inputs: Mapping[str, Any], id_: str) -> "_Values":
        """What the braces of a format stand for; random parts follow from the id, so that they stay as they are."""
        values = {key: value for key, value in inputs.items() if isinstance(value, str)}
        return _Values(
            values,
            region=values.get("region", self.region),
            account=ACCOUNT,
            id=id_,
            hex=hexadecimal(id_, 17),
            short=hexadecimal(id_, 10),
            # Secrets Manager ends its ARNs with six characters, so that a secret that is made anew is another one.
            suffix=hexadecimal(id_, 6),
            uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, id_)),
            registry=values.get("registryArn", "").rpartition("/")[2] or "default-registry",
            host=values.get("url", "").removeprefix("https://"),
            arn_input=values.get("arn", ""),
        )

    def call(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        region = arguments.get("region", self.region)
        match token:
            case "aws:index/getCallerIdentity:getCallerIdentity":
                return {
                    "accountId": ACCOUNT,
                    "arn": f"arn:aws:iam::{ACCOUNT}:user/sandbox",
                    "id": ACCOUNT,
                    "userId": "AIDASANDBOX",
                }
            case "aws:index/getRegion:getRegion":
                return {
                    "id": region,
                    "name": region,
                    "region": region,
                    "description": region,
                    "endpoint": f"ec2.{region}.amazonaws.com",
                }
            case "aws:index/getPartition:getPartition":
                return {
                    "id": "aws",
                    "partition": "aws",
                    "dnsSuffix": "amazonaws.com",
                    "reverseDnsPrefix": "com.amazonaws",
                }
            case "aws:index/getAvailabilityZones:getAvailabilityZones":
                names = [f"{region}{zone}" for zone in ZONES]
                ids = [f"{region.replace('-', '')}-az{index + 1}" for index in range(len(ZONES))]
                return {
                    "id": region,
                    "names": names,
                    "zoneIds": ids,
                    "groupNames": [region],
                    "region": region,
                    **arguments,
                }
            case "aws:sagemaker/getPrebuiltEcrImage:getPrebuiltEcrImage":
                # The account that owns the image differs by region and repository; any will do where none is pulled.
                repository, tag = arguments["repositoryName"], arguments.get("imageTag", "")
                path = f"763104351884.dkr.ecr.{region}.amazonaws.com/{repository}{':' + tag if tag else ''}"
                return {
                    "id": "763104351884",
                    "registryId": "763104351884",
                    "registryPath": path,
                    "region": region,
                    **arguments,
                }
        return self._look_up(token, arguments)

    def _look_up(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A data source that finds one existing resource by some of its properties."""
        type_ = re.sub(r"/get(\w)(\w*):get(\w+)$", lambda m: f"/{m[1].lower()}{m[2]}:{m[3]}", token)
        if type_ not in self.schema.tokens:
            raise CloudError(f"the sandbox has no function {token}")
        for record in self.store.find(type_):
            if all(record.outputs.get(name, record.id) == value for name, value in arguments.items()):
                return {"id": record.id, **record.outputs}
        raise CloudError(f"{token}: there is no {type_} with {dict(arguments)}")


class _Values(dict[str, str]):
    """Values of a format; an input that isn't given reads as its name, as it would in no real identifier."""

    def __missing__(self, key: str) -> str:
        return key
