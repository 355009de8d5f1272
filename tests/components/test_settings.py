"""Settings: every wrong key of a stack's configuration is told with the stack's file, and nothing is registered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from ml_blueprints import platform
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.settings import NAMESPACE, Purpose, Settings

STACKS = Path(__file__).parents[2] / "stacks"
DIGEST = "sha256:" + "5f70bf18" * 8
REMOVED = object()
FENCE = {"expires_on": "2027-01-31", "monthly_usd": 200}
VARIABLES = (
    *("AWS_REGION", "AWS_DEFAULT_REGION"),
    *("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    *("GOOGLE_REGION", "GCLOUD_REGION", "CLOUDSDK_COMPUTE_REGION"),
)


@pytest.fixture(autouse=True)
def _no_provider_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def configuration(cloud: str, /, **changes: Any) -> dict[str, str]:
    """A stack's configuration as Pulumi hands it over: objects as JSON text, everything else as text."""
    content = yaml.safe_load((STACKS / f"Pulumi.{cloud}-streaming.yaml").read_text())["config"]
    for key, value in changes.items():
        content[key if ":" in key else f"{NAMESPACE}:{key}"] = value
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in content.items()
        if value is not REMOVED
    }


@pytest.fixture
def refusal(run_program: Callable) -> Callable[..., BlueprintError]:
    """Deploy a stack with a configuration that is refused; checks that nothing was registered before."""

    def deploy(cloud: str, directory: Path = STACKS, /, **changes: Any) -> BlueprintError:
        refused: list[BlueprintError] = []

        def program(_: Any) -> None:
            pulumi.runtime.set_all_config(configuration(cloud, **changes))
            with pytest.raises(BlueprintError) as error:
                platform.from_config(directory)
            refused.append(error.value)

        assert run_program(cloud, program).resources == []
        return refused[0]

    return deploy


@pytest.fixture
def settings(run_program: Callable) -> Callable[..., Settings]:
    """The settings that a stack's configuration gives."""

    def read(cloud: str, /, **changes: Any) -> Settings:
        found: list[Settings] = []

        def program(_: Any) -> None:
            pulumi.runtime.set_all_config(configuration(cloud, **changes))
            found.append(Settings.from_config())

        run_program(cloud, program)
        return found[0]

    return read


