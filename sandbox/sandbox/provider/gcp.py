"""Google Cloud in the sandbox: the project that the provider is configured with, and ids in the form of its pages.

The Import section of each resource's page gives the form of its id, which `ResourceSchema.import_id` holds.
"""

import os
import re
import uuid
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

from sandbox.provider.cloud import Cloud, CloudError
from sandbox.schema import Failure, ResourceSchema

BILLING_ACCOUNT = "01A2B3-C4D5E6-F7A8B9"
_API_CONFIG = "gcp:apigateway/apiConfig:ApiConfig"
_BIGTABLE = "gcp:bigtable/instance:Instance"
_BUCKET = "gcp:storage/bucket:Bucket"
_DEPLOYED_MODEL = "aiplatform.googleapis.com/DeployedModel"
_PROJECT_VARIABLES = ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")

# Types whose id isn't what their page shows for import.
_IDS: Mapping[str, str] = {
    "gcp:bigquery/table:Table": "projects/{project}/datasets/{datasetId}/tables/{tableId}",
    "gcp:bigtable/gCPolicy:GCPolicy": (
        "projects/{project}/instances/{instanceName}/tables/{table}/columnFamilies/{columnFamily}"
    ),
    "gcp:billing/budget:Budget": "billingAccounts/{billingAccount}/budgets/{uuid}",
    "gcp:dns/recordSet:RecordSet": "projects/{project}/managedZones/{managedZone}/rrsets/{name}/{type}",
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": "projects/{project}/locations/{location}/buckets/{bucketId}",
    "gcp:logging/metric:Metric": "{name}",
    "gcp:monitoring/alertPolicy:AlertPolicy": "projects/{project}/alertPolicies/{number}",
    "gcp:monitoring/customService:CustomService": "projects/{project}/services/{serviceId}",
    "gcp:monitoring/dashboard:Dashboard": "projects/{project}/dashboards/{uuid}",
    "gcp:monitoring/notificationChannel:NotificationChannel": "projects/{project}/notificationChannels/{number}",
    "gcp:monitoring/slo:Slo": "projects/{project}/services/{service}/serviceLevelObjectives/{sloId}",
    "gcp:projects/iAMAuditConfig:IAMAuditConfig": "{project}/audit_config/{service}",
    "gcp:projects/iAMCustomRole:IAMCustomRole": "projects/{project}/roles/{roleId}",
    "gcp:projects/service:Service": "{project}/{service}",
    "gcp:projects/serviceIdentity:ServiceIdentity": "projects/{project}/services/{service}",
    "gcp:serviceaccount/account:Account": (
        "projects/{project}/serviceAccounts/{accountId}@{project}.iam.gserviceaccount.com"
    ),
    _BUCKET: "{name}",
    "gcp:storage/bucketObject:BucketObject": "{bucket}-{name}",
    "gcp:vertex/aiTensorboard:AiTensorboard": "projects/{project}/locations/{region}/tensorboards/{number}",
    "gcp:workflows/workflow:Workflow": "projects/{project}/locations/{region}/workflows/{name}",
}

# Names that must not be what auto-naming makes. https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create
_NAME_PATTERNS = {"gcp:vertex/aiEndpoint:AiEndpoint": (re.compile(r"[1-9]\d{0,9}"), "a number of at most 10 digits")}

# Types that are switched on rather than made: a second one finds the first and is no error. A project's policy has one
# configuration of audit logs for each service.
# https://cloud.google.com/service-usage/docs/reference/rest/v1/services/enable
# and https://cloud.google.com/logging/docs/audit/configure-data-access
_SWITCHES = (
    "gcp:projects/iAMAuditConfig:IAMAuditConfig",
    "gcp:projects/service:Service",
    "gcp:projects/serviceIdentity:ServiceIdentity",
)

# The last letters of a region's zones: all regions have three, most of them these.
# https://cloud.google.com/compute/docs/regions-zones
_ZONES = ("a", "b", "c")

# Bindings, that add to a policy.
_MEMBER = re.compile(r"(IAMMember|IamMember|IAMBinding|IamBinding)$")


