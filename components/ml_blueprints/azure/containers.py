"""Which versions share a container behind an online endpoint, and how the endpoint's requests are divided among them.

Azure divides them by deployment, and a deployment is one container with instances of its own. So each version that
takes a share has one. An ensemble answers from one, with all its models. Models of tenants that share instances are in
each container that takes a share, whichever Azure chooses for a tenant's request.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ml_blueprints import routing
from ml_blueprints.workload import Model, Role, Workload


@dataclass(frozen=True)
class Container:
    """The versions that one deployment holds; the first is the one whose `traffic` or copies it has, in percent."""

    models: tuple[Model, ...]
    role: Role
    traffic: int

    @property
    def name(self) -> str:
        """The deployment's name, which other versions don't have: another version is another deployment, made first.

        At most 32 characters.
        """
        if len(self.models) == 1:
            return routing.deployment_name(self.models[0])
        versions = ",".join(f"{model.name} {model.version}" for model in self.models)
        return routing.container_name(self.models[0], versions)

    @property
    def held(self) -> tuple[Model, ...]:
        """The versions as the container is told of them: the endpoint has divided, so that the first has all requests.

        A promotion thus changes what the endpoint sends where, and no deployment.
        """
        first = self.models[0].model_copy(update={"role": Role.CHAMPION, "traffic": 100})
        return (first, *self.models[1:])


def shared(workload: Workload) -> tuple[Container, ...]:
    """The containers of the endpoint of all who have no instances of their own; the champion's first."""
    return tuple(_containers(routing.of_all(workload), routing.of_sharing_tenants(workload)))


def dedicated(workload: Workload) -> Mapping[str, tuple[Container, ...]]:
    """The containers of each tenant with instances of its own."""
    return {tenant: tuple(_containers(own, ())) for tenant, own in routing.of_dedicated_tenants(workload).items()}


def division(containers: tuple[Container, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Percent of the requests, and of copies, by deployment."""
    live = {one.name: one.traffic for one in containers if one.role is not Role.SHADOW}
    return live, {one.name: one.traffic for one in containers if one.role is Role.SHADOW}


def _containers(models: tuple[Model, ...], beside: tuple[Model, ...]) -> Iterator[Container]:
    members = [model for model in models if model.role is Role.MEMBER]
    # A champion that stands without its canary has all requests.
    alone = not any(model.role is Role.CANARY for model in models)
    for model in models:
        if model.role is Role.CHAMPION:
            yield Container((model, *members, *beside), model.role, 100 if alone else model.traffic)
        elif model.role is Role.CANARY:
            yield Container((model, *beside), model.role, model.traffic)
        elif model.role is Role.SHADOW:
            yield Container((model,), model.role, model.traffic)
