"""What a platform must be able to do, what realises it on each cloud, and the record of what a stack really has.

A capability is asked for by an architecture or by a workload. Each layer registers the resources that realise it, and
`Register.missing` names what was asked for and has no resource: equivalence is computed from the stacks, not claimed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pulumi

from ml_blueprints.workload import ArchitectureKind, Inference, Mode, Placement, Role, Workload


class Layer(StrEnum):
    """The layers of a platform, in the order in which they are built."""

    FOUNDATION = "foundation"
    DATA = "data"
    FEATURES = "features"
    DEVELOPMENT = "development"
    SERVING = "serving"
    MONITORING = "monitoring"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that a platform can do.

    `aws`, `gcp` and `azure` are the type tokens of the resources that realise it there; a layer that registers anything
    else is refused. `note` says where a cloud has no counterpart of its own and what fills the gap. `elsewhere` is, by
    cloud, the layer that makes these resources where that isn't `layer`.
    """

    id: str
    layer: Layer
    sentence: str
    aws: tuple[str, ...]
    gcp: tuple[str, ...]
    azure: tuple[str, ...]
    note: str = ""
    elsewhere: Mapping[str, Layer] = field(default_factory=dict)

    def made_in(self, cloud: str) -> Layer:
        """The layer that makes the resources that realise this capability on one cloud."""
        return self.elsewhere.get(cloud, self.layer)

    def realised_by(self, cloud: str) -> tuple[str, ...]:
        """The resource types that realise this capability on one cloud."""
        return {"aws": self.aws, "gcp": self.gcp, "azure": self.azure}[cloud]


_FOUNDATION = (
    Capability(
        "private-network",
        Layer.FOUNDATION,
        "Everything runs in a private network over at least two zones.",
        aws=("aws:ec2/subnet:Subnet",),
        gcp=("gcp:compute/subnetwork:Subnetwork",),
        azure=("azure-native:network:Subnet",),
        note="Subnets are regional on Google Cloud and Azure: one of them spans all zones of its region.",
    ),
    Capability(
        "private-service-access",
        Layer.FOUNDATION,
        "The cloud's own services are reached without the internet.",
        aws=("aws:ec2/vpcEndpoint:VpcEndpoint",),
        gcp=("gcp:compute/globalForwardingRule:GlobalForwardingRule",),
        azure=("azure-native:network:PrivateEndpoint",),
    ),
    Capability(
        "flow-logs",
        Layer.FOUNDATION,
        "Network traffic is logged.",
        aws=("aws:ec2/flowLog:FlowLog",),
        gcp=("gcp:compute/subnetwork:Subnetwork",),
        azure=("azure-native:network:FlowLog",),
    ),
    Capability(
        "customer-managed-key",
        Layer.FOUNDATION,
        "Data at rest is encrypted with a key of the customer, which rotates.",
        aws=("aws:kms/key:Key",),
        gcp=("gcp:kms/cryptoKey:CryptoKey",),
        azure=("azure-native:keyvault:Key",),
    ),
    Capability(
        "identity-per-purpose",
        Layer.FOUNDATION,
        "Each purpose has an identity of its own, with no more rights than it needs.",
        aws=("aws:iam/role:Role",),
        gcp=("gcp:serviceaccount/account:Account",),
        azure=("azure-native:managedidentity:UserAssignedIdentity",),
    ),
    Capability(
        "central-logs",
        Layer.FOUNDATION,
        "Logs are kept in one place, encrypted, for a stated time.",
        aws=("aws:cloudwatch/logGroup:LogGroup",),
        gcp=("gcp:logging/projectBucketConfig:ProjectBucketConfig",),
        azure=("azure-native:operationalinsights:Workspace",),
    ),
)

