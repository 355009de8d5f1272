"""The data layer on AWS: zones, catalog, contract, events and dead letters, and who may do what."""

import json

import pytest
from ml_blueprints.aws.data import glue_columns, glue_type, shards

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
ZONES = ["raw", "curated", "features", "models"]
STREAM = "aws:kinesis/stream:Stream"


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
    rule, *others = named(streaming, lifecycle, f"fraud-detection-{zone}").inputs["rules"]
    # What steps hand over is made of people's data, too.
    runs = {"id": "runs", "status": "Enabled", "filter": {"prefix": "runs/"}, "expiration": {"days": 400}}
    assert others == ([runs] if zone == "models" else [])
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
    assert all("Parquet" in kind for kind in (storage["inputFormat"], storage["outputFormat"]))
    assert storage["serDeInfo"]["serializationLibrary"].endswith("ParquetHiveSerDe")


def test_events_of_a_stream_have_when_and_in_which_order_they_arrived(streaming, batch, named):
    def columns(built) -> list[tuple[str, str]]:
        table = named(built, "aws:glue/catalogTable:CatalogTable", f"{built.platform.context.name}-raw").inputs
        return [(column["name"], column["type"]) for column in table["storageDescriptor"]["columns"]]

    arrival = [("arrived_at", "bigint"), ("sequence", "string")]
    assert columns(streaming)[-2:] == arrival
    assert not set(arrival) & set(columns(batch))


@pytest.mark.parametrize("platform", ["streaming", "batch"])
def test_athena_finds_the_days_of_events_by_rule(request, named, platform):
    built = request.getfixturevalue(platform)
    table = named(built, "aws:glue/catalogTable:CatalogTable", f"{built.platform.context.name}-raw").inputs
    told, location = table["parameters"], table["storageDescriptor"]["location"]
    (day,) = table["partitionKeys"]
    assert (day["name"], day["type"]) == ("day", "string")
    assert told["projection.enabled"] == "true"
    assert (told["projection.day.type"], told["projection.day.format"]) == ("date", "yyyy-MM-dd")
    assert told["projection.day.range"].endswith(",NOW")
    assert told["storage.location.template"] == f"{location}day=${{day}}/"
    assert told["classification"] == "parquet"


def test_the_table_says_which_contract_its_columns_keep(streaming, named):
    told = named(streaming, "aws:glue/catalogTable:CatalogTable", "fraud-detection-raw").inputs["parameters"]
    assert told["compatibility"] == "BACKWARD"
    assert told["contract_version"] == str(streaming.platform.context.workload.data.contract.version)


@pytest.mark.parametrize("purpose", ["ingest", "training"])
def test_readers_of_the_catalog_see_its_own_database_only(batch, allowed, purpose):
    assert allowed(batch, purpose, "lakeformation:GetDataAccess") == ["*"]
    database, table = allowed(batch, purpose, "glue:GetPartitions")[1:]
    assert ":database/credit_scoring_" in database
    assert "*" not in database + table
    for other in ("serving", "monitoring"):
        assert not allowed(batch, other, "lakeformation:GetDataAccess")
        assert not allowed(batch, other, "glue:GetTable")


def test_who_reads_events_asks_for_versions_of_schemas(streaming, batch, allowed):
    # Producers that use Glue's serialiser name a version by its id, which belongs to no registry.
    assert allowed(streaming, "ingest", "glue:GetSchemaVersion") == ["*"]
    assert not allowed(batch, "ingest", "glue:GetSchemaVersion")
    for purpose in ("training", "serving", "monitoring"):
        assert not allowed(streaming, purpose, "glue:GetSchemaVersion")


@pytest.mark.parametrize("platform", ["house", "hybrid_house"])
def test_queries_are_held_to_encrypted_results_and_a_stated_amount(request, platform):
    (workgroup,) = request.getfixturevalue(platform).of_type("aws:athena/workgroup:Workgroup")
    told = workgroup.inputs["configuration"]
    assert told["enforceWorkgroupConfiguration"] is True
    assert told["bytesScannedCutoffPerQuery"] == 1024**4
    assert told["publishCloudwatchMetricsEnabled"] is True
    results = told["resultConfiguration"]
    assert results["encryptionConfiguration"] == {"encryptionOption": "SSE_KMS", "kmsKeyArn": KEY}
    assert results["expectedBucketOwner"] == "123456789012"
    assert "-curated-" in results["outputLocation"]
    assert results["outputLocation"].endswith("/queries/")
    assert not workgroup.inputs.get("forceDestroy")


