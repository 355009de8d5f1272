"""The step as platforms run it: what was captured and labels in, drift.json and an exit code out."""

import hashlib
import json
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ml_pipelines.monitoring.performance import performance
from ml_pipelines.monitoring.report import Kind, Report, Settings, Verdict
from ml_pipelines.retraining import audit
from ml_pipelines.steps import drift as step
from ml_pipelines.steps import manifest
from ml_pipelines.steps.drift import Asked, drift
from ml_pipelines.steps.drift_baseline import described, drift_baseline
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.prepare import prepare
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.steps.train import Origin, train
from tests.pipelines.steps.conftest import CLASS_TASK, NUMBER_TASK, made_examples

START = 1_767_225_600_000
KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)


def scored(seed, rows, shift=0.0, flipped=False):
    """An input that tells a score, and an outcome as likely as that says (or as unlikely)."""
    draw = np.random.default_rng(seed)
    strong = draw.normal(shift, 1, rows)
    scores = 1 / (1 + np.exp(-strong))
    outcomes = (draw.random(rows) < (1 - scores if flipped else scores)).astype(float)
    return strong, scores, outcomes


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    strong, scores, outcomes = scored(1, 6000)
    reached = performance(CLASS_TASK, outcomes, scores)
    part = {"scores": described(scores), "outcomes": described(outcomes)}
    said = {
        **{"format": 1, "task": "made-up", "rows": 6000, "inputs": {"strong": described(strong)}, **part},
        "held_back": {
            **{"rows": 6000, **part},
            "performance": {one.metric: {"value": one.value, "error": one.error} for one in reached},
        },
    }
    file = tmp_path_factory.mktemp("baseline") / "drift_baseline.json"
    file.write_text(json.dumps(said))
    return file


def captured(folder, rows=2000, seed=2, **changed):
    """What the service captured, and labels of it, as lines."""
    strong, scores, outcomes = scored(seed, rows, **changed)
    asked = [
        {
            **{"at": START + 1000 * place, "tenant": "ab"[place % 2], "entity": f"card-{place // 2}"},
            **{"event_id": f"event-{place}", "features": {"strong": strong[place]}, "score": scores[place]},
            **{"selected": False, "model": "boosting/1.0.0"},
        }
        for place in range(rows)
    ]
    labels = [
        {"event_id": f"event-{place}", "outcome": outcomes[place], "labelled_at": START + 1000 * place + 500}
        for place in range(rows)
    ]
    write(folder / "requests" / "day=2026-01-01" / "one.jsonl", asked)
    write(folder / "labels" / "one.jsonl", labels)
    return Asked(folder / "requests", folder / "labels", as_of=START + rows * 1000)


