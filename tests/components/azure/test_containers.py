"""Which versions share a container behind an online endpoint on Azure, and what each is told."""

import pytest
from ml_blueprints.azure import containers, unsupported
from ml_blueprints.errors import BlueprintError
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Role
from tests.components.conftest import ENTRA, IMAGE, TOKENS, TRUSTED_KEY, changed_workload
from tests.components.test_conformance import CASCADE, KIOSK, MEMBERS, OWN_MODEL

CHAMPION = MEMBERS[0]
SHADOW = {"name": "gradient-boosting", "version": "4.1.0", "role": "shadow", "traffic": 20}
WEB = {"name": "web", "requests_per_second": 5}


def delivery(models: list[dict], **serving: object):
    return changed_workload("delivery_eta", {"models": models, "serving": {"size": "small", **serving}})


def settings(**more: object) -> Settings:
    given = {
        "cloud": "azure",
        "architecture": "hybrid",
        "environment": "production",
        "workload": "workloads/delivery_eta.yaml",
        "serving_image": IMAGE,
        "delivery": {"repository": "example/ml-platform"},
        "trusted_keys": [TRUSTED_KEY],
        "tokens": ENTRA,
    }
    return Settings.model_validate(given | more)


def told(found: tuple[containers.Container, ...]) -> list[tuple[Role, int, list[str]]]:
    return [(one.role, one.traffic, [f"{model.name} {model.version}" for model in one.models]) for one in found]


def test_a_tenant_that_shares_is_in_each_container_that_takes_a_share_and_not_in_a_shadows():
    canary = SHADOW | {"role": "canary", "traffic": 10}
    shadow = SHADOW | {"version": "5.0.0"}
    workload = delivery([CHAMPION | {"traffic": 90}, canary, shadow, OWN_MODEL], tenants=[KIOSK, WEB])
    own = "kiosk-boosting 1.0.0"
    assert told(containers.shared(workload)) == [
        (Role.CHAMPION, 90, ["gradient-boosting 4.0.0", own]),
        (Role.CANARY, 10, ["gradient-boosting 4.1.0", own]),
        (Role.SHADOW, 20, ["gradient-boosting 5.0.0"]),
    ]
    assert containers.dedicated(workload) == {}


def test_a_tenant_with_its_own_instances_has_its_own_models_or_the_champion():
    dedicated = {"placement": "dedicated"}
    workload = delivery([CHAMPION, OWN_MODEL], tenants=[KIOSK | dedicated, WEB | dedicated])
    assert told(containers.shared(workload)) == [(Role.CHAMPION, 100, ["gradient-boosting 4.0.0"])]
    assert {tenant: told(found) for tenant, found in containers.dedicated(workload).items()} == {
        "kiosk": [(Role.CHAMPION, 100, ["kiosk-boosting 1.0.0"])],
        "web": [(Role.CHAMPION, 100, ["gradient-boosting 4.0.0"])],
    }


def test_an_ensemble_is_one_container_and_another_version_of_a_member_is_another():
    workload = delivery(MEMBERS[:2], ensemble=CASCADE, tenants=[])
    (one,) = containers.shared(workload)
    assert [model.name for model in one.models] == ["gradient-boosting", "linear"]
    (other,) = containers.shared(delivery([CHAMPION, MEMBERS[1] | {"version": "1.1.0"}], ensemble=CASCADE, tenants=[]))
    assert one.name != other.name
    assert len(one.name) <= 32
    assert one.name.startswith("gradient-boosting-4-0-0-")


def test_a_promotion_changes_no_container():
    canary = SHADOW | {"role": "canary", "traffic": 10}
    (_, before) = containers.shared(delivery([CHAMPION | {"traffic": 90}, canary], tenants=[]))
    (after,) = containers.shared(delivery([canary | {"role": "champion", "traffic": 100}], tenants=[]))
    assert (before.name, before.held) == (after.name, after.held)


def test_live_versions_share_the_requests_and_a_shadow_sees_copies():
    workload = delivery([CHAMPION, SHADOW], tenants=[])
    assert containers.division(containers.shared(workload)) == (
        {"gradient-boosting-4-0-0": 100},
        {"gradient-boosting-4-1-0": 20},
    )


@pytest.mark.parametrize(
    ("models", "serving", "more", "field"),
    [
        (
            [CHAMPION, OWN_MODEL | {"traffic": 90}, OWN_MODEL | {"version": "2.0.0", "role": "canary", "traffic": 10}],
            {"tenants": [KIOSK]},
            {},
            "models[2].role",
        ),
        ([CHAMPION], {"tenants": [KIOSK]}, {"tokens": TOKENS}, "ml-blueprints:tokens.issuer"),
    ],
)
def test_what_azure_cannot_do_for_tenants_is_said_before_anything_is_made(models, serving, more, field):
    with pytest.raises(BlueprintError) as raised:
        unsupported.refuse(delivery(models, **serving), settings(**more))
    assert raised.value.problems[0].field == field


def test_another_issuer_needs_the_networks_way_to_the_internet():
    workload = delivery([CHAMPION], tenants=[KIOSK])
    unsupported.refuse(workload, settings(tokens=TOKENS, network={"internet_egress": True}))
    unsupported.refuse(workload, settings())
