"""What types of AWS cost in a month."""

import math
from collections.abc import Iterator, Mapping

from ml_blueprints.costs.inputs import Inputs, NotPriced, found
from ml_blueprints.costs.items import Item, Rule, each_hour, hourly, kept, one
from ml_blueprints.costs.prices import AWS as PRICE
from ml_blueprints.costs.usage import Usage

# Records that a shard takes in a second. https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
_RECORDS_PER_SHARD = 1000


def _stream(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    if inputs.get("stream_mode_details.stream_mode") == "ON_DEMAND":
        yield hourly(PRICE["kinesis on demand"])
        yield Item(PRICE["kinesis on demand in"], usage.event_gb)
        yield Item(PRICE["kinesis on demand out"], usage.event_gb)
        return
    yield hourly(PRICE["kinesis shard"], inputs.get("shard_count", 1))
    yield Item(PRICE["kinesis put"], usage.events)


def _consumer(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    yield hourly(PRICE["kinesis fan-out shard"], math.ceil(usage.events_per_second / _RECORDS_PER_SHARD))
    yield Item(PRICE["kinesis fan-out data"], usage.event_gb)


def _delivery_stream(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    yield Item(PRICE["firehose"], usage.event_gb)
    if inputs.get("extended_s3_configuration.data_format_conversion_configuration"):
        yield Item(PRICE["firehose format"], usage.event_gb)


def _table(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """The windows of entities: each event reads them and writes them."""
    if inputs.get("billing_mode") != "PAY_PER_REQUEST":
        raise NotPriced("provisioned capacity isn't in the table")
    yield Item(PRICE["dynamodb read"], usage.events)
    yield Item(PRICE["dynamodb write"], usage.events)


def _vpc_endpoint(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """One of an interface in each subnet; those of gateways cost nothing."""
    if inputs.get("vpc_endpoint_type", "Gateway") == "Interface":
        yield hourly(PRICE["interface endpoint"], max(len(inputs.all("subnet_ids")), 1))


def _endpoint_configuration(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    variants = [*inputs.all("production_variants"), *inputs.all("shadow_production_variants")]
    for variant in variants:
        kind = found(variant, "instance_type")
        if kind not in PRICE:
            raise NotPriced(f"no price for {kind}" if kind else "serverless inference is paid by time")
        yield hourly(PRICE[kind], found(variant, "initial_instance_count", 1))


def _bucket(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """The raw zone holds the events; what the others hold is derived, or depends on people."""
    if inputs.get("tags.zone") != "raw":
        raise NotPriced("its size is known to nobody yet")
    yield Item(PRICE["s3"], kept(usage))


def _rest_api(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    yield Item(PRICE["api gateway request"], usage.requests)


def _alarm(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """Each metric that it looks at counts."""
    metrics = [query for query in inputs.all("metric_queries") if found(query, "metric") is not None]
    yield Item(PRICE["alarm"], max(len(metrics), 1))


RULES: Mapping[str, Rule] = {
    "aws:apigateway/restApi:RestApi": _rest_api,
    "aws:cloudwatch/dashboard:Dashboard": one(PRICE["dashboard"]),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:dynamodb/table:Table": _table,
    "aws:ec2/natGateway:NatGateway": each_hour(PRICE["nat gateway"]),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _vpc_endpoint,
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": _delivery_stream,
    "aws:kinesis/stream:Stream": _stream,
    "aws:kinesis/streamConsumer:StreamConsumer": _consumer,
    "aws:kms/key:Key": one(PRICE["key"]),
    "aws:s3/bucket:Bucket": _bucket,
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": _endpoint_configuration,
    "aws:secretsmanager/secret:Secret": one(PRICE["secret"]),
}

# Cost by what people, runs and messages do, which no word of a workload tells; or no source was found.
BY_USE: Mapping[str, str] = {
    "aws:athena/workgroup:Workgroup": "by what queries read",
    "aws:cloudtrail/trail:Trail": "by events of access",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "no source for its month",
    "aws:cloudwatch/logGroup:LogGroup": "by what is logged",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "no source for a metric's month",
    "aws:ec2/flowLog:FlowLog": "by what is logged",
    "aws:ecr/repository:Repository": "by the size of images",
    "aws:emrserverless/application:Application": "by the length of runs",
    "aws:glue/catalogDatabase:CatalogDatabase": "by objects and requests",
    "aws:glue/catalogTable:CatalogTable": "by objects and requests",
    "aws:lambda/eventSourceMapping:EventSourceMapping": "by pollers, where they are provisioned",
    "aws:lambda/function:Function": "by the time that an event takes",
    "aws:sagemaker/featureGroup:FeatureGroup": "no source for its reads and writes",
    "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer": "no source for its size's hour",
    "aws:sagemaker/pipeline:Pipeline": "by the length of runs",
    "aws:sagemaker/space:Space": "by the hours that people work",
    "aws:scheduler/schedule:Schedule": "by invocations",
    "aws:sfn/stateMachine:StateMachine": "by steps that are run",
    "aws:sns/topic:Topic": "by messages",
    "aws:sqs/queue:Queue": "by messages",
    "aws:wafv2/webAcl:WebAcl": "no source for its rules and requests",
}

# Rights, wiring and definitions, for which no bill comes.
FREE: tuple[str, ...] = (
    "aws:apigateway/[adimu]*",
    "aws:apigateway/requestValidator:RequestValidator",
    "aws:apigateway/resource:Resource",
    "aws:apigateway/restApiPolicy:RestApiPolicy",
    "aws:apigateway/stage:Stage",
    "aws:appautoscaling/*",
    "aws:athena/namedQuery:NamedQuery",
    "aws:budgets/budget:Budget",
    "aws:cloudwatch/eventRule:EventRule",
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:cloudwatch/logStream:LogStream",
    "aws:costexplorer/*",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/routeTable*",
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/vpc:Vpc",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy",
    "aws:glue/registry:Registry",
    "aws:glue/schema:Schema",
    "aws:iam/*",
    "aws:kms/alias:Alias",
    "aws:lakeformation/*",
    "aws:lambda/permission:Permission",
    "aws:s3/bucket[A-Z]*",
    "aws:sagemaker/*JobDefinition:*",
    "aws:sagemaker/domain:Domain",
    "aws:sagemaker/endpoint:Endpoint",
    "aws:sagemaker/model:Model",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
    "aws:sagemaker/userProfile:UserProfile",
    "aws:secretsmanager/secretPolicy:SecretPolicy",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sns/topicSubscription:TopicSubscription",
    "aws:sqs/queuePolicy:QueuePolicy",
    "aws:vpc/securityGroup*",
    "aws:wafv2/webAcl[AL]*",
)