def write(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def test_a_window_like_training_passes(baseline, tmp_path):
    report = drift(baseline, captured(tmp_path), CLASS_TASK, Settings(segments=("tenant",)))
    assert report.lines() == []
    assert report.rows == 2000
    assert report.counts == {"answers": 2000, "labels": 2000, "labels_joined": 2000}
    assert {(one.metric, one.segment) for one in report.of(Kind.CONCEPT)} == {
        (metric, segment) for metric in ("roc_auc", "bias") for segment in ("", "tenant=a", "tenant=b")
    }
    assert all(one.low < one.found < one.high for one in report.of(Kind.CONCEPT))
    assert Report.from_json(json.loads(json.dumps(report.as_json()))) == report


def test_outcomes_that_turn_are_found_where_inputs_do_not(baseline, tmp_path):
    report = drift(baseline, captured(tmp_path, flipped=True), CLASS_TASK, Settings())
    assert {(one.kind, one.metric) for one in report.alarms} == {(Kind.CONCEPT, "roc_auc")}
    (line,) = report.lines()
    assert line.startswith("concept_drift, outcome: roc_auc is 0.2")
    assert "before; at least 0." in line


def test_a_shift_moves_inputs_and_scores(baseline, tmp_path):
    report = drift(baseline, captured(tmp_path, shift=1.0), CLASS_TASK, Settings())
    found = {(one.kind, one.feature) for one in report.alarms}
    assert {(Kind.DATA, "strong"), (Kind.PREDICTION, "score")} <= found


def test_faults_of_labels_are_counted_and_stop_nothing(baseline, tmp_path):
    asked = captured(tmp_path)
    at = START + 5_000_000
    write(
        tmp_path / "labels" / "two.jsonl",
        [
            {"event_id": "never-seen", "outcome": 1, "labelled_at": at},
            {"event_id": "event-1", "outcome": 7.5, "labelled_at": None},
            {"event_id": "event-2", "outcome": 0, "labelled_at": at - 10},
            {"event_id": "event-2", "outcome": 1, "labelled_at": at},
            {"event_id": "event-2", "outcome": 1, "labelled_at": at},
        ],
    )
    write(tmp_path / "requests" / "late.jsonl", [{"at": START + 9_000_000, "event_id": "event-late", "score": 0.5}])
    write(tmp_path / "labels" / "three.jsonl", [{"event_id": "event-late", "outcome": 1, "labelled_at": START}])
    (tmp_path / "requests" / "broken.jsonl").write_text("no line\n{}\n")
    report = drift(baseline, Asked(asked.place, asked.labels, as_of=START + 10_000_000), CLASS_TASK, Settings())
    faults = {name: count for name, count in report.counts.items() if name.startswith("labels_")}
    assert faults["labels_unknown"] == 1
    assert faults["labels_unreadable"] == 1
    assert faults["labels_contradicted"] == 1
    assert faults["labels_skewed"] == 1
    assert faults["labels_repeated"] >= 1
    assert report.rows == 2001
    assert report.lines() == []
    assert "1 unknown" in report.notes[0]


def test_few_labels_are_too_few_to_tell(baseline, tmp_path):
    asked = captured(tmp_path, rows=100)
    report = drift(baseline, asked, CLASS_TASK, Settings())
    assert {one.verdict for one in report.of(Kind.CONCEPT)} == {Verdict.TOO_FEW}
    assert "of the rarer class, are too few to tell" in report.of(Kind.CONCEPT)[0].reason


def test_numbers_are_judged_by_their_error():
    draw = np.random.default_rng(3)
    outcomes = draw.exponential(10, 3000)
    scores = outcomes + draw.normal(0, 2, 3000)
    before = performance(NUMBER_TASK, outcomes, scores)
    worse = scores + draw.normal(0, 2, 3000)
    (error, bias) = step.decays(NUMBER_TASK, before, outcomes, worse)
    assert (error.metric, error.beyond(Settings()), error.p < 1e-10) == ("mean_absolute_error", True, True)
    assert (bias.metric, bias.beyond(Settings())) == ("bias", False)
    (error, bias) = step.decays(NUMBER_TASK, before, outcomes, scores * 0.8)
    assert (bias.beyond(Settings()), bias.p < 1e-10) == (True, True)
    assert "at most" in bias.said(Settings())


@pytest.mark.parametrize("there", [True, False], ids=["an empty folder", "no folder"])
def test_nothing_captured_is_an_alarm(there, baseline, tmp_path):
    folder = tmp_path / "requests"
    if there:
        folder.mkdir()
    report = drift(baseline, Asked(folder), CLASS_TASK, Settings())
    assert [one.kind for one in report.alarms] == [Kind.ABSENCE]


def test_labels_that_stop_are_an_alarm(baseline, tmp_path):
    asked = captured(tmp_path)
    report = drift(baseline, Asked(asked.place, tmp_path / "nowhere"), CLASS_TASK, Settings())
    assert report.lines() == [
        f"absence, outcome: {tmp_path / 'nowhere'} holds no labels: whoever sends them has stopped"
    ]


def test_another_tasks_baseline_is_refused(baseline, tmp_path):
    with pytest.raises(StepError, match="is of task `made-up`, not `made-up-number`"):
        drift(baseline, Asked(tmp_path), NUMBER_TASK, Settings())


def run(monkeypatch, *arguments):
    """The exit code of the command line."""
    monkeypatch.setattr(step, "find", lambda name: CLASS_TASK)
    monkeypatch.setattr(sys, "argv", ["drift", "--task", "made-up", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        step.main()
    return ended.value.code


def test_the_command_line_ends_with_the_verdict(baseline, tmp_path, monkeypatch, capsys):
    asked = captured(tmp_path, shift=2.0)
    words = ("--baseline", baseline, "--window", asked.place, "--to", tmp_path / "out" / "drift.json")
    assert run(monkeypatch, *words) == 3
    said = capsys.readouterr()
    assert "drift: data_drift, strong: population_stability_index is " in said.err
    assert json.loads(said.out) == json.loads((tmp_path / "out" / "drift.json").read_text())
    assert run(monkeypatch, *words, "--branch") == 0
    assert run(monkeypatch, *words, "--threshold", 100, "--until", "2026-01-01T00:10:00", "--labels", "none") == 3
    until = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert (until["rows"], until["since"], until["settings"]["threshold"]) == (600, START, 100)
    assert run(monkeypatch, *words, "--hours", 0.1, "--until", "2026-01-01T00:10:00") == 3
    assert json.loads((tmp_path / "out" / "drift.json").read_text())["rows"] == 360
    assert run(monkeypatch, *words, "--silence-minutes", 60, "--branch") == 0
    assert "(window): the last row is of" in capsys.readouterr().err
    usual = captured(tmp_path / "usual")
    assert run(monkeypatch, "--baseline", baseline, "--window", usual.place, "--to", tmp_path / "drift.json") == 0
    assert run(monkeypatch, "--baseline", tmp_path / "no.json", *words[2:]) == 2
    assert "no.json: there is no such file" in capsys.readouterr().err


def test_outcomes_of_answers_before_the_window_count(baseline, tmp_path, monkeypatch):
    asked = captured(tmp_path, flipped=True)
    words = ("--baseline", baseline, "--window", asked.place, "--labels", asked.labels, "--branch")

    def joined(*more):
        assert run(monkeypatch, *words, *more, "--to", tmp_path / "drift.json") == 0
        return Report.from_json(json.loads((tmp_path / "drift.json").read_text()))

    # A window of now: nothing was asked in it, and no outcome is of it.
    assert joined("--hours", 1).of(Kind.CONCEPT) == []
    report = joined("--hours", 1, "--labels-within-days", 3650)
    assert (report.counts["labels_joined"], report.rows) == (2000, 0)
    assert {(one.metric, one.verdict) for one in report.of(Kind.CONCEPT)} >= {("roc_auc", Verdict.ALARM)}


def test_segments_are_those_of_the_baseline_where_none_are_named(baseline, tmp_path, monkeypatch):
    said = json.loads(baseline.read_text())
    kept = {"strong": [said["inputs"]["strong"]["counts"], 0]}
    said["segments"] = {f"{name}={value}": kept for name in ("tenant", "home") for value in "ab"}
    (tmp_path / "baseline.json").write_text(json.dumps(said))
    asked = captured(tmp_path)
    words = ("--baseline", tmp_path / "baseline.json", "--window", asked.place, "--to", tmp_path / "drift.json")
    run(monkeypatch, *words)
    report = Report.from_json(json.loads((tmp_path / "drift.json").read_text()))
    assert {one.segment for one in report.of(Kind.DATA)} >= {"", "tenant=a", "tenant=b"}
    assert any("segments of `home` weren't looked at" in note for note in report.notes)
    run(monkeypatch, *words, "--segment", "entity")
    assert json.loads((tmp_path / "drift.json").read_text())["settings"]["segments"] == ["entity"]


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """A version of the registry as `register` writes it, whose model scores by `strong`, and the key that signed it."""
    folder = tmp_path_factory.mktemp("version")
    pq.write_table(made_examples(2400), folder / "log.parquet")
    prepare(folder / "log.parquet", None, CLASS_TASK, folder / "data")
    train(folder / "data", None, CLASS_TASK, folder / "model", Origin("2026-01-01T00:00:00+00:00", "abc"))
    drift_baseline(folder / "data", folder / "model", CLASS_TASK, folder / "model" / "drift_baseline.json")
    said = json.loads((folder / "model" / manifest.MANIFEST).read_text())
    said["files"] = manifest.hashes(folder / "model")
    (folder / "model" / manifest.MANIFEST).write_text(json.dumps(said))
    manifest.sign(folder / "model", KEY)
    return folder


def asked_of(version, to, **changed):
    """A window of what was held back, scored, with columns that are others."""
    table = pq.read_table(version / "data" / "test.parquet")
    for name, values in changed.items():
        place = table.column_names.index(name)
        table = table.drop_columns([name]) if values is None else table.set_column(place, name, pa.array(values(table)))
    table = table.append_column("score", pa.array(np.full(len(table), 0.5)))
    pq.write_table(table, to)
    return to


def explained(version, window, monkeypatch, *more, to):
    words = ("--baseline", version / "model", "--window", window, "--to", to, "--threshold", 100)
    code = run(monkeypatch, *words, "--trusted", manifest.as_word(KEY.public_key()), "--branch", *more)
    assert code == 0
    return Report.from_json(json.loads(to.read_text()))


def test_a_versions_folder_tells_what_scores_come_from(version, tmp_path, monkeypatch):
    report = explained(version, asked_of(version, tmp_path / "window.parquet"), monkeypatch, to=tmp_path / "drift.json")
    (finding,) = report.of(Kind.ATTRIBUTION)
    assert (finding.metric, finding.verdict) == ("ndcg", Verdict.OK)
    assert finding.found > 0.98
    now = {name: share for name, (_, share) in report.attributions.items()}
    assert set(now) == {item.name for item in CLASS_TASK.inputs}
    assert max(now, key=now.get) == "strong"


def test_scores_that_come_from_another_input_page(version, tmp_path, monkeypatch):
    window = asked_of(
        version,
        tmp_path / "window.parquet",
        # What decided them is never there, and so is nearly what the model takes in its place.
        strong=lambda table: [None] * len(table),
        word=lambda table: ["rare"] * len(table),
        skewed=lambda table: [50.0] * len(table),
    )
    report = explained(version, window, monkeypatch, "--attribution", 0.999, to=tmp_path / "drift.json")
    (finding,) = report.of(Kind.ATTRIBUTION)
    assert finding.verdict is Verdict.ALARM
    assert "inputs matter in another order than in training: ndcg is " in finding.reason


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"weak": None}, "what scores come from wasn't looked at: the window has no column `weak`"),
        ({}, ""),
    ],
    ids=["a column is absent", "a few rows"],
)
def test_what_cannot_be_attributed_is_told(version, tmp_path, monkeypatch, changed, note):
    window = asked_of(version, tmp_path / "window.parquet", **changed)
    if not note:
        pq.write_table(pq.read_table(window).slice(0, 50), window)
    report = explained(version, window, monkeypatch, to=tmp_path / "drift.json")
    assert [one.verdict for one in report.of(Kind.ATTRIBUTION)] == ([] if note else [Verdict.TOO_FEW])
    assert (note in report.notes) is bool(note)


