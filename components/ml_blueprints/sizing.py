"""Cost against performance: which size class of instance answers a workload's requests, how many, and what it costs.

A class is a machine with so many processors on each cloud, with its price. What a processor answers was measured
(`python -m benchmarks serving`, docs/serving.md). At its most, requests only wait for each other, so that a share of it
is used at which the 99th percentile still keeps the latency objective.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ml_blueprints.costs import prices
from ml_blueprints.costs.prices import HOURS_PER_MONTH
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.workload import Placement, Role, Workload

# Requests a second that one processor answers at the most: all features of the service, a model of 100 trees with 20
# inputs, one row a request. Measured on 2026-11-26 on a processor of a machine with much going on beside (a quiet one
# gave 3,900 to 4,400 the day before), docs/serving.md.
REQUESTS_PER_PROCESSOR = 2500

# Share of that rate to the 99th percentile of a request's time in the service, in milliseconds, from the same run:
# requests arrive at fixed times, whether earlier ones are answered or not.
LATENCY_AT_LOAD: tuple[tuple[float, float], ...] = ((0.25, 4.4), (0.50, 5.7), (0.75, 12.8), (0.90, 15.7))

# The part of the objective that the service may use: the rest is for the network, the router and the platform.
SHARE_OF_OBJECTIVE = 0.5

# A load above which a fleet hasn't the time to grow before requests wait.
HIGHEST_LOAD = 0.75


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine of one size class on one cloud: its name there, processors, memory, and US dollars for an hour."""

    size: str
    type: str
    vcpus: int
    memory_gib: float
    hourly_usd: float

    @property
    def requests_per_second(self) -> float:
        """What it answers at the most, with a process for each processor."""
        return REQUESTS_PER_PROCESSOR * self.vcpus

    def monthly_usd(self, instances: int) -> float:
        """What so many cost in a month in which they are always there."""
        return instances * self.hourly_usd * HOURS_PER_MONTH


# Their prices are those of the one table (costs/prices.py): hosting on SageMaker, prediction on Vertex AI, and the
# machines of a managed online deployment, which costs what they do.
# https://learn.microsoft.com/azure/machine-learning/concept-endpoints-online-managed
INSTANCES: Mapping[str, Mapping[str, Instance]] = {
    cloud: {
        size: Instance(size, kind, vcpus, memory, prices.TABLES[cloud][kind].usd)
        for size, kind, vcpus, memory in classes
    }
    for cloud, classes in {
        "aws": (
            ("small", "ml.m5.large", 2, 8),
            ("medium", "ml.m5.xlarge", 4, 16),
            ("large", "ml.m5.4xlarge", 16, 64),
        ),
        "gcp": (
            ("small", "n1-standard-2", 2, 7.5),
            ("medium", "n1-standard-4", 4, 15),
            ("large", "n1-standard-16", 16, 60),
        ),
        "azure": (
            ("small", "Standard_F2s_v2", 2, 4),
            ("medium", "Standard_F4s_v2", 4, 8),
            ("large", "Standard_F16s_v2", 16, 32),
        ),
    }.items()
}


@dataclass(frozen=True, slots=True)
class Sizing:
    """What was chosen: the instance, how many carry the peak, what all fleets cost in a month, and why."""

    instance: Instance
    instances: int
    load: float
    monthly_usd: float
    reason: str

    def outputs(self) -> dict[str, object]:
        """As a stack tells it."""
        return {
            "size": self.instance.size,
            "instance": self.instance.type,
            "instancesAtPeak": self.instances,
            "requestsPerSecondPerInstance": round(self.instance.requests_per_second * self.load),
            "monthlyUsd": round(self.monthly_usd),
            "reason": self.reason,
        }


def peak(workload: Workload) -> int:
    """Requests a second at the busiest time: those that are expected, or as many as events."""
    return workload.serving.requests_per_second or workload.data.events_per_second


def fleets_beside(workload: Workload) -> int:
    """Fleets beside the champion's, each with the least instances: canaries, shadows, tenants with their own."""
    beside = sum(model.tenant is None for model in workload.models_in(Role.CANARY, Role.SHADOW))
    return beside + sum(tenant.placement is Placement.DEDICATED for tenant in workload.serving.tenants)