_DATA = (
    Capability(
        "data-lake",
        Layer.DATA,
        "Raw, curated and feature data lie in separate zones, versioned and not public.",
        aws=("aws:s3/bucket:Bucket",),
        gcp=("gcp:storage/bucket:Bucket",),
        azure=("azure-native:storage:BlobContainer",),
    ),
    Capability(
        "data-catalog",
        Layer.DATA,
        "Data sets are found by name, with their schema.",
        aws=("aws:glue/catalogTable:CatalogTable",),
        gcp=("gcp:bigquery/table:Table",),
        azure=("azure-native:machinelearningservices:DataContainer",),
        note="On Azure the workspace's data assets are the catalog; the schema itself is in the schema registry.",
    ),
    Capability(
        "schema-registry",
        Layer.DATA,
        "The contract of the data is published where producers and consumers look.",
        aws=("aws:glue/schema:Schema",),
        gcp=("gcp:pubsub/schema:Schema",),
        azure=("azure-native:eventhub:SchemaRegistry",),
        note="Azure's management plane has schema groups; pipelines publish their schemas through the data plane.",
    ),
    Capability(
        "stream-ingest",
        Layer.DATA,
        "Events are taken in as they happen.",
        aws=("aws:kinesis/stream:Stream",),
        gcp=("gcp:pubsub/topic:Topic",),
        azure=("azure-native:eventhub:EventHub",),
    ),
    Capability(
        "stream-archive",
        Layer.DATA,
        "Every event is kept in the lake, with the order of its arrival.",
        aws=("aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream",),
        gcp=("gcp:pubsub/subscription:Subscription",),
        azure=("azure-native:eventhub:EventHub",),
        elsewhere={"aws": Layer.SERVING},
        note="Parquet files on AWS, where the serving layer makes it, since a function of the platform's image decodes "
        "the events; a table of BigQuery on Google Cloud. Event Hubs captures Avro files, which the feature job reads.",
    ),
    Capability(
        "dead-letters",
        Layer.DATA,
        "Events that can't be used are kept with their reason.",
        aws=("aws:sqs/queue:Queue",),
        gcp=("gcp:pubsub/topic:Topic",),
        azure=("azure-native:eventhub:EventHub",),
    ),
)

_FEATURES = (
    Capability(
        "feature-engineering",
        Layer.FEATURES,
        "Spark computes the features from the lake on a schedule, without servers that wait.",
        aws=("aws:scheduler/schedule:Schedule",),
        gcp=("gcp:cloudscheduler/job:Job",),
        azure=("azure-native:machinelearningservices:Schedule",),
    ),
    Capability(
        "window-state",
        Layer.FEATURES,
        "The windows of each entity outlive the processor of events.",
        aws=("aws:dynamodb/table:Table",),
        gcp=("gcp:bigtable/table:Table",),
        azure=("azure-native:redisenterprise:Database",),
    ),
    Capability(
        "offline-features",
        Layer.FEATURES,
        "Features are kept with their history, for training.",
        aws=("aws:sagemaker/featureGroup:FeatureGroup",),
        gcp=("gcp:vertex/aiFeatureGroup:AiFeatureGroup",),
        azure=("azure-native:machinelearningservices:FeaturestoreEntityVersion",),
    ),
    Capability(
        "online-features",
        Layer.FEATURES,
        "The latest features of an entity are read in milliseconds.",
        aws=("aws:sagemaker/featureGroup:FeatureGroup",),
        gcp=("gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview",),
        azure=("azure-native:redisenterprise:Database",),
    ),
)

