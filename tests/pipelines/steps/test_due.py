"""What is due is what `examples` would make of the same events once their outcome is known, and tells nothing of it."""

import datetime
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import Request
from ml_pipelines.steps.due import due, examples_due
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import inputs
from ml_pipelines.steps.prepare import examples
from ml_pipelines.tasks import TASKS
from ml_pipelines.tasks.task import KNOWN_AT, TARGET

DAY_MS = 86_400_000
WITH_EVENTS = [name for name, task in TASKS.items() if task.due]
SIZES = {"fraud-detection": 20_000, "churn": None, "demand-forecasting": None}


def history(name):
    task = TASKS[name]
    return datasets.load(task.data_set, Request(events=SIZES.get(name, 4_000)))


def with_nothing(log, name, rows):
    """The log without a value in some rows of a column."""
    values = log[name].combine_chunks()
    return log.set_column(log.column_names.index(name), name, pc.if_else(rows, pa.scalar(None, values.type), values))


def same(due_rows, known, task, ids=("example_id",)):
    """Each row that is due is one of the examples, input by input; returns how many were compared."""
    keys = {tuple(row[name] for name in ids): place for place, row in enumerate(known.select(ids).to_pylist())}
    places = [keys.get(tuple(row[name] for name in ids)) for row in due_rows.select(ids).to_pylist()]
    both = pa.array([place for place, found in enumerate(places) if found is not None], pa.int64())
    ours = inputs(due_rows.take(both), task)
    theirs = inputs(known.take(pa.array([place for place in places if place is not None], pa.int64())), task)
    for name, values in ours.items():
        if values.dtype == object:
            assert values.tolist() == theirs[name].tolist(), name
        else:
            # Sums of floats may be made in another order (docs/features.md).
            np.testing.assert_allclose(values, theirs[name], rtol=1e-9, err_msg=name)
    return len(both)


def churn(log):
    """The newest month of all, before anybody knows who stays."""
    moment = pc.max(log["event_time"]).as_py()
    return with_nothing(log, "churned", pc.equal(log["event_time"], moment)), moment + DAY_MS


def credit(log):
    """The applications of the last day, undecided."""
    moment = pc.max(log["event_time"]).as_py()
    return with_nothing(log, "status", pc.greater(log["event_time"], moment - DAY_MS)), moment


def delivery(log):
    """In the busiest minutes of an evening some orders are announced, and nobody knows yet when those arrive."""
    moment = np.sort(log["event_time"].to_numpy())[3000]
    placed, arrived = log["event_time"].to_numpy(), log["arrived_at"].to_numpy()
    waiting = pa.array((placed <= moment) & (arrived > moment))
    announced = with_nothing(log.filter(waiting), "minutes", pa.array(np.ones(pc.sum(waiting).as_py(), dtype=bool)))
    place = announced.column_names.index("arrived_at")
    announced = announced.set_column(place, "arrived_at", announced["event_time"])
    return pa.concat_tables([log, announced]).sort_by([("arrived_at", "ascending"), ("sequence", "ascending")]), moment


def demand(log):
    """The evening before a day in June; that day is announced with its calendar, and so is the one after it."""
    moment = int(datetime.datetime(2015, 7, 2, 23, 59, 59, 999000, datetime.UTC).timestamp() * 1000)
    coming = pa.array(np.isin(log["event_time"].to_numpy(), (moment + 1, moment + 1 + DAY_MS)))
    announced = with_nothing(log.filter(coming), "ridership", pa.array(np.ones(pc.sum(coming).as_py(), dtype=bool)))
    place = announced.column_names.index("arrived_at")
    early = pa.array(np.full(len(announced), moment - DAY_MS))
    announced = announced.set_column(place, "arrived_at", early)
    return pa.concat_tables([log, announced]).sort_by([("arrived_at", "ascending"), ("sequence", "ascending")]), moment


def fraud(log):
    """Any moment: labels come apart."""
    return log, int(np.sort(log["arrived_at"].to_numpy())[15_000])


MOMENTS = {
    "churn": churn,
    "credit-scoring": credit,
    "delivery-eta": delivery,
    "demand-forecasting": demand,
    "fraud-detection": fraud,
}


@pytest.mark.parametrize("name", MOMENTS)
def test_what_is_due_is_what_will_be_learned_from(name):
    found, task = history(name), TASKS[name]
    log, moment = MOMENTS[name](found.log)
    asked = examples_due(log, task, moment)
    known = examples(found.log, found.labels, task)
    assert same(asked, known, task) == len(asked) > 2
    assert not {KNOWN_AT, TARGET} & set(asked.column_names)


def test_who_was_active_may_be_shown_what_is_popular_and_new():
    log, task = history("personalization").log, TASKS["personalization"]
    known = examples(log, None, task)
    ratings, compared = log.to_pylist(), 0
    for row in ratings[2000::40]:
        # Just before a rating is given, it may be among what is due, with the same inputs.
        asked = examples_due(log, task, row["event_time"] - 1)
        only = known.filter(pc.equal(known["example_id"], row["event_id"]))
        compared += same(asked, only, task, ("user_id", "item_id"))
        rated = {one["item_id"] for one in ratings if one["arrived_at"] < row["event_time"]}
        assert rated.issuperset(asked["item_id"].to_pylist())
    assert compared > 5


