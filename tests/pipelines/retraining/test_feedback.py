"""Outcomes come late, twice, contradicted, for others, or before their event: what counts is said, the rest counted."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines.retraining.answers import FeedbackError
from ml_pipelines.retraining.feedback import join, main
from ml_pipelines.retraining.performance import performance
from ml_pipelines.retraining.usage import usage

HOUR = 3_600_000


def line(event: str | None, at: int = 1000, **other) -> dict:
    said = {"tenant": None, "entity": event, "features": {"home": "rent"}, "score": 0.5, "selected": True}
    return {"at": at, "event_id": event, "model": "trees/1.0.0", **said, **other}


def captured(folder: Path, *lines) -> Path:
    """As the service writes them: files in folders by day."""
    for place, part in enumerate((lines[::2], lines[1::2])):
        file = folder / "requests" / f"day=2026-01-0{place + 1}" / "a.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in part))
    return folder / "requests"


def labels(folder: Path, *rows: tuple) -> Path:
    file = folder / "labels" / "a.jsonl"
    file.parent.mkdir(exist_ok=True)
    names = ("event_id", "outcome", "labelled_at")
    file.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return file.parent


def outcomes(joined: pa.Table) -> dict:
    return dict(zip(joined["event_id"].to_pylist(), joined["outcome"].to_pylist(), strict=True))


def test_outcomes_are_joined_by_event_id_with_all_that_was_answered(tmp_path):
    asked = captured(tmp_path, line("a", tenant="shop", score=0.25, features={"home": "own"}), line("b"), line("c"))
    joined, counts = join(asked, labels(tmp_path, ("a", 1, 5000), ("b", 0, 9000)))
    assert outcomes(joined) == {"a": 1.0, "b": 0.0}
    first = joined.to_pylist()[0]
    assert (first["tenant"], first["score"], first["model"]) == ("shop", 0.25, "trees/1.0.0")
    assert json.loads(first["features"]) == {"home": "own"}
    assert (counts.joined, counts.waiting, counts.delay_ms, counts.faults) == (2, 1, 6000.0, {})


def test_faults_of_labels_are_counted_and_told(tmp_path):
    asked = captured(
        tmp_path, *(line(event, 100_000) for event in "abcdefgh"), line(None), line("a", 100_001, score=0.9)
    )
    known = labels(
        tmp_path,
        *(("a", 1, 200_000), ("a", 1, 200_500)),
        *(("b", 1, 200_000), ("b", 0, 300_000), ("b", 1, 250_000)),
        *(("c", 1, 200_000), ("c", 0, 200_000)),
        ("stranger", 1, 200_000),
        ("d", 1, 90_000),
        ("e", 0, 96_000),
        *(("f", None, 200_000), ("g", 1, None), (None, 1, 200_000)),
    )
    joined, counts = join(asked, known)
    assert outcomes(joined) == {"a": 1.0, "b": 0.0, "e": 0.0}
    assert joined["score"].to_pylist()[0] == 0.5, "the first answer counts"
    assert counts.faults == {
        "unreadable": 3,
        "repeated": 2,
        "contradicted": 2,
        "undecided": 1,
        "unknown": 1,
        "skewed": 1,
    }
    assert (counts.answers, counts.unnamed, counts.asked_again, counts.waiting, counts.labels) == (10, 1, 1, 3, 13)
    assert "1 skewed" in counts.said()
    # Whatever was answered, once, is joined, waits, or has a label that can't count.
    assert counts.joined + counts.waiting + counts.undecided + counts.skewed == 8


def test_what_is_labelled_later_isnt_known_yet(tmp_path):
    asked, known = (
        captured(tmp_path, line("a"), line("b")),
        labels(tmp_path, ("a", 1, 5000), ("a", 0, 7000), ("b", 1, 9000)),
    )
    joined, counts = join(asked, known, as_of=6000)
    assert outcomes(joined) == {"a": 1.0}
    assert (counts.labels, counts.waiting, counts.faults) == (1, 1, {})
    assert outcomes(join(asked, known, as_of=8000)[0]) == {"a": 0.0}


def test_lines_that_were_cut_are_counted(tmp_path):
    asked = captured(tmp_path, line("a"), line("b"), '{"at": 17, "event_')
    joined, counts = join(asked, labels(tmp_path, ("a", 1, 5000)))
    assert (len(joined), counts.answers, counts.unreadable_lines) == (1, 2, 1)


def test_labels_as_parquet_of_other_types(tmp_path):
    table = pa.table({"event_id": ["a"], "outcome": [True], "labelled_at": pa.array([5000], pa.int32()), "by": ["x"]})
    pq.write_table(table, tmp_path / "labels.parquet")
    assert outcomes(join(captured(tmp_path, line("a")), tmp_path / "labels.parquet")[0]) == {"a": 1.0}


def test_without_any_outcome_nothing_is_joined(tmp_path):
    joined, counts = join(captured(tmp_path, line("a")), labels(tmp_path))
    assert (len(joined), counts.waiting, performance(joined, ["home"])) == (0, 1, [])


@pytest.mark.parametrize(
    ("place", "says"),
    [("none", "found nothing"), ("mixed", "all of Parquet or all of JSON"), ("other", "no column `outcome`")],
)
def test_places_that_hold_no_labels(tmp_path, place, says):
    for name in ("mixed", "other"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"event_id": ["a"], "labelled_at": [1]}), tmp_path / name / "a.parquet")
    (tmp_path / "mixed" / "b.jsonl").write_text("{}\n")
    with pytest.raises(FeedbackError, match=says):
        join(captured(tmp_path, line("a")), tmp_path / place)
    with pytest.raises(FeedbackError, match="no lines of the service"):
        join(tmp_path / "mixed" / "b.jsonl", tmp_path / place)


def answered(count: int = 4000) -> pa.Table:
    """Two versions, of which the second sees nothing where `home` is `rent`."""
    draw = np.random.default_rng(3)
    truth = draw.random(count)
    model = np.where(np.arange(count) % 2, "trees/2.0.0", "trees/1.0.0")
    home = np.where(draw.random(count) < 0.5, "rent", "own")
    income = draw.integers(0, 1000, count)
    blind = (model == "trees/2.0.0") & (home == "rent")
    features = [json.dumps({"home": one, "income": int(two)}) for one, two in zip(home, income, strict=True)]
    return pa.table(
        {
            "event_id": [f"e{place}" for place in range(count)],
            "entity": [f"c{place // 2}" for place in range(count)],
            "tenant": ["shop" if place % 3 else None for place in range(count)],
            "model": model,
            "score": np.where(blind, 0.5, truth),
            "outcome": (draw.random(count) < truth).astype(float),
            "features": features,
        }
    )


def test_performance_is_told_by_version_and_cohort_with_intervals():
    found = {
        (one.model, one.dimension, one.cohort): one for one in performance(answered(), ["home", "income", "tenant"])
    }
    better, worse = (found[f"trees/{number}.0.0", "home", "rent"].metrics["log_loss"] for number in (1, 2))
    assert better.high < worse.low
    assert found["trees/2.0.0", "home", "own"].metrics["log_loss"].high < worse.low
    assert worse.value == pytest.approx(np.log(2))
    whole = found["trees/1.0.0", "all", "all"]
    assert set(whole.metrics) == {"log_loss", "brier", "roc_auc"}
    assert whole.metrics["roc_auc"].low < whole.metrics["roc_auc"].value < whole.metrics["roc_auc"].high
    parts = [one for one in found.values() if one.dimension == "income" and one.model == "trees/1.0.0"]
    assert len(parts) == 4
    assert sum(one.rows for one in parts) == whole.rows == 2000
    assert {one.cohort for one in found.values() if one.dimension == "tenant"} == {"shop", "missing"}


def test_cohorts_of_few_entities_and_of_one_class_have_no_metrics_that_mean_nothing():
    few = performance(answered(40))
    assert all(one.entities == 20 and one.metrics == {} for one in few)
    table = answered(2000)
    place = table.column_names.index("outcome")
    one_class = performance(table.set_column(place, "outcome", pa.array(np.zeros(2000))))
    assert set(one_class[0].metrics) == {"log_loss", "brier"}
    numbers = performance(table.set_column(place, "outcome", pa.array(np.arange(2000.0))))
    assert set(numbers[0].metrics) == {"mean_absolute_error", "root_mean_squared_error"}


def test_intervals_hold_the_truth():
    """Of a known loss, the interval holds the expectation in about 95 of 100 draws."""
    inside = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        outcome = (draw.random(300) < 0.3).astype(float)
        table = pa.table(
            {
                "event_id": [str(place) for place in range(300)],
                **dict.fromkeys(("entity", "tenant", "features"), pa.nulls(300, pa.string())),
                "model": ["a/1.0.0"] * 300,
                "score": np.full(300, 0.3),
                "outcome": outcome,
            }
        )
        found = performance(table)[0].metrics["brier"]
        inside += found.low <= 0.21 <= found.high
    assert inside >= 52


def test_usage_is_counted_by_hour_tenant_and_version(tmp_path):
    lines = [
        line(f"e{place}", place * HOUR // 4, tenant="shop" if place % 2 else None, entity="x") for place in range(8)
    ]
    found = usage(captured(tmp_path, *lines, line("z", 5 * HOUR, model="trees/2.0.0", selected=False)), 2.0).to_pylist()
    said = [(row["hour"].hour, row["tenant"], row["model"], row["rows"], row["selected"], row["usd"]) for row in found]
    assert said == [
        (0, "-", "trees/1.0.0", 2, 2, 1.0),
        (0, "shop", "trees/1.0.0", 2, 2, 1.0),
        (1, "-", "trees/1.0.0", 2, 2, 1.0),
        (1, "shop", "trees/1.0.0", 2, 2, 1.0),
        (5, "-", "trees/2.0.0", 1, 0, 2.0),
    ]
    assert found[0]["entities"] == 1
    assert usage(tmp_path / "requests").to_pylist()[0]["usd"] is None


def feedback(*arguments) -> int:
    return main([str(one) for one in arguments])


def test_the_command_line_writes_tables_that_duckdb_reads(tmp_path, capsys):
    asked = captured(tmp_path, *(line(f"e{place}", entity=f"c{place}") for place in range(100)))
    known = labels(tmp_path, *((f"e{place}", place % 2, 5000) for place in range(100)))
    to = tmp_path / "made"
    assert feedback("--requests", asked, "--labels", known, "--to", to, "--by", "home") == 0
    assert json.loads(capsys.readouterr().out)["joined"] == 100
    written = duckdb.read_parquet(str(to / "performance/day=*/performance.parquet"))
    parts = written.filter("metric = 'brier'").project("dimension, cohort, value").fetchall()
    assert parts == [("all", "all", 0.25), ("home", "rent", 0.25)]
    assert len(duckdb.read_parquet(str(to / "feedback.parquet"))) == 100
    assert feedback("--requests", tmp_path / "none", "--labels", known, "--to", to) == 2


def test_usage_is_kept_by_day_and_counted_anew_for_days_that_are_whole(tmp_path):
    to, day = tmp_path / "made", 24 * HOUR
    times = (HOUR, day + HOUR, day + 2 * HOUR, 2 * day, 2 * day + HOUR)
    # What was asked just before midnight is written after it.
    late = [line("late", day - 1)]
    for number, folder in ((0, "day=1970-01-01"), (1, "day=1970-01-02"), (2, "day=1970-01-03")):
        file = tmp_path / "requests" / folder / "a.jsonl"
        file.parent.mkdir(parents=True)
        rows = [line(f"e{at}", at) for at in times if at // day == number] + (late if number == 1 else [])
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for as_of, days in (("1970-01-02T12:00", 1), ("1970-01-03T12:00", 1)):
        assert feedback("--requests", tmp_path / "requests", "--to", to, "--days", days, "--as-of", as_of) == 0
    files = sorted(file.parent.name for file in to.glob("usage/*/usage.parquet"))
    assert files == ["day=1970-01-01", "day=1970-01-02", "day=1970-01-03"]
    found = duckdb.read_parquet(str(to / "usage/*/*.parquet"), hive_partitioning=True)
    rows = found.aggregate("day, sum(rows)::INT AS rows").order("day").fetchall()
    assert [count for _, count in rows] == [2, 2, 2]


def test_what_several_containers_captured_is_one_table(tmp_path, capsys):
    """Files of the same name, of which none takes the place of another."""
    places = [captured(tmp_path / name, line(name, tenant=name), line(f"{name}2", tenant=name)) for name in "ab"]
    to, nothing = tmp_path / "tables", tmp_path / "never-asked"
    asked = [option for place in (*places, nothing) for option in ("--requests", place)]
    assert feedback(*asked, "--labels", labels(tmp_path, ("a", 1, 5000), ("b", 0, 6000)), "--to", to) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 4
    found = duckdb.read_parquet(f"{to}/usage/*/usage.parquet").aggregate("tenant, sum(rows)").order("tenant")
    assert found.fetchall() == [("a", 2), ("b", 2)]


def test_nothing_asked_and_no_labels_yet_are_no_faults_of_a_scheduled_run(tmp_path, capsys):
    asked, to = tmp_path / "requests", tmp_path / "made"
    assert feedback("--requests", asked, "--labels", tmp_path / "labels", "--to", to, "--days", 7) == 0
    assert "nothing was asked since" in capsys.readouterr().out
    captured(tmp_path, line("a", 1_767_225_600_000))
    told = ("--days", 7, "--as-of", "2026-01-02T03:00")
    assert feedback("--requests", asked, "--labels", tmp_path / "labels", "--to", to, *told) == 0
    assert "no outcomes are known" in capsys.readouterr().out
    assert sorted(file.name for file in to.rglob("*.parquet")) == ["usage.parquet"]


def test_scores_of_a_batch_have_usage_and_outcomes(tmp_path):
    table = pa.table(
        {
            "example_id": ["a", "b"],
            "entity": ["x", "x"],
            "decided_at": [1, 2],
            "score": [0.25, 0.75],
            "selected": [False, True],
            "model": pa.array(["trees/1.0.0"] * 2).dictionary_encode(),
            "at": [HOUR, HOUR],
            "home": ["rent", None],
        }
    )
    scored = tmp_path / "predictions" / "run"
    scored.mkdir(parents=True)
    pq.write_table(table, scored / "scores.parquet")
    (row,) = usage(scored.parent).to_pylist()
    assert (row["tenant"], row["model"], row["rows"], row["entities"], row["selected"]) == ("-", "trees/1.0.0", 2, 1, 1)
    joined, counts = join(scored.parent, labels(tmp_path, ("a", 1, 2 * HOUR), ("b", 0, 2 * HOUR)))
    assert (outcomes(joined), counts.waiting) == ({"a": 1.0, "b": 0.0}, 0)
    assert json.loads(joined["features"].to_pylist()[0]) == {"home": "rent"}
