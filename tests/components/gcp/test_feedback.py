"""What came of the answers on Google Cloud: what the job is told, and the tables that BigQuery finds its files by."""

import json
from pathlib import Path

import duckdb
import pytest
from ml_blueprints.gcp import feedback
from ml_pipelines.retraining import feedback as runtime

WORKFLOW = "gcp:workflows/workflow:Workflow"
TABLE = "gcp:bigquery/table:Table"
DAY = 1_767_225_600_000  # 2026-01-01


@pytest.fixture
def told(named, monkeypatch):
    """The arguments of the job, as the command's own parser understands them."""

    def read(built, name: str):
        seen = []
        monkeypatch.setattr(runtime, "_told", lambda options, *_: seen.append(options))
        monkeypatch.setattr(runtime, "_put", lambda *_: None)
        (run,) = json.loads(named(built, WORKFLOW, name).inputs["sourceContents"])["main"]["steps"]
        (pool,) = run["run"]["args"]["body"]["jobSpec"]["workerPoolSpecs"]
        assert pool["containerSpec"]["command"] == ["python", "-m", runtime.__name__]
        assert runtime.main(pool["containerSpec"]["args"]) == 0
        return seen[0]

    return read


def test_the_job_counts_what_was_captured_and_joins_outcomes(streaming, told):
    said = told(streaming, "fraud-detection-feedback")
    (requests,) = said.requests
    curated = requests.removesuffix("/captured/requests")
    assert curated.startswith("gs://fraud-detection-curated")
    assert (said.labels, said.to, said.days) == (f"{curated}/labels", f"{curated}/feedback", 60)
    context = streaming.platform.context
    assert said.usd_per_hour == pytest.approx(context.sizing.monthly_usd / 730, abs=1e-4)


def test_what_tenants_with_machines_of_their_own_asked_is_counted_too(hybrid, told):
    places = told(hybrid, "delivery-eta-feedback").requests
    assert [place.partition("/captured/")[2] for place in places] == ["requests", "partners/requests"]


def test_a_batch_has_no_serving_to_divide_the_cost_of(batch, told):
    said = told(batch, "credit-scoring-feedback")
    assert [place.rpartition("/")[2] for place in said.requests] == ["predictions"]
    assert said.usd_per_hour is None


def test_without_outcomes_usage_alone_is_counted(build, told):
    built = build("gcp", "churn", {"monitoring": {"feedback": {"labels_within_days": None}}})
    said = told(built, "churn-feedback")
    assert (said.labels, said.days) == (None, 2)
    names = [table.inputs["tableId"] for table in built.of_type(TABLE)]
    assert "usage" in names
    assert "performance" not in names
    assert "model-quality" not in built.platform.context.register.realised


def test_tables_have_the_columns_that_the_job_writes(streaming, named, tmp_path: Path):
    asked = {"at": DAY, "tenant": "a", "entity": "e", "event_id": "1", "features": {}, "score": 0.5, "selected": True}
    outcome = {"event_id": "1", "outcome": 1.0, "labelled_at": DAY + 1000}
    for name, line in {"requests": asked | {"model": "boosting/1.0.0"}, "labels": outcome}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.jsonl").write_text(json.dumps(line) + "\n")
    places = [f"--{name}={tmp_path / name}" for name in ("requests", "labels")]
    written = ["--to", str(tmp_path), "--as-of", "2026-01-02T00:00:00", "--usd-per-hour", "1"]
    assert runtime.main([*places, *written]) == 0
    types = {"VARCHAR": "STRING", "BIGINT": "INTEGER", "DOUBLE": "FLOAT", "TIMESTAMP": "TIMESTAMP"}
    for name in (feedback.USAGE, feedback.PERFORMANCE):
        table = named(streaming, TABLE, f"fraud-detection-{name}").inputs["externalDataConfiguration"]
        said = {column["name"]: column["type"] for column in json.loads(table["schema"])}
        (uri,) = table["sourceUris"]
        (file,) = (tmp_path / name).rglob("*.parquet")
        found = duckdb.execute(
            "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning=false)", [str(file)]
        ).fetchall()
        assert said == {column: types[kind] for column, kind, *_ in found}
        # The day is in the path alone.
        assert file.parent.name.startswith("day=")
        assert uri.endswith(f"/feedback/{name}/*")
        assert table["hivePartitioningOptions"] == {
            "mode": "CUSTOM",
            "sourceUriPrefix": uri.removesuffix("*") + "{day:DATE}",
        }


def test_people_who_explore_read_the_tables_and_nobody_else(house, named):
    (grant,) = house.of_type("gcp:bigquery/datasetIamMember:DatasetIamMember")
    assert (grant.inputs["role"], grant.inputs["member"]) == (
        "roles/bigquery.dataViewer",
        "serviceAccount:exploration@house.iam",
    )
    in_it = [table.name for table in house.of_type(TABLE) if table.inputs["datasetId"] == grant.inputs["datasetId"]]
    assert in_it == ["fraud-detection-performance", "fraud-detection-usage"]
    for table in in_it:
        assert not [
            one.name
            for one in house.of_type("gcp:bigquery/iamMember:IamMember")
            if one.inputs["tableId"] == named(house, TABLE, table).inputs["tableId"]
        ]


def test_the_procedure_asks_the_table_by_its_full_name_when_it_is_called(streaming, named):
    routine = named(streaming, "gcp:bigquery/routine:Routine", "fraud-detection-usage-by-day").inputs
    table = named(streaming, TABLE, "fraud-detection-usage").inputs
    assert routine["routineType"] == "PROCEDURE"
    assert [one["name"] for one in routine["arguments"]] == ["days"]
    assert routine["definitionBody"].startswith("EXECUTE IMMEDIATE '''")
    assert f"FROM `ml-blueprints-dev.{table['datasetId']}.usage`" in routine["definitionBody"]
    assert routine["definitionBody"].endswith("USING days AS days;")