_DEVELOPMENT = (
    Capability(
        "model-registry",
        Layer.DEVELOPMENT,
        "Each model has a place where its versions are registered.",
        aws=("aws:sagemaker/modelPackageGroup:ModelPackageGroup",),
        gcp=("gcp:artifactregistry/repository:Repository",),
        azure=("azure-native:machinelearningservices:ModelContainer",),
        note="pulumi-gcp has no resource for Vertex AI's model registry; a repository holds the signed versions.",
    ),
    Capability(
        "image-registry",
        Layer.DEVELOPMENT,
        "Images have immutable tags and are encrypted with the customer's key.",
        aws=("aws:ecr/repository:Repository",),
        gcp=("gcp:artifactregistry/repository:Repository",),
        azure=("azure-native:containerregistry:Registry",),
        elsewhere={"azure": Layer.DATA},
        note="A workspace of Azure Machine Learning takes its registry when it is made, in the data layer.",
    ),
    Capability(
        "experiment-tracking",
        Layer.DEVELOPMENT,
        "Runs are recorded with their parameters and metrics.",
        aws=("aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer",),
        gcp=("gcp:vertex/aiTensorboard:AiTensorboard",),
        azure=("azure-native:machinelearningservices:Workspace",),
        elsewhere={"azure": Layer.DATA},
        note="A workspace of Azure Machine Learning tracks its runs itself; its data assets are the catalog, so that "
        "the data layer makes it.",
    ),
    Capability(
        "training-pipeline",
        Layer.DEVELOPMENT,
        "Training is started by name, in the private network, under an identity of its own.",
        aws=("aws:sagemaker/pipeline:Pipeline",),
        gcp=("gcp:workflows/workflow:Workflow",),
        azure=("azure-native:machinelearningservices:ComponentVersion",),
    ),
    Capability(
        "retraining-pipeline",
        Layer.DEVELOPMENT,
        "The model in use is trained again on newer data, and what comes out is held against it.",
        aws=("aws:sagemaker/pipeline:Pipeline",),
        gcp=("gcp:workflows/workflow:Workflow",),
        azure=("azure-native:machinelearningservices:ComponentVersion",),
    ),
    Capability(
        "model-signing",
        Layer.DEVELOPMENT,
        "The key that signs models is kept where training alone reads it.",
        aws=("aws:secretsmanager/secret:Secret",),
        gcp=("gcp:secretmanager/secret:Secret",),
        azure=("azure-native:keyvault:Vault",),
        note="Whoever owns the key puts it there; no stack and no state ever holds it.",
    ),
    Capability(
        "workbench",
        Layer.DEVELOPMENT,
        "People explore data in notebooks in the private network, under an identity that can't change it.",
        aws=("aws:sagemaker/domain:Domain",),
        gcp=("gcp:colab/runtimeTemplate:RuntimeTemplate", "gcp:workbench/instance:Instance"),
        azure=("azure-native:machinelearningservices:Compute",),
    ),
)

# A resource of Vertex AI that pulumi-gcp has no type for (ml_blueprints.dynamic.vertex_ai).
VERTEX_DEPLOYMENT = "pulumi-python:dynamic/ml_blueprints:VertexDeployment"

