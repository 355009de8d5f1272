"""A registered version goes where deployments look for it, once, and only whole."""

import json

import pytest
from ml_pipelines.platforms import azureml_publish

SAID = {"name": "gradient-boosting", "version": "2026.1126.41500"}


@pytest.fixture
def model(tmp_path):
    """What `register` left."""
    folder = tmp_path / "registered"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"model")
    (folder / "manifest.json").write_text(json.dumps(SAID))
    return folder


def run(model, to):
    return azureml_publish.main(["--model", str(model), "--to", str(to)])


def test_a_version_is_a_folder_of_its_name_among_all_models(model, tmp_path, capsys):
    assert run(model, tmp_path / "models") == 0
    folder = tmp_path / "models" / "gradient-boosting" / "2026.1126.41500"
    assert json.loads(capsys.readouterr().out) == {"published": str(folder)}
    assert {file.name for file in folder.iterdir()} == {"model.onnx", "manifest.json"}
    assert (folder / "model.onnx").read_bytes() == b"model"


def test_a_version_that_is_there_stays_as_it_is(model, tmp_path, capsys):
    assert run(model, tmp_path / "models") == 0
    (model / "model.onnx").write_bytes(b"another")
    assert run(model, tmp_path / "models") == 2
    assert "a version never changes" in capsys.readouterr().err
    assert next((tmp_path / "models").rglob("model.onnx")).read_bytes() == b"model"


def test_what_an_attempt_left_that_was_cut_off_is_no_version_and_is_written_over(model, tmp_path):
    folder = tmp_path / "models" / "gradient-boosting" / "2026.1126.41500"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"mod")
    assert run(model, tmp_path / "models") == 0
    assert (folder / "model.onnx").read_bytes() == b"model"


@pytest.mark.parametrize("said", [{}, {"name": "gradient-boosting"}, {"version": "1.0.0"}])
def test_what_was_not_registered_is_refused_and_nothing_is_written(model, tmp_path, capsys, said):
    (model / "manifest.json").write_text(json.dumps(said))
    assert run(model, tmp_path / "models") == 2
    assert "names no version" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
