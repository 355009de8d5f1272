"""Data that isn't fit to train on is refused before anything is made of it, with the field and what would be right."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.validate import validate
from ml_pipelines.tasks import TASKS
from tests.pipelines.steps.conftest import CLASS_TASK, DAY_MS, NUMBER_TASK, made_examples

CREDIT = TASKS["credit-scoring"]


@pytest.fixture(scope="module")
def applications():
    return datasets.load("credit-scoring").log


def failures(table, task, folder, **options):
    pq.write_table(table, folder / "log.parquet")
    said = validate(folder / "log.parquet", None, task, folder / "verdict", **options)
    assert said["passed"] is not bool(said["failed"])
    return {f"{one['gate']}: {one['name']}": one["said"] for one in said["checks"] if not one["passed"]}


def changed(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_sound_data_pass(applications, tmp_path):
    assert failures(applications, CREDIT, tmp_path) == {}
    assert failures(made_examples(), CLASS_TASK, tmp_path) == {}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda log: log.drop_columns(["amount"]), "`amount` is missing"),
        (lambda log: changed(log, "age", ["30"] * len(log)), "`age` is string where int is right"),
        (lambda log: log.append_column("iban", log["home"]), "`iban` is no field"),
        (
            lambda log: changed(log, "price", [None, *log["price"].to_pylist()[1:]]),
            "`price` has no value in 1 events",
        ),
    ],
)
def test_a_changed_schema_is_named(spoil, said, applications, tmp_path):
    found = failures(spoil(applications), CREDIT, tmp_path)
    assert set(found) == {"contract: fields"}
    assert said in found["contract: fields"]
    assert "credit_application version 2" in found["contract: fields"]


def test_an_optional_field_may_be_absent(applications, tmp_path):
    found = failures(applications.drop_columns(["marital"]), CREDIT, tmp_path)
    assert "contract: fields" not in found


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda table: table.slice(0, 50), "rows: enough examples"),
        (lambda table: changed(table, "example_id", ["same"] * 1200), "rows: no example twice"),
        (lambda table: changed(table, "weak", np.full(1200, np.nan)), "values: weak: present"),
        (lambda table: changed(table, "word", [None] * 1200), "values: word: present"),
        (lambda table: changed(table, "strong", np.full(1200, -999.0)), "values: strong: plausible"),
        (lambda table: changed(table, "target", np.zeros(1200)), "labels: both classes"),
        (lambda table: changed(table, "target", np.where(np.arange(1200) % 5, 1.0, np.nan)), "labels: present"),
    ],
)
def test_bad_values_are_named(spoil, check, tmp_path):
    assert check in failures(spoil(made_examples()), CLASS_TASK, tmp_path)


def test_an_outcome_that_never_varies_is_named(tmp_path):
    table = changed(made_examples(number=True), "target", np.ones(1200))
    assert "labels: varies" in failures(table, NUMBER_TASK, tmp_path)


def test_a_column_that_examples_need_is_named(tmp_path):
    found = failures(made_examples().drop_columns(["weak"]), CLASS_TASK, tmp_path)
    assert set(found) == {"contract: examples"}
    assert found["contract: examples"].startswith("column `weak`: is missing; the table has example_id")


@pytest.mark.parametrize(("days", "fresh"), [(10, True), (60, False), (-1, False)])
def test_old_data_and_data_from_the_future_are_not_fresh(days, fresh, tmp_path):
    table = made_examples()
    newest = max(table["decided_at"].to_pylist())
    found = failures(table, CLASS_TASK, tmp_path, as_of=newest + days * DAY_MS)
    assert ("freshness: newest example" not in found) is fresh


def test_an_empty_set_is_refused(tmp_path):
    pq.write_table(made_examples().slice(0, 0), tmp_path / "log.parquet")
    with pytest.raises(StepError, match=r"log\.parquet: holds no rows"):
        validate(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "verdict")
    assert not (tmp_path / "verdict").exists()


def test_labels_that_come_apart_are_asked_for(tmp_path):
    log = datasets.load("fraud-detection", datasets.Request(events=2000)).log
    few = replace(TASKS["fraud-detection"], bounds=replace(TASKS["fraud-detection"].bounds, rows=10, positives=1))
    found = failures(log, few, tmp_path)
    assert "give --labels" in found["contract: examples"]