def test_a_baseline_of_before_has_no_attributions(version, tmp_path, monkeypatch):
    model = shutil.copytree(version / "model", tmp_path / "model")
    said = json.loads((model / "drift_baseline.json").read_text())
    del said["held_back"]["attributions"]
    (model / "drift_baseline.json").write_text(json.dumps(said))
    asked = Asked(asked_of(version, tmp_path / "window.parquet"), scorer=Scorer.load("drift", model))
    report = drift(model / "drift_baseline.json", asked, CLASS_TASK, Settings())
    assert report.of(Kind.ATTRIBUTION) == []
    assert any("has no attributions of what was held back" in note for note in report.notes)


@pytest.mark.parametrize(
    ("spoil", "more", "message"),
    [
        ("model.onnx", (), "model.onnx: was changed"),
        ("drift_baseline.json", (), "drift_baseline.json: was changed"),
        ("manifest.sig", (), "takes such models"),
        ("", ("--trusted", manifest.as_word(Ed25519PrivateKey.generate().public_key())), "which isn't trusted"),
        ("", ("--trusted", "ed25519:short"), "--trusted: ed25519:short: isn't"),
    ],
    ids=["another model", "another baseline", "no signature", "another key", "no key"],
)
def test_a_version_that_cannot_be_trusted_is_not_looked_at(
    version, tmp_path, monkeypatch, capsys, spoil, more, message
):
    model = shutil.copytree(version / "model", tmp_path / "model")
    if spoil == "manifest.sig":
        (model / spoil).unlink()
    elif spoil:
        (model / spoil).write_text((model / spoil).read_text(errors="replace") + " ")
    window = asked_of(version, tmp_path / "window.parquet")
    words = ("--baseline", model, "--window", window, "--to", tmp_path / "drift.json")
    trusted = more or ("--trusted", manifest.as_word(KEY.public_key()))
    assert run(monkeypatch, *words, *trusted) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "drift.json").exists()
    if spoil == "manifest.sig":
        assert run(monkeypatch, *words, "--environment", "experiment", "--branch") == 0


