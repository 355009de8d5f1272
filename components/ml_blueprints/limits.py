"""Limits that a cloud sets on a workload: each cloud states its own as data, and one method checks a workload."""

from collections.abc import Iterable
from dataclasses import dataclass

from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.workload import ArchitectureKind, Role, Workload


@dataclass(frozen=True, slots=True)
class Limits:
    """What one cloud can take.

    name_length: of the workload's name, which begins resource names; `name_reason` says which resource sets it.
    live_models: champion and canaries behind one endpoint. shadow_models, shadow_percent: beside them, and their share.
    canary_beside_shadow: whether both may be there at once. scale_to_zero: whether endpoints can be without instances.
    arrival_columns: what the cloud itself writes beside the fields of an event, so that no field has such a name.
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

    def check(self, workload: Workload) -> None:
        """Raises BlueprintError with every field of the workload that this cloud can't take."""
        if problems := list(self._problems(workload)):
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
        if workload.serving.scale_to_zero and not self.scale_to_zero:
            yield Problem("serving.scale_to_zero", "`true`", f"endpoints on {self.cloud} keep at least one instance")
        live = workload.models_in(Role.CHAMPION, Role.CANARY)
        shadows = workload.models_in(Role.SHADOW)
        if len(live) > self.live_models:
            yield Problem(
                "models", f"{len(live)} with role champion or canary", f"an endpoint takes at most {self.live_models}"
            )
        if len(shadows) > self.shadow_models:
            yield Problem(
                "models", f"{len(shadows)} with role shadow", f"an endpoint takes at most {self.shadow_models}"
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
                "models", "a canary and a shadow", "an endpoint with a shadow has the champion only; remove one of them"
            )
