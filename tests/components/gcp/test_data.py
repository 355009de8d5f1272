"""The data layer on Google Cloud: zones, catalog, contract, events and dead letters, and who may do what."""

import json

import pytest

BUCKET = "gcp:storage/bucket:Bucket"
TABLE = "gcp:bigquery/table:Table"
TOPIC = "gcp:pubsub/topic:Topic"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"
KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"


@pytest.mark.parametrize("zone", ["raw", "curated", "features", "models"])
def test_zones_are_encrypted_versioned_and_closed(house, named, zone):
    bucket = named(house, BUCKET, f"fraud-detection-{zone}").inputs
    assert bucket["encryption"] == {"defaultKmsKeyName": KEY}
    assert bucket["versioning"] == {"enabled": True}
    assert bucket["uniformBucketLevelAccess"] is True
    assert bucket["publicAccessPrevention"] == "enforced"
    assert bucket["location"] == "europe-west1"
    assert bucket["labels"]["zone"] == zone
    assert not bucket.get("forceDestroy")


def test_data_goes_when_its_retention_ends_and_models_stay(streaming, named):
    def deleted_after(zone: str) -> list[int]:
        rules = named(streaming, BUCKET, f"fraud-detection-{zone}").inputs["lifecycleRules"]
        return [
            rule["condition"]["age"]
            for rule in rules
            if rule["action"]["type"] == "Delete" and rule["condition"].get("withState") == "LIVE"
        ]

    assert deleted_after("raw") == [400]
    assert deleted_after("curated") == [400]
    assert deleted_after("models") == []


def test_the_catalog_has_the_contracts_columns(house, named):
    (dataset,) = house.of_type("gcp:bigquery/dataset:Dataset")
    assert dataset.inputs["defaultEncryptionConfiguration"] == {"kmsKeyName": KEY}
    assert dataset.inputs["datasetId"].replace("_", "").isalnum()
    table = named(house, TABLE, "fraud-detection-raw").inputs
    assert [column["name"] for column in json.loads(table["schema"])][:3] == ["event_id", "card_id", "event_time"]
    assert table["encryptionConfiguration"] == {"kmsKeyName": KEY}
    assert table["timePartitioning"]["field"] == "event_time"
    assert table["timePartitioning"]["expirationMs"] == 400 * 24 * 3600 * 1000
    assert table["clusterings"] == ["card_id"]


def test_the_contract_is_published_and_events_must_keep_to_it(streaming, named):
    (contract,) = streaming.of_type("gcp:pubsub/schema:Schema")
    assert contract.inputs["type"] == "AVRO"
    assert json.loads(contract.inputs["definition"])["name"] == "CardTransaction"
    events = named(streaming, TOPIC, "fraud-detection-events").inputs
    assert events["schemaSettings"]["encoding"] == "JSON"
    assert "fraud-detection-contract" in events["schemaSettings"]["schema"]


@pytest.mark.parametrize("part", ["events", "dead-letters"])
def test_topics_are_encrypted_and_stay_in_the_region(house, named, part):
    topic = named(house, TOPIC, f"fraud-detection-{part}").inputs
    assert topic["kmsKeyName"] == KEY
    assert topic["messageStoragePolicy"] == {"allowedPersistenceRegions": ["europe-west1"], "enforceInTransit": True}
    assert topic["messageRetentionDuration"] == "604800s"


def test_events_are_written_to_the_table_or_become_dead_letters(streaming, named):
    archive = named(streaming, SUBSCRIPTION, "fraud-detection-archive").inputs
    assert archive["bigqueryConfig"]["useTopicSchema"] is True
    assert archive["bigqueryConfig"]["table"].endswith(".cardtransaction")
    assert "fraud-detection-dead-letters" in archive["deadLetterPolicy"]["deadLetterTopic"]
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


def test_batch_has_a_contract_but_no_stream(batch):
    assert batch.of_type("gcp:pubsub/schema:Schema")
    assert not batch.of_type(SUBSCRIPTION)
    assert [topic.name for topic in batch.of_type(TOPIC)] == ["credit-scoring-drift"]


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
    }
