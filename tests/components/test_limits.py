"""Limits of the clouds: a workload that a cloud can't take is refused with the field, before anything is registered."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from ml_blueprints.architectures.streaming import Streaming
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.limits import Limits
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload
from tests.components.conftest import changed_workload

STACKS = Path(__file__).parents[2] / "stacks"
CLOUDS = ("aws", "gcp", "azure")
TIGHT = Limits(
    cloud="cumulus",
    name_length=20,
    name_reason="names are short here",
    live_models=2,
    shadow_models=1,
    shadow_percent=50,
    canary_beside_shadow=False,
    scale_to_zero=False,
)


def workload(*models: tuple[str, str, int], name: str = "fraud", scale_to_zero: bool = False) -> Workload:
    """Fraud detection with these models, each as name, role and traffic."""
    whole = Workload.load(STACKS / "workloads" / "fraud_detection.yaml")
    given = models or (("boosting", "champion", 100),)
    listed = [
        type(whole.champion)(name=called, version="1.0.0", role=role, traffic=traffic)
        for called, role, traffic in given
    ]
    replicas = whole.serving.replicas.model_copy(update={"minimum": 0}) if scale_to_zero else whole.serving.replicas
    serving = whole.serving.model_copy(update={"scale_to_zero": scale_to_zero, "replicas": replicas})
    return whole.model_copy(update={"name": name, "models": tuple(listed), "serving": serving})


CHAMPION = ("boosting", "champion", 100)
SHARED = (("boosting", "champion", 90), ("forest", "canary", 10))
REFUSED = [
    # a workload; the one problem
    (
        workload(name="twenty-one-characters"),
        Problem("name", "`twenty-one-characters` (21 characters)", "at most 20: names are short here"),
    ),
    (
        workload(scale_to_zero=True),
        Problem("serving.scale_to_zero", "`true`", "endpoints on cumulus keep at least one instance"),
    ),
    (
        workload(("a", "champion", 80), ("b", "canary", 10), ("c", "canary", 10)),
        Problem("models", "3 with role champion or canary", "an endpoint takes at most 2"),
    ),
    (
        workload(CHAMPION, ("a", "shadow", 10), ("b", "shadow", 10)),
        Problem("models", "2 with role shadow", "an endpoint takes at most 1"),
    ),
    (
        workload(CHAMPION, ("a", "shadow", 51)),
        Problem("models", "shadow a with traffic 51", "at most 50 percent can be mirrored"),
    ),
    (
        workload(*SHARED, ("a", "shadow", 10)),
        Problem(
            "models", "a canary and a shadow", "an endpoint with a shadow has the champion only; remove one of them"
        ),
    ),
]


@pytest.mark.parametrize(("wanted", "problem"), REFUSED)
def test_a_workload_beyond_a_limit_has_one_problem(wanted, problem):
    with pytest.raises(BlueprintError) as refused:
        TIGHT.check(wanted)
    assert refused.value.source == f"workload {wanted.name} on cumulus"
    assert refused.value.problems == (problem,)


@pytest.mark.parametrize(
    "wanted",
    [
        workload(name="exactly-20-character"),
        workload(*SHARED),
        workload(CHAMPION, ("a", "shadow", 50)),
        workload(CHAMPION, ("a", "challenger", 0), ("b", "challenger", 0), ("c", "challenger", 0)),
    ],
)
def test_a_workload_at_its_limits_is_taken(wanted):
    TIGHT.check(wanted)


def test_a_roomier_cloud_takes_what_a_tight_one_refuses():
    roomy = Limits("nimbus", 40, "", 3, 2, 100, canary_beside_shadow=True, scale_to_zero=True)
    for wanted, _ in REFUSED:
        roomy.check(wanted)


def with_field(name: str, file: str) -> Workload:
    """The workload of a file, whose contract has a field of this name besides."""
    whole = Workload.load(STACKS / "workloads" / file)
    contract = whole.data.contract.model_copy()
    contract._record = {**contract.record, "fields": [*contract.record["fields"], {"name": name, "type": "string"}]}
    return whole.model_copy(update={"data": whole.data.model_copy(update={"contract": contract})})


def test_a_field_that_has_the_name_of_a_column_of_the_archive_is_refused_where_events_are_archived():
    archiving = replace(TIGHT, name_length=40, canary_beside_shadow=True, arrival_columns=frozenset({"arrived", "id"}))
    with pytest.raises(BlueprintError) as refused:
        archiving.check(with_field("arrived", "fraud_detection.yaml"))
    (problem,) = refused.value.problems
    assert (problem.field, problem.found) == ("data.contract.path", "a contract with `arrived`")
    archiving.check(with_field("arrived_where", "fraud_detection.yaml"))
    archiving.check(with_field("arrived", "credit_scoring.yaml"))


def test_each_tenants_versions_count_for_themselves():
    tenants = [{"name": "kiosk", "requests_per_second": 1}]
    shadow = {"name": "forest", "version": "1.0.0", "role": "shadow", "traffic": 10}
    own = {"name": "kiosk-boosting", "version": "1.0.0", "role": "champion", "traffic": 100, "tenant": "kiosk"}
    champion = {"name": "boosting", "version": "1.0.0", "role": "champion", "traffic": 100}
    changes = {"serving": {"tenants": tenants}, "models": [champion, shadow, own]}
    beside = changed_workload("fraud_detection", changes)
    tight = replace(TIGHT, name_length=40, models_in_container=2)
    tight.check(beside)
    with pytest.raises(BlueprintError) as refused:
        replace(tight, models_in_container=1).check(beside)
    (problem,) = refused.value.problems
    assert (problem.field, problem.found) == ("models", "2 that answer from one container")
    changes["serving"]["tenants"][0]["placement"] = "dedicated"
    replace(tight, models_in_container=1).check(changed_workload("fraud_detection", changes))


def test_what_serverless_gives_up_keeps_it_out_of_production():
    changes = {
        "models": [{"name": "boosting", "version": "1.0.0", "role": "champion", "traffic": 100}],
        "serving": {"inference": "serverless", "scale_to_zero": True, "replicas": {"minimum": 0, "maximum": 2}},
    }
    wanted = changed_workload("fraud_detection", changes)
    strict = replace(TIGHT, name_length=40, serverless_gives_up="a network of its own")
    strict.check(wanted, "staging")
    replace(strict, serverless_gives_up="").check(wanted, "production")
    with pytest.raises(BlueprintError) as refused:
        strict.check(wanted, "production")
    (problem,) = refused.value.problems
    assert (problem.field, problem.found) == ("serving.inference", "`serverless` in production")
    assert "a network of its own" in problem.right


def test_every_limit_that_is_passed_is_told():
    wanted = workload(*SHARED, ("a", "shadow", 60), name="twenty-one-characters", scale_to_zero=True)
    with pytest.raises(BlueprintError) as refused:
        TIGHT.check(wanted)
    assert [problem.field for problem in refused.value.problems] == [
        "name",
        "serving.scale_to_zero",
        "models",
        "models",
    ]


ON_CLOUDS = [
    ("aws", workload(*SHARED, ("a", "shadow", 10)), "models", "a canary and a shadow"),
    ("aws", workload(CHAMPION, ("a", "shadow", 10), ("b", "shadow", 10)), "models", "2 with role shadow"),
    ("aws", workload(scale_to_zero=True), "serving.scale_to_zero", "`true`"),
    ("azure", workload(scale_to_zero=True), "serving.scale_to_zero", "`true`"),
    ("azure", workload(CHAMPION, ("a", "shadow", 60)), "models", "shadow a with traffic 60"),
    ("azure", workload(CHAMPION, ("a", "shadow", 10), ("b", "shadow", 10)), "models", "2 with role shadow"),
    ("gcp", workload(CHAMPION, *((f"m{i}", "shadow", 10) for i in range(11))), "models", "11 with role shadow"),
    ("gcp", with_field("publish_time", "fraud_detection.yaml"), "data.contract.path", "a contract with `publish_time`"),
    *((cloud, workload(name="n" * 41), "name", f"`{'n' * 41}` (41 characters)") for cloud in CLOUDS),
]


@pytest.mark.parametrize(("cloud", "wanted", "field", "found"), ON_CLOUDS)
def test_nothing_is_registered_for_a_workload_that_a_cloud_cannot_take(run_program, cloud, wanted, field, found):
    settings = Settings.model_validate(
        {
            "cloud": cloud,
            "architecture": "streaming",
            "environment": "production",
            "workload": "fraud.yaml",
            "serving_image": f"ml-serving@sha256:{'5f70bf18' * 8}",
            "delivery": {"repository": "example/ml-platform"},
            "trusted_keys": ["ed25519:u0eLuYxoWsIhPj6ab8/6P/4nBD0s5MYZ6+Qt0RrWo10="],
        }
    )

    def program(_):
        with pytest.raises(BlueprintError) as refused:
            Streaming(wanted.name, wanted, settings)
        assert refused.value.source == f"workload {wanted.name} on {cloud}"
        assert [(problem.field, problem.found) for problem in refused.value.problems] == [(field, found)]

    assert run_program(cloud, program).resources == []


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_cloud_states_its_own_limits(cloud):
    limits = importlib.import_module(f"ml_blueprints.{cloud}").LIMITS
    assert limits.cloud == cloud
    assert 10 <= limits.name_length <= 40
    assert limits.live_models >= 2


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("file", sorted((STACKS / "workloads").iterdir()), ids=lambda file: file.stem)
def test_every_cloud_takes_the_workloads_of_the_stacks(cloud, file):
    importlib.import_module(f"ml_blueprints.{cloud}").LIMITS.check(Workload.load(file))
