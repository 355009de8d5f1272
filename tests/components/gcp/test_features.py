"""The feature layer on Google Cloud: the table of features and its views, the group, the job, the latest values."""

import hashlib
import json

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
TABLE = "gcp:bigquery/table:Table"
STORE = "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore"
VIEW = "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview"
VIEW_GRANT = "gcp:vertex/aiFeatureOnlineStoreFeatureviewIamMember:AiFeatureOnlineStoreFeatureviewIamMember"
WORKFLOW = "gcp:workflows/workflow:Workflow"


def request(built, workflow: str) -> dict:
    """What the workflow of a platform asks Dataproc for."""
    steps = json.loads(built.named(WORKFLOW, workflow).inputs["sourceContents"])["main"]["steps"]
    return steps[0]["start"]["try"]["args"]["body"]


def test_the_table_keeps_the_history_of_each_feature(house, named):
    table = named(house, TABLE, "fraud-detection-features").inputs
    columns = {column["name"]: column["type"] for column in json.loads(table["schema"])}
    assert columns["card_id"] == columns["event_id"] == "STRING"
    assert columns["event_time"] == columns["arrived_at"] == "TIMESTAMP"
    assert columns["transactions_1h"] == "INTEGER"
    assert columns["amount_1h"] == "FLOAT"
    assert table["encryptionConfiguration"] == {"kmsKeyName": KEY}
    assert table["timePartitioning"]["field"] == "arrived_at"
    assert table["timePartitioning"]["expirationMs"] == 400 * 24 * 3600 * 1000


def test_the_group_reads_the_history_by_its_entity(streaming, named):
    (group,) = streaming.of_type("gcp:vertex/aiFeatureGroup:AiFeatureGroup")
    source = group.inputs["bigQuery"]
    assert source["entityIdColumns"] == ["card_id"]
    history = named(streaming, TABLE, "fraud-detection-history").inputs
    assert source["bigQuerySource"]["inputUri"] == (
        f"bq://ml-blueprints-dev.{history['datasetId']}.card_activity_history"
    )
    assert history["view"]["useLegacySql"] is False
    assert "feature_timestamp" in history["view"]["query"]
    assert f"FROM `ml-blueprints-dev.{history['datasetId']}.card_activity`" in history["view"]["query"]
    name = group.inputs["name"]
    assert len(name) <= 60
    assert name.replace("_", "").isalnum()


def test_each_definition_is_a_feature_of_the_group(streaming):
    (group,) = streaming.of_type("gcp:vertex/aiFeatureGroup:AiFeatureGroup")
    features = streaming.of_type("gcp:vertex/aiFeatureGroupFeature:AiFeatureGroupFeature")
    assert [feature.inputs["versionColumnName"] for feature in features] == [
        "abroad_share_24h",
        "amount_1h",
        "largest_amount_1h",
        "merchants_24h",
        "seconds_since_last",
        "transactions_1h",
    ]
    assert {feature.inputs["featureGroup"] for feature in features} == {group.inputs["name"]}


def test_the_latest_values_are_served_from_an_encrypted_store(house):
    (store,) = house.of_type(STORE)
    (view,) = house.of_type(VIEW)
    assert store.inputs["encryptionSpec"] == {"kmsKeyName": KEY}
    scaling = store.inputs["bigtable"]["autoScaling"]
    # https://cloud.google.com/vertex-ai/docs/featurestore/latest: at most ten times the least.
    assert scaling["minNodeCount"] <= scaling["maxNodeCount"] <= 10 * scaling["minNodeCount"]
    assert view.inputs["featureOnlineStore"] == store.inputs["name"]
    source = view.inputs["bigQuerySource"]
    assert source["uri"].endswith(".card_activity_latest")
    assert source["entityIdColumns"] == ["card_id"]
    # It can't follow a view continuously, nor anything in europe-west1.
    assert view.inputs["syncConfig"] == {"cron": "TZ=UTC */10 * * * *"}


def test_a_sync_reads_what_may_still_be_served(streaming, named):
    query = named(streaming, TABLE, "fraud-detection-latest").inputs["view"]["query"]
    assert "INTERVAL 48 HOUR" in query


def test_batch_keeps_features_but_serves_none(batch):
    assert batch.of_type("gcp:vertex/aiFeatureGroup:AiFeatureGroup")
    assert not batch.of_type(STORE)
    assert not batch.of_type(VIEW)
    assert batch.platform.features.online is None


def test_only_serving_reads_online(house):
    assert [grant.inputs["member"] for grant in house.of_type(VIEW_GRANT)] == ["serviceAccount:serving@house.iam"]