WRONG = [
    # changes; the key; what was found; a part of what would be right
    ({"cloud": "oracle"}, "cloud", '`"oracle"`', "'aws', 'gcp' or 'azure'"),
    ({"cloud": REMOVED}, "cloud", "nothing", "required"),
    ({"architecture": "lambda"}, "architecture", '`"lambda"`', "'streaming', 'batch' or 'hybrid'"),
    ({"environment": "prod"}, "environment", '`"prod"`', "'experiment', 'staging' or 'production'"),
    ({"workload": REMOVED}, "workload", "nothing", "required"),
    ({"workload": ["a.yaml"]}, "workload", '`["a.yaml"]`', "text is expected"),
    ({"region": "eu-west-1"}, "region", '`"eu-west-1"`', "no such field"),
    ({"serving_image": "ml-serving:1.2"}, "serving_image", '`"ml-serving:1.2"`', "an image by digest"),
    ({"serving_image": "ml-serving@sha256:5f70"}, "serving_image", '`"ml-serving@sha256:5f70"`', "64 hexadecimal"),
    ({"serving_image": REMOVED}, "serving_image", "nothing", "required"),
    ({"network": "vpc-1"}, "network", '`"vpc-1"`', "fields are expected"),
    ({"network": "{cidr"}, "network", '`"{cidr"`', "fields are expected"),
    ({"network": {"cidr": "10.0.0.0"}}, "network.cidr", '`"10.0.0.0"`', "an IPv4 range from /16 to /22"),
    ({"network": {"cidr": "10.0.0.0/8"}}, "network.cidr", '`"10.0.0.0/8"`', "an IPv4 range from /16 to /22"),
    ({"network": {"cidr": "10.300.0.0/16"}}, "network.cidr", '`"10.300.0.0/16"`', "300 (> 255) not permitted"),
    ({"network": {"cidr": "10.0.1.0/16"}}, "network.cidr", '`"10.0.1.0/16"`', "has host bits set"),
    ({"network": {"zones": 1}}, "network.zones", "`1`", "2 or more"),
    ({"network": {"zones": "2"}}, "network.zones", '`"2"`', "a whole number"),
    ({"network": {"internet_egress": "yes"}}, "network.internet_egress", '`"yes"`', "`true` or `false`"),
    ({"network": {"existing_subnets": ["a"]}}, "network.existing_network", "nothing", "need their network"),
    ({"network": {"existing_network": "vpc"}}, "network.existing_subnets", "nothing", "needs its subnets"),
    (
        {"network": {"existing_network": "", "existing_subnets": ["a"]}},
        "network.existing_network",
        '`""`',
        "not an empty one",
    ),
    ({"encryption": {"rotation_days": 30}}, "encryption.rotation_days", "`30`", "90 or more"),
    ({"encryption": {"rotation_days": 3000}}, "encryption.rotation_days", "`3000`", "2560 or less"),
    ({"encryption": {"key": "a"}}, "encryption.key", '`"a"`', "no such field"),
    ({"identities": {"scoring": "a"}}, "identities.scoring", '`"scoring"`', "'ingest', 'training', 'serving'"),
    ({"identities": {"serving": 7}}, "identities.serving", "`7`", "text is expected; put it in quotes"),
    ({"identities": {"serving": ""}}, "identities.serving", '`""`', "not an empty one"),
    ({"delivery": REMOVED}, "delivery", "nothing", "required"),
    ({"delivery": {"repository": "platform"}}, "delivery.repository", '`"platform"`', "a repository as `owner/name`"),
    ({"delivery": {"repository": "a/b", "provider": "svn"}}, "delivery.provider", '`"svn"`', "'github' or 'gitlab'"),
    ({"delivery": {}}, "delivery.repository", "nothing", "required"),
    ({"environment": "experiment"}, "experiment", "nothing", "an experiment has a fence"),
    ({"experiment": FENCE}, "experiment", "a fence", "`production` is no experiment"),
    (
        {"environment": "experiment", "experiment": FENCE | {"expires_on": "soon"}},
        "experiment.expires_on",
        '`"soon"`',
        "2027-01-31",
    ),
    (
        {"environment": "experiment", "experiment": FENCE | {"expires_on": "2027-02-30"}},
        "experiment.expires_on",
        '`"2027-02-30"`',
        "day is out of range",
    ),
    (
        {"environment": "experiment", "experiment": FENCE | {"monthly_usd": 0}},
        "experiment.monthly_usd",
        "`0`",
        "above 0",
    ),
    ({"trusted_keys": REMOVED}, "trusted_keys", "nothing", "models in `production` are signed"),
    ({"trusted_keys": ["ssh-ed25519 AAAA"]}, "trusted_keys[0]", '`"ssh-ed25519 AAAA"`', "its 32 bytes in base64"),
    ({"workbench_users": {"Ada": "a"}}, "workbench_users.Ada", '`"Ada"`', "lower case letters"),
]


@pytest.mark.parametrize(("changes", "key", "found", "right"), WRONG)
def test_one_mistake_in_a_configuration_is_one_problem_with_key_value_and_remedy(refusal, changes, key, found, right):
    error = refusal("aws", **changes)
    assert error.source == "Pulumi.aws-test.yaml"
    assert len(error.problems) == 1, str(error)
    assert (error.problems[0].field, error.problems[0].found) == (f"ml-blueprints:{key}", found)
    assert right in error.problems[0].right


@pytest.mark.parametrize(
    ("cloud", "key"),
    [("aws", "aws:region"), ("gcp", "gcp:project"), ("gcp", "gcp:region"), ("azure", "azure-native:location")],
)
def test_a_provider_without_what_it_needs_is_refused(refusal, cloud, key):
    error = refusal(cloud, **{key: ""})
    assert error.source == f"Pulumi.{cloud}-test.yaml"
    assert error.problems == (Problem(key, "nothing", f"the {cloud} provider needs it: `pulumi config set {key} ...`"),)


def test_everything_that_a_provider_lacks_is_told_at_once(refusal):
    error = refusal("gcp", **{"gcp:project": "", "gcp:region": ""})
    assert [problem.field for problem in error.problems] == ["gcp:project", "gcp:region"]


@pytest.mark.parametrize(
    ("cloud", "key", "variable"),
    [
        ("aws", "aws:region", "AWS_REGION"),
        ("aws", "aws:region", "AWS_DEFAULT_REGION"),
        ("gcp", "gcp:project", "GOOGLE_CLOUD_PROJECT"),
        ("gcp", "gcp:region", "CLOUDSDK_COMPUTE_REGION"),
    ],
)
def test_what_a_provider_needs_may_come_from_its_own_variable(settings, monkeypatch, cloud, key, variable):
    monkeypatch.setenv(variable, "somewhere")
    assert settings(cloud, **{key: ""}).cloud == cloud


