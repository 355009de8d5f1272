"""Which versions share a container behind an online endpoint, and how the endpoint's requests are divided among them.

Azure divides them by deployment, and a deployment is one container with instances of its own. So each version that
takes a share has one. An ensemble answers from one, with all its models. Models of tenants that share instances are in
each container that takes a share, whichever Azure chooses for a tenant's request.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ml_blueprints import routing
from ml_blueprints.workload import Model, Placement, Role, Workload


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
        first = routing.deployment_name(self.models[0])
        if len(self.models) == 1:
            return first
        versions = ",".join(f"{model.name} {model.version}" for model in self.models)
        return f"{first[:27].rstrip('-')}-{hashlib.sha256(versions.encode()).hexdigest()[:4]}"

    @property
    def held(self) -> tuple[Model, ...]:
        """The versions as the container is told of them: the endpoint has divided, so that the first has all requests.

        A promotion thus changes what the endpoint sends where, and no deployment.
        """
        first = self.models[0].model_copy(update={"role": Role.CHAMPION, "traffic": 100})
        return (first, *self.models[1:])


def shared(workload: Workload) -> tuple[Container, ...]:
    """The containers of the endpoint of all who have no instances of their own; the champion's first."""
    dedicated = {tenant.name for tenant in workload.serving.tenants if tenant.placement is Placement.DEDICATED}
    beside = tuple(
        model for model in routing.deployed(workload) if model.tenant is not None and model.tenant not in dedicated
    )
    return tuple(_containers(workload, None, beside))


def dedicated(workload: Workload) -> Mapping[str, tuple[Container, ...]]:
    """The containers of each tenant with instances of its own; those of the shared champion where it has no model."""
    own = {model.tenant for model in routing.deployed(workload)}
    return {
        tenant.name: tuple(_containers(workload, tenant.name, ())) if tenant.name in own else shared_champion(workload)
        for tenant in workload.serving.tenants
        if tenant.placement is Placement.DEDICATED
    }


def shared_champion(workload: Workload) -> tuple[Container, ...]:
    """The champion alone, with all requests, and the members of its ensemble."""
    return (Container((workload.champion, *workload.models_in(Role.MEMBER)), Role.CHAMPION, 100),)


def division(containers: tuple[Container, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Percent of the requests, and of copies, by deployment."""
    live = {one.name: one.traffic for one in containers if one.role is not Role.SHADOW}
    return live, {one.name: one.traffic for one in containers if one.role is Role.SHADOW}


def _containers(workload: Workload, tenant: str | None, beside: tuple[Model, ...]) -> Iterator[Container]:
    for model in (one for one in routing.deployed(workload) if one.tenant == tenant):
        if model.role is Role.CHAMPION:
            members = workload.models_in(Role.MEMBER) if tenant is None else ()
            yield Container((model, *members, *beside), model.role, model.traffic)
        elif model.role is Role.CANARY:
            yield Container((model, *beside), model.role, model.traffic)
        elif model.role is Role.SHADOW:
            yield Container((model,), model.role, model.traffic)
