"""Compiled pipelines: a workload's are found beside it, and a missing one is told before anything is registered."""

from pathlib import Path

import pytest
import yaml
from ml_blueprints.compiled_pipelines import CompiledPipelines
from ml_blueprints.errors import BlueprintError
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"
SAGEMAKER = CompiledPipelines("sagemaker", "json")


@pytest.fixture
def elsewhere(tmp_path) -> Workload:
    """A workload whose pipelines are looked for in an empty folder beside it."""
    content = yaml.safe_load((WORKLOADS / "churn.yaml").read_text())
    content["data"]["contract"]["path"] = str(WORKLOADS / content["data"]["contract"]["path"])
    content["features"]["job"] = str(WORKLOADS / content["features"]["job"])
    content["pipelines"] = "compiled"
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(content))
    return Workload.load(tmp_path / "churn.yaml")


def test_the_pipelines_of_a_workload_are_found_by_its_name(elsewhere, tmp_path):
    folder = tmp_path / "compiled" / "sagemaker" / "churn"
    folder.mkdir(parents=True)
    for name in ("training", "retraining", "batch-scoring"):
        (folder / f"{name}.json").write_text(name)
    SAGEMAKER.check(elsewhere)
    assert SAGEMAKER.source(elsewhere, "retraining") == "retraining"


def test_all_that_are_missing_are_told_at_once_with_the_file(elsewhere, tmp_path):
    with pytest.raises(BlueprintError) as error:
        SAGEMAKER.check(elsewhere)
    assert [(problem.field, problem.found) for problem in error.value.problems] == [("pipelines", "`compiled`")] * 3
    file = tmp_path / "compiled" / "sagemaker" / "churn" / "batch-scoring.json"
    assert f"{file} can't be read" in error.value.problems[2].right


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_a_platform_without_its_pipelines_is_refused_before_anything_is_registered(cloud, elsewhere, run_program):
    from ml_blueprints.architectures.batch import Batch

    given = {
        "cloud": cloud,
        "architecture": "batch",
        "environment": "experiment",
        "workload": "churn.yaml",
        "serving_image": f"ml-serving@sha256:{'5f70bf18' * 8}",
        "delivery": {"repository": "example/ml-platform"},
        "experiment": {"expires_on": "2999-12-31", "monthly_usd": 200, "classification": "confidential"},
    }

    def program(_) -> None:
        with pytest.raises(BlueprintError, match="make compile"):
            Batch("churn", elsewhere, Settings.model_validate(given))

    assert run_program(cloud, program).resources == []
