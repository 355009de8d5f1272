"""Which versions share a container on Vertex AI, and which share of an endpoint's requests each container answers.

Vertex AI divides requests by deployment, and a deployment is one container with machines of its own. So each version
that takes a share has one. It knows no shadows: the champion's container has them beside it, and makes the copies
itself. An ensemble answers from one container, with all its models. Models of tenants that share machines are in each
container that takes a share, whichever a tenant's request comes to: pools take no containers of one's own
(https://cloud.google.com/vertex-ai/docs/predictions/model-co-hosting#limitations).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ml_blueprints import routing
from ml_blueprints.workload import Model, Placement, Role, Workload


@dataclass(frozen=True)
class Container:
    """The versions that one deployment holds; the first is the one whose `traffic` it has, in percent."""

    models: tuple[Model, ...]
    traffic: int

    @property
    def first(self) -> Model:
        """The version that it is there for."""
        return self.models[0]

    @property
    def name(self) -> str:
        """A name that other versions don't have, of at most 32 characters."""
        name = routing.deployment_name(self.first)
        if len(self.models) == 1:
            return name
        versions = ",".join(f"{model.name} {model.version} {model.role}" for model in self.models[1:])
        return f"{name[:27].rstrip('-')}-{hashlib.sha256(versions.encode()).hexdigest()[:4]}"

    @property
    def held(self) -> tuple[Model, ...]:
        """The versions as the container is told of them: requests are divided by then, and the first has all of them.

        A promotion thus changes how requests are divided, and no container.
        """
        return (self.first.model_copy(update={"role": Role.CHAMPION, "traffic": 100}), *self.models[1:])


def shared(workload: Workload) -> tuple[Container, ...]:
    """The containers of the endpoint that all share who have no machines of their own; the champion's is the first."""
    dedicated = {tenant.name for tenant in workload.serving.tenants if tenant.placement is Placement.DEDICATED}
    beside = tuple(
        model for model in routing.deployed(workload) if model.tenant is not None and model.tenant not in dedicated
    )
    return tuple(_containers(workload, None, beside))


def dedicated(workload: Workload) -> Mapping[str, tuple[Container, ...]]:
    """The containers of each tenant with machines of its own: its own versions, or else the champion that all have."""
    own = {model.tenant for model in workload.models_in(Role.CHAMPION)}
    champion = Container((workload.champion, *workload.models_in(Role.MEMBER)), 100)
    return {
        tenant.name: tuple(_containers(workload, tenant.name, ())) if tenant.name in own else (champion,)
        for tenant in workload.serving.tenants
        if tenant.placement is Placement.DEDICATED
    }


def _containers(workload: Workload, tenant: str | None, beside: tuple[Model, ...]) -> Iterator[Container]:
    own = [model for model in routing.deployed(workload) if model.tenant == tenant]
    shadows = [model for model in own if model.role is Role.SHADOW]
    members = [model for model in own if model.role is Role.MEMBER]
    for model in own:
        if model.role is Role.CHAMPION:
            yield Container((model, *members, *shadows, *beside), model.traffic)
        elif model.role is Role.CANARY:
            yield Container((model, *beside), model.traffic)
