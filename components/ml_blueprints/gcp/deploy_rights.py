"""What bringing a stack up on Google Cloud takes, by resource type, and which changes are an administrator's.

Reading comes on top, as the auditor has it (`facts.GET_PERMISSIONS`). Names of permissions are those of
https://cloud.google.com/iam/docs/roles-permissions; nothing here reads or writes what a resource keeps, lets one act as
an account, or changes who may do what.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ml_blueprints.gcp import facts


class Rights(NamedTuple):
    """What creating, changing and deleting resources of a type takes.

    anywhere: can be granted on the whole project alone, since the service tells conditions no names of resources, or
    since what is asked is the project, as when something is created. named: holds for resources of the platform's name.
    https://cloud.google.com/iam/docs/conditions-attribute-reference#resource-name
    """

    anywhere: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def _each(kind: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{kind}.{verb}" for verb in verbs)


_WRITES = ("create", "delete", "update")
_GLOBAL, _REGIONAL = "compute.globalOperations.get", "compute.regionOperations.get"
# What is attached to a network changes it. https://cloud.google.com/compute/docs/access/iam-permissions
_NETWORK = ("compute.networks.updatePolicy", "compute.networks.use", _GLOBAL)
_SUBNETWORK = ("compute.networks.use", "compute.subnetworks.use", _REGIONAL)
_RULES = ("delete", "pscDelete", "pscSetLabels", "pscUpdate", "setLabels", "setTarget", "update")
# Google notes in Service Directory where an endpoint of Private Service Connect is.
# https://cloud.google.com/vpc/docs/configure-private-service-connect-services#required_roles
_DIRECTORY = (
    *_each("servicedirectory.namespaces", "create", "delete"),
    *_each("servicedirectory.services", "create", "delete"),
)

RIGHTS: Mapping[str, Rights] = {
    "apigateway/api": Rights((*_each("apigateway.apis", *_WRITES), "apigateway.operations.get")),
    "apigateway/apiConfig": Rights((*_each("apigateway.apiconfigs", *_WRITES), "servicemanagement.services.get")),
    "apigateway/gateway": Rights(_each("apigateway.gateways", *_WRITES)),
    "artifactregistry/repository": Rights(_each("artifactregistry.repositories", *_WRITES)),
    "bigquery/table": Rights(named=_each("bigquery.tables", *_WRITES)),
    "bigtable/appProfile": Rights(named=_each("bigtable.appProfiles", *_WRITES)),
    "bigtable/gCPolicy": Rights(named=("bigtable.tables.update",)),
    "bigtable/instance": Rights(
        _each("bigtable", "clusters.create", "instances.create"),
        (*_each("bigtable.clusters", "delete", "update"), *_each("bigtable.instances", "delete", "update")),
    ),
    "bigtable/table": Rights(named=_each("bigtable.tables", *_WRITES)),
    "cloudrunv2/service": Rights((*_each("run.services", *_WRITES), "run.operations.get")),
    "cloudscheduler/job": Rights(_each("cloudscheduler.jobs", *_WRITES, "enable", "pause")),
    "cloudtasks/queue": Rights(_each("cloudtasks.queues", *_WRITES, "pause", "resume")),
    "compute/address": Rights(
        (
            *_each("compute.addresses", "create", "createInternal", "delete", "deleteInternal", "setLabels"),
            *_SUBNETWORK,
        )
    ),
    "compute/firewall": Rights(("compute.firewalls.create", *_NETWORK), _each("compute.firewalls", "delete", "update")),
    "compute/forwardingRule": Rights(
        (
            *_each("compute.forwardingRules", "create", "pscCreate"),
            *_each("compute.addresses", "use", "useInternal"),
            *_SUBNETWORK,
            *_DIRECTORY,
        ),
        _each("compute.forwardingRules", *_RULES),
    ),
    "compute/globalAddress": Rights(
        (
            *_each("compute.globalAddresses", "create", "createInternal", "delete", "deleteInternal", "setLabels"),
            *_NETWORK,
        )
    ),
    "compute/globalForwardingRule": Rights(
        (
            *_each("compute.globalForwardingRules", "create", "pscCreate"),
            "compute.globalAddresses.use",
            *_NETWORK,
            *_DIRECTORY,
        ),
        _each("compute.globalForwardingRules", *_RULES),
    ),
    "compute/network": Rights((*_each("compute.networks", *_WRITES), *_NETWORK)),
    "compute/networkAttachment": Rights((*_each("compute.networkAttachments", *_WRITES), *_SUBNETWORK)),
    "compute/route": Rights((*_each("compute.routes", "create", "delete"), *_NETWORK)),
    "compute/router": Rights((*_each("compute.routers", *_WRITES), *_NETWORK, _REGIONAL)),
    "compute/routerNat": Rights(("compute.routers.update", *_SUBNETWORK)),
    "compute/subnetwork": Rights(
        (
            *_each("compute.subnetworks", *_WRITES, "expandIpCidrRange", "setPrivateIpGoogleAccess"),
            *_NETWORK,
            _REGIONAL,
        )
    ),
    "dataplex/aspectType": Rights((*_each("dataplex.aspectTypes", *_WRITES), "dataplex.operations.get")),
    "dataplex/datascan": Rights((*_each("dataplex.datascans", *_WRITES), "dataplex.operations.get")),
    "dataplex/entry": Rights(
        (
            *_each("dataplex.entries", *_WRITES),
            *_each("dataplex.entryGroups", "useGenericAspect", "useGenericEntry"),
            "dataplex.aspectTypes.use",
            "dataplex.entryTypes.use",
        )
    ),
    "dataplex/entryGroup": Rights((*_each("dataplex.entryGroups", *_WRITES), "dataplex.operations.get")),
    "dataplex/entryType": Rights((*_each("dataplex.entryTypes", *_WRITES), "dataplex.operations.get")),
    "dns/managedZone": Rights((*_each("dns.managedZones", *_WRITES), "dns.networks.bindPrivateDNSZone")),
    "dns/recordSet": Rights((*_each("dns.changes", "create", "get"), *_each("dns.resourceRecordSets", *_WRITES))),
    "eventarc/trigger": Rights((*_each("eventarc.triggers", *_WRITES), "eventarc.operations.get")),
    # All data goes with the versions of its key: an administrator destroys them.
    "kms/cryptoKey": Rights(named=_each("cloudkms.cryptoKeys", "create", "update")),
    # A key ring is never deleted, and has nothing to change.
    "kms/keyRing": Rights(("cloudkms.keyRings.create",)),
    "logging/metric": Rights(_each("logging.logMetrics", *_WRITES)),
    "monitoring/alertPolicy": Rights(_each("monitoring.alertPolicies", *_WRITES)),
    "monitoring/customService": Rights(_each("monitoring.services", *_WRITES)),
    "monitoring/dashboard": Rights(_each("monitoring.dashboards", *_WRITES)),
    "monitoring/notificationChannel": Rights(_each("monitoring.notificationChannels", *_WRITES)),
    "monitoring/slo": Rights(_each("monitoring.slos", *_WRITES)),
    "projects/apiKey": Rights(_each("apikeys.keys", *_WRITES)),
    # Other systems of the project may rely on a service, so that none is disabled; the tenants' API is one of ours.
    "projects/service": Rights(
        ("servicemanagement.services.bind", "serviceusage.operations.get", "serviceusage.services.enable")
    ),
    "projects/serviceIdentity": Rights(("serviceusage.operations.get", "serviceusage.services.enable")),
    "pubsub/schema": Rights(_each("pubsub.schemas", "commit", "create", "delete")),
    "pubsub/subscription": Rights((*_each("pubsub.subscriptions", *_WRITES), "pubsub.topics.attachSubscription")),
    "pubsub/topic": Rights((*_each("pubsub.topics", *_WRITES), "pubsub.schemas.attach")),
    # The key that signs goes with its secret: an administrator deletes it.
    "secretmanager/secret": Rights(("secretmanager.secrets.create",), ("secretmanager.secrets.update",)),
    "storage/bucket": Rights(("storage.buckets.create",), _each("storage.buckets", "delete", "update")),
    "vertex/aiEndpoint": Rights(_each("aiplatform.endpoints", *_WRITES)),
    "vertex/aiFeatureGroup": Rights(_each("aiplatform.featureGroups", *_WRITES)),
    "vertex/aiFeatureGroupFeature": Rights(_each("aiplatform.features", *_WRITES)),
    "vertex/aiFeatureOnlineStore": Rights(_each("aiplatform.featureOnlineStores", *_WRITES)),
    "vertex/aiFeatureOnlineStoreFeatureview": Rights(_each("aiplatform.featureViews", *_WRITES)),
    "vertex/aiTensorboard": Rights(_each("aiplatform.tensorboards", *_WRITES)),
    "workbench/instance": Rights(
        (*_each("notebooks.instances", *_WRITES, "start", "stop"), "notebooks.operations.get")
    ),
    "workflows/workflow": Rights((*_each("workflows.workflows", *_WRITES), "workflows.operations.get")),
    # Models, deployments and traffic, which providers of our own make.
    "dynamic/ml_blueprints": Rights(
        (
            *_each("aiplatform.endpoints", "deploy", "undeploy", "update"),
            *_each("aiplatform.models", "delete", "update", "upload"),
        )
    ),
}

# A limit on granting names roles, and no members: who may grant a role may grant it to itself. It
# isn't known to Artifact Registry, Bigtable, Pub/Sub and Vertex AI, and BigQuery's datasets pass over it.
# https://cloud.google.com/iam/docs/setting-limits-on-granting-roles and
# https://cloud.google.com/iam/docs/conditions-attribute-reference#api-attributes-iam
_WHO_MAY = "who may do what"
_WHO_IS = "identities have no names in conditions: who may change one may change that of the deployer or the auditor"
_RECORD = "the record of who did what"
# Types whose resources an administrator makes and changes, each with the reason.
ADMINISTRATORS: Mapping[str, str] = {
    "artifactregistry/repositoryIamMember": _WHO_MAY,
    # https://cloud.google.com/bigquery/docs/access-control: who makes a dataset owns what is in it.
    "bigquery/dataset": "who makes a dataset owns its data",
    "bigquery/datasetIamMember": _WHO_MAY,
    "bigquery/iamMember": _WHO_MAY,
    "bigtable/tableIamMember": _WHO_MAY,
    "cloudrunv2/serviceIamMember": _WHO_MAY,
    "iam/workloadIdentityPool": _WHO_IS,
    "iam/workloadIdentityPoolProvider": _WHO_IS,
    "kms/cryptoKeyIAMMember": _WHO_MAY,
    "logging/projectBucketConfig": _RECORD,
    "logging/projectSink": _RECORD,
    "projects/iAMAuditConfig": _RECORD,
    "projects/iAMCustomRole": "a role that is granted can be given more permissions",
    "projects/iAMMember": _WHO_MAY,
    "pubsub/schemaIamMember": _WHO_MAY,
    "pubsub/subscriptionIAMMember": _WHO_MAY,
    "pubsub/topicIAMMember": _WHO_MAY,
    "secretmanager/secretIamMember": _WHO_MAY,
    "serviceaccount/account": _WHO_IS,
    "serviceaccount/iAMMember": _WHO_MAY,
    "storage/bucketIAMMember": _WHO_MAY,
    "vertex/aiEndpointIamMember": _WHO_MAY,
    "vertex/aiFeatureOnlineStoreFeatureviewIamMember": _WHO_MAY,
    "workbench/instanceIamMember": _WHO_MAY,
}

# What a program asks before it registers anything, quotas of the project, and runs that a deployment starts.
# https://cloud.google.com/storage/docs/json_api/v1/projects/serviceAccount/get and
# https://cloud.google.com/logging/docs/routing/managed-encryption
BESIDE = (
    "logging.cmekSettings.get",
    "resourcemanager.projects.get",
    "serviceusage.services.use",
    *_each("workflows.executions", "create", "get"),
)


def anywhere() -> list[str]:
    """What a deployer may in the whole project: read how things are set up, and change what can't be told by name."""
    reads = (one for seen in facts.GET_PERMISSIONS.values() for one in seen)
    return sorted({*reads, *BESIDE, *(one for rights in RIGHTS.values() for one in rights.anywhere)})


def named() -> list[str]:
    """What a deployer may with resources that have the platform's name."""
    return sorted({one for rights in RIGHTS.values() for one in rights.named})


def names(prefixes: Iterable[str]) -> str:
    """The condition that a resource's name begins with one of these."""
    return " || ".join(f'resource.name.startsWith("{prefix}")' for prefix in prefixes)


def prefixes(project: str, number: str, region: str, name: str, token: str) -> list[str]:
    """How the names of a platform's resources begin, as conditions have them; number: the project's.

    https://cloud.google.com/iam/docs/conditions-resource-attributes#resource-name
    """
    return [
        f"projects/_/buckets/{name}-",
        f"projects/{project}/datasets/{name.replace('-', '_')}_",
        f"projects/{project}/global/firewalls/{name}-",
        f"projects/{project}/global/forwardingRules/apis{token}",
        f"projects/{project}/instances/state-{token}",
        f"projects/{project}/locations/{region}/keyRings/{name}-",
        f"projects/{project}/regions/{region}/forwardingRules/{name}-",
        f"projects/{number}/secrets/{name}-",
    ]
