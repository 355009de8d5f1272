"""What types of Google Cloud cost in a month."""

import re
from collections.abc import Iterator, Mapping

from ml_blueprints.costs.inputs import Inputs, NotPriced, found
from ml_blueprints.costs.items import Item, Rule, each_hour, hourly, kept, one
from ml_blueprints.costs.prices import GCP as PRICE
from ml_blueprints.costs.prices import SECONDS_PER_MONTH
from ml_blueprints.costs.usage import Usage
from ml_blueprints.sizing import REQUESTS_PER_PROCESSOR

_MEMORY = re.compile(r"(\d+(?:\.\d+)?)(Mi|Gi)")


def _service(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """Instances that are always there, and the time that requests take of them."""
    (container,) = inputs.all("template.containers")[:1] or [{}]
    processors = float(found(container, "resources.limits.cpu", 1))
    memory = _gibibytes(str(found(container, "resources.limits.memory", "512Mi")))
    least = inputs.get("template.scaling.min_instance_count", 0)
    if found(container, "resources.cpu_idle", True):
        busy = usage.requests / REQUESTS_PER_PROCESSOR
        yield Item(PRICE["cloud run idle processor"], least * processors * SECONDS_PER_MONTH)
        yield Item(PRICE["cloud run active processor"], busy)
        yield Item(PRICE["cloud run active memory"], busy * memory / processors)
        yield Item(PRICE["cloud run request"], usage.requests)
        return
    if not least:
        raise NotPriced("by the time that its instances are there")
    yield Item(PRICE["cloud run processor"], least * processors * SECONDS_PER_MONTH)
    yield Item(PRICE["cloud run memory"], least * memory * SECONDS_PER_MONTH)


def _gibibytes(text: str) -> float:
    match = _MEMORY.fullmatch(text)
    if not match:
        raise NotPriced(f"a memory of {text} isn't understood")
    return float(match[1]) / (1024 if match[2] == "Mi" else 1)


def _topic(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """What is published; a topic for what couldn't be used has nearly nothing."""
    if not _for_the_unusable(inputs):
        yield Item(PRICE["pubsub"], usage.event_gb)


def _subscription(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    if not _for_the_unusable(inputs):
        yield Item(PRICE["pubsub to bigquery" if inputs.get("bigquery_config") else "pubsub"], usage.event_gb)


def _for_the_unusable(inputs: Inputs) -> bool:
    return "dead-letters" in inputs.name


def _bigtable(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    for cluster in inputs.all("clusters"):
        nodes = found(cluster, "autoscaling_config.min_nodes") or found(cluster, "num_nodes", 1)
        yield hourly(PRICE["bigtable node"], nodes)


def _bigquery_table(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """The table of events holds what is kept; the others are derived from it, and a view holds nothing."""
    if inputs.get("view"):
        return
    if not inputs.name.endswith("-raw"):
        raise NotPriced("its size is known to nobody yet")
    yield Item(PRICE["bigquery"], kept(usage))


def _deployment(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    """The machines that a model on Vertex AI has for itself; those in a pool are the pool's."""
    if inputs.get("pool"):
        return
    yield from _machines(inputs, "machines.type", "machines.minimum")


def _pool(inputs: Inputs, usage: Usage) -> Iterator[Item]:
    resources = "dedicated_resources"
    yield from _machines(inputs, f"{resources}.machine_spec.machine_type", f"{resources}.min_replica_count")


def _machines(inputs: Inputs, type_path: str, count_path: str) -> Iterator[Item]:
    kind = inputs.get(type_path)
    if kind not in PRICE:
        raise NotPriced(f"no price for {kind or 'its machine'}")
    yield hourly(PRICE[kind], inputs.get(count_path, 1))


RULES: Mapping[str, Rule] = {
    "gcp:bigquery/table:Table": _bigquery_table,
    "gcp:bigtable/instance:Instance": _bigtable,
    "gcp:cloudrunv2/service:Service": _service,
    "gcp:compute/forwardingRule:ForwardingRule": each_hour(PRICE["forwarding rule"]),
    "gcp:compute/globalForwardingRule:GlobalForwardingRule": each_hour(PRICE["forwarding rule"]),
    "gcp:dns/managedZone:ManagedZone": one(PRICE["dns zone"]),
    "gcp:kms/cryptoKey:CryptoKey": one(PRICE["key version"]),
    "gcp:pubsub/subscription:Subscription": _subscription,
    "gcp:pubsub/topic:Topic": _topic,
    "gcp:secretmanager/secret:Secret": one(PRICE["secret version"]),
    "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool": _pool,
    "pulumi-python:dynamic/ml_blueprints:VertexDeployment": _deployment,
}

# Cost by what people, runs and messages do, which no word of a workload tells; or no source was found.
BY_USE: Mapping[str, str] = {
    "gcp:apigateway/gateway:Gateway": "no source for its calls",
    "gcp:artifactregistry/repository:Repository": "by the size of images",
    "gcp:cloudscheduler/job:Job": "no source beyond the free jobs",
    "gcp:compute/routerNat:RouterNat": "by what passes through it",
    "gcp:dataplex/datascan:Datascan": "by the length of scans",
    "gcp:logging/metric:Metric": "by what is counted",
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": "by what is logged",
    "gcp:monitoring/alertPolicy:AlertPolicy": "no source for its conditions",
    "gcp:projects/iAMAuditConfig:IAMAuditConfig": "by what is read and written, of which each is a line of the logs",
    "gcp:storage/bucket:Bucket": "its size is known to nobody yet",
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": "no source for its nodes",
    "gcp:vertex/aiTensorboard:AiTensorboard": "by what is kept in it",
    "gcp:workbench/instance:Instance": "by the hours that people work",
    "gcp:workflows/workflow:Workflow": "by steps that are run",
}

# Rights, wiring and definitions, for which no bill comes.
FREE: tuple[str, ...] = (
    "gcp:apigateway/api:Api",
    "gcp:apigateway/apiConfig:ApiConfig",
    "gcp:compute/address:Address",
    "gcp:*[iI]AMMember:*",
    "gcp:*[iI]amMember:*",
    "gcp:bigquery/dataset:Dataset",
    "gcp:bigtable/appProfile:AppProfile",
    "gcp:bigtable/gCPolicy:GCPolicy",
    "gcp:bigtable/table:Table",
    "gcp:billing/budget:Budget",
    "gcp:compute/firewall:Firewall",
    "gcp:compute/globalAddress:GlobalAddress",
    "gcp:compute/network*",
    "gcp:compute/subnetwork:Subnetwork",
    "gcp:dataplex/[ae]*",
    "gcp:dns/recordSet:RecordSet",
    "gcp:eventarc/trigger:Trigger",
    "gcp:iam/*",
    "gcp:kms/keyRing:KeyRing",
    "gcp:logging/projectSink:ProjectSink",
    "gcp:monitoring/customService:CustomService",
    "gcp:monitoring/dashboard:Dashboard",
    "gcp:monitoring/notificationChannel:NotificationChannel",
    "gcp:monitoring/slo:Slo",
    "gcp:projects/iAMCustomRole:IAMCustomRole",
    "gcp:projects/service*",
    "gcp:pubsub/schema:Schema",
    "gcp:serviceaccount/*",
    "gcp:storage/bucketObject:BucketObject",
    "gcp:vertex/aiEndpoint:AiEndpoint",
    "gcp:vertex/aiFeatureGroup*",
    "gcp:vertex/aiFeatureOnlineStoreFeatureview:*",
    "pulumi-python:dynamic/ml_blueprints:VertexModel",
    "pulumi-python:dynamic/ml_blueprints:VertexTraffic",
)
