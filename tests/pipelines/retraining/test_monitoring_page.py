"""docs/monitoring.md says of feedback and retraining what there is, and its queries run."""

import json
import re
from dataclasses import fields

import duckdb
import pytest
from ml_pipelines.retraining import feedback
from ml_pipelines.retraining.audit import Head
from ml_pipelines.retraining.feedback import Counts
from ml_pipelines.retraining.policy import Policy, Situation, Why, decide
from ml_pipelines.retraining.rollout import Rules
from sandbox import home

PAGE = (home.REPOSITORY / "docs" / "monitoring.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Feedback and retraining") :]
QUERIES = re.findall(r"```sql\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """What the command of the page leaves, of 400 answers by two versions, of which one is bad for those who rent."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requests").mkdir()
    lines, known = [], []
    for place in range(400):
        home_, model = ("rent", "own")[place % 2], f"trees/{1 + place // 2 % 2}.0.0"
        outcome = float(place // 4 % 2)
        wrong = home_ == "rent" and model == "trees/2.0.0"
        score = 0.9 if (outcome == 1) is not wrong else 0.1
        said = {"at": 1000 + place, "tenant": "shop", "entity": f"c{place}", "event_id": f"e{place}", "score": score}
        lines.append(json.dumps(said | {"selected": score > 0.5, "model": model, "features": {"home": home_}}))
        known.append(json.dumps({"event_id": f"e{place}", "outcome": outcome, "labelled_at": 7_201_000 + place}))
    (tmp_path / "requests" / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "labels.jsonl").write_text("\n".join(known))
    asked = ["--requests", "requests", "--labels", "labels.jsonl", "--to", "feedback", "--by", "home"]
    assert feedback.main([*asked, "--usd-per-hour", "3"]) == 0


def test_its_queries_find_what_they_say(tables):
    usage, worse, delays = (duckdb.sql(query).fetchall() for query in QUERIES)
    assert [(row[0], row[1], row[3], row[4]) for row in sorted(usage)] == [
        ("shop", "trees/1.0.0", 200, 1.5),
        ("shop", "trees/2.0.0", 200, 1.5),
    ]
    assert [row[:3] for row in worse] == [("trees/2.0.0", "home", "rent")]
    assert delays == [("trees/1.0.0", 200, 2.0), ("trees/2.0.0", 200, 2.0)]


def test_each_fault_reason_and_veto_is_there():
    for name in ("asked_again", "waiting", *Counts(*[1] * 13, None).faults):
        assert f"`{name}`" in SECTION, name
    for why in Why:
        assert f"`{why}`" in SECTION, why
    assert {one.name for one in fields(Rules)} >= {"shadow_outcomes", "canary_percent", "significance"}
    assert (Rules.shadow_outcomes, Rules.canary_percent, Rules.significance) == (4000, 20, 0.05)


def test_the_decision_that_it_shows_is_as_one_is():
    (shown,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", SECTION, re.DOTALL))
    made = decide(Policy("drift"), Situation(0)).as_json()
    assert set(shown) <= set(made)
    assert shown["said"].endswith(f"{shown['vetoes'][0]['said']}.")
    assert {one["why"] for one in shown["reasons"] + shown["vetoes"]} <= set(Why)


def test_heads_are_written_as_it_says():
    assert str(Head.parse(f"41:{'5c2f' * 16}")) == f"41:{'5c2f' * 16}"