def test_a_workload_of_another_architecture_is_refused(refusal):
    error = refusal("aws", workload="workloads/credit_scoring.yaml")
    assert error.source == "workload credit-scoring"
    assert error.problems == (Problem("architecture", "`batch`", "this stack's architecture is `streaming`"),)


def test_a_workload_file_that_is_not_there_is_refused(refusal):
    error = refusal("aws", workload="workloads/fraud.yaml")
    assert error.source == str(STACKS / "workloads" / "fraud.yaml")
    assert error.problems == (Problem("(file)", "no such file or directory", "a workload file is expected here"),)


def test_a_wrong_workload_is_refused_before_anything_is_registered(refusal, tmp_path):
    content = yaml.safe_load((STACKS / "workloads" / "fraud_detection.yaml").read_text())
    content["data"]["contract"]["path"] = str(STACKS / "workloads" / content["data"]["contract"]["path"])
    content["features"]["job"] = str(STACKS / "workloads" / content["features"]["job"])
    content["pipelines"] = str(STACKS / "workloads" / content["pipelines"])
    content["budget"]["monthly_usd"] = -1
    (tmp_path / "fraud.yaml").write_text(yaml.safe_dump(content))
    error = refusal("gcp", tmp_path, workload="fraud.yaml")
    assert error.source == str(tmp_path / "fraud.yaml")
    assert error.problems == (Problem("budget.monthly_usd", "`-1`", "a number above 0 is expected"),)


NONSENSE = (None, [], {}, "", "x", "{", "[1", -1, 1e999, True, "x" * 5000, {"a": 1}, [None], "[" * 100_000)


def test_nonsense_for_any_key_is_refused_or_taken_but_never_a_traceback(run_program):
    whole = {
        "network": {"cidr": "10.0.0.0/16", "zones": 2, "existing_network": "a", "existing_subnets": ["b"]},
        "encryption": {"existing_key": "k", "rotation_days": 90},
        "identities": {"serving": "s"},
        "delivery": {"provider": "github", "repository": "a/b", "create_issuer": True},
    }
    keys = ("cloud", "architecture", "environment", "workload", "serving_image")
    cases = [{key: value} for key in (*keys, *whole, "other") for value in NONSENSE]
    cases += [{key: whole[key] | {part: value}} for key in whole for part in whole[key] for value in NONSENSE]
    refused: list[BlueprintError] = []

    def program(_: Any) -> None:
        for changes in cases:
            pulumi.runtime.set_all_config(configuration("aws", **(whole | changes)))
            try:
                Settings.from_config()
            except BlueprintError as error:
                refused.append(error)

    run_program("aws", program)
    assert len(refused) > len(cases) / 2
    for error in refused:
        assert all(problem.field and problem.found and problem.right for problem in error.problems), str(error)
        assert "input should" not in str(error).lower(), str(error)


def test_what_a_configuration_leaves_out_has_a_default(settings):
    found = settings("aws")
    assert (found.network.cidr, found.network.zones, found.network.internet_egress) == ("10.64.0.0/16", 2, False)
    assert (found.network.existing_network, found.network.existing_subnets) == (None, ())
    assert (found.encryption.existing_key, found.encryption.rotation_days) == (None, 365)
    assert found.identities == {}
    assert found.delivery.create_issuer is False


def test_what_an_organisation_brings_along_is_read(settings):
    found = settings(
        "gcp",
        network={"existing_network": "net", "existing_subnets": ["a", "b"]},
        identities={"serving": "serving@house.iam"},
        serving_image=f"registry.example.com:5000/team/ml-serving@{DIGEST}",
    )
    assert found.network.existing_subnets == ("a", "b")
    assert found.identities == {Purpose.SERVING: "serving@house.iam"}
    assert found.serving_image.startswith("registry.example.com:5000/team/")


@pytest.mark.parametrize("stack", sorted(file.stem.removeprefix("Pulumi.") for file in STACKS.glob("Pulumi.*.yaml")))
def test_the_configuration_of_each_stack_is_right(run_program, stack):
    cloud, _, architecture = stack.partition("-")
    content = yaml.safe_load((STACKS / f"Pulumi.{stack}.yaml").read_text())["config"]
    found: list[Settings] = []

    def program(_: Any) -> None:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}
        pulumi.runtime.set_all_config(texts)
        found.append(Settings.from_config())

    run_program(cloud, program)
    assert (found[0].cloud, found[0].architecture.value) == (cloud, architecture)
    assert (STACKS / found[0].workload).is_file()
