"""Routing: what the scoring service is told of a workload, and the names of what runs behind an endpoint."""

import json
import re
from pathlib import Path

import pulumi
import pytest
from ml_blueprints import routing
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Ensemble, Model, Role, Tenant, Workload

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"
KEY = "ed25519:u0eLuYxoWsIhPj6ab8/6P/4nBD0s5MYZ6+Qt0RrWo10="


def settings(**more: object) -> Settings:
    given = {
        "cloud": "aws",
        "architecture": "streaming",
        "environment": "production",
        "workload": "workloads/fraud_detection.yaml",
        "serving_image": f"ml-serving@sha256:{'5f70bf18' * 8}",
        "delivery": {"repository": "example/ml-platform"},
        "trusted_keys": [KEY],
    }
    return Settings.model_validate(given | more)


def model(name: str, version: str = "1.2.0") -> Model:
    return Model(name=name, version=version, role=Role.CHAMPION, traffic=100)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("gradient-boosting", "1.2.0", "gradient-boosting-1-2-0"),
        ("a", "0.0.0", "a-0-0-0"),
        ("twenty-six-characters-name", "1.2.0", "twenty-six-characters-name-1-2-0"),
    ],
)
def test_a_deployment_is_named_after_model_and_version(name, version, expected):
    assert routing.deployment_name(model(name, version)) == expected


@pytest.mark.parametrize("name", ["a" * 40, "a" * 20 + "-" + "b" * 19, "-".join("a" * 20)])
@pytest.mark.parametrize("version", ["1.2.0", "100.200.300", "99999999.99999999.99"])
def test_a_deployment_name_of_any_model_has_at_most_32_characters(name, version):
    called = routing.deployment_name(model(name, version))
    assert len(called) <= 32
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", called)
    assert called.endswith("-" + version.replace(".", "-"))


def test_long_names_with_the_same_beginning_have_deployments_of_their_own():
    names = [f"gradient-boosting-of-customers-{letter}" for letter in "abcdefgh"]
    assert len({routing.deployment_name(model(name)) for name in names}) == len(names)


def test_the_champion_comes_first_and_challengers_do_not_run():
    workload = Workload.load(WORKLOADS / "fraud_detection.yaml")
    champion, shadow = workload.models
    challenger = Model(name="forest", version="1.0.0", role=Role.CHALLENGER)
    turned = workload.model_copy(update={"models": (challenger, shadow, champion)})
    assert routing.deployed(turned) == (champion, shadow)


def test_the_scoring_service_is_told_models_features_and_quotas():
    workload = Workload.load(WORKLOADS / "personalization.yaml")
    told = routing.document(workload, routing.deployed(workload))
    assert told == {
        "workload": "personalization",
        "entity": "user_id",
        "features": ["ratings_30d", "mean_rating_30d", "favourite_genre", "days_since_last"],
        "fields": ["event_id", "user_id", "event_time", "item_id", "genres", "rating"],
        "models": [
            {"name": "two-tower", "version": "2.0.1", "role": "champion", "traffic": 90},
            {"name": "two-tower", "version": "2.1.0", "role": "canary", "traffic": 10},
        ],
        "ensemble": None,
        "tenants": {
            "web": {"requests_per_second": 200, "namespace": ""},
            "mobile": {"requests_per_second": 400, "namespace": ""},
        },
        "guard": {"error_rate": 0.01, "latency_ms": 150},
    }


def test_a_tenant_with_features_and_models_of_its_own_is_told_as_one():
    workload = Workload.load(WORKLOADS / "personalization.yaml")
    tenant = Tenant(name="kiosk", requests_per_second=5, concurrency=2, features="own")
    serving = workload.serving.model_copy(update={"tenants": (tenant,)})
    own = Model(name="kiosk-tower", version="1.0.0", role=Role.CHAMPION, traffic=100, tenant="kiosk")
    told = routing.document(workload.model_copy(update={"serving": serving}), (own,))
    assert told["tenants"] == {"kiosk": {"requests_per_second": 5, "concurrency": 2, "namespace": "kiosk"}}
    assert told["models"] == [
        {"name": "kiosk-tower", "version": "1.0.0", "role": "champion", "traffic": 100, "tenant": "kiosk"}
    ]


def test_the_scoring_service_is_told_of_an_ensemble():
    workload = Workload.load(WORKLOADS / "fraud_detection.yaml")
    ensemble = Ensemble(method="cascade", members=("sequence-network", "gradient-boosting"))
    serving = workload.serving.model_copy(update={"ensemble": ensemble})
    told = routing.document(workload.model_copy(update={"serving": serving}), workload.models)
    assert told["ensemble"] == {
        "method": "cascade",
        "members": ["sequence-network", "gradient-boosting"],
        "weights": {},
        "band": [0.2, 0.8],
        "least": 1,
        "timeout_ms": 500,
    }