@pytest.mark.parametrize("name", WITH_EVENTS)
def test_what_arrives_later_changes_nothing(name):
    found, task = history(name), TASKS[name]
    log, moment = MOMENTS.get(name, fraud)(found.log) if name != "personalization" else (found.log, None)
    moment = int(np.sort(log["arrived_at"].to_numpy())[3000]) if moment is None else moment
    until = log.filter(pc.less_equal(log["arrived_at"], moment))
    assert examples_due(log, task, moment).equals(examples_due(until, task, moment))


def test_an_outcome_that_arrives_with_the_event_again_is_learned_from_and_asked_no_more():
    log, task = history("credit-scoring").log, TASKS["credit-scoring"]
    open_, moment = credit(log)
    (first, *rest) = examples_due(open_, task, moment)["example_id"].to_pylist()
    again = log.filter(pc.equal(log["application_id"], first))
    place, later = again.column_names.index("arrived_at"), moment + 1000
    again = again.set_column(place, "arrived_at", pa.array([later]))
    # What the application says now, when it is decided, isn't what the decision was made on.
    again = again.set_column(again.column_names.index("amount"), "amount", pa.array([1.0]))
    log = pa.concat_tables([open_, again])
    assert examples_due(log, task, moment)["example_id"].to_pylist() == [first, *rest]
    assert examples_due(log, task, later)["example_id"].to_pylist() == rest
    made = examples(log, None, task)
    (learned,) = made.filter(pc.equal(made["example_id"], first)).to_pylist()
    (before,) = open_.filter(pc.equal(open_["application_id"], first)).to_pylist()
    assert (learned["known_at"], learned["amount"]) == (later, before["amount"])


def test_a_customer_who_left_or_is_silent_is_asked_no_more():
    log, task = history("churn").log, TASKS["churn"]
    open_, moment = churn(log)
    newest = pc.max(log["event_time"]).as_py()
    assert set(examples_due(open_, task, moment)["decided_at"].to_pylist()) == {newest}
    assert not len(examples_due(open_, task, newest + 32 * DAY_MS))
    assert not len(examples_due(log, task, moment))


def test_a_day_without_a_calendar_is_forecast_as_one_of_which_it_is_not_known_whether_it_is_a_holiday():
    log, task = history("demand-forecasting").log, TASKS["demand-forecasting"]
    _, moment = demand(log)
    found = examples_due(log, task, moment)
    assert len(found) == 20
    assert found["is_holiday"].null_count == found["holiday_tomorrow"].null_count == 20
    assert set(found["holiday_yesterday"].to_pylist()) == {0.0}


def test_the_command_line_writes_what_batch_score_reads(tmp_path):
    log, moment = fraud(history("fraud-detection").log)
    pq.write_table(log, tmp_path / "log.parquet")
    as_of = datetime.datetime.fromtimestamp(moment / 1000, datetime.UTC).isoformat()
    command = [sys.executable, "-m", "ml_pipelines.steps.due", "--task", "fraud-detection"]
    command += ["--log", str(tmp_path / "log.parquet"), "--as-of", as_of, "--to", str(tmp_path / "inputs.parquet")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(answer.stdout)
    assert said["rows"] == pq.read_metadata(tmp_path / "inputs.parquet").num_rows > 0
    assert said["what"] == "The payments that arrived in the last day"


def test_nothing_due_is_a_table_without_rows(tmp_path):
    pq.write_table(history("credit-scoring").log, tmp_path / "log.parquet")
    moment = int(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000)
    said = due(tmp_path / "log.parquet", TASKS["credit-scoring"], moment, tmp_path / "to" / "inputs.parquet")
    written = pq.read_table(tmp_path / "to" / "inputs.parquet")
    assert said["rows"] == len(written) == 0
    assert {item.name for item in TASKS["credit-scoring"].inputs} <= set(written.column_names)


@pytest.mark.parametrize(
    ("name", "spoil", "moment", "said"),
    [
        ("credit-scoring", lambda log: log.slice(0, 0), 2**41, "log.parquet: holds no rows"),
        ("credit-scoring", lambda log: log, 0, "--as-of: lies before the log's first event"),
        ("credit-scoring", lambda log: log.drop_columns(["price"]), 2**41, "has no column `price`"),
        ("credit-scoring", lambda log: log.drop_columns(["arrived_at"]), 2**41, "column `arrived_at`: is missing"),
        ("mlc_churn", lambda log: log, 2**41, "task `mlc_churn`: has no events that arrive"),
    ],
)
def test_what_nothing_can_be_made_of_is_told(name, spoil, moment, said, tmp_path):
    pq.write_table(spoil(history("credit-scoring").log), tmp_path / "log.parquet")
    with pytest.raises(StepError, match="due: .*" + said.replace("`", ".")):
        due(tmp_path / "log.parquet", TASKS[name], moment, tmp_path / "inputs.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["log.parquet"]