def test_spark_runs_in_the_private_subnets_and_stops_when_it_is_idle(streaming, batch):
    for built in (streaming, batch):
        (spark,) = built.of_type("aws:emrserverless/application:Application")
        network = spark.inputs["networkConfiguration"]
        private = [subnet.id for subnet in built.of_type("aws:ec2/subnet:Subnet")]
        workloads = f"{built.platform.context.name}-workloads"
        (group,) = [one for one in built.of_type("aws:ec2/securityGroup:SecurityGroup") if one.name == workloads]
        assert sorted(network["subnetIds"]) == sorted(private)
        assert network["securityGroupIds"] == [group.id]
        assert spark.inputs["autoStartConfiguration"] == {"enabled": True}
        assert spark.inputs["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 15}
        assert set(spark.inputs["maximumCapacity"]) == {"cpu", "memory", "disk"}
        # The release has the Spark that the job is written for, and nothing waits for work that doesn't come.
        assert spark.inputs["releaseLabel"].startswith("emr-7.")
        assert "initialCapacities" not in spark.inputs


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
def test_the_stream_has_shards_for_the_workloads_events(once, named, workload, shards):
    stream = named(once(workload), STREAM, f"{workload.replace('_', '-')}-events")
    assert stream.inputs["shardCount"] == shards
    assert stream.inputs["streamModeDetails"] == {"streamMode": "PROVISIONED"}


def test_an_experiments_stream_grows_by_itself(experiment, named):
    stream = named(experiment(), STREAM, "fraud-detection-events").inputs
    assert stream["streamModeDetails"] == {"streamMode": "ON_DEMAND"}
    # Kinesis refuses a number of shards for a stream on demand.
    assert "shardCount" not in stream


@pytest.mark.parametrize("events", [1, 1000, 1001, 2000])
def test_a_shard_takes_a_thousand_events_a_second(events):
    assert shards(events) == {1: 1, 1000: 1, 1001: 2, 2000: 2}[events]


@pytest.mark.parametrize(("objective", "own"), [(100, True), (199, True), (200, False), (None, False)])
def test_the_processor_reads_with_a_throughput_of_its_own_where_latency_asks_for_it(changed, named, objective, own):
    def with_objective(workload: dict) -> None:
        workload["monitoring"]["latency_objective_ms"] = objective

    built = changed("fraud_detection", with_objective)
    stream = named(built, STREAM, "fraud-detection-events")
    (source,) = built.of_type("aws:lambda/eventSourceMapping:EventSourceMapping")
    consumers = built.of_type("aws:kinesis/streamConsumer:StreamConsumer")
    assert len(consumers) == own
    for consumer in consumers:
        assert stream.urn in consumer.depends_on
        assert source.inputs["eventSourceArn"] == consumer.id
    if not own:
        assert source.inputs["eventSourceArn"] == stream.id


def test_events_are_encrypted_and_kept_for_a_week(house, named):
    stream = named(house, STREAM, "fraud-detection-events")
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
    assert not batch.of_type(STREAM)
    assert not batch.of_type("aws:kinesis/streamConsumer:StreamConsumer")
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
    def zones(action: str) -> dict[str, str]:
        """What may be done to which part of which zone; `*` is all of it."""
        found = [arn.removeprefix("arn:aws:s3:::").partition("/") for arn in allowed(streaming, purpose, action)]
        return {
            zone: part for zone in ZONES for bucket, _, part in found if bucket.startswith(f"fraud-detection-{zone}-")
        }

    # The feature job, which runs as ingest, is read from where models are, and replaces the days that it computed.
    code = {"models": "jobs/*"} if purpose == "ingest" else {}
    computed = {"features": "computed/*"} if purpose == "ingest" else {}
    assert zones("s3:GetObject") == dict.fromkeys(reads, "*") | code
    assert zones("s3:ListBucket") == dict.fromkeys(reads, "")
    assert zones("s3:PutObject") == dict.fromkeys(writes, "*")
    assert zones("s3:DeleteObject") == computed
    assert not [arn for arn in allowed(streaming, purpose, "s3:PutObject") if "-access-logs-" in arn]


def test_what_is_in_a_bucket_keeps_it_but_in_an_experiment(streaming, experiment):
    buckets = "aws:s3/bucket:Bucket"
    assert not [bucket.name for bucket in streaming.of_type(buckets) if bucket.inputs.get("forceDestroy")]
    assert all(bucket.inputs["forceDestroy"] for bucket in experiment().of_type(buckets))


def test_people_with_notebooks_see_what_was_made_of_events_and_not_the_events(streaming, allowed):
    read = allowed(streaming, "exploration", "s3:GetObject")
    zones = {arn.removeprefix("arn:aws:s3:::fraud-detection-").split("-")[0] for arn in read}
    # The zone of models holds artifacts of experiments, and nothing else of it is read.
    assert zones == {"curated", "features", "models"}
    assert all(arn.endswith("/experiments/*") for arn in read if "-models-" in arn)