_SERVING = (
    Capability(
        "real-time-scoring",
        Layer.SERVING,
        "A request is answered with a prediction.",
        aws=("aws:sagemaker/endpoint:Endpoint",),
        gcp=(VERTEX_DEPLOYMENT, "gcp:cloudrunv2/service:Service"),
        azure=("azure-native:machinelearningservices:OnlineDeployment", "azure-native:app:ContainerApp"),
        note="pulumi-gcp can't deploy one's own model to a Vertex endpoint; a dynamic resource of ours does. "
        "What is serverless runs the same container on Cloud Run and on Container Apps.",
    ),
    Capability(
        "asynchronous-scoring",
        Layer.SERVING,
        "A request is taken into a queue, and its prediction is put where it is asked for.",
        aws=("aws:sagemaker/endpointConfiguration:EndpointConfiguration",),
        gcp=("gcp:cloudtasks/queue:Queue",),
        azure=("azure-native:machinelearningservices:BatchDeployment",),
        note="Azure Machine Learning's batch endpoints are its asynchronous ones.",
    ),
    Capability(
        "router",
        Layer.SERVING,
        "A service reads an entity's features and asks the platform's endpoint.",
        aws=("aws:lambda/function:Function",),
        gcp=("gcp:cloudrunv2/service:Service",),
        azure=("azure-native:app:ContainerApp",),
        note="What is serverless on Google Cloud and Azure is router and model in one.",
    ),
    Capability(
        "api",
        Layer.SERVING,
        "Tenants come in by one door, which checks their tokens and what they ask against the contract.",
        aws=("aws:apigateway/restApi:RestApi",),
        gcp=("gcp:apigateway/gateway:Gateway",),
        azure=("azure-native:apimanagement:Api",),
    ),
    Capability(
        "tenant-quotas",
        Layer.SERVING,
        "Each tenant is held to a rate and a quota of its own.",
        aws=("aws:apigateway/usagePlan:UsagePlan",),
        gcp=("gcp:apigateway/apiConfig:ApiConfig",),
        azure=("azure-native:apimanagement:ApiPolicy",),
        note="Products of API Management count by keys of subscriptions; the API's policy counts by verified tokens. "
        "Google's gateway holds all tenants together; the router holds each one, an instance for itself.",
    ),
    Capability(
        "dedicated-placement",
        Layer.SERVING,
        "A tenant that shares no instances has some of its own.",
        aws=("aws:sagemaker/endpoint:Endpoint",),
        gcp=("gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool", VERTEX_DEPLOYMENT),
        azure=("azure-native:machinelearningservices:OnlineDeployment",),
    ),
    Capability(
        "feature-updates",
        Layer.SERVING,
        "Events update the online features of their entity as they arrive.",
        aws=("aws:lambda/eventSourceMapping:EventSourceMapping",),
        gcp=("gcp:pubsub/subscription:Subscription",),
        azure=("azure-native:app:ContainerApp",),
    ),
    Capability(
        "decision-stream",
        Layer.SERVING,
        "The decisions on events are published for those who act on them.",
        aws=("aws:kinesis/stream:Stream",),
        gcp=("gcp:pubsub/topic:Topic",),
        azure=("azure-native:eventhub:EventHub",),
    ),
    Capability(
        "stream-scoring",
        Layer.SERVING,
        "Events are processed and scored as they arrive.",
        aws=("aws:lambda/eventSourceMapping:EventSourceMapping",),
        gcp=("gcp:pubsub/subscription:Subscription",),
        azure=("azure-native:app:ContainerApp",),
    ),
    Capability(
        "batch-scoring",
        Layer.SERVING,
        "A whole population is scored on a schedule.",
        aws=("aws:scheduler/schedule:Schedule",),
        gcp=("gcp:cloudscheduler/job:Job",),
        azure=("azure-native:machinelearningservices:BatchDeployment",),
    ),
    Capability(
        "autoscaling",
        Layer.SERVING,
        "Capacity follows the load between stated bounds.",
        aws=("aws:appautoscaling/policy:Policy", "aws:sagemaker/endpointConfiguration:EndpointConfiguration"),
        gcp=(VERTEX_DEPLOYMENT, "gcp:cloudrunv2/service:Service"),
        azure=(
            "azure-native:monitor:AutoscaleSetting",
            "azure-native:app:ContainerApp",
            "azure-native:machinelearningservices:Compute",
        ),
    ),
    Capability(
        "canary",
        Layer.SERVING,
        "A new version takes a stated share of the requests.",
        aws=("aws:sagemaker/endpointConfiguration:EndpointConfiguration",),
        gcp=(VERTEX_DEPLOYMENT,),
        azure=("azure-native:resources:Deployment",),
        note="On Azure a template writes the endpoint's shares once its deployments exist.",
    ),
    Capability(
        "automatic-rollback",
        Layer.SERVING,
        "A canary that fails loses its share of the requests without anybody doing anything.",
        aws=("aws:sagemaker/endpoint:Endpoint", "aws:sfn/stateMachine:StateMachine"),
        gcp=("gcp:workflows/workflow:Workflow",),
        azure=("azure-native:logic:Workflow",),
        note="An alert starts a workflow that gives the champion all requests; SageMaker besides goes back to the "
        "configuration before when alarms fire during a rollout.",
    ),
    Capability(
        "shadow",
        Layer.SERVING,
        "A version sees copies of the requests and answers nobody.",
        aws=("aws:sagemaker/endpointConfiguration:EndpointConfiguration",),
        gcp=(VERTEX_DEPLOYMENT,),
        azure=("azure-native:resources:Deployment",),
        note="On Vertex AI the champion's container makes the copies and scores them itself. "
        "On Azure a template writes the endpoint's mirror once its deployments exist.",
    ),
    Capability(
        "ensemble",
        Layer.SERVING,
        "Several models answer as one, from one container.",
        aws=("aws:sagemaker/model:Model",),
        gcp=(VERTEX_DEPLOYMENT, "gcp:cloudrunv2/service:Service"),
        azure=("azure-native:machinelearningservices:OnlineDeployment", "azure-native:app:ContainerApp"),
    ),
)

