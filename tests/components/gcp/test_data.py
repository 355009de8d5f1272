"""The data layer on Google Cloud: zones, catalog, contract, events and dead letters, and who may do what."""

import json

import pytest

BUCKET = "gcp:storage/bucket:Bucket"
TABLE = "gcp:bigquery/table:Table"
TOPIC = "gcp:pubsub/topic:Topic"
SCHEMA = "gcp:pubsub/schema:Schema"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"
KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
BUCKETS = ("raw", "curated", "features", "models", "code", "access-logs")


@pytest.mark.parametrize("part", BUCKETS)
def test_buckets_are_encrypted_versioned_and_closed(house, named, part):
    bucket = named(house, BUCKET, f"fraud-detection-{part}").inputs
    assert bucket["encryption"] == {"defaultKmsKeyName": KEY}
    assert bucket["versioning"] == {"enabled": True}
    assert bucket["uniformBucketLevelAccess"] is True
    assert bucket["publicAccessPrevention"] == "enforced"
    assert bucket["location"] == "europe-west1"
    assert bucket["labels"]["zone"] == part
    assert not bucket.get("forceDestroy")


def test_who_reads_a_bucket_is_logged_in_one_that_logs_nothing(streaming, named):
    logs = named(streaming, BUCKET, "fraud-detection-access-logs")
    assert "logging" not in logs.inputs
    for part in BUCKETS[:-1]:
        logging = named(streaming, BUCKET, f"fraud-detection-{part}").inputs["logging"]
        assert logging == {"logBucket": logs.id, "logObjectPrefix": part}
    (grant,) = [
        grant.inputs
        for grant in streaming.of_type("gcp:storage/bucketIAMMember:BucketIAMMember")
        if grant.inputs["bucket"] == logs.id
    ]
    assert grant["role"] == "roles/storage.objectCreator"
    assert grant["member"] == "group:cloud-storage-analytics@google.com"


def test_data_goes_when_its_retention_ends_and_models_and_code_stay(streaming, named):
    def deleted_after(part: str) -> list[int]:
        rules = named(streaming, BUCKET, f"fraud-detection-{part}").inputs["lifecycleRules"]
        return [
            rule["condition"]["age"]
            for rule in rules
            if rule["action"]["type"] == "Delete" and rule["condition"].get("withState") == "LIVE"
        ]

    assert deleted_after("raw") == [400]
    assert deleted_after("curated") == [400]
    # Models stay; what they were made of goes.
    assert deleted_after("models") == [400]
    (runs,) = (
        rule["condition"]["matchesPrefixes"]
        for rule in named(streaming, BUCKET, "fraud-detection-models").inputs["lifecycleRules"]
        if "matchesPrefixes" in rule["condition"]
    )
    assert runs == ["runs/"]
    assert deleted_after("code") == []
    assert deleted_after("access-logs") == [365]


def test_the_catalog_has_the_contracts_columns_and_those_of_arrival(house, named):
    dataset = named(house, "gcp:bigquery/dataset:Dataset", "fraud-detection-catalog")
    assert dataset.inputs["defaultEncryptionConfiguration"] == {"kmsKeyName": KEY}
    assert dataset.inputs["datasetId"].replace("_", "").isalnum()
    table = named(house, TABLE, "fraud-detection-raw").inputs
    columns = [column["name"] for column in json.loads(table["schema"])]
    assert columns[:4] == ["subscription_name", "message_id", "publish_time", "attributes"]
    assert columns[4:7] == ["event_id", "card_id", "event_time"]
    assert columns[-1] == "channel"
    assert table["encryptionConfiguration"] == {"kmsKeyName": KEY}
    assert table["timePartitioning"]["expirationMs"] == 400 * 24 * 3600 * 1000
    assert table["clusterings"] == ["card_id"]


def test_events_lie_by_their_arrival_and_rows_of_batch_by_their_time(streaming, batch, named):
    table = named(streaming, TABLE, "fraud-detection-raw").inputs
    assert table["timePartitioning"]["field"] == "publish_time"
    table = named(batch, TABLE, "credit-scoring-raw").inputs
    assert table["timePartitioning"]["field"] == "event_time"
    assert "publish_time" not in table["schema"]


def test_each_version_of_the_contract_is_published_and_events_must_keep_to_it(streaming, named):
    contract = named(streaming, SCHEMA, "fraud-detection-contract")
    first = json.loads(named(streaming, SCHEMA, "fraud-detection-contract-1").inputs["definition"])
    second = json.loads(contract.inputs["definition"])
    assert contract.inputs["type"] == "AVRO"
    assert second["name"] == first["name"] == "CardTransaction"
    assert len(second["fields"]) == len(first["fields"]) + 1
    settings = named(streaming, TOPIC, "fraud-detection-events").inputs["schemaSettings"]
    # By names of fields, so that no event passes for one of another version; any revision is taken.
    assert settings == {"schema": contract.id, "encoding": "JSON"}