def test_who_computes_features_writes_them_and_who_learns_from_them_reads(house):
    roles = {
        (grant.name.removeprefix("fraud-detection-"), grant.inputs["role"].rpartition(".")[2])
        for grant in house.of_type("gcp:bigquery/iamMember:IamMember")
        if "card_activity" in grant.inputs["tableId"]
    }
    assert roles == {
        ("features-features-table", "dataEditor"),
        ("ingest-features-table", "dataEditor"),
        ("training-features-table", "dataViewer"),
        ("training-history-table", "dataViewer"),
        ("serving-features-table", "dataViewer"),
        ("serving-history-table", "dataViewer"),
        ("exploration-features-table", "dataViewer"),
        ("exploration-history-table", "dataViewer"),
    }


def test_in_batch_only_the_job_writes_features(batch):
    written = [
        grant.name
        for grant in batch.of_type("gcp:bigquery/iamMember:IamMember")
        if grant.inputs["role"] == "roles/bigquery.dataEditor" and "feedback" not in grant.inputs["datasetId"]
    ]
    assert written == ["credit-scoring-features-features-table"]


def test_the_job_lies_by_the_hash_of_its_content(streaming):
    file = streaming.named("gcp:storage/bucketObject:BucketObject", "fraud-detection-feature-job")
    source = streaming.platform.context.workload.features.job_source
    # The SDK keeps what an object holds as a secret.
    assert file.inputs["content"]["value"] == source
    assert file.inputs["name"] == f"features/{hashlib.sha256(source.encode()).hexdigest()[:16]}.py"
    assert "fraud-detection-code" in file.inputs["bucket"]
    body = request(streaming, "fraud-detection-features")
    assert body["pysparkBatch"]["mainPythonFileUri"] == f"gs://{file.inputs['bucket']}/{file.inputs['name']}"


def test_the_job_adds_to_the_features_what_arrived_lately(streaming, named):
    arguments = request(streaming, "fraud-detection-features")["pysparkBatch"]["args"]
    told = dict(zip(arguments[::2], arguments[1::2], strict=True))
    dataset = named(streaming, TABLE, "fraud-detection-features").inputs["datasetId"]
    assert told == {
        "--source": f"ml-blueprints-dev.{dataset}.cardtransaction",
        "--format": "bigquery",
        "--destination": f"ml-blueprints-dev.{dataset}.card_activity",
        "--since": "2d",
    }


def test_in_batch_the_job_looks_at_everything(batch):
    assert "--since" not in request(batch, "credit-scoring-features")["pysparkBatch"]["args"]


def test_the_job_runs_as_nobody_else_does_in_the_subnet_of_jobs_with_the_key(house, named):
    environment = request(house, "fraud-detection-features")["environmentConfig"]["executionConfig"]
    account = named(house, "gcp:serviceaccount/account:Account", "fraud-detection-features").inputs["accountId"]
    assert environment["serviceAccount"].startswith(f"{account}@")
    assert environment["subnetworkUri"] == "projects/network/regions/europe-west1/subnetworks/jobs"
    assert environment["kmsKey"] == KEY
    assert environment["stagingBucket"].startswith("fraud-detection-features")
    workflow = named(house, WORKFLOW, "fraud-detection-features").inputs
    assert workflow["serviceAccount"] == environment["serviceAccount"]
    assert workflow["cryptoKeyName"] == KEY


def test_the_job_starts_when_the_workload_says(streaming, named):
    schedule = named(streaming, "gcp:cloudscheduler/job:Job", "fraud-detection-features").inputs
    assert schedule["schedule"] == "0 0 * * *"
    assert schedule["timeZone"] == "Etc/UTC"
    workflow = named(streaming, WORKFLOW, "fraud-detection-features")
    assert schedule["httpTarget"]["uri"].endswith(f"{workflow.id}/executions")


def test_the_job_may_do_what_spark_needs_and_reads_code_and_events_only(house, named):
    may = named(house, "gcp:projects/iAMCustomRole:IAMCustomRole", "fraud-detection-features").inputs["permissions"]
    assert {"dataproc.batches.create", "dataprocrm.nodes.mintOAuthToken", "bigquery.readsessions.create"} <= set(may)
    assert not [permission for permission in may if permission.startswith("storage.") or "*" in permission]
    account = named(house, "gcp:serviceaccount/account:Account", "fraud-detection-features").inputs["accountId"]
    buckets = {
        (grant.name.removeprefix("fraud-detection-features-"), grant.inputs["role"].rpartition(".")[2])
        for grant in house.of_type("gcp:storage/bucketIAMMember:BucketIAMMember")
        if account in grant.inputs["member"]
    }
    assert buckets == {
        ("code", "objectViewer"),
        ("staging", "objectUser"),
        ("staging-bucket", "legacyBucketReader"),
    }
    (acts,) = [
        grant
        for grant in house.of_type("gcp:serviceaccount/iAMMember:IAMMember")
        if grant.name == "fraud-detection-features-as-features"
    ]
    assert acts.inputs["role"] == "roles/iam.serviceAccountUser"
