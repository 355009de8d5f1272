"""Which fleets answer on AWS, and which versions each of their containers holds."""

import pytest
from ml_blueprints.aws.fleets import fleets, short
from tests.components.conftest import changed_workload


def version(name: str, number: str, role: str, traffic: int = 0, **said: str) -> dict:
    return {"name": name, "version": number, "role": role, "traffic": traffic, **said}


def tenant(name: str, placement: str = "shared") -> dict:
    return {"name": name, "requests_per_second": 5, "placement": placement}


def planned(models: list[dict], tenants: list[dict] | None = None, ensemble: dict | None = None) -> dict:
    """Tenant and variant to the versions that the container holds, in their order, and its weight."""
    serving = {"tenants": tenants or [], "ensemble": ensemble, "size": "small"}
    workload = changed_workload("delivery_eta", {"models": models, "serving": serving})
    return {
        (fleet.tenant, variant.name): ([f"{model.name} {model.version}" for model in variant.models], variant.weight)
        for fleet in fleets(workload)
        for variant in (*fleet.live, *fleet.shadows)
    }


def test_champion_and_canary_have_containers_of_their_own_with_their_shares():
    models = [version("trees", "1.0.0", "champion", 90), version("trees", "1.1.0", "canary", 10)]
    assert planned(models) == {
        (None, "champion"): (["trees 1.0.0"], 0.9),
        (None, "canary"): (["trees 1.1.0"], 0.1),
    }


def test_an_ensemble_is_one_container_with_all_its_models_and_challengers_are_in_none():
    models = [
        version("trees", "1.0.0", "champion", 100),
        version("linear", "1.0.0", "member"),
        version("trees", "2.0.0", "challenger"),
    ]
    assert planned(models, ensemble={"method": "vote", "members": ["trees", "linear"]}) == {
        (None, "champion"): (["trees 1.0.0", "linear 1.0.0"], 1.0)
    }


def test_models_of_tenants_that_share_instances_are_wherever_their_requests_may_come():
    models = [
        version("trees", "1.0.0", "champion", 90),
        version("trees", "1.1.0", "canary", 10),
        version("own", "3.0.0", "champion", 100, tenant="kiosk"),
    ]
    assert planned(models, [tenant("kiosk"), tenant("web")]) == {
        (None, "champion"): (["trees 1.0.0", "own 3.0.0"], 0.9),
        (None, "canary"): (["trees 1.1.0", "own 3.0.0"], 0.1),
    }


def test_a_tenant_with_instances_of_its_own_has_its_versions_there_or_the_champion_alone():
    models = [
        version("trees", "1.0.0", "champion", 90),
        version("trees", "1.1.0", "canary", 10),
        version("own", "3.0.0", "champion", 80, tenant="kiosk"),
        version("own", "3.1.0", "canary", 20, tenant="kiosk"),
    ]
    assert planned(models, [tenant("kiosk", "dedicated"), tenant("web", "dedicated")]) == {
        (None, "champion"): (["trees 1.0.0"], 0.9),
        (None, "canary"): (["trees 1.1.0"], 0.1),
        ("kiosk", "champion"): (["own 3.0.0"], 0.8),
        ("kiosk", "canary"): (["own 3.1.0"], 0.2),
        ("web", "champion"): (["trees 1.0.0"], 1.0),
    }


def test_a_shadow_sees_the_copies_of_its_share():
    models = [version("trees", "1.0.0", "champion", 100), version("forest", "1.0.0", "shadow", 20)]
    assert planned(models)[None, "shadow"] == (["forest 1.0.0"], 0.2)


def test_containers_of_one_platform_have_different_names():
    models = [version("trees", "1.0.0", "champion", 100), version("own", "1.0.0", "champion", 100, tenant="kiosk")]
    tenants = [tenant("kiosk"), tenant("web", "dedicated"), tenant("partners", "dedicated")]
    workload = changed_workload("delivery_eta", {"models": models, "serving": {"tenants": tenants, "size": "small"}})
    names = [fleet.container(variant) for fleet in fleets(workload) for variant in fleet.live]
    assert names == ["trees-1-0-0", "web-1-0-0", "partners-1-0-0"]


@pytest.mark.parametrize("length", [1, 16, 17, 40])
def test_tenants_are_cut_to_what_names_of_sagemaker_take_and_stay_apart(length):
    first, second = "a" * length, "a" * (length - 1) + "b"
    assert len(short(first)) <= 16
    assert short(first) != short(second)
