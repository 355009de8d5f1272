"""What stacks own, from their saved states."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_delivery.errors import DeliveryError
from ml_delivery.shadow.things import Thing, key

_STACK = "pulumi:pulumi:Stack"
# What resources call themselves, on one cloud or another. An id that is mentioned anywhere else isn't owned by it.
_NAMES = ("arn", "id", "name", "resource_name", "selfLink")
# The tag, or label, by which a platform marks all that it makes.
_WORKLOAD = "workload"


@dataclass(slots=True)
class Owned:
    """The ids of all resources of the stacks, as `things.key` has them, and the workloads that the stacks are for."""

    keys: set[str] = field(default_factory=set)
    workloads: set[str] = field(default_factory=set)

    def has(self, thing: Thing) -> bool:
        """Whether a stack made it."""
        return thing.key in self.keys

    def made(self, thing: Thing) -> bool:
        """Whether it is marked as made by a workload while it ran, such as a model that a pipeline trained."""
        return thing.tags.get(_WORKLOAD) in self.workloads


def read(files: Iterable[Path]) -> Owned:
    """What the stacks own whose exports these are. Raises DeliveryError for a file that is none."""
    owned = Owned()
    for file in files:
        for resource in _resources(file):
            if resource.get("delete"):
                continue
            outputs = resource.get("outputs") or {}
            if resource.get("type") == _STACK:
                if isinstance(workload := outputs.get(_WORKLOAD), str):
                    owned.workloads.add(workload)
                continue
            named = [resource.get("id"), *(outputs.get(name) for name in _NAMES)]
            owned.keys.update(key(one) for one in named if isinstance(one, str) and one)
    return owned


def _resources(file: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeliveryError(f"{file} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DeliveryError(f"{file} is no JSON: {error}") from None
    deployment = content.get("deployment") if isinstance(content, dict) else None
    resources = deployment.get("resources") or [] if isinstance(deployment, dict) else None
    if not isinstance(resources, list) or not all(isinstance(one, dict) for one in resources):
        raise DeliveryError(f"{file} is no state of a stack: `pulumi stack export --file {file}` writes one")
    return resources