def test_the_archive_has_the_columns_of_a_version_before_its_events_come(streaming, named):
    table = named(streaming, TABLE, "fraud-detection-raw")
    assert table.urn in named(streaming, SCHEMA, "fraud-detection-contract").depends_on


@pytest.mark.parametrize("part", ["events", "dead-letters", "decisions"])
def test_topics_are_encrypted_and_stay_in_the_region(house, named, part):
    topic = named(house, TOPIC, f"fraud-detection-{part}").inputs
    assert topic["kmsKeyName"] == KEY
    assert topic["messageStoragePolicy"] == {"allowedPersistenceRegions": ["europe-west1"], "enforceInTransit": True}
    assert topic["messageRetentionDuration"] == "604800s"


def test_events_are_written_to_the_table_with_their_arrival_or_become_dead_letters(streaming, named):
    archive = named(streaming, SUBSCRIPTION, "fraud-detection-archive").inputs
    written = archive["bigqueryConfig"]
    assert (written["useTopicSchema"], written["writeMetadata"]) == (True, True)
    assert not written.get("dropUnknownFields")
    assert written["table"].endswith(".cardtransaction")
    assert "fraud-detection-dead-letters" in archive["deadLetterPolicy"]["deadLetterTopic"]
    assert archive["deadLetterPolicy"]["maxDeliveryAttempts"] == 20
    assert archive["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "60s"}
    assert archive["expirationPolicy"] == {"ttl": ""}


def test_dead_letters_are_kept_in_the_raw_zone_with_their_attributes(streaming, named):
    letters = named(streaming, SUBSCRIPTION, "fraud-detection-dead-letters").inputs
    assert "fraud-detection-raw" in letters["cloudStorageConfig"]["bucket"]
    assert letters["cloudStorageConfig"]["filenamePrefix"] == "dead-letters/"
    assert letters["cloudStorageConfig"]["avroConfig"]["writeMetadata"] is True


def test_pubsub_may_forward_what_it_cannot_deliver(streaming):
    roles = {
        (grant.name, grant.inputs["role"])
        for token in ("topicIAMMember:TopicIAMMember", "subscriptionIAMMember:SubscriptionIAMMember")
        for grant in streaming.of_type(f"gcp:pubsub/{token}")
    }
    assert ("fraud-detection-dead-letters", "roles/pubsub.publisher") in roles
    assert ("fraud-detection-archive", "roles/pubsub.subscriber") in roles
    assert ("fraud-detection-processor", "roles/pubsub.subscriber") in roles


def test_ingest_says_why_events_are_dead_and_looks_up_how_they_are_written(house, named):
    dead = named(house, "gcp:pubsub/topicIAMMember:TopicIAMMember", "fraud-detection-ingest-dead-letters").inputs
    assert (dead["role"], dead["member"]) == ("roles/pubsub.publisher", "serviceAccount:ingest@house.iam")
    (read,) = house.of_type("gcp:pubsub/schemaIamMember:SchemaIamMember")
    assert read.inputs["member"] == "serviceAccount:ingest@house.iam"
    (role,) = [
        role for role in house.of_type("gcp:projects/iAMCustomRole:IAMCustomRole") if role.name.endswith("contract")
    ]
    assert role.inputs["permissions"] == ["pubsub.schemas.get"]


def test_batch_has_a_contract_but_no_stream(batch):
    assert batch.of_type(SCHEMA)
    assert not batch.of_type(SUBSCRIPTION)
    assert {topic.name for topic in batch.of_type(TOPIC)} == {"credit-scoring-drift", "credit-scoring-retraining"}


def test_each_identity_reads_and_writes_its_zones_only(house):
    granted = {
        (grant.inputs["member"].removeprefix("serviceAccount:").partition("@")[0], grant.name, grant.inputs["role"])
        for grant in house.of_type("gcp:storage/bucketIAMMember:BucketIAMMember")
        if grant.inputs["member"].endswith("@house.iam")
    }
    read, write = "roles/storage.objectViewer", "roles/storage.objectUser"
    assert granted == {
        ("ingest", "fraud-detection-ingest-raw", write),
        ("ingest", "fraud-detection-ingest-features", write),
        ("training", "fraud-detection-training-raw", read),
        ("training", "fraud-detection-training-features", read),
        ("training", "fraud-detection-training-curated", write),
        ("training", "fraud-detection-training-models", write),
        ("serving", "fraud-detection-serving-models", read),
        ("serving", "fraud-detection-serving-features", read),
        ("serving", "fraud-detection-serving-curated", write),
        ("monitoring", "fraud-detection-monitoring-models", read),
        ("monitoring", "fraud-detection-monitoring-curated", write),
        ("exploration", "fraud-detection-exploration-curated", read),
        ("exploration", "fraud-detection-exploration-features", read),
        ("training", "fraud-detection-training-code", read),
    }