def looked(monkeypatch, baseline, asked, folder, *more):
    """What drift.json says where a trail is kept, and whether the file is there by which training starts."""
    retrain = folder / "retrain.json"
    retrain.unlink(missing_ok=True)
    words = ("--baseline", baseline, "--window", asked.place, "--to", folder / "drift.json", "--retrain", retrain)
    assert run(monkeypatch, *words, "--trail", folder / "trail.jsonl", "--branch", *more) == 0
    said = json.loads((folder / "drift.json").read_text())
    if retrain.exists():
        assert json.loads(retrain.read_text()) == said
    return said, retrain.exists()


def told(folder):
    return [record["what"] for record in audit.read(folder / "trail.jsonl")]


def test_drift_starts_a_training_and_none_after_it_until_it_has_cooled_down(baseline, tmp_path, monkeypatch):
    asked = captured(tmp_path, shift=2.0)
    said, started = looked(monkeypatch, baseline, asked, tmp_path)
    assert (said["drifted"], said["retrain"], started) == (True, True, True)
    assert said["decision"].startswith("Train: strong, score drifted")
    assert told(tmp_path) == ["drift.found", "retraining.decided", "retraining.started"]
    said, started = looked(monkeypatch, baseline, asked, tmp_path)
    assert (said["drifted"], said["retrain"], started) == (True, False, False)
    assert "24 hours are to pass between runs" in said["decision"]
    assert told(tmp_path)[3:] == ["drift.found", "retraining.decided"]
    assert looked(monkeypatch, baseline, asked, tmp_path, "--cool-down-hours", 0)[1] is False
    assert "a training is running" in json.loads((tmp_path / "drift.json").read_text())["decision"]
    assert audit.verify(tmp_path / "trail.jsonl").number == 7
    (record, *_) = audit.read(tmp_path / "trail.jsonl")
    assert record["hashes"] == {"baseline": hashlib.sha256(baseline.read_bytes()).hexdigest()}
    assert any("data_drift, strong" in line for line in record["details"]["alarms"])


