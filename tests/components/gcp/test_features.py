"""The feature layer on Google Cloud: the table of features, the group on it, and the view of the latest values."""

import json

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
TABLE = "gcp:bigquery/table:Table"
STORE = "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore"
VIEW = "gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview"
VIEW_GRANT = "gcp:vertex/aiFeatureOnlineStoreFeatureviewIamMember:AiFeatureOnlineStoreFeatureviewIamMember"


def test_the_table_keeps_the_history_of_each_feature(house, named):
    table = named(house, TABLE, "fraud-detection-features").inputs
    columns = {column["name"]: column["type"] for column in json.loads(table["schema"])}
    assert columns["card_id"] == "STRING"
    assert columns["feature_timestamp"] == "TIMESTAMP"
    assert columns["transactions_1h"] == "INTEGER"
    assert columns["amount_1h"] == "FLOAT"
    assert table["encryptionConfiguration"] == {"kmsKeyName": KEY}
    assert table["timePartitioning"]["field"] == "feature_timestamp"


def test_the_group_reads_the_table_by_its_entity(streaming):
    (group,) = streaming.of_type("gcp:vertex/aiFeatureGroup:AiFeatureGroup")
    source = group.inputs["bigQuery"]
    assert source["entityIdColumns"] == ["card_id"]
    assert source["bigQuerySource"]["inputUri"].startswith("bq://")
    assert source["bigQuerySource"]["inputUri"].endswith(".card_activity")
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
    (source,) = view.inputs["featureRegistrySource"]["featureGroups"]
    assert len(source["featureIds"]) == 6
    assert view.inputs["syncConfig"]["cron"].startswith("TZ=UTC ")


def test_batch_keeps_features_but_serves_none(batch):
    assert batch.of_type("gcp:vertex/aiFeatureGroup:AiFeatureGroup")
    assert not batch.of_type(STORE)
    assert not batch.of_type(VIEW)
    assert batch.platform.features.online is None


def test_only_ingest_and_serving_read_online(house):
    assert {grant.inputs["member"] for grant in house.of_type(VIEW_GRANT)} == {
        "serviceAccount:ingest@house.iam",
        "serviceAccount:serving@house.iam",
    }


def test_only_ingest_writes_the_table(house, named):
    roles = {
        grant.inputs["member"]: grant.inputs["role"]
        for grant in house.of_type("gcp:bigquery/iamMember:IamMember")
        if grant.name.endswith("-features-table")
    }
    assert roles == {
        "serviceAccount:ingest@house.iam": "roles/bigquery.dataEditor",
        "serviceAccount:training@house.iam": "roles/bigquery.dataViewer",
        "serviceAccount:serving@house.iam": "roles/bigquery.dataViewer",
    }
