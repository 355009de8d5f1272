"""Limits that a cloud sets on a workload: each cloud states its own as data, and one method checks a workload."""

from collections.abc import Iterable
from dataclasses import dataclass

from ml_blueprints import routing
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.workload import ArchitectureKind, Inference, Model, Role, Workload


@dataclass(frozen=True, slots=True)
class Limits:
    """What one cloud can take.

    name_length: of the workload's name, which begins resource names; `name_reason` says which resource sets it.
    live_models: champion and canaries behind one endpoint. shadow_models, shadow_percent: beside them, and their share.
    canary_beside_shadow: whether both may be there at once. scale_to_zero: whether endpoints can be without instances.
    arrival_columns: what the cloud itself writes beside the fields of an event, so that no field has such a name.
    models_in_container: that one container is given; None: as many as there are. serverless_gives_up: what
    `serverless` does without on this cloud, which keeps it out of production; empty: nothing.
    """

    cloud: str
    name_length: int
    name_reason: str
    live_models: int
    shadow_models: int
    shadow_percent: int
    canary_beside_shadow: bool
    scale_to_zero: bool
    arrival_columns: frozenset[str] = frozenset()
    models_in_container: int | None = None
    serverless_gives_up: str = ""

    def check(self, workload: Workload, environment: str = "production") -> None:
        """Raises BlueprintError with every field of the workload that this cloud can't take in an environment."""
        if problems := [*self._problems(workload), *self._not_in(environment, workload)]:
            raise BlueprintError(f"workload {workload.name} on {self.cloud}", problems)

    def _problems(self, workload: Workload) -> Iterable[Problem]:
        if len(workload.name) > self.name_length:
            yield Problem(
                "name",
                f"`{workload.name}` ({len(workload.name)} characters)",
                f"at most {self.name_length}: {self.name_reason}",
            )
        taken = self.arrival_columns.intersection(workload.data.contract.columns)
        if taken and workload.architecture is not ArchitectureKind.BATCH:
            yield Problem(
                "data.contract.path",
                f"a contract with {', '.join(f'`{name}`' for name in sorted(taken))}",
                f"other names for these fields: {self.cloud} archives events with columns of its own that have them",
            )
        provisioned = workload.serving.inference is Inference.PROVISIONED
        if workload.serving.scale_to_zero and provisioned and not self.scale_to_zero:
            yield Problem("serving.scale_to_zero", "`true`", f"endpoints on {self.cloud} keep at least one instance")
        for tenant in dict.fromkeys(model.tenant for model in workload.models):
            own = [model for model in workload.models if model.tenant == tenant]
            yield from self._problems_of(own, f" of tenant {tenant}" if tenant else "")
        together = _together(workload)
        if self.models_in_container is not None and together > self.models_in_container:
            yield Problem(
                "models",
                f"{together} that answer from one container",
                f"at most {self.models_in_container}; with placement `dedicated` a tenant's models are apart",
            )

    def _problems_of(self, models: list[Model], whose: str) -> Iterable[Problem]:
        """Of the versions that share requests: those of one tenant, or those of all that have none of their own."""
        live = [model for model in models if model.role in (Role.CHAMPION, Role.CANARY)]
        shadows = [model for model in models if model.role is Role.SHADOW]
        if len(live) > self.live_models:
            yield Problem(
                "models",
                f"{len(live)} with role champion or canary{whose}",
                f"an endpoint takes at most {self.live_models}",
            )
        if len(shadows) > self.shadow_models:
            yield Problem(
                "models", f"{len(shadows)} with role shadow{whose}", f"an endpoint takes at most {self.shadow_models}"
            )
        for shadow in shadows:
            if shadow.traffic > self.shadow_percent:
                yield Problem(
                    "models",
                    f"shadow {shadow.name} with traffic {shadow.traffic}",
                    f"at most {self.shadow_percent} percent can be mirrored",
                )
        if shadows and len(live) > 1 and not self.canary_beside_shadow:
            yield Problem(
                "models",
                f"a canary and a shadow{whose}",
                "an endpoint with a shadow has the champion only; remove one of them",
            )

    def _not_in(self, environment: str, workload: Workload) -> Iterable[Problem]:
        if (
            self.serverless_gives_up
            and environment == "production"
            and workload.serving.inference is Inference.SERVERLESS
        ):
            right = f"`provisioned`: on {self.cloud} it does without {self.serverless_gives_up}"
            yield Problem("serving.inference", f"`serverless` in {environment}", right)


def _together(workload: Workload) -> int:
    """How many models the champion's container holds: an ensemble's, and those of tenants that share its instances."""
    members = len(workload.models_in(Role.MEMBER)) if workload.serving.ensemble else 0
    return 1 + members + len(routing.of_sharing_tenants(workload))
