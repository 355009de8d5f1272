"""What keeps data, and where a resource says of itself what it is and where it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Check, Result, Scope, Undecided, Wrong
from ml_policies.resource import MISSING, UNKNOWN, Resource, Stack
from ml_policies.rule import Relation

BUCKET = "aws:s3/bucket:Bucket"
DYNAMODB = "aws:dynamodb/table:Table"
KINESIS = "aws:kinesis/stream:Stream"
GCS = "gcp:storage/bucket:Bucket"
DATASET = "gcp:bigquery/dataset:Dataset"
TOPIC = "gcp:pubsub/topic:Topic"
ACCOUNT = "azure-native:storage:StorageAccount"
COSMOS = "azure-native:cosmosdb:DatabaseAccount"
EVENT_HUBS = "azure-native:eventhub:Namespace"

# Type -> where its labels are.
LABELS = {
    BUCKET: "tags",
    DYNAMODB: "tags",
    KINESIS: "tags",
    "aws:sagemaker/featureGroup:FeatureGroup": "tags",
    GCS: "labels",
    DATASET: "labels",
    TOPIC: "labels",
    "gcp:vertex/aiDataset:AiDataset": "labels",
    "gcp:vertex/aiFeatureGroup:AiFeatureGroup": "labels",
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": "labels",
    ACCOUNT: "tags",
    COSMOS: "tags",
    EVENT_HUBS: "tags",
    "azure-native:machinelearningservices:DataVersion": "properties.tags",
    "azure-native:redisenterprise:RedisEnterprise": "tags",
}

# Type -> where its region is, and what it is where that says nothing; where that is nothing too, the provider's.
# https://cloud.google.com/bigquery/docs/locations#specify_locations
PLACES: Mapping[str, tuple[str, Any]] = {
    BUCKET: ("region", MISSING),
    DYNAMODB: ("region", MISSING),
    KINESIS: ("region", MISSING),
    "aws:sagemaker/endpoint:Endpoint": ("region", MISSING),
    "aws:sagemaker/featureGroup:FeatureGroup": ("region", MISSING),
    "aws:sagemaker/trainingJob:TrainingJob": ("region", MISSING),
    GCS: ("location", MISSING),
    DATASET: ("location", "US"),
    "gcp:cloudrunv2/service:Service": ("location", MISSING),
    "gcp:vertex/aiDataset:AiDataset": ("region", MISSING),
    "gcp:vertex/aiEndpoint:AiEndpoint": ("location", MISSING),
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": ("region", MISSING),
    "gcp:workbench/instance:Instance": ("location", MISSING),
    ACCOUNT: ("location", MISSING),
    COSMOS: ("location", MISSING),
    EVENT_HUBS: ("location", MISSING),
    "azure-native:machinelearningservices:OnlineEndpoint": ("location", MISSING),
    "azure-native:machinelearningservices:Workspace": ("location", MISSING),
    "azure-native:redisenterprise:RedisEnterprise": ("location", MISSING),
}
# By cloud, the provider's type, and where it says which region it works in.
_PROVIDERS = {
    "aws": ("pulumi:providers:aws", "region"),
    "gcp": ("pulumi:providers:gcp", "region"),
    "azure": ("pulumi:providers:azure-native", "location"),
}


@dataclass(frozen=True, slots=True)
class labelled:  # noqa: N801 (it reads as the checks beside it)
    """The label that the parameter `tag` names, of one of `values`; any text, if the rule has no such parameter.

    Names of labels count without their case, as on Azure.
    """

    path: str

    def __call__(self, scope: Scope) -> Iterator[Result]:
        tag, values = scope.parameters["tag"], scope.parameters.get("values", ())
        for path, labels in scope.values(self.path):
            if labels is UNKNOWN:
                yield Undecided(path)
                continue
            found = {name.casefold(): value for name, value in labels.items()} if isinstance(labels, Mapping) else {}
            value = found.get(tag.casefold(), MISSING)
            allowed = {str(one).casefold() for one in values}
            if value is UNKNOWN:
                yield Undecided(f"{path}.{tag}")
            elif not isinstance(value, str) or not value.strip() or (allowed and value.casefold() not in allowed):
                expected = f"one of {', '.join(values)}" if values else "a name"
                yield Wrong(f"{path}.{tag}", MISSING if value is None else value, expected)


def within_regions(path: str) -> Check:
    """Regions, all of which the parameter `allowed_regions` has; if that is empty, any."""

    def check(scope: Scope) -> Iterator[Result]:
        regions = scope.parameters["allowed_regions"]
        for where, value in scope.values(path) if regions else ():
            if value is UNKNOWN:
                yield Undecided(where)
            elif value is not MISSING and not _in(value, regions):
                yield Wrong(where, value, f"one of {', '.join(regions)}")

    return check


def placed(path: str, default: Any) -> Relation:
    """A resource in one of the `allowed_regions`: by its own property, else by its default, else by the provider's."""
    own = within_regions(path)

    def relation(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        regions = parameters["allowed_regions"]
        scope = Scope(resource, resource.properties, parameters=parameters)
        yield from own(scope)
        if not regions or all(value is not MISSING for _, value in scope.values(path)):
            return
        if default is not MISSING:
            if not _in(default, regions):
                yield Wrong(path, MISSING, f"one of {', '.join(regions)}; without it, it is {default}")
            return
        provider, name = _PROVIDERS[resource.cloud]
        working = [one.properties.get(name, UNKNOWN) for one in stack.of_type(provider)]
        if not working or any(region is UNKNOWN or not _in(region, regions) for region in working):
            # Which of several providers a resource has isn't told.
            if len(working) == 1 and working[0] is not UNKNOWN:
                yield Wrong(path, MISSING, f"one of {', '.join(regions)}; the provider works in {working[0]}")
            else:
                yield Undecided(path)

    return relation


def _in(region: Any, regions: list[str]) -> bool:
    """Whether a region, or the zone of one, is among regions; Azure's are also written with spaces."""
    place = str(region).replace(" ", "").casefold()
    zoned = place[:-2] if place[-2:-1] == "-" and place[-1].isalpha() else place
    return {place, zoned} & {one.replace(" ", "").casefold() for one in regions} != set()
