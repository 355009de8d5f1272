"""The variables of a function, which Lambda takes up to a length of all together."""

import json

import pulumi
import pytest
from ml_blueprints import routing
from ml_blueprints.aws.function import VARIABLES_BYTES, environment
from ml_blueprints.errors import BlueprintError
from tests.components.conftest import changed_workload

FEATURES = [{"name": f"mean_amount_of_the_last_{place}_days", "type": "float"} for place in range(120)]
TENANTS = [{"name": f"tenant-{place}", "requests_per_second": 10} for place in range(60)]


def told(workload):
    document = routing.document(workload, routing.deployed(workload))
    return {routing.VARIABLE: json.dumps(document, separators=(",", ":")), "ENVIRONMENT": "production"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"features": {"definitions": FEATURES}}, "features.definitions"),
        ({"serving": {"tenants": TENANTS}}, "serving.tenants"),
    ],
)
def test_what_lambda_would_refuse_is_refused_by_its_field(changes, field):
    workload = changed_workload("delivery_eta", changes)
    with pytest.raises(BlueprintError) as caught:
        environment(workload, told(workload))
    (problem,) = caught.value.problems
    assert problem.field == field
    assert "4,096 bytes" in problem.right


def test_all_variables_count_with_their_names_and_as_json_has_them():
    workload = changed_workload("delivery_eta", {})
    empty = len('{"A":""}')
    assert environment(workload, {"A": "x" * (VARIABLES_BYTES - empty)}).variables == {
        "A": "x" * (VARIABLES_BYTES - empty)
    }
    for variables in (
        {"A": "x" * (VARIABLES_BYTES - empty + 1)},
        {"A": '"' * (VARIABLES_BYTES // 2)},
        {"A": "x" * (VARIABLES_BYTES - empty - 40), "ENDPOINT": pulumi.Output.from_input("known by the cloud alone")},
    ):
        with pytest.raises(BlueprintError):
            environment(workload, variables)


@pytest.mark.parametrize("workload", ["delivery_eta", "fraud_detection"], ids=["router", "processor of events"])
def test_a_platform_of_which_a_function_has_too_much_to_be_told_is_refused(build, workload):
    with pytest.raises(BlueprintError, match=r"features\.definitions"):
        build("aws", workload, {"features": {"definitions": FEATURES}})
