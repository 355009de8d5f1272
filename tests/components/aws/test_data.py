"""The data layer on AWS: zones, catalog, contract, events and dead letters, and who may do what."""

import json

import pytest
from ml_blueprints.aws.data import glue_columns, glue_type

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
ZONES = ["raw", "curated", "features", "models"]


@pytest.mark.parametrize(
    ("avro", "glue"),
    [
        ("string", "string"),
        ("boolean", "boolean"),
        ("int", "int"),
        ("long", "bigint"),
        ("double", "double"),
        ("bytes", "binary"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "timestamp"),
        (["null", {"type": "long", "logicalType": "timestamp-micros"}], "timestamp"),
        (["null", "double"], "double"),
        (["string", "null"], "string"),
        ({"type": "array", "items": ["null", "long"]}, "array<bigint>"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "string"),
        ({"type": "record", "name": "R", "fields": []}, "string"),
    ],
)
def test_an_avro_type_has_its_glue_type(avro, glue):
    assert glue_type(avro) == glue


def test_columns_say_what_the_contract_says_of_them():
    (column,) = glue_columns({"fields": [{"name": "age", "type": "int", "doc": "Years." + "x" * 300}]})
    assert (column.name, column.type) == ("age", "int")
    assert column.comment.startswith("Years.")
    # https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html
    assert len(column.comment) <= 255


@pytest.mark.parametrize("zone", ZONES)
def test_zones_are_encrypted_versioned_and_closed(house, named, zone):
    name = f"fraud-detection-{zone}"
    bucket = named(house, "aws:s3/bucket:Bucket", name)
    assert bucket.inputs["tags"]["zone"] == zone
    assert not bucket.inputs.get("forceDestroy")

    def part(kind: str) -> dict:
        found = named(house, f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}", name)
        assert bucket.urn == found.parent
        assert bucket.urn in found.depends_on
        return found.inputs

    assert part("BucketVersioning")["versioningConfiguration"] == {"status": "Enabled"}
    assert part("BucketServerSideEncryptionConfiguration")["rules"] == [
        {
            "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY},
            "bucketKeyEnabled": True,
        }
    ]
    closed = part("BucketPublicAccessBlock")
    assert all(
        closed[rule] is True
        for rule in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    )
    (refused,) = json.loads(part("BucketPolicy")["policy"])["Statement"]
    assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "s3:*")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert [arn.rpartition(":")[2].startswith(name) for arn in refused["Resource"]] == [True, True]


@pytest.mark.parametrize(("zone", "days"), [("raw", 400), ("curated", 400), ("features", 400), ("models", None)])
def test_data_goes_when_its_retention_ends_and_models_stay(streaming, named, zone, days):
    lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    (rule,) = named(streaming, lifecycle, f"fraud-detection-{zone}").inputs["rules"]
    assert rule["status"] == "Enabled"
    assert rule.get("expiration", {}).get("days") == days
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}


def test_the_catalog_has_the_contracts_columns(streaming, named):
    (database,) = streaming.of_type("aws:glue/catalogDatabase:CatalogDatabase")
    assert database.inputs["name"].replace("_", "").isalnum()
    table = named(streaming, "aws:glue/catalogTable:CatalogTable", "fraud-detection-raw").inputs
    assert table["databaseName"] == database.inputs["name"]
    assert table["name"] == "cardtransaction"
    storage = table["storageDescriptor"]
    assert [(column["name"], column["type"]) for column in storage["columns"]][:4] == [
        ("event_id", "string"),
        ("card_id", "string"),
        ("event_time", "timestamp"),
        ("amount", "double"),
    ]
    assert storage["location"].startswith("s3://fraud-detection-raw-")
    assert "Parquet" in storage["inputFormat"]


@pytest.mark.parametrize(
    ("platform", "record", "compatibility"),
    [("streaming", "CardTransaction", "BACKWARD"), ("batch", "CreditApplication", "FULL_ALL")],
)
def test_the_contract_is_registered_with_its_compatibility(request, platform, record, compatibility):
    built = request.getfixturevalue(platform)
    (registry,) = built.of_type("aws:glue/registry:Registry")
    (contract,) = built.of_type("aws:glue/schema:Schema")
    assert contract.inputs["dataFormat"] == "AVRO"
    assert contract.inputs["compatibility"] == compatibility
    assert contract.inputs["schemaName"] == record
    assert json.loads(contract.inputs["schemaDefinition"])["name"] == record
    assert contract.inputs["registryArn"].endswith(f":registry/{registry.inputs['registryName']}")


@pytest.mark.parametrize(("workload", "shards"), [("fraud_detection", 2), ("delivery_eta", 1), ("personalization", 1)])
def test_the_stream_has_shards_for_the_workloads_events(once, workload, shards):
    (stream,) = once(workload).of_type("aws:kinesis/stream:Stream")
    assert stream.inputs["shardCount"] == shards
    assert stream.inputs["streamModeDetails"] == {"streamMode": "PROVISIONED"}


def test_events_are_encrypted_and_kept_for_a_week(house):
    (stream,) = house.of_type("aws:kinesis/stream:Stream")
    assert (stream.inputs["encryptionType"], stream.inputs["kmsKeyId"]) == ("KMS", KEY)
    assert stream.inputs["retentionPeriod"] == 7 * 24


def test_dead_letters_are_encrypted_kept_for_two_weeks_and_sent_by_tls(house):
    (queue,) = house.of_type("aws:sqs/queue:Queue")
    assert queue.inputs["kmsMasterKeyId"] == KEY
    assert queue.inputs["messageRetentionSeconds"] == 14 * 24 * 3600
    (policy,) = house.of_type("aws:sqs/queuePolicy:QueuePolicy")
    (refused,) = json.loads(policy.inputs["policy"])["Statement"]
    assert (refused["Effect"], refused["Action"]) == ("Deny", "sqs:*")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert queue.urn in policy.depends_on


def test_batch_has_a_contract_but_no_stream(batch):
    assert batch.of_type("aws:glue/schema:Schema")
    assert not batch.of_type("aws:kinesis/stream:Stream")
    assert not batch.of_type("aws:sqs/queue:Queue")
    assert batch.platform.data.stream is None
    assert batch.platform.data.dead_letters is None


@pytest.mark.parametrize(
    ("purpose", "reads", "writes"),
    [
        ("ingest", {"raw", "features"}, {"raw", "features"}),
        ("training", set(ZONES), {"curated", "models"}),
        ("serving", {"models", "features"}, {"curated"}),
        ("monitoring", {"curated", "models"}, {"curated"}),
    ],
)
def test_each_identity_reads_and_writes_its_zones_only(streaming, allowed, purpose, reads, writes):
    def zones(action: str) -> set[str]:
        found = allowed(streaming, purpose, action)
        return {zone for zone in ZONES for arn in found if arn.startswith(f"arn:aws:s3:::fraud-detection-{zone}-")}

    assert zones("s3:GetObject") == zones("s3:ListBucket") == reads
    assert zones("s3:PutObject") == writes
    assert all(arn.endswith("/*") for arn in allowed(streaming, purpose, "s3:GetObject"))
    assert not allowed(streaming, purpose, "s3:DeleteObject")