def load_within(objective_ms: int | None) -> float | None:
    """The highest share of an instance's most requests at which its latency keeps the objective; None if none does."""
    kept = [
        share
        for share, p99 in LATENCY_AT_LOAD
        if share <= HIGHEST_LOAD and (objective_ms is None or p99 <= objective_ms * SHARE_OF_OBJECTIVE)
    ]
    return max(kept, default=None)


def choose(cloud: str, workload: Workload) -> Sizing:
    """The size that the workload says, or the cheapest that carries its peak within its objective and its budget.

    Raises BlueprintError where none does, with what each would take.
    """
    serving = workload.serving
    if serving.size != "cheapest":
        sizing = _sized(INSTANCES[cloud][serving.size], workload, load_within(None) or HIGHEST_LOAD)
        return _because(sizing, f"the workload says `{serving.size}`; {_told(sizing, workload)}")
    objective = workload.monitoring.latency_objective_ms
    load = load_within(objective)
    if load is None:
        quickest = min(p99 for _, p99 in LATENCY_AT_LOAD)
        right = f"{math.ceil(quickest / SHARE_OF_OBJECTIVE)} ms or more: the service alone takes {quickest:g} ms (p99)"
        raise _error(cloud, workload, Problem("monitoring.latency_objective_ms", f"`{objective}`", right))
    sizings = [_sized(instance, workload, load) for instance in INSTANCES[cloud].values()]
    fitting = [sizing for sizing in sizings if not list(_against(sizing, workload))]
    if not fitting:
        tried = "; ".join(f"{sizing.instance.size}: {', '.join(_against(sizing, workload))}" for sizing in sizings)
        right = f"a size that fits is there for fewer requests, more replicas or a larger budget ({tried})"
        raise _error(cloud, workload, Problem("serving.size", "`cheapest`", right))
    # Of two that cost the same, the one with more instances stays up when one of them is lost.
    best = min(fitting, key=lambda sizing: (sizing.monthly_usd, -sizing.instances))
    others = "; ".join(
        f"{sizing.instance.size}: {', '.join(_against(sizing, workload)) or f'{sizing.monthly_usd:,.0f} USD'}"
        for sizing in sizings
        if sizing is not best
    )
    kept = f"p99 within {objective} ms at {load:.0%} of its load"
    return _because(best, f"the cheapest that fits: {_told(best, workload)}, {kept} ({others})")


def _sized(instance: Instance, workload: Workload, load: float) -> Sizing:
    replicas = workload.serving.replicas
    carrying = math.ceil(peak(workload) / (instance.requests_per_second * load))
    instances = max(carrying, replicas.minimum, 1)
    beside = fleets_beside(workload) * max(replicas.minimum, 1)
    return Sizing(instance, instances, load, instance.monthly_usd(instances + beside), "")


def _because(sizing: Sizing, reason: str) -> Sizing:
    return Sizing(sizing.instance, sizing.instances, sizing.load, sizing.monthly_usd, reason)


def _told(sizing: Sizing, workload: Workload) -> str:
    return (
        f"{sizing.instances} x {sizing.instance.type} for {peak(workload):,} requests/s, "
        f"{sizing.monthly_usd:,.0f} USD a month at the peak with {fleets_beside(workload)} fleets beside"
    )


def _against(sizing: Sizing, workload: Workload) -> Iterator[str]:
    """What rules it out."""
    budget = workload.serving.monthly_usd or workload.budget.monthly_usd
    if sizing.instances > workload.serving.replicas.maximum:
        yield f"{sizing.instances} instances, and {workload.serving.replicas.maximum} may be"
    if sizing.monthly_usd > budget:
        yield f"{sizing.monthly_usd:,.0f} USD, and {budget:,} may be spent"


def _error(cloud: str, workload: Workload, problem: Problem) -> BlueprintError:
    return BlueprintError(f"workload {workload.name} on {cloud}", [problem])
