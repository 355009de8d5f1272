"""The fence of an experiment: what is over, or too secret, is refused before anything is registered."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ml_blueprints import fence
from ml_blueprints.errors import BlueprintError
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"
TODAY = datetime.date(2027, 1, 15)


@dataclass(frozen=True)
class Fenced:
    """An experiment with the data of churn, which is confidential."""

    expires_on: str = "2027-01-31"
    classification: str = "confidential"

    def check(self) -> None:
        given: dict[str, Any] = {
            "cloud": "aws",
            "architecture": "batch",
            "environment": "experiment",
            "workload": "churn.yaml",
            "serving_image": f"ml-serving@sha256:{'5f70bf18' * 8}",
            "delivery": {"repository": "example/ml-platform"},
            "experiment": {
                "expires_on": self.expires_on,
                "monthly_usd": 200,
                "classification": self.classification,
            },
        }
        fence.check(Workload.load(WORKLOADS / "churn.yaml"), Settings.model_validate(given), TODAY)


@pytest.mark.parametrize("last_day", ["2027-01-15", "2027-06-30"])
def test_an_experiment_lasts_through_its_last_day(last_day):
    Fenced(expires_on=last_day).check()


def test_an_experiment_that_is_over_is_refused():
    with pytest.raises(BlueprintError) as error:
        Fenced(expires_on="2027-01-14").check()
    (problem,) = error.value.problems
    assert problem.field == "ml-blueprints:experiment.expires_on"
    assert "today is 2027-01-15" in problem.right


@pytest.mark.parametrize("classification", ["public", "internal"])
def test_data_that_is_more_secret_than_the_fence_is_refused(classification):
    with pytest.raises(BlueprintError) as error:
        Fenced(classification=classification).check()
    (problem,) = error.value.problems
    assert (problem.field, problem.found) == ("data.classification", "`confidential`")


def test_data_as_secret_as_the_fence_or_less_is_taken():
    for classification in ("confidential", "restricted"):
        Fenced(classification=classification).check()


def test_both_are_told_at_once():
    with pytest.raises(BlueprintError) as error:
        Fenced(expires_on="2026-12-31", classification="public").check()
    assert [problem.field for problem in error.value.problems] == [
        "ml-blueprints:experiment.expires_on",
        "data.classification",
    ]
