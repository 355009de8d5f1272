"""How a table is held against a contract."""

import pyarrow as pa
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import DataSetError, Request, history


@pytest.fixture
def table():
    log = datasets.load("delivery-eta", Request(events=10)).log
    return log.drop_columns(["arrived_at", "sequence"])


def test_a_field_with_a_default_may_lack(table):
    assert history.conforming(table.drop_columns("minutes"), "delivery")["minutes"].null_count == 10


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hour", None, "field `hour` is missing"),
        ("hour", pa.array([None] * 10, pa.float64()), "field `hour` has no value in 10 of 10 events"),
        ("minutes", pa.array([float("nan")] * 10), "field `minutes` holds infinities or NaN"),
        ("hour", pa.array([float("inf")] * 10), "field `hour` holds infinities or NaN"),
        ("items", pa.array([2**40] * 10), "field `items` isn't int32"),
        ("day", pa.array([b"\xff"] * 10), "field `day` isn't string"),
        ("colour", pa.array([1] * 10), "there is no field colour"),
    ],
)
def test_what_departs_from_it_is_named(table, field, value, words):
    changed = table.drop_columns(field) if field in table.column_names else table
    if value is not None:
        changed = changed.append_column(field, value)
    with pytest.raises(DataSetError, match=words):
        history.conforming(changed, "delivery")


def test_a_symbol_that_an_enumeration_lacks_is_named():
    log = datasets.load("payments", Request(events=1000)).log.drop_columns(["arrived_at", "sequence", "channel"])
    with pytest.raises(DataSetError, match="field `channel` can't be telepathy"):
        history.conforming(log.append_column("channel", pa.array(["chip"] * 999 + ["telepathy"])), "card_transaction")
    assert set(history.conforming(log, "card_transaction")["channel"].to_pylist()) == {"unknown"}
