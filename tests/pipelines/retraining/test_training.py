"""A run of training tells the trail how it ended, also one that ends early; the loop's test takes it to its end."""

import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.retraining.audit import Trail, read, verify
from ml_pipelines.retraining.events import Ended, What, runs
from ml_pipelines.retraining.training import Training, run
from ml_pipelines.steps import manifest
from ml_pipelines.steps.errors import StepError
from ml_pipelines.tasks.credit import CREDIT

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


def training(folder: Path, events: int, **other) -> Training:
    archive = folder / "archive"
    archive.mkdir()
    if events:
        pq.write_table(datasets.load("credit").log.slice(0, events), archive / "events.parquet")
    return Training("run-1", CREDIT, archive, folder / "runs", folder / "registry", "abc", usd=3.0, **other)


def test_data_that_isnt_fit_stops_it_and_is_told(tmp_path):
    trail = Trail(tmp_path / "trail")
    made = run(training(tmp_path, 60), trail, "Because.", NOW)
    assert (made.version, made.key) == (None, "")
    assert any("60 examples" in one for one in made.stopped)
    started, stopped = read(trail.file)
    assert (started["what"], started["why"], started["details"]["usd"]) == (What.STARTED, "Because.", 3.0)
    assert stopped["what"] == What.STOPPED
    assert set(stopped["hashes"]) == {"log"}
    assert not (tmp_path / "registry").exists()


def test_a_step_that_cant_do_its_work_is_told_and_raised(tmp_path):
    trail = Trail(tmp_path / "trail")
    with pytest.raises(StepError, match="holds no events"):
        run(training(tmp_path, 0), trail, "Because.", NOW)
    assert verify(trail.file).number == 2
    assert [one.ended for one in runs(read(trail.file))] == [Ended.STOPPED]


def test_a_champion_that_isnt_signed_is_not_learned_from(tmp_path):
    champion = tmp_path / "champion"
    champion.mkdir()
    (champion / manifest.MANIFEST).write_text("{}")
    how = training(tmp_path, 60, champion=champion, key=tmp_path / "key.pem")
    with pytest.raises(manifest.ManifestError, match="there is none"):
        run(how, Trail(tmp_path / "trail"), "Because.", NOW)
    assert read(tmp_path / "trail")[-1]["what"] == What.STOPPED
