"""What the workspaces of Azure Machine Learning in one subscription have. Only lists are read."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from azure.ai.ml import MLClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential

from ml_delivery.shadow.things import Inventory, Thing

# By kind: the operations of a workspace's client that list it.
KINDS = {
    "endpoint": "online_endpoints",
    "batch endpoint": "batch_endpoints",
    "serverless endpoint": "serverless_endpoints",
    "model": "models",
    "compute": "compute",
}
_GROUP = re.compile(r"/resourceGroups/([^/]+)/", re.IGNORECASE)
_VERSION = re.compile(r"/versions/[^/]+$", re.IGNORECASE)

# Makes a client of a subscription, or of one workspace in it: subscription, resource group, workspace.
Connect = Callable[..., Any]


def inventory(subscription: str, connect: Connect | None = None) -> Inventory:
    """What exists in a subscription, as whom Azure's libraries find by themselves."""
    connect = connect or _connected(DefaultAzureCredential())
    found = Inventory(f"Azure, {subscription}")
    try:
        workspaces = list(connect(subscription).workspaces.list(scope="subscription"))
    except AzureError as error:
        found.unread.append(f"workspace (workspaces.list): {error}")
        return found
    found.things += _things("workspace", workspaces, "")
    for workspace in workspaces:
        group = _GROUP.search(workspace.id)
        client = connect(subscription, group[1] if group else "", workspace.name)
        for kind, operations in KINDS.items():
            try:
                found.things += _things(kind, getattr(client, operations).list(), workspace.id)
            except AzureError as error:
                found.unread.append(f"{kind} of {workspace.name} ({operations}.list): {error}")
    return found


def _connected(credential: TokenCredential) -> Connect:
    def connect(subscription: str, group: str | None = None, workspace: str | None = None) -> MLClient:
        return MLClient(credential, subscription, group, workspace)

    return connect


def _things(kind: str, entities: Iterable[Any], workspace: str) -> list[Thing]:
    """A model is listed as its container, whose id the entity has only where a version was asked for."""
    return [
        Thing(
            kind,
            _VERSION.sub("", entity.id) if entity.id else f"{workspace}/{kind}s/{entity.name}",
            entity.name,
            _day(entity),
            dict(entity.tags or {}),
        )
        for entity in entities
    ]


def _day(entity: Any) -> str:
    created = getattr(getattr(entity, "creation_context", None), "created_at", None)
    return str(created)[:10] if created else ""
