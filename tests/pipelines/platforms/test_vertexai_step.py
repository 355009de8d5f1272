"""What components on Vertex AI do beside running a step: mounted folders, verdicts, versions that never change."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ml_pipelines.platforms import vertexai_step
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import mounted

SAID = {"name": "gradient-boosting", "version": "2026.1126.33000", "task": "churn", "code": "0123abc"}


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    """A version as `register` leaves it, for what is asked here."""
    folder = tmp_path / "registered"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(SAID))
    (folder / "model.onnx").write_bytes(b"model")
    return folder


def test_folders_of_cloud_storage_are_where_jobs_see_them():
    assert mounted("gs://models/runs") == "/gcs/models/runs"
    assert mounted("/runs") == "/runs"


def test_a_step_finds_its_folders_empty(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "half.onnx").touch()
    asked = []

    def started(words: list[str], check: bool) -> None:
        asked.append((words, check, list((tmp_path / "model").iterdir())))

    monkeypatch.setattr(subprocess, "run", started)
    vertexai_step.run("train", ["--task", "churn"], [str(tmp_path / "model")])
    assert asked == [([sys.executable, "-m", "ml_pipelines.steps.train", "--task", "churn"], True, [])]


def test_a_version_is_published_where_serving_looks_for_it(registered, tmp_path):
    found = vertexai_step.publish(str(registered), str(tmp_path / "models"))
    folder = tmp_path / "models" / "gradient-boosting" / "2026.1126.33000"
    assert {file.name for file in folder.iterdir()} == {"manifest.json", "model.onnx"}
    assert found.uri == str(folder)
    assert found.aliases == ["gradient-boosting-2026-1126-33000", "newest"]
    assert found.labels == {"task": "churn", "model": "gradient-boosting", "version": "2026-1126-33000"}


def test_a_version_that_was_half_copied_is_copied_again(registered, tmp_path):
    folder = tmp_path / "models" / "gradient-boosting" / "2026.1126.33000"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"mo")
    vertexai_step.publish(str(registered), str(tmp_path / "models"))
    assert (folder / "model.onnx").read_bytes() == b"model"
    # Once more is the same.
    vertexai_step.publish(str(registered), str(tmp_path / "models"))


def test_a_version_never_changes(registered, tmp_path):
    vertexai_step.publish(str(registered), str(tmp_path / "models"))
    (registered / "manifest.json").write_text(json.dumps({**SAID, "code": "456def"}))
    with pytest.raises(StepError, match="is another model of this version"):
        vertexai_step.publish(str(registered), str(tmp_path / "models"))


def test_a_refusal_says_what_failed_and_where_the_verdict_is(tmp_path):
    check = {"gate": "floor", "name": "roc_auc", "said": "0.61 is below 0.80"}
    verdict = {"passed": False, "checks": [{**check, "passed": False}, {**check, "name": "other", "passed": True}]}
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    passed, failed = vertexai_step.verdict(str(tmp_path))
    assert not passed
    assert failed == "- floor, roc_auc: 0.61 is below 0.80"
    with pytest.raises(SystemExit, match=r"verdict\.json says no") as ended:
        vertexai_step.refuse("gs://models/runs/1/evaluation", failed)
    assert "gs://models/runs/1/evaluation" in str(ended.value)
    assert failed in str(ended.value)