_MONITORING = (
    Capability(
        "alerts",
        Layer.MONITORING,
        "The owner is told.",
        aws=("aws:sns/topicSubscription:TopicSubscription",),
        gcp=("gcp:monitoring/notificationChannel:NotificationChannel",),
        azure=("azure-native:monitor:ActionGroup",),
    ),
    Capability(
        "alarms",
        Layer.MONITORING,
        "Errors and latency beyond the objective raise an alarm.",
        aws=("aws:cloudwatch/metricAlarm:MetricAlarm",),
        gcp=("gcp:monitoring/alertPolicy:AlertPolicy",),
        azure=("azure-native:monitor:MetricAlert", "azure-native:monitor:ScheduledQueryRule"),
    ),
    Capability(
        "drift-detection",
        Layer.MONITORING,
        "Data that was scored is compared with data that was trained on, on a schedule.",
        aws=("aws:scheduler/schedule:Schedule",),
        gcp=("gcp:cloudscheduler/job:Job",),
        azure=("azure-native:machinelearningservices:Schedule",),
    ),
    Capability(
        "silence",
        Layer.MONITORING,
        "A monitor that stops reporting raises an alarm.",
        aws=("aws:cloudwatch/metricAlarm:MetricAlarm",),
        gcp=("gcp:monitoring/alertPolicy:AlertPolicy",),
        azure=("azure-native:monitor:ScheduledQueryRule",),
    ),
    Capability(
        "model-quality",
        Layer.MONITORING,
        "Outcomes that come late are joined with what was predicted, and performance is compared with the baseline's.",
        aws=("aws:scheduler/schedule:Schedule",),
        gcp=("gcp:cloudscheduler/job:Job",),
        azure=("azure-native:machinelearningservices:Schedule",),
    ),
    Capability(
        "usage",
        Layer.MONITORING,
        "Who asked which version of a model, how much and at what cost, is a table that can be queried.",
        aws=("aws:glue/catalogTable:CatalogTable",),
        gcp=("gcp:bigquery/table:Table",),
        azure=("azure-native:machinelearningservices:DataContainer",),
    ),
    Capability(
        "error-budget",
        Layer.MONITORING,
        "Errors that use up the objective's budget too quickly, over a short and a long time, raise an alarm.",
        aws=("aws:cloudwatch/compositeAlarm:CompositeAlarm",),
        gcp=("gcp:monitoring/slo:Slo",),
        azure=("azure-native:monitor:ScheduledQueryRule",),
    ),
    Capability(
        "dashboard",
        Layer.MONITORING,
        "Requests, errors, latency, waiting events, runs and drift are seen on one page.",
        aws=("aws:cloudwatch/dashboard:Dashboard",),
        gcp=("gcp:monitoring/dashboard:Dashboard",),
        azure=("azure-native:applicationinsights:Workbook",),
    ),
    Capability(
        "audit-trail",
        Layer.MONITORING,
        "Who read or wrote models and features is recorded.",
        aws=("aws:cloudtrail/trail:Trail",),
        gcp=("gcp:projects/iAMAuditConfig:IAMAuditConfig",),
        azure=("azure-native:monitor:DiagnosticSetting",),
        elsewhere={"azure": Layer.DATA},
        note="Logs of a resource of Azure have one way to a place: the data layer, which makes the lake and the "
        "registry of models, makes that, too.",
    ),
    Capability(
        "retraining-trigger",
        Layer.MONITORING,
        "Drift or a schedule starts the training pipeline.",
        aws=("aws:cloudwatch/eventRule:EventRule", "aws:scheduler/schedule:Schedule"),
        gcp=("gcp:eventarc/trigger:Trigger", "gcp:cloudscheduler/job:Job"),
        azure=("azure-native:logic:Workflow", "azure-native:machinelearningservices:Schedule"),
    ),
    Capability(
        "budget",
        Layer.MONITORING,
        "Spending beyond the budget is reported before the month ends.",
        aws=("aws:budgets/budget:Budget",),
        gcp=("gcp:billing/budget:Budget",),
        azure=("azure-native:consumption:Budget",),
    ),
)

_DELIVERY = (
    Capability(
        "federated-deployment",
        Layer.DELIVERY,
        "Workflows of one repository deploy without a long-lived key.",
        aws=("aws:iam/role:Role",),
        gcp=("gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",),
        azure=("azure-native:managedidentity:FederatedIdentityCredential",),
    ),
    Capability(
        "stack-deployment",
        Layer.DELIVERY,
        "What deploys may bring the whole stack up, nothing beside it, and can't widen its own rights.",
        aws=("aws:iam/policy:Policy",),
        gcp=("gcp:projects/iAMCustomRole:IAMCustomRole",),
        azure=("azure-native:authorization:RoleDefinition",),
    ),
    Capability(
        "state-backend",
        Layer.DELIVERY,
        "The state of stacks is kept in a versioned store, and its secrets under a key, of the cloud's own.",
        aws=("aws:s3/bucket:Bucket",),
        gcp=("gcp:storage/bucket:Bucket",),
        azure=("azure-native:storage:BlobContainer",),
    ),
)