def test_a_container_that_lacks_a_member_is_told_of_no_ensemble():
    workload = Workload.load(WORKLOADS / "fraud_detection.yaml")
    ensemble = Ensemble(method="vote", members=("sequence-network", "gradient-boosting"))
    serving = workload.serving.model_copy(update={"ensemble": ensemble})
    told = routing.document(workload.model_copy(update={"serving": serving}), workload.models[:1])
    assert told["ensemble"] is None


def test_the_container_reads_the_routing_table_from_one_variable():
    workload = Workload.load(WORKLOADS / "fraud_detection.yaml")
    variables = routing.environment(workload, settings(), workload.models)
    assert variables.keys() == {"ML_BLUEPRINTS_ROUTING", "ENVIRONMENT", "TRUSTED_KEYS"}
    assert (variables["ENVIRONMENT"], variables["TRUSTED_KEYS"]) == ("production", KEY)
    assert json.loads(variables["ML_BLUEPRINTS_ROUTING"]) == routing.document(workload, workload.models)
    assert ": " not in variables["ML_BLUEPRINTS_ROUTING"]


def test_where_there_are_tenants_the_container_is_told_whose_tokens_they_bring():
    workload = Workload.load(WORKLOADS / "delivery_eta.yaml")
    tokens = {"issuer": "https://login.example.com", "audience": "eta", "keys": "https://login.example.com/keys"}
    variables = routing.environment(workload, settings(tokens=tokens), workload.models)
    told = {name: value for name, value in variables.items() if name.startswith("TOKEN_")}
    assert told == {
        "TOKEN_ISSUER": "https://login.example.com",
        "TOKEN_AUDIENCE": "eta",
        "TOKEN_KEYS": "https://login.example.com/keys",
        "TOKEN_CLAIM": "tenant",
    }


def test_a_table_that_is_long_for_a_cloud_is_told_in_parts():
    workload = Workload.load(WORKLOADS / "delivery_eta.yaml")
    whole = routing.environment(workload, settings(), workload.models)
    parts = routing.in_parts(whole, 200)
    table = whole["ML_BLUEPRINTS_ROUTING"]
    named = ["ML_BLUEPRINTS_ROUTING", *(f"ML_BLUEPRINTS_ROUTING_{n}" for n in range(2, -(-len(table) // 200) + 1))]
    assert "".join(parts[name] for name in named) == table
    assert {len(parts[name]) for name in named[:-1]} == {200}
    assert parts.keys() - set(named) == whole.keys() - {"ML_BLUEPRINTS_ROUTING"}
    assert routing.in_parts(whole, 1024) == whole


def test_a_model_version_lies_under_its_name():
    assert routing.artifact_path(model("two-tower", "2.0.1")) == "two-tower/2.0.1"


def test_versions_are_grouped_by_the_name_of_their_model():
    first, other, second = model("a", "1.0.0"), model("b"), model("a", "2.0.0")
    assert routing.grouped_by_name((first, other, second)) == {"a": [first, second], "b": [other]}


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ml-serving@sha256:00", "ml-serving"),
        ("registry.example.com:5000/team/ml-serving@sha256:00", "ml-serving"),
        ("team/ml-serving:1.2@sha256:00", "ml-serving"),
    ],
)
def test_an_image_is_called_without_registry_tag_and_digest(image, name):
    assert routing.image_name(image) == name


def test_only_a_relative_image_is_in_the_repository_of_the_platform(run_program):
    found = {}

    def program(_):
        for image in ("ml-serving@sha256:00", "registry.example.com/ml-serving@sha256:00"):
            routing.image_reference(image, pulumi.Output.from_input("images.example.com/platform")).apply(
                lambda whole, image=image: found.update({image: whole})
            )

    run_program("aws", program)
    assert found == {
        "ml-serving@sha256:00": "images.example.com/platform/ml-serving@sha256:00",
        "registry.example.com/ml-serving@sha256:00": "registry.example.com/ml-serving@sha256:00",
    }


def test_what_is_behind_a_router_is_told_the_tenants_and_needs_no_tokens():
    workload = Workload.load(WORKLOADS / "delivery_eta.yaml")
    tokens = {"issuer": "https://login.example.com", "audience": "a", "keys": "https://login.example.com/keys"}
    told = routing.behind_router(workload, settings(tokens=tokens), routing.deployed(workload))
    assert told["BEHIND_ROUTER"] == "1"
    assert not [name for name in told if name.startswith("TOKEN_")]
    assert set(json.loads(told["ML_BLUEPRINTS_ROUTING"])["tenants"]) == {"orders", "partners"}
