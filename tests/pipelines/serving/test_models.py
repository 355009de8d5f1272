"""What no trusted manifest vouches for isn't loaded, and what is loaded checks its inputs."""

import json

import numpy as np
import pytest
from ml_pipelines.serving.models import load
from ml_pipelines.serving.refusal import RefusedError
from ml_pipelines.serving.trust import ModelError, Trust
from ml_pipelines.steps import manifest

from .conftest import KEY, OTHER, graph, register

TRUST = Trust([KEY.public_key()])


def test_a_signed_version_scores(registry):
    model = load("trees", "1.0.0", registry / "trees" / "1.0.0", TRUST)
    columns, missing = model.schema.columns([{"amount": 10, "abroad": True, "country": "DE"}])
    assert model.score(columns) == pytest.approx([1 / (1 + np.exp(-1))])
    assert missing == ()


def change(folder):
    (folder / "model.onnx").write_bytes(graph(weight=9))


def truncate(folder):
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])
    resign(folder, files=manifest.hashes(folder))


def resign(folder, key=KEY, **changed):
    said = json.loads((folder / "manifest.json").read_text()) | changed
    (folder / "manifest.json").write_text(json.dumps(said))
    manifest.sign(folder, key)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (change, "was changed"),
        (truncate, "can't be loaded"),
        (lambda folder: resign(folder, OTHER), "isn't trusted"),
        (lambda folder: (folder / "manifest.sig").unlink(), "there is none"),
        (lambda folder: (folder / "manifest.json").unlink(), "can't be read"),
        (lambda folder: resign(folder, version="1.0.1"), "holds trees/1.0.1"),
        (lambda folder: resign(folder, inputs=[{"name": "amount", "kind": "number"}]), "isn't in model.onnx"),
        (lambda folder: resign(folder, inputs=[{"name": "amount"}]), "doesn't say its inputs"),
        (lambda folder: (folder / "more.py").write_text(""), "isn't named by the manifest"),
    ],
)
def test_what_was_spoilt_is_refused(registry, spoil, said):
    folder = registry / "trees" / "1.0.0"
    spoil(folder)
    with pytest.raises(ModelError, match=f"trees/1.0.0.*{said}"):
        load("trees", "1.0.0", folder, TRUST)


def test_only_an_experiment_takes_what_nobody_signed(registry):
    folder = register(registry, "trees", "2.0.0", key=None)
    assert load("trees", "2.0.0", folder, Trust(unsigned=True)).key == "trees/2.0.0"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"amount": "10"}, "features.amount"),
        ({"amount": True}, "features.amount"),
        ({"amount": float("nan")}, "features.amount"),
        ({"amount": [1]}, "features.amount"),
        ({"amount": {"a": 1}}, "features.amount"),
        ({"abroad": 2}, "features.abroad"),
        ({"abroad": "yes"}, "features.abroad"),
        ({"country": 5}, "features.country"),
        ({"amuont": 5}, "features.amuont"),
    ],
)
def test_a_wrong_value_is_named(registry, row, field):
    model = load("trees", "1.0.0", registry / "trees" / "1.0.0", TRUST)
    with pytest.raises(RefusedError) as refused:
        model.schema.columns([row])
    assert (refused.value.status, refused.value.field) == (422, field)
    with pytest.raises(RefusedError) as refused:
        model.schema.columns([{}, row])
    assert refused.value.field == field.replace("features", "instances[1]")


def test_single_rows_and_several_become_the_same_columns(registry):
    model = load("trees", "1.0.0", registry / "trees" / "1.0.0", TRUST)
    rows = [{"amount": 1, "abroad": False, "country": None}, {"amount": 2.5, "country": "FR"}]
    together, missing = model.schema.columns(rows)
    for place, row in enumerate(rows):
        alone, _ = model.schema.columns([row])
        for name, values in together.items():
            assert values.dtype == alone[name].dtype
            np.testing.assert_array_equal(values[place : place + 1], alone[name])
    assert missing == ("abroad", "country")
