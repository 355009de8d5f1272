"""Bad data, as they come: the pipeline says which step stopped at which column, and leaves what there was as it was.

Each case goes through the whole local pipeline on a real data set; some through the steps' own command lines too.
"""

import hashlib
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import History
from ml_pipelines.platforms import local
from ml_pipelines.steps.register import newest
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.tasks import TASKS

SIZES = {"fraud-detection": 20_000}


def changed(log, name, values):
    return log.set_column(log.column_names.index(name), name, pa.array(values, log[name].type))


def without(log, name, rows=None):
    """No value in a column, or in some rows of it."""
    kept = log[name].to_pylist()
    return changed(log, name, [None if rows is None or rows[place] else one for place, one in enumerate(kept)])


def of_type(log, name, type_):
    return log.set_column(log.column_names.index(name), name, log[name].cast(type_))


def renamed(log, name, other):
    return log.rename_columns([other if one == name else one for one in log.column_names])


def told(log, name, outcome, yes, no):
    """A number that was filled by hand once the outcome was known."""
    return changed(log, name, [yes if one == outcome else no for one in log["status"].to_pylist()])


def not_a_number(log, name, share=10):
    values = log[name].to_numpy(zero_copy_only=False).astype(float)
    return changed(log, name, np.where(np.arange(len(log)) % share, values, np.nan))


