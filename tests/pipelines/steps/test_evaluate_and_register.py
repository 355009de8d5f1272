"""From prepared data to the registry: reports that say what is so, and nothing registered that didn't pass."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ml_pipelines.monitoring import duckdb_counting
from ml_pipelines.monitoring.baseline import Baseline
from ml_pipelines.monitoring.compare import compare
from ml_pipelines.monitoring.counting import count
from ml_pipelines.monitoring.report import Settings
from ml_pipelines.steps.batch_score import batch_score
from ml_pipelines.steps.drift_baseline import described, drift_baseline
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.evaluate import evaluate
from ml_pipelines.steps.manifest import verify
from ml_pipelines.steps.prepare import prepare
from ml_pipelines.steps.register import assemble, newest, register, version_of, versions
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.steps.train import Origin, train
from ml_pipelines.steps.tune import tune
from tests.pipelines.steps.conftest import CLASS_TASK, NUMBER_TASK, made_examples

ORIGIN = Origin("2026-01-01T00:00:00+00:00", "abc")
KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)


def trained(task, folder):
    """A folder with everything that `register` takes."""
    pq.write_table(made_examples(2400, number=task.predicts == "number"), folder / "log.parquet")
    prepare(folder / "log.parquet", None, task, folder / "data")
    tune(folder / "data", task, folder / "tuning.json", trials=1)
    train(folder / "data", folder / "tuning.json", task, folder / "model", ORIGIN)
    evaluate(folder / "data", folder / "model", task, folder / "evaluation", tuning=folder / "tuning.json")
    drift_baseline(folder / "data", folder / "model", task, folder / "drift.json")
    (folder / "key.pem").write_bytes(
        KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture(scope="module")
def of_class(tmp_path_factory):
    return trained(CLASS_TASK, tmp_path_factory.mktemp("class"))


@pytest.fixture(scope="module")
def of_number(tmp_path_factory):
    return trained(NUMBER_TASK, tmp_path_factory.mktemp("number"))


@pytest.fixture
def made(of_class, tmp_path):
    return shutil.copytree(of_class, tmp_path / "made")


def registered(folder, task=CLASS_TASK, **options):
    options = {"key": folder / "key.pem", **options}
    return register(
        *(folder / "model", folder / "evaluation", folder / "drift.json", task, folder / "registry"), **options
    )


def test_metrics_are_told_beside_the_baseline(of_class):
    said = json.loads((of_class / "evaluation" / "metrics.json").read_text())
    model, plain = said["metrics"]["model"]["roc_auc"], said["metrics"]["baseline"]["roc_auc"]
    assert plain == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert 0.5 < model["low"] < model["value"] < model["high"] < 1
    assert next(iter(said["importance"])) == "strong"
    assert abs(said["importance"]["weak"]) < 0.05


@pytest.mark.parametrize("which", ["of_class", "of_number"])
def test_the_report_stands_alone_and_names_what_matters(which, request):
    folder = request.getfixturevalue(which) / "evaluation"
    page = (folder / "report.html").read_text()
    assert page.count("<svg") >= 6
    assert not re.search(r'(src|href)="http', page)
    assert "<script" not in page
    for text in ("On data held back", "Calibration", "Importance", "By group", "What was tried", "chosen", "Made up."):
        assert text in page
    card = (folder / "model_card.md").read_text()
    assert "## How good it is" in card
    assert "abc" in card


def test_the_report_has_the_same_bytes_for_the_same_model(of_class, tmp_path):
    again = tmp_path / "again"
    evaluate(of_class / "data", of_class / "model", CLASS_TASK, again, tuning=of_class / "tuning.json")
    for name in ("report.html", "model_card.md"):
        texts = [(folder / name).read_text() for folder in (of_class / "evaluation", again)]
        # What latency was measured differs.
        first, second = (re.sub(r"[^<>\n]*single answers[^<>\n]*", "", text) for text in texts)
        assert first == second


def test_what_passed_is_registered_and_signed(made):
    said = registered(made)
    folder = made / "registry" / "made-up" / "logistic-regression" / "1.0.0"
    assert verify(folder, [KEY.public_key()]) == said
    assert said["metrics"]["roc_auc"]["value"] > 0.7
    assert set(said["files"]) == {
        *("model.onnx", "verdict.json", "verdict.xml", "metrics.json", "report.html", "model_card.md"),
        "drift_baseline.json",
    }
    assert registered(made)["version"] == "1.0.1"
    assert registered(made, version="1.10.0")["version"] == "1.10.0"
    assert versions(folder.parent) == ["1.0.0", "1.0.1", "1.10.0"]
    assert newest(made / "registry", CLASS_TASK).parent == folder.parent


def fail_a_gate(folder):
    verdict = json.loads((folder / "evaluation" / "verdict.json").read_text())
    strict = replace(CLASS_TASK, bounds=replace(CLASS_TASK.bounds, floor=0.999))
    evaluate(folder / "data", folder / "model", strict, folder / "evaluation")
    assert verdict["passed"]


def take_the_verdict(folder):
    (folder / "evaluation" / "verdict.json").unlink()


def check_nothing(folder):
    (folder / "evaluation" / "verdict.json").write_text('{"subject": "made-up", "passed": false, "checks": []}')


def change_the_model(folder):
    (folder / "model" / "model.onnx").write_bytes(b"another")


def take_the_report(folder):
    (folder / "evaluation" / "report.html").unlink()


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (fail_a_gate, {}, r"floors, roc_auc: roc_auc is .* must reach 0.999. Short by 0\.\d+\. Look at"),
        (take_the_verdict, {}, r"verdict.json: there is no such file"),
        (check_nothing, {}, r"nothing was checked"),
        (change_the_model, {}, r"model.onnx: was changed after training"),
        (take_the_report, {}, r"report.html: there is no such file"),
        (None, {"key": None}, r"--key: is missing: environment `production` takes signed models only"),
        (None, {"version": "2"}, r"--version: is three numbers, such as 1.2.0, not `2`"),
        (None, {"task": NUMBER_TASK}, r"is of task `made-up`, its verdict of `made-up`, not `made-up-number`"),
    ],
)
def test_what_did_not_pass_is_not_registered(spoil, options, message, made):
    if spoil:
        spoil(made)
    with pytest.raises(StepError, match=message):
        registered(made, **options)
    assert not list((made / "registry").rglob("*")) or not list((made / "registry").rglob("manifest.json"))


def test_a_version_never_changes(made):
    registered(made, version="1.0.0")
    with pytest.raises(StepError, match="is registered already; a version never changes"):
        registered(made, version="1.0.0")


def test_an_experiment_needs_no_key(made):
    registered(made, key=None, environment="experiment")
    folder = newest(made / "registry", CLASS_TASK)
    assert not (folder / "manifest.sig").exists()
    assert verify(folder, [], unsigned=True)["environment"] == "experiment"


def test_a_model_is_compared_with_the_champion(made):
    registered(made)
    said = evaluate(
        made / "data", made / "model", CLASS_TASK, made / "again", champion=newest(made / "registry", CLASS_TASK)
    )
    assert said["metrics"]["champion"] == said["metrics"]["model"]
    verdict = json.loads((made / "again" / "verdict.json").read_text())
    (check,) = [check for check in verdict["checks"] if check["gate"] == "champion"]
    assert check["passed"]
    assert check["value"] == 0


def test_a_model_of_another_task_is_not_evaluated(made):
    with pytest.raises(StepError, match="is a model of task `made-up`, not `other`"):
        evaluate(made / "data", made / "model", replace(CLASS_TASK, name="other"), made / "again")


def test_a_batch_is_scored_by_a_verified_model(made):
    registered(made)
    model = newest(made / "registry", CLASS_TASK)
    said = batch_score(model, made / "data" / "test.parquet", CLASS_TASK, made / "scores.parquet", [KEY.public_key()])
    scores = pq.read_table(made / "scores.parquet")
    assert said["rows"] == len(scores)
    assert set(scores["model"].to_pylist()) == {"logistic-regression/1.0.0"}
    assert (
        scores["selected"].to_pylist()
        == (scores["score"].to_numpy() > verify(model, [KEY.public_key()])["threshold"]).tolist()
    )


def test_nothing_due_is_a_batch_of_no_scores(made):
    registered(made)
    model = newest(made / "registry", CLASS_TASK)
    nothing = pq.read_table(made / "data" / "test.parquet").slice(0, 0)
    pq.write_table(nothing, made / "asked.parquet")
    said = batch_score(model, made / "asked.parquet", CLASS_TASK, made / "scores.parquet", [KEY.public_key()])
    assert (said["rows"], said["mean_score"]) == (0, None)
    found = pq.read_table(made / "scores.parquet")
    assert len(found) == 0
    kept = ["example_id", "entity", "decided_at", "score", "selected", "model", "at"]
    assert found.column_names == kept + [item.name for item in CLASS_TASK.inputs]


def test_a_batch_is_a_window_that_drift_can_be_looked_for_in(made):
    registered(made)
    model, asked = newest(made / "registry", CLASS_TASK), made / "data" / "test.parquet"
    batch_score(model, asked, CLASS_TASK, made / "scored" / "run=1" / "scores.parquet", [KEY.public_key()], at=1_000)
    baseline = Baseline.read("drift", model / "drift_baseline.json")
    window = duckdb_counting.count(baseline, made / "scored", since=1_000, until=1_001)
    assert window.absent == ()
    assert window.rows == pq.read_metadata(asked).num_rows


def test_an_unknown_word_and_a_gap_are_scored(made):
    registered(made)
    asked = pq.read_table(made / "data" / "test.parquet").slice(0, 4).drop_columns(["target"])
    asked = asked.set_column(asked.column_names.index("word"), "word", pa.array(["new", None, "", "red"]))
    asked = asked.set_column(asked.column_names.index("strong"), "strong", pa.array([None, np.nan, np.inf, 1e300]))
    pq.write_table(asked, made / "asked.parquet")
    model = newest(made / "registry", CLASS_TASK)
    batch_score(model, made / "asked.parquet", CLASS_TASK, made / "scores.parquet", [KEY.public_key()])
    scores = pq.read_table(made / "scores.parquet")["score"].to_numpy()
    assert ((scores > 0) & (scores < 1)).all()


def with_numbers_for_words(table):
    return table.set_column(table.column_names.index("word"), "word", pa.array(np.ones(len(table))))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.drop_columns(["strong"]), "batch_score: column `strong`: is missing in"),
        (
            lambda table: table.set_column(table.column_names.index("word"), "word", pa.array(np.ones(len(table)))),
            "`word`",
        ),
    ],
)
def test_a_bad_batch_is_refused_and_nothing_is_written(spoil, message, made):
    registered(made)
    pq.write_table(spoil(pq.read_table(made / "data" / "test.parquet")), made / "asked.parquet")
    model = newest(made / "registry", CLASS_TASK)
    with pytest.raises(StepError, match=message):
        batch_score(model, made / "asked.parquet", CLASS_TASK, made / "scores.parquet", [KEY.public_key()])
    assert not list(made.glob("*scores*"))


def test_a_batch_is_not_scored_by_a_model_that_was_changed(made):
    registered(made)
    model = newest(made / "registry", CLASS_TASK)
    (model / "model.onnx").write_bytes(b"another")
    with pytest.raises(StepError, match="was changed"):
        batch_score(model, made / "data" / "test.parquet", CLASS_TASK, made / "scores.parquet", [KEY.public_key()])


def test_the_baseline_of_drift_describes_inputs_and_scores(of_class):
    said = json.loads((of_class / "drift.json").read_text())
    strong = said["inputs"]["strong"]
    assert sum(strong["shares"]) == pytest.approx(1)
    assert len(strong["shares"]) == len(strong["edges"]) + 1 == 20
    assert strong["missing"] == pytest.approx(0.1, abs=0.03)
    words = said["inputs"]["word"]
    assert next(iter(words["shares"])) == "red"
    assert sum(words["shares"].values()) + words["others"] == pytest.approx(1)
    train = pq.read_table(of_class / "data" / "train.parquet")
    assert said["rows"] == len(train)
    assert 0 <= said["scores"]["lowest"] < said["scores"]["highest"] <= 1


def test_what_has_no_value_or_one_is_described():
    assert described(np.full(3, np.nan)) == {"kind": "number", "missing": 1.0, "edges": [], "shares": []}
    assert described(np.ones(4))["shares"] == [1.0, 0.0]
    assert described(np.array(["", ""], dtype=object))["shares"] == {}


def test_the_baseline_says_what_monitors_need_of_what_was_held_back_and_of_segments(of_class, of_number):
    said = json.loads((of_class / "drift.json").read_text())
    word, strong = said["inputs"]["word"], said["inputs"]["strong"]
    there = round(said["rows"] * (1 - strong["missing"]))
    assert sum(strong["counts"]) == there
    assert len(strong["counts"]) == len(strong["cuts"]) + 1 == 100
    assert set(strong["edges"]) <= set(strong["cuts"])
    assert strong["shares"] == pytest.approx([1 / 20] * 20, abs=1 / there)
    assert (strong["low"], strong["high"]) == (-10, 10)
    assert set(said["segments"]) == {"group=a", "group=b"}
    kept = [said["segments"][name] for name in sorted(said["segments"])]
    for name in said["inputs"]:
        counts = np.sum([one[name][0] for one in kept], axis=0)
        assert counts.tolist() == said["inputs"][name]["counts"]
    assert sum(one["word"][1] for one in kept) == said["rows"] - sum(word["counts"])
    held = said["held_back"]
    assert 0.7 < held["performance"]["roc_auc"]["value"] < 1
    assert 0 < held["performance"]["roc_auc"]["error"] < 0.05
    assert set(json.loads((of_number / "drift.json").read_text())["held_back"]["performance"]) == {
        *("mean_absolute_error", "bias")
    }
    before = Baseline.read("drift", of_class / "drift.json")
    assert (before.held_back, before.features["score"].rows) == (held["rows"], held["rows"])
    table = pq.read_table(of_class / "data" / "train.parquet")
    report = compare(before, count(before, table, ("group",)), Settings(segments=("group",)))
    # What it was trained on is what it was trained on; only scores aren't part of that table.
    assert [one.name for one in report.alarms] == ["score"]
    assert report.notes == ()


def test_a_model_that_can_not_be_loaded_is_named(tmp_path):
    with pytest.raises(StepError, match=r"model.onnx: there is no such file"):
        Scorer.load("evaluate", tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(StepError, match=r"evaluate: .*model.onnx: can't be loaded"):
        Scorer.load("evaluate", tmp_path)


@pytest.mark.parametrize("there", [False, True])
def test_a_version_for_a_platforms_registry_is_written_where_the_platform_says(there, made, tmp_path):
    to = tmp_path / "version"
    if there:
        to.mkdir()
    said = assemble(made / "model", made / "evaluation", made / "drift.json", CLASS_TASK, to, key=made / "key.pem")
    assert (said["version"], verify(to, [KEY.public_key()])) == ("2026.101.0", said)
    assert [name for name in tmp_path.iterdir() if name.name.startswith(".")] == []


def test_versions_made_of_times_are_in_their_order():
    times = [
        "2025-12-31T23:59:59+00:00",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:01+00:00",
        "2026-10-02T01:02:03+00:00",
    ]
    found = [tuple(map(int, version_of(time).split("."))) for time in times]
    assert found == sorted(found)
    assert version_of(times[-1]) == "2026.1002.10203"


def test_a_model_is_trained_again_with_the_parameters_of_the_one_in_use(made, tmp_path):
    again = train(made / "data", made / "model" / "manifest.json", CLASS_TASK, tmp_path / "again", ORIGIN)
    first = json.loads((made / "model" / "manifest.json").read_text())
    assert (again["candidate"], again["parameters"]) == (first["candidate"], first["parameters"])
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (made / "model" / "model.onnx").read_bytes()
