"""What is held back can't be learned from: the split by time and by entity, and data that can't be split."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.prepare import examples, folds, prepare, split
from ml_pipelines.tasks.task import By, Immature, Split
from tests.pipelines.steps.conftest import CLASS_TASK, DAY_MS, NUMBER_TASK, made_examples

BY_TIME = Split(By.TIME, "Made up.", test_days=20, gap_days=5, folds=3)


def column(table, name):
    return table[name].to_numpy(zero_copy_only=False)


def changed(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_an_entity_is_on_one_side_and_in_one_fold():
    train, test, _ = split(made_examples(), CLASS_TASK.split, 1)
    assert not set(train["entity"].to_pylist()) & set(test["entity"].to_pylist())
    by_entity = train.group_by("entity").aggregate([("fold", "count_distinct")])
    assert set(by_entity["fold_count_distinct"].to_pylist()) == {1}
    assert set(column(train, "fold")) == {0, 1, 2}
    assert 0.15 < len(test) / 1200 < 0.25


def test_entities_stay_where_they_are_when_others_come():
    few, _, _ = split(made_examples(600), CLASS_TASK.split, 1)
    many, _, _ = split(made_examples(1200), CLASS_TASK.split, 1)
    assert set(few["entity"].to_pylist()) <= set(many["entity"].to_pylist())
    other, _, _ = split(made_examples(1200), CLASS_TASK.split, 2)
    assert set(many["entity"].to_pylist()) != set(other["entity"].to_pylist())


def test_what_is_held_back_comes_after_a_gap():
    train, test, left_out = split(made_examples(), BY_TIME, 1)
    assert column(test, "decided_at").min() - column(train, "decided_at").max() > 5 * DAY_MS
    assert column(test, "decided_at").max() - column(test, "decided_at").min() < 20 * DAY_MS
    assert len(train) + len(test) + sum(left_out.values()) == 1200
    assert left_out["in the gap before what is held back"] > 0


def test_an_outcome_that_is_known_too_late_is_not_learned():
    table = made_examples()
    late = changed(table, "known_at", column(table, "decided_at") + 40 * DAY_MS)
    train, test, left_out = split(late, BY_TIME, 1)
    assert (column(train, "known_at") <= column(test, "decided_at").min()).all()
    assert left_out["outcome known too late for training"] > 0


def test_a_positive_that_is_not_reported_yet_counts_as_negative():
    table = made_examples()
    late = changed(table, "known_at", column(table, "decided_at") + 40 * DAY_MS)
    train, test, left_out = split(late, replace(BY_TIME, immature=Immature.NEGATIVE), 1)
    unripe = column(train, "known_at") > column(test, "decided_at").min()
    assert unripe.any()
    assert not column(train, "target")[unripe].any()
    assert column(train, "target")[~unripe].any()
    assert left_out["trained on as negative, since known too late"] > 0


def test_each_fold_by_time_is_tested_on_what_comes_later():
    train, _, _ = split(made_examples(), BY_TIME, 1)
    found = folds(train, BY_TIME)
    assert len(found) == 3
    times = column(train, "decided_at")
    for learned, tested in found:
        assert len(learned)
        assert times[tested].min() - times[learned].max() >= 5 * DAY_MS - 1
    tested = np.concatenate([tested for _, tested in found])
    assert len(set(tested)) == len(tested)


def test_each_fold_by_entity_is_tested_once():
    train, _, _ = split(made_examples(), CLASS_TASK.split, 1)
    found = folds(train, CLASS_TASK.split)
    assert sorted(np.concatenate([tested for _, tested in found])) == list(range(len(train)))
    for learned, tested in found:
        assert not set(learned) & set(tested)


def test_the_split_is_written_with_its_reasons(tmp_path):
    pq.write_table(made_examples(), tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")
    said = json.loads((tmp_path / "data" / "split.json").read_text())
    assert said["reason"] == "Made up."
    assert said["train"]["rows"] + said["test"]["rows"] == 1200
    assert set(said["sources"]) == {"log.parquet"}


BAD = {
    "empty set": (CLASS_TASK, lambda table: table.slice(0, 0), "log.parquet: holds no rows"),
    "one class": (
        CLASS_TASK,
        lambda table: changed(table, "target", np.zeros(1200)),
        "prepare: column `target`: has one class only, 0,",
    ),
    "a third class": (
        CLASS_TASK,
        lambda table: changed(table, "target", np.arange(1200.0) % 3),
        "prepare: column `target`: is 0 or 1 for a class, not 2",
    ),
    "NaN target": (
        NUMBER_TASK,
        lambda table: changed(table, "target", np.where(np.arange(1200) % 7, 1.0, np.nan)),
        "prepare: column `target`: has no finite value in",
    ),
    "a column less": (CLASS_TASK, lambda table: table.drop_columns(["weak"]), "prepare: column `weak`: is missing"),
    "words for numbers": (
        CLASS_TASK,
        lambda table: changed(table, "weak", ["1.0"] * 1200),
        "prepare: column `weak`: holds words where double is right",
    ),
    "lists for words": (
        CLASS_TASK,
        lambda table: changed(table, "word", [["a"]] * 1200),
        "prepare: column `word`: is list",
    ),
    "nothing before what is held back": (
        NUMBER_TASK,
        lambda table: changed(table, "decided_at", np.full(1200, 5)),
        "prepare: train of `made-up-number`: is empty",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_by_name_and_nothing_is_written(case, tmp_path):
    task, spoil, message = BAD[case]
    pq.write_table(spoil(made_examples()), tmp_path / "log.parquet")
    with pytest.raises(StepError) as raised:
        prepare(tmp_path / "log.parquet", None, task, tmp_path / "data")
    assert message in str(raised.value)
    assert [file.name for file in tmp_path.iterdir()] == ["log.parquet"]


def test_what_was_prepared_before_stays_after_an_error(tmp_path):
    pq.write_table(made_examples(), tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")
    before = {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()}
    pq.write_table(made_examples().drop_columns(["weak"]), tmp_path / "log.parquet")
    with pytest.raises(StepError):
        prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")
    assert {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()} == before


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "log.parquet").write_text("event_id,amount\n")
    with pytest.raises(StepError, match=r"log\.parquet: isn't Parquet"):
        prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")


def test_examples_are_in_the_order_of_time():
    table = made_examples().take(pa.array(np.random.default_rng(1).permutation(1200)))
    made = examples(table, None, CLASS_TASK)
    assert (np.diff(column(made, "decided_at")) >= 0).all()