class Gcp(Cloud):
    """Google Cloud: one project."""

    package = "gcp"
    settings_of_a_parent = frozenset(_SWITCHES)
    # https://cloud.google.com/vpc/docs/create-modify-vpc-networks#delete_network
    held_by: ClassVar[Mapping[str, frozenset[str]]] = {
        "gcp:compute/network:Network": frozenset({"gcp:compute/subnetwork:Subnetwork", "gcp:compute/router:Router"}),
        "gcp:pubsub/schema:Schema": frozenset({"gcp:pubsub/topic:Topic"}),
        # Made by the API itself (sandbox.apis.vertex_ai).
        # https://cloud.google.com/vertex-ai/docs/predictions/private-service-connect#limitations
        "gcp:vertex/aiEndpoint:AiEndpoint": frozenset({_DEPLOYED_MODEL}),
        # https://cloud.google.com/api-gateway/docs/creating-api-config#deleting_an_api_config
        _API_CONFIG: frozenset({"gcp:apigateway/gateway:Gateway"}),
        "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool": frozenset({_DEPLOYED_MODEL}),
    }
    name_references: ClassVar[Mapping[tuple[str, str], str]] = {
        ("gcp:bigquery/table:Table", "datasetId"): "gcp:bigquery/dataset:Dataset",
        ("gcp:bigtable/appProfile:AppProfile", "instance"): _BIGTABLE,
        ("gcp:bigtable/gCPolicy:GCPolicy", "instanceName"): _BIGTABLE,
        ("gcp:bigtable/table:Table", "instanceName"): _BIGTABLE,
        ("gcp:bigtable/tableIamMember:TableIamMember", "instanceName"): _BIGTABLE,
        ("gcp:dataplex/entry:Entry", "entryGroupId"): "gcp:dataplex/entryGroup:EntryGroup",
        ("gcp:monitoring/slo:Slo", "service"): "gcp:monitoring/customService:CustomService",
        ("gcp:storage/bucketIAMMember:BucketIAMMember", "bucket"): _BUCKET,
        ("gcp:storage/bucketObject:BucketObject", "bucket"): _BUCKET,
        (
            "gcp:vertex/aiFeatureGroupFeature:AiFeatureGroupFeature",
            "featureGroup",
        ): "gcp:vertex/aiFeatureGroup:AiFeatureGroup",
        (
            "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview",
            "featureOnlineStore",
        ): "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore",
        ("gcp:cloudrunv2/serviceIamMember:ServiceIamMember", "name"): "gcp:cloudrunv2/service:Service",
        (
            "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
            "workloadIdentityPoolId",
        ): "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",
    }
    # Paths of resources; and per type what the API's update mask doesn't take ("Immutable" fields of the REST pages).
    replaced_by: ClassVar[Mapping[str, frozenset[str]]] = {
        "*": frozenset({"project", "location", "region", "zone"}),
        # https://cloud.google.com/api-gateway/docs/reference/rest/v1/projects.locations.apis.configs/patch
        _API_CONFIG: frozenset({"api", "apiConfigId", "apiConfigIdPrefix", "gatewayConfig", "openapiDocuments"}),
        "gcp:artifactregistry/repository:Repository": frozenset({"repositoryId", "format", "kmsKeyName", "mode"}),
        "gcp:bigquery/dataset:Dataset": frozenset({"datasetId"}),
        "gcp:bigquery/table:Table": frozenset({"datasetId", "tableId"}),
        "gcp:bigtable/appProfile:AppProfile": frozenset({"instance", "appProfileId"}),
        "gcp:bigtable/gCPolicy:GCPolicy": frozenset(
            {"instanceName", "table", "columnFamily", "mode", "maxAge", "maxVersions"}
        ),
        "gcp:bigtable/table:Table": frozenset({"instanceName", "rowKeySchema"}),
        "gcp:compute/network:Network": frozenset({"autoCreateSubnetworks", "description"}),
        "gcp:compute/subnetwork:Subnetwork": frozenset({"network", "purpose"}),
        "gcp:dataplex/datascan:Datascan": frozenset({"data", "dataScanId"}),
        "gcp:kms/cryptoKey:CryptoKey": frozenset({"keyRing", "purpose"}),
        "gcp:pubsub/subscription:Subscription": frozenset({"topic", "enableMessageOrdering"}),
        "gcp:pubsub/topic:Topic": frozenset({"kmsKeyName"}),
        "gcp:serviceaccount/account:Account": frozenset({"accountId"}),
        "gcp:storage/bucketObject:BucketObject": frozenset({"bucket"}),
        "gcp:vertex/aiEndpoint:AiEndpoint": frozenset(
            {"encryptionSpec", "network", "dedicatedEndpointEnabled", "privateServiceConnectConfig"}
        ),
    }

    @property
    def project(self) -> str:
        """The project of the provider's configuration, or of the variables that the Google provider reads."""
        return self.configuration.get("project") or next(filter(None, map(os.environ.get, _PROJECT_VARIABLES)), "")

    @property
    def project_number(self) -> str:
        """A number that always belongs to the project."""
        return str(100_000_000_000 + zlib.crc32(self.project.encode()))

    def check_configuration(self, configuration: Mapping[str, Any]) -> list[Failure]:
        return []

    def name_property(self, resource: ResourceSchema) -> str | None:
        known = resource.inputs.get("name")
        named = "{name}" in (_IDS.get(resource.token) or _camel_format(resource.import_id))
        generated = known is not None and not known.required and named
        return "name" if generated or resource.token == _BUCKET else None

    def generated_name(self, resource: ResourceSchema, logical: str, random: str) -> str:
        return f"{logical}-{random[:7]}"

    def check(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> list[Failure]:
        failures = super().check(resource, inputs)
        if not self.project and "project" in resource.inputs and not inputs.get("project"):
            failures.append(Failure("project", "missing project; set it with `pulumi config set gcp:project ...`"))
        pattern, right = _NAME_PATTERNS.get(resource.token, (re.compile(".*"), ""))
        if isinstance(name := inputs.get("name"), str) and not pattern.fullmatch(name):
            failures.append(Failure("name", f"`{name}` is not {right}"))
        return failures

    def identify(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> str:
        if _MEMBER.search(resource.token):
            parts = [
                value
                for name, value in sorted(inputs.items())
                if isinstance(value, str) and name not in ("role", "member")
            ]
            return "/".join([*parts, inputs.get("role", ""), inputs.get("member", "")])
        format_ = _IDS.get(resource.token) or _camel_format(resource.import_id)
        if not format_:
            format_ = "projects/{project}/{name}" if "name" in inputs else "projects/{project}/{number}"
        return format_.format_map(self._values(inputs))

    def overwrites(self, resource: ResourceSchema) -> bool:
        return super().overwrites(resource) or bool(_MEMBER.search(resource.token))

    def replaces(self, resource: ResourceSchema, property_: str) -> bool:
        """A binding is what it binds: only the list of its members can change."""
        is_binding = _MEMBER.search(resource.token) is not None
        return (is_binding and property_ != "members") or super().replaces(resource, property_)

    def known_outputs(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> dict[str, Any]:
        name = id_.rpartition("/")[2]
        account = f"{inputs.get('accountId')}@{self.project}.iam.gserviceaccount.com"
        service = str(inputs.get("service", "")).partition(".")[0]
        agent = f"service-{self.project_number}@gcp-sa-{service}.iam.gserviceaccount.com"
        email = agent if "serviceIdentity" in resource.token else account
        labels = inputs.get("labels", {})
        candidates = {
            "project": self.project,
            "region": self.configuration.get("region"),
            "name": self._output_name(resource, id_, name),
            "selfLink": f"https://www.googleapis.com/{self._service(resource)}/v1/{id_}",
            "email": email,
            "member": f"serviceAccount:{email}",
            "effectiveLabels": labels | {"goog-pulumi-provisioned": "true"},
            "pulumiLabels": labels | {"goog-pulumi-provisioned": "true"},
            "url": f"gs://{name}" if resource.token == _BUCKET else None,
            "uri": f"https://{name}-{self.project_number}.{inputs.get('location', 'global')}.run.app",
            "urls": [f"https://{name}-{self.project_number}.{inputs.get('location', 'global')}.run.app"],
            "projectNumber": self.project_number,
            "number": self.project_number,
            "writerIdentity": f"serviceAccount:service-{self.project_number}@gcp-sa-logging.iam.gserviceaccount.com",
            "registryUri": f"{inputs.get('location')}-docker.pkg.dev/{self.project}/{name}",
            "workloadIdentityPoolProviderId": name,
        }
        return {
            key: value
            for key, value in candidates.items()
            if key in resource.outputs and key not in inputs and value is not None
        }

    def plain_value(self, name: str, kind: str, id_: str) -> Any:
        if name == "address" and "/addresses/" in id_:
            return f"10.64.{zlib.crc32(id_.encode()) % 64}.{1 + zlib.crc32(id_.encode(), 1) % 254}"
        # An endpoint is made without traffic.
        return "{}" if name == "trafficSplit" else super().plain_value(name, kind, id_)

    def identifiers(self, id_: str, outputs: Mapping[str, Any]) -> set[str]:
        named = {
            outputs[name] for name in ("name", "selfLink", "email", "datasetId") if isinstance(outputs.get(name), str)
        }
        return {self.normal(value) for value in named | {id_, id_.rpartition("/")[2]}}

    def is_reference(self, text: str) -> bool:
        if text.startswith("gs://"):
            return True
        if "@" in text:
            return bool(
                re.fullmatch(
                    rf"(serviceAccount:)?(?!service-)[a-z0-9-]+@{re.escape(self.project)}\.iam\.gserviceaccount\.com",
                    text,
                )
            )
        return bool(
            self.project
            and re.fullmatch(rf"projects/{re.escape(self.project)}/[^*\s]+/[^*\s]+", self.normal(text))
            and self._names_a_thing(self.normal(text))
        )

    def normal(self, identifier: str) -> str:
        if identifier.startswith("gs://"):
            return identifier.removeprefix("gs://").partition("/")[0]
        identifier = re.sub(r"^(https:)?//[a-z0-9.-]*googleapis\.com/", "", identifier)
        identifier = re.sub(r"^([a-z]+/)?v\d[a-z0-9]*/(?=projects/)", "", identifier)
        return _thing(identifier.removeprefix("serviceAccount:"))

    def _names_a_thing(self, text: str) -> bool:
        """A place such as `projects/p/locations/l` or `projects/p/global` exists by itself; what is in it doesn't."""
        return (
            not re.fullmatch(r"projects/[^/]+/(locations|regions|zones)/[^/]+", text)
            and "/databases/(default)" not in text
        )

    def _output_name(self, resource: ResourceSchema, id_: str, name: str) -> str:
        """Some services name things by their whole path: their `name` is no input."""
        return name if "name" in resource.inputs or "/" not in id_ else id_

    def _service(self, resource: ResourceSchema) -> str:
        return resource.token.split(":")[1].partition("/")[0]

    def _values(self, inputs: Mapping[str, Any]) -> "_Values":
        random = uuid.uuid4()
        fixed = {
            "project": self.project,
            "projectId": self.project,
            "region": self.configuration.get("region", ""),
            "number": str(random.int)[:19],
            "uuid": str(random),
            "apiConfigId": f"{inputs.get('apiConfigIdPrefix', '')}{random.hex[:12]}",
        }
        fixed["location"] = fixed["region"]
        return _Values(fixed | {key: value for key, value in inputs.items() if isinstance(value, str)})

    def call(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        project = arguments.get("projectId") or arguments.get("project") or self.project
        match token:
            case "gcp:organizations/getProject:getProject":
                return {
                    "id": f"projects/{project}", "projectId": project, "name": project, "number": self.project_number,
                    "billingAccount": BILLING_ACCOUNT, "folderId": "", "orgId": "", "autoCreateNetwork": False,
                    "labels": {},
                }  # fmt: skip
            case "gcp:organizations/getClientConfig:getClientConfig":
                return {
                    "id": f"projects/{project}", "project": project, "region": self.configuration.get("region", ""),
                    "zone": self.configuration.get("zone", ""), "accessToken": "sandbox", "defaultLabels": {},
                }  # fmt: skip
            case "gcp:compute/getZones:getZones":
                region = arguments.get("region") or self.configuration.get("region", "")
                return {
                    "id": f"projects/{project}/regions/{region}", "project": project, "region": region,
                    "status": arguments.get("status", ""), "names": [f"{region}-{zone}" for zone in _ZONES],
                }  # fmt: skip
            case "gcp:logging/getProjectCmekSettings:getProjectCmekSettings":
                name = f"projects/{project}/cmekSettings"
                agent = f"cmek-p{self.project_number}@gcp-sa-logging.iam.gserviceaccount.com"
                return {
                    "id": name, "name": name, "project": project, "serviceAccountId": agent,
                    "kmsKeyName": "", "kmsKeyVersionName": "",
                }  # fmt: skip
            case "gcp:storage/getProjectServiceAccount:getProjectServiceAccount":
                email = f"service-{self.project_number}@gs-project-accounts.iam.gserviceaccount.com"
                return {"id": email, "emailAddress": email, "member": f"serviceAccount:{email}", "project": project}
            case "gcp:bigquery/getDefaultServiceAccount:getDefaultServiceAccount":
                email = f"bq-{self.project_number}@bigquery-encryption.iam.gserviceaccount.com"
                return {"id": email, "email": email, "member": f"serviceAccount:{email}", "project": project}
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


def _thing(identifier: str) -> str:
    """The resource that a path of the API leads to, without a collection in it (`.../workflows/w/executions`).

    Paths alternate between collections and names; only `global`, in third place, stands alone.
    """
    parts = identifier.split("/")
    alone = len(parts) > 2 and parts[2] == "global"
    names_a_collection = parts[0] == "projects" and (len(parts) - alone) % 2 == 1
    return "/".join(parts[:-1]) if names_a_collection else identifier


class _Values(dict[str, str]):
    """Values of an id's format. Raises CloudError for one that is neither given nor has a default."""

    def __missing__(self, key: str) -> str:
        raise CloudError(f"the sandbox can't form the id: it needs `{key}`")


def _camel_format(import_id: str) -> str:
    """`projects/{{project}}/instances/{{instance_id}}` as a format of inputs in camel case."""
    return re.sub(r"\{\{(\w+)\}\}", lambda m: "{" + re.sub(r"_(\w)", lambda n: n[1].upper(), m[1]) + "}", import_id)