# What is spoiled -> task, how, exit code, what is said.
CASES = {
    "empty set": ("credit-scoring", lambda log: log.slice(0, 0), 2, ["validate: ", "log.parquet: holds no rows"]),
    "few events": ("credit-scoring", lambda log: log.slice(0, 40), 3, ["validate: ", "rows, enough examples: 40"]),
    "one class": (
        "credit-scoring",
        lambda log: log.filter(pc.equal(log["status"], "good")),
        3,
        ["validate: ", "labels, both classes: the rarer class of `target` has 0 examples"],
    ),
    "no outcome": ("credit-scoring", lambda log: without(log, "status"), 3, ["validate: ", "make 0 examples"]),
    "a class that is none": (
        "credit-scoring",
        lambda log: changed(log, "status", ["maybe", *log["status"].to_pylist()[1:]]),
        3,
        ["validate: ", "column `status` is `maybe` where good or bad is right"],
    ),
    "all-missing column": (
        "credit-scoring",
        lambda log: without(log, "income"),
        3,
        ["validate: ", "values, income: present: `income` has no value in 100.0%"],
    ),
    "all-missing words": (
        "churn",
        lambda log: without(log, "internet_service"),
        3,
        ["validate: ", "values, internet_service: present: `internet_service` has no value in 100.0%"],
    ),
    "leak in a value": (
        "credit-scoring",
        lambda log: told(log, "expenses", "bad", 90.0, 30.0),
        3,
        ["evaluate: ", "leakage, no input tells the outcome: `expenses` alone has a ROC AUC of 1.000"],
    ),
    "leak in a gap": (
        "credit-scoring",
        lambda log: told(log, "income", "bad", None, 100.0),
        3,
        ["evaluate: ", "leakage, no input tells the outcome: `income` alone"],
    ),
    "leak in a word": (
        "credit-scoring",
        lambda log: told(log, "home", "bad", "repossessed", "owner"),
        3,
        ["evaluate: ", "leakage, no input tells the outcome: `home` alone"],
    ),
    "leak in a number": (
        "delivery-eta",
        lambda log: changed(log, "distance_km", pc.divide(log["minutes"], 10.0).to_pylist()),
        3,
        ["evaluate: ", "leakage, no input tells the outcome: `distance_km` alone has a correlation of 1.000"],
    ),
    "NaN target": (
        "delivery-eta",
        lambda log: not_a_number(log, "minutes"),
        3,
        ["validate: ", "labels, present: `target` has no finite value in 1,002 of 10,012"],
    ),
    "infinite target": (
        "demand-forecasting",
        lambda log: changed(log, "ridership", np.where(np.arange(len(log)) % 9, 1.0, np.inf)),
        3,
        ["validate: ", "labels, present: `target` has no finite value"],
    ),
    "a target that never varies": (
        "demand-forecasting",
        lambda log: changed(log, "ridership", np.ones(len(log))),
        3,
        ["validate: ", "labels, varies: `target` has 1 different values"],
    ),
    "a column less": (
        "credit-scoring",
        lambda log: log.drop_columns(["price"]),
        3,
        ["validate: ", "`price` is missing"],
    ),
    "a column renamed": (
        "churn",
        lambda log: renamed(log, "monthly_charges", "charges"),
        3,
        ["validate: ", "`monthly_charges` is missing; `charges` is no field"],
    ),
    "a column more": (
        "churn",
        lambda log: log.append_column("iban", log["customer_id"]),
        3,
        ["validate: ", "`iban` is no field"],
    ),
    "a type changed": (
        "churn",
        lambda log: of_type(log, "tenure", pa.string()),
        3,
        ["validate: ", "`tenure` is string where int is right"],
    ),
    "a field without a value": (
        "delivery-eta",
        lambda log: without(log, "items", np.arange(len(log)) == 7),
        3,
        ["validate: ", "`items` has no value in 1 events"],
    ),
    "another unit": (
        "delivery-eta",
        lambda log: changed(log, "distance_km", pc.multiply(log["distance_km"], 1000.0).to_pylist()),
        3,
        ["validate: ", "values, distance_km: plausible: `distance_km` lies outside of 0 to 200"],
    ),
    "seconds for milliseconds": (
        "demand-forecasting",
        lambda log: changed(log, "event_time", [one // 1000 for one in log["event_time"].to_pylist()]),
        3,
        ["validate: ", "rows, enough examples: 113,974 events make 0 examples"],
    ),
}


def files(folder):
    """What lies in a folder, hidden files included, and the bytes of it."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture
def spoil(monkeypatch):
    """Spoils the events of each data set."""

    load = datasets.load

    def make(how):
        def spoiled(name, request):
            found = load(name, request)
            return History(how(found.log), found.labels)

        monkeypatch.setattr(local.datasets, "load", spoiled)

    return make


@pytest.mark.parametrize("case", CASES)
def test_the_pipeline_stops_by_name_and_registers_nothing(case, spoil, tmp_path, capsys):
    task, how, code, said = CASES[case]
    spoil(how)
    assert local.main([task, "--to", str(tmp_path), "--trials", "1"]) == code
    error = capsys.readouterr().err
    assert all(one in error for one in said), error
    assert "Traceback" not in error
    assert not (tmp_path / "registry").exists()
    left = {file.split("/")[1] for file in files(tmp_path)}
    # A step that stopped left nothing, and no later one began.
    allowed = {"evaluate": {"data", "model", "tuning.json", "evaluation", "validation", "log.parquet"}}
    assert left <= allowed.get(said[0].rstrip(": "), {"validation", "log.parquet"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What a run on data as they are leaves."""
    folder = tmp_path_factory.mktemp("trained")
    assert local.main(["credit-scoring", "--to", str(folder), "--trials", "1"]) == 0
    return folder


@pytest.mark.xdist_group("trained")
def test_the_champion_stays_as_it_was(trained, spoil, tmp_path, capsys):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    arguments = ["credit-scoring", "--to", str(tmp_path), "--trials", "1"]
    before = files(tmp_path / "registry")
    for case in ("empty set", "all-missing column", "leak in a gap"):
        spoil(CASES[case][1])
        assert local.main(arguments) == CASES[case][2]
        assert files(tmp_path / "registry") == before


@pytest.mark.xdist_group("trained")
def test_a_category_that_nobody_saw_is_no_error_and_gets_a_score(trained, tmp_path):
    task = TASKS["credit-scoring"]
    test = pq.read_table(trained / task.name / "data" / "test.parquet")
    asked = tmp_path / "asked.parquet"
    unseen = ["a tent"] * len(test)
    pq.write_table(test.set_column(test.column_names.index("home"), "home", pa.array(unseen)), asked)
    model = newest(trained / "registry", task)
    answer = step(
        "batch_score", "--task", task.name, "--model", model, "--environment", "experiment", "--inputs", asked
    )("--to", tmp_path / "scores.parquet")
    assert answer.returncode == 0, answer.stderr
    scores = pq.read_table(tmp_path / "scores.parquet")["score"].to_numpy()
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 100
    assert Scorer.load("test", model).takes_words["home"]


def step(name, *arguments):
    """A step's command line, which takes more arguments."""

    def run(*more):
        command = [sys.executable, "-m", f"ml_pipelines.steps.{name}", *map(str, (*arguments, *more))]
        return subprocess.run(command, capture_output=True, text=True)

    return run


@pytest.mark.parametrize(
    ("name", "how", "code", "said"),
    [
        ("validate", lambda log: log.slice(0, 0), 2, "validate: {log}: holds no rows\n"),
        ("prepare", lambda log: log.slice(0, 0), 2, "prepare: {log}: holds no rows\n"),
        ("validate", lambda log: without(log, "income"), 3, "validate: values, income: present: `income` has no value"),
        ("validate", lambda log: log.drop_columns(["price"]), 3, "`price` is missing\n"),
        ("prepare", lambda log: log.drop_columns(["price"]), 2, "has no column `price`"),
        (
            "prepare",
            lambda log: log.set_column(log.column_names.index("age"), "age", pa.array([[30]] * len(log))),
            2,
            "prepare: column `age`: is list",
        ),
        (
            "prepare",
            lambda log: log.filter(pc.equal(log["status"], "bad")),
            2,
            "prepare: column `target`: has one class only, 1",
        ),
    ],
)
def test_a_command_line_says_it_on_standard_error(name, how, code, said, tmp_path):
    log = tmp_path / "log.parquet"
    pq.write_table(how(datasets.load("credit-scoring").log), log)
    answer = step(name, "--task", "credit-scoring", "--log", log)("--to", tmp_path / "made")
    assert answer.returncode == code
    assert said.format(log=log) in answer.stderr
    assert "Traceback" not in answer.stderr
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"log.parquet", "made"} if code == 3 else left == {"log.parquet"}


def test_a_pipeline_that_branches_goes_on_with_what_failed(tmp_path):
    log = tmp_path / "log.parquet"
    pq.write_table(without(datasets.load("credit-scoring").log, "income"), log)
    answer = step("validate", "--task", "credit-scoring", "--log", log)("--to", tmp_path / "made", "--branch")
    assert answer.returncode == 0
    assert "validate: values, income: present" in answer.stderr
