"""The whole pipeline on this machine, on real data: what passes is registered, and what doesn't leaves nothing."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ml_pipelines import datasets
from ml_pipelines.datasets import History
from ml_pipelines.platforms import local
from ml_pipelines.steps.manifest import verify

KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "key.pem"
    file.write_bytes(
        KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def run(to, *arguments):
    return local.main(["credit-scoring", "--to", str(to), "--trials", "1", *arguments])


def test_real_data_become_a_signed_model_and_then_its_successor(tmp_path, key, capsys):
    assert run(tmp_path / "out", "--key", str(key)) == 0
    (manifest,) = (tmp_path / "out" / "registry").rglob("manifest.json")
    said = verify(manifest.parent, [KEY.public_key()])
    assert said["version"] == "1.0.0"
    assert said["metrics"]["roc_auc"]["low"] > 0.78
    assert said["contract"]["version"] == 2
    printed = capsys.readouterr().out
    assert all(step in printed for step in ("data", "validate", "prepare", "tune", "train", "evaluate", "register"))
    scores = pq.read_table(tmp_path / "out" / "credit-scoring" / "scores.parquet")
    assert len(scores) == said["data"]["test"]["rows"]
    # The same model again isn't worse than the champion, and the comparison says so.
    assert run(tmp_path / "out", "--key", str(key)) == 0
    verdict = json.loads((tmp_path / "out" / "credit-scoring" / "evaluation" / "verdict.json").read_text())
    (check,) = [check for check in verdict["checks"] if check["gate"] == "champion"]
    assert check["value"] == 0
    assert len(list((tmp_path / "out" / "registry").rglob("manifest.json"))) == 2


def spoiled(monkeypatch, spoil):
    log = spoil(datasets.load("credit-scoring").log)
    monkeypatch.setattr(local.datasets, "load", lambda *_: History(log))


def leak(log):
    """Who didn't pay back has no income: it was filled by hand afterwards."""
    known = [None if status == "bad" else 100.0 for status in log["status"].to_pylist()]
    return log.set_column(log.column_names.index("income"), "income", pa.array(known))


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda log: log.slice(0, 0), local.FAILED, "log.parquet: holds no rows"),
        (lambda log: log.filter(pa.compute.equal(log["status"], "good")), local.REFUSED, "labels, both classes: "),
        (lambda log: log.drop_columns(["price"]), local.REFUSED, "`price` is missing"),
        (leak, local.REFUSED, "leakage, no input tells the outcome: `income` alone"),
    ],
)
def test_bad_data_register_nothing(spoil, code, said, tmp_path, monkeypatch, capsys):
    spoiled(monkeypatch, spoil)
    assert run(tmp_path) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "registry").exists()


def test_a_task_that_is_none_is_told(capsys):
    assert local.main(["fraud"]) == local.FAILED
    assert "there is no task `fraud`; there are churn" in capsys.readouterr().err
