"""Which fleets of instances answer, and which versions are in each of their containers: planning, without resources."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ml_blueprints import routing
from ml_blueprints.workload import Model, Role, Workload

# Names of SageMaker have at most 63 characters, of which a workload's may take 28.
_TENANT_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Variant:
    """A container behind an endpoint. `models` are those that it holds, first the one that it is there for.

    weight: its share of the requests, or for a shadow the share that it sees copies of, from 0 to 1.
    """

    name: str
    models: tuple[Model, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """What answers behind one endpoint: that of a tenant with instances of its own, or the one that others share."""

    tenant: str | None
    live: tuple[Variant, ...]
    shadows: tuple[Variant, ...]

    def part(self, name: str) -> str:
        """The name of a part of it, which a tenant's has the tenant in."""
        return f"{name}-{short(self.tenant)}" if self.tenant else name

    def container(self, variant: Variant) -> str:
        """The name of a variant's container: the version that it is for, which other fleets may have, too."""
        model = variant.models[0]
        if self.tenant is None or model.tenant == self.tenant:
            return routing.deployment_name(model)
        return f"{short(self.tenant)}-{model.version.replace('.', '-')}"


def fleets(workload: Workload) -> tuple[Fleet, ...]:
    """The fleets that a workload asks for, the shared one first.

    The models of tenants that share instances are in each container there: SageMaker chooses the container without
    knowing whose request it is. An ensemble answers from one container.
    """
    return (
        _fleet(None, routing.of_all(workload), routing.of_sharing_tenants(workload)),
        *(_fleet(tenant, models, ()) for tenant, models in routing.of_dedicated_tenants(workload).items()),
    )


def _fleet(tenant: str | None, models: tuple[Model, ...], guests: tuple[Model, ...]) -> Fleet:
    live = by_variant(model for model in models if model.role in (Role.CHAMPION, Role.CANARY))
    members = [model for model in models if model.role is Role.MEMBER]
    shadows = by_variant(model for model in models if model.role is Role.SHADOW)
    return Fleet(
        tenant,
        live=tuple(
            Variant(name, (model, *members, *guests), model.traffic / 100 if len(live) > 1 else 1.0)
            for name, model in live.items()
        ),
        shadows=tuple(Variant(name, (model, *guests), model.traffic / 100) for name, model in shadows.items()),
    )


def by_variant(models: Iterable[Model]) -> dict[str, Model]:
    """Models by the names of their variants, which are roles: a new version takes the place of the one before.

    A blue/green deployment is only made between configurations whose variants have the same names
    (https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html).
    """
    variants: dict[str, Model] = {}
    counts: Counter[Role] = Counter()
    for model in models:
        counts[model.role] += 1
        variants[model.role.value + (f"-{counts[model.role]}" if counts[model.role] > 1 else "")] = model
    return variants


def short(tenant: str) -> str:
    """A tenant's name as part of other names; what is cut ends with characters that tell it from others."""
    if len(tenant) <= _TENANT_LENGTH:
        return tenant
    tail = hashlib.sha256(tenant.encode()).hexdigest()[:4]
    return f"{tenant[: _TENANT_LENGTH - 5].rstrip('-')}-{tail}"