CAPABILITIES: Mapping[str, Capability] = {
    capability.id: capability
    for capability in (*_FOUNDATION, *_DATA, *_FEATURES, *_DEVELOPMENT, *_SERVING, *_MONITORING, *_DELIVERY)
}


def asked_by(architecture: ArchitectureKind, workload: Workload) -> frozenset[str]:
    """The ids of the capabilities that a platform of this architecture needs for this workload."""
    asked = set(CAPABILITIES)
    serving = workload.serving
    if architecture is ArchitectureKind.BATCH:
        asked -= {
            "stream-ingest",
            "stream-archive",
            "dead-letters",
            "online-features",
            "window-state",
            "feature-updates",
            "real-time-scoring",
            "stream-scoring",
            "decision-stream",
            "autoscaling",
            "error-budget",
        }
    if architecture is ArchitectureKind.STREAMING:
        asked -= {"batch-scoring"}
    if architecture is ArchitectureKind.HYBRID:
        asked -= {"stream-scoring", "decision-stream"}
    if serving.mode is not Mode.REAL_TIME or serving.inference is Inference.ASYNCHRONOUS:
        asked -= {"router"}
    if serving.inference is Inference.ASYNCHRONOUS:
        asked -= {"real-time-scoring", "error-budget"}
    else:
        asked -= {"asynchronous-scoring"}
    if workload.monitoring.feedback.labels_within_days is None:
        asked -= {"model-quality"}
    if not serving.tenants:
        asked -= {"api", "tenant-quotas"}
    if all(tenant.placement is Placement.SHARED for tenant in serving.tenants):
        asked -= {"dedicated-placement"}
    if not serving.ensemble or architecture is ArchitectureKind.BATCH:
        asked -= {"ensemble"}
    if not workload.models_in(Role.CANARY):
        asked -= {"canary", "automatic-rollback"}
    if not workload.models_in(Role.SHADOW):
        asked -= {"shadow"}
    return frozenset(asked)


@dataclass
class Register:
    """The capabilities that one platform asked for, and the resources that realise them."""

    cloud: str
    asked: frozenset[str]
    realised: dict[str, list[pulumi.CustomResource]] = field(default_factory=dict)
    brought_along: set[str] = field(default_factory=set)

    def realise(self, capability: str, *resources: pulumi.CustomResource) -> None:
        """Record what realises a capability. Raises ValueError for a type that CAPABILITIES doesn't list."""
        expected = CAPABILITIES[capability].realised_by(self.cloud)
        if not resources:
            raise ValueError(f"capability {capability} is realised by at least one resource; none was given")
        for resource in resources:
            if resource.pulumi_resource_type not in expected:
                raise ValueError(
                    f"capability {capability} is realised on {self.cloud} by {' or '.join(expected)}, "
                    f"not by {resource.pulumi_resource_type}"
                )
        self.realised.setdefault(capability, []).extend(resources)

    def brought(self, capability: str) -> None:
        """Record that the organisation brings what realises a capability, so that this stack has no resource for it."""
        self.brought_along.add(CAPABILITIES[capability].id)

    def missing(self) -> frozenset[str]:
        """What was asked for, is not brought along, and has no resource."""
        return self.asked - self.realised.keys() - self.brought_along

    def outputs(self) -> dict[str, list[pulumi.Output[str]]]:
        """Capability id to the URNs of the resources that realise it, as a stack's output."""
        return {
            capability: [resource.urn for resource in self.realised[capability]] for capability in sorted(self.realised)
        }


def described(ids: Iterable[str]) -> list[str]:
    """Sentences for people: one per capability id, in the order of the layers."""
    wanted = set(ids)
    return [
        f"{capability.id}: {capability.sentence}" for capability in CAPABILITIES.values() if capability.id in wanted
    ]
