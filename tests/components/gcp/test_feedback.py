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
        run, *_ = json.loads(named(built, WORKFLOW, name).inputs["sourceContents"])["main"]["steps"]
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
        table = named(streaming, TABLE, f"fraud-detection-{name}").inputs
        said = {column["name"]: column["type"] for column in json.loads(table["schema"])}
        (file,) = (tmp_path / name).rglob("*.parquet")
        found = duckdb.read_parquet(str(file), hive_partitioning=False)
        written = dict(zip(found.columns, (types[str(kind)] for kind in found.types), strict=True))
        # The day is in the path alone.
        assert file.parent.name.startswith("day=")
        assert said == {"day": "DATE"} | written
        assert table["timePartitioning"] == {"type": "DAY", "field": "day"}


def test_after_the_job_tables_hold_what_its_files_say(streaming, named):
    source = json.loads(named(streaming, WORKFLOW, "fraud-detection-feedback").inputs["sourceContents"])
    steps = {name: step for one in source["main"]["steps"] for name, step in one.items()}
    order = list(steps)
    for name in (feedback.USAGE, feedback.PERFORMANCE):
        table = named(streaming, TABLE, f"fraud-detection-{name}").inputs
        listed = steps[f"look_for_{name}"]["args"]
        assert listed["prefix"] == f"feedback/{name}/day="
        # Where nothing was asked so far there is nothing to take over, and no error.
        ((skip,),) = (steps[f"judge_{name}"]["switch"],)
        assert skip["condition"] == f'${{not("items" in found_{name})}}'
        assert order.index(f"take_over_{name}") < order.index(skip["next"])
        query = steps[f"take_over_{name}"]["args"]["body"]["configuration"]["query"]
        assert query["query"].startswith(f"MERGE `ml-blueprints-dev.{table['datasetId']}.{name}` USING (SELECT ")
        files = query["tableDefinitions"]["written"]
        place = f"gs://{listed['bucket']}/feedback/{name}"
        assert files["sourceUris"] == [f"{place}/*"]
        assert files["hivePartitioningOptions"] == {"mode": "CUSTOM", "sourceUriPrefix": f"{place}/{{day:DATE}}"}
        for column in json.loads(table["schema"]):
            assert f"`{column['name']}`" in query["query"]


def test_the_view_sums_up_a_day_by_tenant_and_version(tmp_path: Path, streaming, named):
    view = named(streaming, TABLE, "fraud-detection-usage-by-day").inputs["view"]
    table = named(streaming, TABLE, "fraud-detection-usage").inputs
    full_name = f"`ml-blueprints-dev.{table['datasetId']}.usage`"
    assert view["useLegacySql"] is False
    assert full_name in view["query"]
    # The query is one that DuckDB understands, too, but for how names are quoted.
    query = view["query"].replace(full_name, "usage").replace("`", '"')
    with duckdb.connect() as connection:
        connection.execute('CREATE TABLE usage (day DATE, tenant TEXT, model TEXT, "rows" BIGINT, usd DOUBLE)')
        connection.execute(
            "INSERT INTO usage VALUES ('2026-01-01', 'a', 'm/1', 2, 0.5), ('2026-01-01', 'a', 'm/1', 3, 1)"
        )
        ((_, *found),) = connection.execute(query).fetchall()
    assert found == ["a", "m/1", 5, 1.5]


def test_people_who_explore_read_the_tables_and_the_job_alone_writes_them(house, named):
    (grant,) = house.of_type("gcp:bigquery/datasetIamMember:DatasetIamMember")
    assert (grant.inputs["role"], grant.inputs["member"]) == (
        "roles/bigquery.dataViewer",
        "serviceAccount:exploration@house.iam",
    )
    tables = [table for table in house.of_type(TABLE) if table.inputs["datasetId"] == grant.inputs["datasetId"]]
    assert [table.inputs["tableId"] for table in tables] == ["performance", "usage", "usage_by_day"]
    granted = {
        (one.inputs["tableId"], one.inputs["role"], one.inputs["member"])
        for one in house.of_type("gcp:bigquery/iamMember:IamMember")
        if one.inputs["datasetId"] == grant.inputs["datasetId"]
    }
    writer = ("roles/bigquery.dataEditor", "serviceAccount:monitoring@house.iam")
    assert granted == {("performance", *writer), ("usage", *writer)}
