"""What SageMaker and Bedrock have in one region of an account. Only lists and tags are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.exceptions

from ml_delivery.shadow.things import Inventory, Thing


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: the call that lists it, the key of its list, and which fields are its id, its name and its day."""

    kind: str
    service: str
    call: str
    listed: str
    id: str
    name: str
    created: str = "CreationTime"


# botocore's models of the two services: the calls, and the shapes of their answers.
KINDS = (
    Kind("endpoint", "sagemaker", "list_endpoints", "Endpoints", "EndpointArn", "EndpointName"),
    Kind("model", "sagemaker", "list_models", "Models", "ModelArn", "ModelName"),
    Kind(
        "model group",
        "sagemaker",
        "list_model_package_groups",
        "ModelPackageGroupSummaryList",
        "ModelPackageGroupArn",
        "ModelPackageGroupName",
    ),
    Kind("pipeline", "sagemaker", "list_pipelines", "PipelineSummaries", "PipelineArn", "PipelineName"),
    Kind(
        "feature group",
        "sagemaker",
        "list_feature_groups",
        "FeatureGroupSummaries",
        "FeatureGroupArn",
        "FeatureGroupName",
    ),
    Kind(
        "notebook",
        "sagemaker",
        "list_notebook_instances",
        "NotebookInstances",
        "NotebookInstanceArn",
        "NotebookInstanceName",
    ),
    Kind("notebook domain", "sagemaker", "list_domains", "Domains", "DomainArn", "DomainName"),
    Kind(
        "tracking server",
        "sagemaker",
        "list_mlflow_tracking_servers",
        "TrackingServerSummaries",
        "TrackingServerArn",
        "TrackingServerName",
    ),
    Kind("cluster", "sagemaker", "list_clusters", "ClusterSummaries", "ClusterArn", "ClusterName"),
    Kind("tuned model", "bedrock", "list_custom_models", "modelSummaries", "modelArn", "modelName", "creationTime"),
    Kind(
        "imported model", "bedrock", "list_imported_models", "modelSummaries", "modelArn", "modelName", "creationTime"
    ),
    Kind(
        "provisioned throughput",
        "bedrock",
        "list_provisioned_model_throughputs",
        "provisionedModelSummaries",
        "provisionedModelArn",
        "provisionedModelName",
        "creationTime",
    ),
)


def inventory(region: str, kinds: Sequence[Kind] = KINDS, session: boto3.Session | None = None) -> Inventory:
    """What exists in a region, as whom the AWS SDK finds by itself."""
    # Without its type, which has an overload for each service by its name.
    open_client: Any = (session or boto3.Session(region_name=region)).client
    found = Inventory(f"AWS, {region}")
    clients: dict[str, Any] = {}
    for kind in kinds:
        if kind.service not in clients:
            clients[kind.service] = open_client(kind.service, region_name=region)
        client = clients[kind.service]
        try:
            found.things += _listed(client, kind)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            found.unread.append(f"{kind.kind} ({kind.service}:{kind.call}): {error}")
    return found


def _listed(client: Any, kind: Kind) -> Iterator[Thing]:
    for page in client.get_paginator(kind.call).paginate():
        for one in page[kind.listed]:
            created = one.get(kind.created)
            yield Thing(
                kind.kind,
                one[kind.id],
                one[kind.name],
                created.date().isoformat() if created else "",
                _tags(client, kind, one[kind.id]),
            )


def _tags(client: Any, kind: Kind, arn: str) -> dict[str, str]:
    if kind.service == "sagemaker":
        tags = client.list_tags(ResourceArn=arn)["Tags"]
        return {tag["Key"]: tag["Value"] for tag in tags}
    return {tag["key"]: tag["value"] for tag in client.list_tags_for_resource(resourceARN=arn)["tags"]}
