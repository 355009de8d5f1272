"""Buckets on AWS: the place of access logs, and that the use of every other bucket is logged there."""

import json

import pytest

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
BUCKET = "aws:s3/bucket:Bucket"
LOGGING = "aws:s3/bucketLogging:BucketLogging"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LOGS = "fraud-detection-access-logs"


def statements(built, name: str) -> list[dict]:
    (found,) = [policy for policy in built.of_type("aws:s3/bucketPolicy:BucketPolicy") if policy.name == name]
    return json.loads(found.inputs["policy"])["Statement"]


@pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])
def test_who_uses_a_bucket_is_logged_in_a_bucket_for_that_alone(request, platform):
    built = request.getfixturevalue(platform)
    prefix = f"{built.platform.context.name}-"
    buckets = {bucket.name.removeprefix(prefix): bucket for bucket in built.of_type(BUCKET)}
    logs = buckets.pop("access-logs")
    logged = {logging.name.removeprefix(prefix): logging for logging in built.of_type(LOGGING)}
    assert set(logged) == set(buckets) == {"raw", "curated", "features", "models", "audit", "state"}
    for zone, logging in logged.items():
        assert logging.inputs["bucket"] == buckets[zone].id
        assert logging.inputs["targetBucket"] == logs.id
        assert logging.inputs["targetPrefix"] == f"{zone}/"


def test_s3_delivers_logs_for_this_account_only_and_nobody_without_tls(streaming):
    refused, deliver = statements(streaming, LOGS)
    assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "s3:*")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (deliver["Effect"], deliver["Action"]) == ("Allow", ["s3:PutObject"])
    assert deliver["Principal"] == {"Service": ["logging.s3.amazonaws.com"]}
    assert deliver["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    (objects,) = deliver["Resource"]
    assert objects.startswith(f"arn:aws:s3:::{LOGS}-")
    assert objects.endswith("/*")


def test_logs_have_the_keys_of_s3_since_it_delivers_to_no_others(house, named):
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    (rule,) = named(house, ENCRYPTION, LOGS).inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
    others = [encryption for encryption in house.of_type(ENCRYPTION) if encryption.name != LOGS]
    assert len(others) == 6
    for encryption in others:
        (rule,) = encryption.inputs["rules"]
        assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == KEY


def test_logs_are_versioned_closed_and_go_after_a_year(streaming, named):
    versions = named(streaming, "aws:s3/bucketVersioning:BucketVersioning", LOGS).inputs
    assert versions["versioningConfiguration"] == {"status": "Enabled"}
    closed = named(streaming, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", LOGS)
    rules = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(closed.inputs[rule] is True for rule in rules)
    (policy,) = [one for one in streaming.of_type("aws:s3/bucketPolicy:BucketPolicy") if one.name == LOGS]
    assert closed.urn in policy.depends_on
    lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    (rule,) = named(streaming, lifecycle, LOGS).inputs["rules"]
    assert rule["expiration"] == {"days": 365}


@pytest.mark.parametrize("purpose", ["ingest", "training", "serving", "monitoring"])
def test_no_identity_of_the_platform_reads_or_writes_the_logs(streaming, rights, purpose):
    assert "access-logs" not in json.dumps(rights(streaming, purpose))
