"""What a workload or its settings ask of serving that Azure can't do, said before any resource is registered."""

from collections.abc import Iterator

from ml_blueprints.azure import facts
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.settings import NAMESPACE, Settings
from ml_blueprints.workload import Placement, Role, Workload


def refuse(workload: Workload, settings: Settings) -> None:
    """Raises BlueprintError with everything that can't be."""
    if problems := [*_undividable(workload), *_unreachable(workload, settings)]:
        raise BlueprintError(f"workload {workload.name} on azure", problems)


def _undividable(workload: Workload) -> Iterator[Problem]:
    """An endpoint divides the requests of all who share it, not those of one tenant."""
    placed = {tenant.name: tenant.placement for tenant in workload.serving.tenants}
    for index, model in enumerate(workload.models):
        shared = model.tenant is not None and placed[model.tenant] is Placement.SHARED
        if shared and model.role in (Role.CANARY, Role.SHADOW):
            yield Problem(
                f"models[{index}].role",
                f"`{model.role}` of tenant {model.tenant}, whose placement is `shared`",
                "an endpoint divides the requests of all: a tenant with a canary or a shadow has placement `dedicated`",
            )


def _unreachable(workload: Workload, settings: Settings) -> Iterator[Problem]:
    """Who verifies tokens fetches their issuer's keys: Entra's by a service tag, others' from the internet."""
    tokens = settings.tokens
    if not (workload.serving.tenants and tokens) or settings.network.internet_egress:
        return
    for name in ("issuer", "keys"):
        if not (found := getattr(tokens, name)).startswith(facts.ENTRA_HOST):
            yield Problem(
                f"{NAMESPACE}:tokens.{name}",
                f"`{found}`",
                f"a URL of {facts.ENTRA_HOST}, which the network reaches; others need `network.internet_egress: true`",
            )
