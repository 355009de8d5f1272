"""What Vertex AI has in one region of a project. Only lists are read."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import aiplatform_v1

from ml_delivery.shadow.things import Inventory, Thing

# By kind: the client that lists it, and how. Answers are pages of messages with `name`, `display_name` and `labels`.
Lister = tuple[Callable[..., Any], str]
KINDS: Mapping[str, Lister] = {
    "endpoint": (aiplatform_v1.EndpointServiceClient, "list_endpoints"),
    "model": (aiplatform_v1.ModelServiceClient, "list_models"),
    "deployment pool": (aiplatform_v1.DeploymentResourcePoolServiceClient, "list_deployment_resource_pools"),
    "feature store": (aiplatform_v1.FeatureOnlineStoreAdminServiceClient, "list_feature_online_stores"),
    "feature group": (aiplatform_v1.FeatureRegistryServiceClient, "list_feature_groups"),
    "index endpoint": (aiplatform_v1.IndexEndpointServiceClient, "list_index_endpoints"),
    "notebook": (aiplatform_v1.NotebookServiceClient, "list_notebook_runtimes"),
    "cluster": (aiplatform_v1.PersistentResourceServiceClient, "list_persistent_resources"),
    "agent": (aiplatform_v1.ReasoningEngineServiceClient, "list_reasoning_engines"),
    "tracking server": (aiplatform_v1.TensorboardServiceClient, "list_tensorboards"),
}


def inventory(project: str, region: str, kinds: Mapping[str, Lister] = KINDS) -> Inventory:
    """What exists in a region, as whom Google's libraries find by themselves."""
    found = Inventory(f"Google Cloud, {project}, {region}")
    options = ClientOptions(api_endpoint=f"{region}-aiplatform.googleapis.com")
    for kind, (service, call) in kinds.items():
        try:
            client = service(client_options=options)
            found.things += _things(kind, getattr(client, call)(parent=f"projects/{project}/locations/{region}"))
        except (GoogleAPICallError, GoogleAuthError, RetryError) as error:
            found.unread.append(f"{kind} ({call}): {error}")
    return found


def _things(kind: str, messages: Iterable[Any]) -> list[Thing]:
    return [
        Thing(
            kind,
            message.name,
            getattr(message, "display_name", "") or message.name.rpartition("/")[2],
            message.create_time.date().isoformat() if message.create_time else "",
            dict(getattr(message, "labels", {})),
        )
        for message in messages
    ]
