"""Which versions share a container on Vertex AI, and which share of an endpoint's requests each container answers.

Vertex AI divides requests by deployment, and a deployment is one container with machines of its own. So each version
that takes a share has one. It knows no shadows: the champion's container has them beside it, and makes the copies
itself. An ensemble answers from one container, with all its models. Models of tenants that share machines are in each
container that takes a share, whichever a tenant's request comes to: pools take no containers of one's own
(https://cloud.google.com/vertex-ai/docs/predictions/model-co-hosting#limitations).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ml_blueprints import routing
from ml_blueprints.workload import Model, Role, Workload


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
        if len(self.models) == 1:
            return routing.deployment_name(self.first)
        versions = ",".join(f"{model.name} {model.version} {model.role}" for model in self.models[1:])
        return routing.container_name(self.first, versions)

    @property
    def held(self) -> tuple[Model, ...]:
        """The versions as the container is told of them: requests are divided by then, and the first has all of them.

        A promotion thus changes how requests are divided, and no container.
        """
        return (self.first.model_copy(update={"role": Role.CHAMPION, "traffic": 100}), *self.models[1:])


def shared(workload: Workload) -> tuple[Container, ...]:
    """The containers of the endpoint that all share who have no machines of their own; the champion's is the first."""
    return tuple(_containers(routing.of_all(workload), routing.of_sharing_tenants(workload)))


def dedicated(workload: Workload) -> Mapping[str, tuple[Container, ...]]:
    """The containers of each tenant with machines of its own."""
    return {tenant: tuple(_containers(own, ())) for tenant, own in routing.of_dedicated_tenants(workload).items()}


def _containers(models: tuple[Model, ...], beside: tuple[Model, ...]) -> Iterator[Container]:
    shadows = [model for model in models if model.role is Role.SHADOW]
    members = [model for model in models if model.role is Role.MEMBER]
    # A champion that stands without its canary has all requests.
    alone = not any(model.role is Role.CANARY for model in models)
    for model in models:
        if model.role is Role.CHAMPION:
            yield Container((model, *members, *shadows, *beside), 100 if alone else model.traffic)
        elif model.role is Role.CANARY:
            yield Container((model, *beside), model.traffic)
