"""The schema of requests: types of features and of the contract's fields, as JSON Schema and as OpenAPI 3.0."""

from pathlib import Path

import jsonschema
import pytest
from ml_blueprints.request_schema import request_schema
from ml_blueprints.workload import Workload

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"


@pytest.fixture(scope="module")
def fraud() -> Workload:
    return Workload.load(WORKLOADS / "fraud_detection.yaml")


@pytest.mark.parametrize(
    "body",
    [
        {"entity": "card-1", "features": {"amount": 12.5, "country": "DE"}},
        {"entity": "card-1", "features": {"amount": None}},
        {"instances": [{"entity": "card-1"}, {"features": {"a_name_of_the_manifest": 1}}]},
    ],
)
def test_what_a_model_could_answer_passes(fraud, body):
    jsonschema.validate(body, request_schema(fraud))


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"entity": 1},
        {"entity": ""},
        {"features": {"amount": "much"}},
        {"instances": []},
        {"instances": [{}] * 1001},
        {"instances": [{"features": {"country": 7}}]},
    ],
)
def test_what_none_could_answer_is_refused(fraud, body):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, request_schema(fraud))


def test_openapi_says_null_by_a_word_of_its_own(fraud):
    features = request_schema(fraud, nullable=True)["properties"]["features"]["properties"]
    assert features["amount"] == {"type": "number", "nullable": True}


def test_key_and_time_are_no_features(fraud):
    features = request_schema(fraud)["properties"]["features"]["properties"]
    assert {fraud.data.entity, fraud.data.event_time}.isdisjoint(features)
    assert {feature.name for feature in fraud.features.definitions} <= set(features)
