"""The audit trail on AWS: what it records, and that CloudTrail alone writes it."""

import json

import pytest

TRAIL = "aws:cloudtrail/trail:Trail"
PLATFORMS = pytest.mark.parametrize("platform", ["streaming", "batch"])


def trail(built) -> dict:
    (found,) = built.of_type(TRAIL)
    return found.inputs


@PLATFORMS
def test_it_leaves_out_no_region_is_validated_and_encrypted(request, platform):
    built = request.getfixturevalue(platform)
    said = trail(built)
    assert said["isMultiRegionTrail"] is said["enableLogFileValidation"] is said["enableLogging"] is True
    assert said["includeGlobalServiceEvents"] is True
    (key,) = built.of_type("aws:kms/key:Key")
    assert said["kmsKeyId"].endswith(f":key/{key.id}")


@PLATFORMS
def test_objects_of_models_and_features_are_recorded_and_what_is_managed(request, platform):
    built = request.getfixturevalue(platform)
    managed, objects = (
        {one["field"]: one for one in selector["fieldSelectors"]} for selector in trail(built)["advancedEventSelectors"]
    )
    assert managed["eventCategory"]["equals"] == ["Management"]
    assert managed["eventSource"]["notEquals"] == ["kms.amazonaws.com"]
    # Nothing says whether it was read or written, so that both are recorded.
    assert set(objects) == {"eventCategory", "resources.type", "resources.ARN"}
    assert objects["eventCategory"]["equals"] == ["Data"]
    assert objects["resources.type"]["equals"] == ["AWS::S3::Object"]
    name = built.platform.context.name
    zones = [arn.removeprefix(f"arn:aws:s3:::{name}-") for arn in objects["resources.ARN"]["startsWiths"]]
    assert [zone.partition("-")[0] for zone in zones] == ["models", "features"]
    assert all(zone.endswith("/") for zone in zones)


def test_cloudtrail_alone_writes_and_nobody_deletes(streaming, named):
    said = json.loads(named(streaming, "aws:s3/bucketPolicy:BucketPolicy", "fraud-detection-audit").inputs["policy"])
    asks, puts, denied = said["Statement"][1:]
    ours = f"arn:aws:cloudtrail:eu-west-1:123456789012:trail/{trail(streaming)['name']}"
    for statement in (asks, puts):
        assert statement["Principal"] == {"Service": ["cloudtrail.amazonaws.com"]}
        assert statement["Condition"]["StringEquals"]["aws:SourceArn"] == ours
    (bucket,) = asks["Resource"]
    assert puts["Resource"] == [f"{bucket}/AWSLogs/123456789012/*"]
    assert (denied["Effect"], denied["Principal"], denied["Resource"]) == ("Deny", "*", [f"{bucket}/*"])
    assert {"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"} == set(denied["Action"])
    assert denied["Condition"] == {"StringNotEquals": {"aws:PrincipalServiceName": "cloudtrail.amazonaws.com"}}


def test_what_is_recorded_is_kept_for_a_year(streaming, named):
    kept = named(
        streaming, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "fraud-detection-audit"
    ).inputs["rules"][0]
    group = named(streaming, "aws:cloudwatch/logGroup:LogGroup", "fraud-detection-audit").inputs
    assert kept["expiration"] == {"days": 365}
    assert group["retentionInDays"] == 365


def test_the_trail_waits_for_whom_the_bucket_lets_in_and_for_its_role(streaming, named):
    (found,) = streaming.of_type(TRAIL)
    waited = {urn.rpartition("$")[2] for urn in found.depends_on}
    assert "aws:s3/bucketPolicy:BucketPolicy::fraud-detection-audit" in waited
    assert "aws:iam/rolePolicy:RolePolicy::fraud-detection-audit" in waited
    (rights,) = json.loads(named(streaming, "aws:iam/rolePolicy:RolePolicy", "fraud-detection-audit").inputs["policy"])[
        "Statement"
    ]
    assert rights["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    (streams,) = rights["Resource"]
    assert streams.endswith(":log-stream:123456789012_CloudTrail_*")


def test_trails_of_this_account_use_the_key(streaming):
    (key,) = streaming.of_type("aws:kms/key:Key")
    writes, describes = (
        statement
        for statement in json.loads(key.inputs["policy"])["Statement"]
        if statement["Principal"] == {"Service": ["cloudtrail.amazonaws.com"]}
    )
    trails = "arn:aws:cloudtrail:*:123456789012:trail/*"
    assert writes["Action"] == ["kms:GenerateDataKey*"]
    assert writes["Condition"]["StringLike"] == {"kms:EncryptionContext:aws:cloudtrail:arn": trails}
    assert describes["Action"] == ["kms:DescribeKey"]
    for statement in (writes, describes):
        assert statement["Condition"]["ArnLike"] == {"aws:SourceArn": trails}
