"""Sizing: the cheapest instance that carries a workload's peak within its objective and budget, and why."""

from pathlib import Path
from typing import Any

import pytest
from ml_blueprints import sizing
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.workload import Workload

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"
CLOUDS = ("aws", "gcp", "azure")


def workload(objective: int | None = 80, budget: int = 20_000, **serving: Any) -> Workload:
    """Delivery times with other words for serving: a champion and a canary, no tenants, and much money."""
    found = Workload.load(WORKLOADS / "delivery_eta.yaml")
    words = {"size": "cheapest", "tenants": (), "monthly_usd": budget, **serving}
    monitoring = found.monitoring.model_copy(update={"latency_objective_ms": objective})
    return found.model_copy(
        update={"serving": found.serving.model_copy(update=words), "monitoring": monitoring},
    )


def replicas(minimum: int, maximum: int) -> Any:
    return Workload.load(WORKLOADS / "delivery_eta.yaml").serving.replicas.model_copy(
        update={"minimum": minimum, "maximum": maximum}
    )


def refused(cloud: str, wanted: Workload) -> Problem:
    with pytest.raises(BlueprintError) as error:
        sizing.choose(cloud, wanted)
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_classes_of_a_cloud_grow_in_every_respect(cloud):
    small, medium, large = (sizing.INSTANCES[cloud][size] for size in ("small", "medium", "large"))
    for less, more in ((small, medium), (medium, large)):
        assert less.vcpus < more.vcpus
        assert less.memory_gib < more.memory_gib
        assert less.hourly_usd < more.hourly_usd


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_a_class_has_as_many_processors_on_each_cloud(size):
    assert len({sizing.INSTANCES[cloud][size].vcpus for cloud in CLOUDS}) == 1


def test_latency_grows_with_the_load():
    shares, times = zip(*sizing.LATENCY_AT_LOAD, strict=True)
    assert list(shares) == sorted(shares)
    assert list(times) == sorted(times)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_the_class_that_the_workload_names_is_taken(cloud, size):
    sized = sizing.choose(cloud, workload(size=size))
    assert sized.instance is sizing.INSTANCES[cloud][size]
    assert sized.reason.startswith(f"the workload says `{size}`")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_few_requests_are_answered_by_small_instances(cloud):
    sized = sizing.choose(cloud, workload(requests_per_second=400))
    assert (sized.instance.size, sized.instances) == ("small", 2)
    # The champion's fleet and the canary's, of two each.
    assert sized.monthly_usd == pytest.approx(4 * sizing.INSTANCES[cloud]["small"].hourly_usd * 730)
    assert "the cheapest that fits" in sized.reason
    assert "medium" in sized.reason


def test_where_so_many_replicas_may_not_be_a_larger_class_carries_the_peak():
    sized = sizing.choose("aws", workload(requests_per_second=25_000, replicas=replicas(1, 4)))
    assert sized.instance.size == "medium"
    assert sized.instances == 4
    assert "small: 7 instances, and 4 may be" in sized.reason


def test_a_tight_objective_leaves_less_of_each_instance():
    loose, tight = (sizing.choose("aws", workload(objective, requests_per_second=9_000)) for objective in (80, 12))
    assert tight.load < loose.load
    assert tight.instances > loose.instances


def test_an_objective_that_no_load_keeps_is_refused():
    problem = refused("aws", workload(1))
    assert (problem.field, problem.found) == ("monitoring.latency_objective_ms", "`1`")
    assert "9 ms or more" in problem.right


def test_a_budget_that_is_too_small_is_refused_with_what_each_class_would_cost():
    problem = refused("gcp", workload(budget=100))
    assert (problem.field, problem.found) == ("serving.size", "`cheapest`")
    assert "small: 320 USD, and 100 may be spent" in problem.right
    assert "large:" in problem.right


def test_without_a_budget_of_its_own_serving_may_cost_what_the_workload_may():
    wanted = workload(budget=None)  # type: ignore[arg-type]
    small = wanted.model_copy(update={"budget": wanted.budget.model_copy(update={"monthly_usd": 100})})
    assert "100 may be spent" in refused("aws", small).right


def test_without_a_number_of_requests_the_peak_of_events_counts():
    assert sizing.peak(workload(requests_per_second=None)) == 50


def test_a_tenant_with_instances_of_its_own_is_paid_for():
    found = Workload.load(WORKLOADS / "delivery_eta.yaml")
    alone = sizing.choose("aws", workload(requests_per_second=400)).monthly_usd
    with_tenant = sizing.choose("aws", workload(requests_per_second=400, tenants=found.serving.tenants)).monthly_usd
    assert with_tenant == pytest.approx(alone * 6 / 4)


def test_a_stack_tells_what_was_chosen_and_why():
    told = sizing.choose("azure", workload(requests_per_second=400)).outputs()
    assert told == {
        "size": "small",
        "instance": "Standard_F2s_v2",
        "instancesAtPeak": 2,
        "requestsPerSecondPerInstance": round(sizing.REQUESTS_PER_PROCESSOR * 2 * sizing.HIGHEST_LOAD),
        "monthlyUsd": 283,
        "reason": told["reason"],
    }
    assert "2 x Standard_F2s_v2 for 400 requests/s" in str(told["reason"])