def test_what_is_like_training_or_broken_starts_none(baseline, tmp_path, monkeypatch):
    said, started = looked(monkeypatch, baseline, captured(tmp_path / "usual"), tmp_path)
    assert (said["retrain"], started) == (False, False)
    assert said["decision"] == "No training: nothing asks for it."
    assert not (tmp_path / "trail.jsonl").exists()
    # Nobody trains by an empty window, which pages.
    said, started = looked(monkeypatch, baseline, captured(tmp_path), tmp_path, "--until", "2020-01-01")
    assert (said["passed"], said["retrain"], started) == (False, False, False)
    assert told(tmp_path) == ["drift.found"]


def test_nothing_is_decided_without_a_trail(baseline, tmp_path, monkeypatch):
    asked = captured(tmp_path, shift=2.0)
    words = ("--baseline", baseline, "--window", asked.place, "--to", tmp_path / "drift.json")
    assert run(monkeypatch, *words, "--retrain", tmp_path / "retrain.json", "--branch") == 0
    said = json.loads((tmp_path / "drift.json").read_text())
    assert (said["drifted"], said["retrain"], said["decision"]) == (True, False, None)
    assert not (tmp_path / "retrain.json").exists()


def test_a_trail_that_was_changed_stops_the_look(baseline, tmp_path, monkeypatch, capsys):
    asked = captured(tmp_path, shift=2.0)
    looked(monkeypatch, baseline, asked, tmp_path)
    trail = tmp_path / "trail.jsonl"
    trail.write_bytes(trail.read_bytes().replace(b"retraining.started", b"retraining.stopped"))
    words = ("--baseline", baseline, "--window", asked.place, "--to", tmp_path / "again.json", "--trail", trail)
    assert run(monkeypatch, *words) == 2
    assert "trail.jsonl: record 3: was changed" in capsys.readouterr().err
    assert not (tmp_path / "again.json").exists()
