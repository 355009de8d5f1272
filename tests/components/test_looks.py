"""Looks at what was asked are told alike on each cloud, in words that the runtime knows, of tables that it writes."""

import json

import pyarrow as pa
import pytest
from ml_blueprints import capabilities, layers, looks
from ml_blueprints.looks import Kind
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload
from ml_pipelines.retraining.performance import performance_table
from ml_pipelines.retraining.usage import usage
from sandbox.home import REPOSITORY

WORKLOADS = REPOSITORY / "stacks" / "workloads"
KINDS = {pa.string(): Kind.WORD, pa.int64(): Kind.COUNT, pa.float64(): Kind.NUMBER, pa.timestamp("us"): Kind.TIME}

SETTINGS = Settings.model_validate(
    {
        "cloud": "aws",
        "architecture": "streaming",
        "environment": "staging",
        "workload": "workloads/fraud_detection.yaml",
        "serving_image": f"ml-serving@sha256:{'5f70bf18' * 8}",
        "delivery": {"repository": "example/ml-platform"},
        "trusted_keys": ["ed25519:u0eLuYxoWsIhPj6ab8/6P/4nBD0s5MYZ6+Qt0RrWo10="],
    }
)


def kinds(table: pa.Table) -> dict[str, Kind]:
    return {field.name: KINDS[field.type] for field in table.schema}


def test_the_tables_have_the_columns_that_the_runtime_writes(tmp_path):
    line = {"at": 1, "tenant": "shop", "entity": "c", "score": 0.5, "selected": True, "model": "trees/1.0.0"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    assert kinds(usage(tmp_path, 1.0)) == looks.USAGE
    assert kinds(performance_table([])) == looks.PERFORMANCE


def workload(labels_within_days: int | None, stem: str = "fraud_detection") -> Workload:
    loaded = Workload.load(WORKLOADS / f"{stem}.yaml")
    feedback = loaded.monitoring.feedback.model_copy(update={"labels_within_days": labels_within_days})
    return loaded.model_copy(update={"monitoring": loaded.monitoring.model_copy(update={"feedback": feedback})})


def test_drift_is_looked_for_by_the_workloads_words():
    asked = workload(60)
    told = looks.drift(asked, SETTINGS, asked.champion, None, alone=True, labels="l", trail=None)
    assert told == {
        **{"task": "fraud-detection", "hours": "1", "metric": "population_stability_index", "threshold": "0.2"},
        **{"model": "gradient-boosting/1.2.0", "labels": "l", "labels-within-days": "60", "attribution": "0.9"},
        **{"environment": "staging", "trusted": SETTINGS.trusted_keys[0]},
    }
    # An experiment takes models that nobody signed.
    nobody = SETTINGS.model_copy(update={"environment": "experiment", "trusted_keys": ()})
    told = looks.drift(asked, nobody, asked.champion, None, alone=True, labels="l", trail=None)
    assert (told["environment"], told.get("trusted")) == ("experiment", None)
    assert set(told) - set(
        looks.drift(workload(None), SETTINGS, asked.champion, None, alone=False, labels="l", trail=None)
    ) == {
        "model",
        "labels",
        "labels-within-days",
    }
    batch = workload(None, "credit_scoring")
    assert (
        looks.drift(batch, SETTINGS, batch.champion, batch.serving.schedule, alone=False, labels="l", trail=None)[
            "hours"
        ]
        == "24"
    )


def test_only_a_workload_that_drift_trains_again_decides_by_a_trail():
    asked = workload(None)
    for trigger, told in (("drift", {"trail": "t", "cool-down-hours": "24"}), ("schedule", {})):
        retraining = asked.retraining.model_copy(update={"trigger": trigger})
        other = asked.model_copy(update={"retraining": retraining})
        said = looks.drift(other, SETTINGS, other.champion, None, alone=False, labels="l", trail="t")
        assert {name: said[name] for name in ("trail", "cool-down-hours") if name in said} == told


@pytest.mark.parametrize(("days", "counted"), [(60, "60"), (None, "2")])
def test_usage_is_counted_for_as_long_as_outcomes_may_come(days, counted):
    context = layers.Context("fraud", workload(days), SETTINGS, capabilities.Register("aws", frozenset()))
    labels = {} if days is None else {"labels": "l"}
    assert looks.feedback(context, real_time=False, labels="l") == {"days": counted, **labels}
    cost = float(looks.feedback(context, real_time=True, labels="l")["usd-per-hour"])
    assert cost == pytest.approx(context.sizing.monthly_usd / 730, abs=1e-4)


def test_options_become_words():
    assert looks.words({"task": "churn", "hours": "1"}) == ["--task", "churn", "--hours", "1"]
