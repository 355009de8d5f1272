"""The archive of the stream on AWS: how events are decoded and kept, under which identity, and what it may do."""

import json
import re

import pytest

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
SUBNETS = ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
DELIVERY = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"
FUNCTION = "aws:lambda/function:Function"
STREAM = "aws:kinesis/stream:Stream"
NAME = "fraud-detection-archive"


def destination(built) -> dict:
    (delivery,) = built.of_type(DELIVERY)
    assert delivery.inputs["destination"] == "extended_s3"
    return delivery.inputs["extendedS3Configuration"]


@pytest.fixture
def may(named):
    """The resources on which Firehose's identity may do an action."""

    def find(built, action: str) -> list[str]:
        grant = named(built, "aws:iam/rolePolicy:RolePolicy", NAME).inputs
        return [
            resource
            for statement in json.loads(grant["policy"])["Statement"]
            if action in statement["Action"]
            for resource in statement["Resource"]
        ]

    return find


def test_firehose_reads_the_events_and_writes_the_raw_zone_by_day_of_arrival(streaming, named):
    (delivery,) = streaming.of_type(DELIVERY)
    source, kept = delivery.inputs["kinesisSourceConfiguration"], destination(streaming)
    assert source["kinesisStreamArn"] == named(streaming, STREAM, "fraud-detection-events").id
    assert kept["bucketArn"].startswith("arn:aws:s3:::fraud-detection-raw-")
    assert kept["prefix"] == "events/day=!{timestamp:yyyy-MM-dd}/"
    assert kept["errorOutputPrefix"].startswith("errors/!{firehose:error-output-type}/")


def test_what_is_written_lies_where_the_catalog_looks_for_it(streaming, named):
    table = named(streaming, "aws:glue/catalogTable:CatalogTable", "fraud-detection-raw").inputs
    kept = destination(streaming)
    folder = kept["prefix"].partition("day=")[0]
    bucket = kept["bucketArn"].removeprefix("arn:aws:s3:::")
    assert table["storageDescriptor"]["location"] == f"s3://{bucket}/{folder}"
    assert not kept["errorOutputPrefix"].startswith(folder)


def test_events_are_kept_as_parquet_with_the_catalogs_columns(streaming, named):
    told = destination(streaming)["dataFormatConversionConfiguration"]
    assert told["enabled"] is True
    assert told["outputFormatConfiguration"]["serializer"] == {"parquetSerDe": {"compression": "SNAPPY"}}
    assert "openXJsonSerDe" in told["inputFormatConfiguration"]["deserializer"]
    table = named(streaming, "aws:glue/catalogTable:CatalogTable", "fraud-detection-raw").inputs
    schema = told["schemaConfiguration"]
    assert (schema["databaseName"], schema["tableName"]) == (table["databaseName"], table["name"])
    assert schema["region"] == "eu-west-1"
    assert f":role/{NAME}-" in schema["roleArn"]
    # Firehose refuses to convert less at once.
    # https://docs.aws.amazon.com/firehose/latest/dev/enable-record-format-conversion.html
    assert destination(streaming)["bufferingSize"] >= 64


def test_the_archive_is_encrypted_and_says_what_it_does(house):
    kept = destination(house)
    assert kept["kmsKeyArn"] == KEY
    logging = kept["cloudwatchLoggingOptions"]
    (stream,) = house.of_type("aws:cloudwatch/logStream:LogStream")
    assert logging["enabled"] is True
    assert logging["logStreamName"] == stream.inputs["name"]
    assert logging["logGroupName"] == stream.inputs["logGroupName"]
    assert stream.inputs["logGroupName"].startswith("fraud-detection-logs-")


def test_each_event_is_decoded_by_our_function_and_tried_again(streaming, named):
    decoding = destination(streaming)["processingConfiguration"]
    assert decoding["enabled"] is True
    (processor,) = decoding["processors"]
    told = {one["parameterName"]: one["parameterValue"] for one in processor["parameters"]}
    assert processor["type"] == "Lambda"
    function = named(streaming, FUNCTION, NAME)
    assert told["LambdaArn"].endswith(f":function:{function.id}")
    assert int(told["NumberOfRetries"]) > 0
    # What a function answers is larger than what it is given, and Lambda takes 6 MiB both ways.
    # https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
    assert float(told["BufferSizeInMBs"]) <= 3


def test_the_function_runs_the_image_in_the_network_and_knows_its_workload_only(house, named):
    function = named(house, FUNCTION, NAME).inputs
    assert function["packageType"] == "Image"
    assert "/ml-serving@sha256:" in function["imageUri"]
    assert function["imageConfig"]["commands"] == ["ml_pipelines.streaming.aws_firehose.handler"]
    assert function["imageConfig"]["entryPoints"] == ["python", "-m", "awslambdaric"]
    assert function["environment"]["variables"] == {"WORKLOAD": "fraud-detection"}
    assert function["role"] == "arn:aws:iam::210987654321:role/house-ingest"
    assert function["kmsKeyArn"] == KEY
    assert function["vpcConfig"]["subnetIds"] == SUBNETS
    assert function["tracingConfig"] == {"mode": "Active"}
    assert function["loggingConfig"]["logGroup"].startswith("fraud-detection-logs-")


@pytest.mark.parametrize(("platform", "runs"), [("streaming", 10), ("hybrid", 5)])
def test_the_function_runs_as_often_at_once_as_firehose_asks_for_at_most(request, named, platform, runs):
    built = request.getfixturevalue(platform)
    function = named(built, FUNCTION, f"{built.platform.context.name}-archive").inputs
    assert function["reservedConcurrentExecutions"] == runs


def test_the_function_waits_for_the_rights_that_lambda_tries(streaming, named):
    waits_for = {urn.rpartition("::")[2] for urn in named(streaming, FUNCTION, NAME).depends_on}
    assert {f"fraud-detection-ingest-{grant}" for grant in ("network", "images", "lake")} <= waits_for


def test_firehose_waits_for_its_own_rights(streaming, named):
    (delivery,) = streaming.of_type(DELIVERY)
    assert named(streaming, "aws:iam/rolePolicy:RolePolicy", NAME).urn in delivery.depends_on


@pytest.mark.parametrize(
    ("action", "targets"),
    [
        ("kinesis:GetRecords", [r"arn:aws:kinesis:.*:stream/fraud-detection-events-\w+"]),
        ("s3:ListBucket", [r"arn:aws:s3:::fraud-detection-raw-\w+"]),
        ("s3:PutObject", [rf"arn:aws:s3:::fraud-detection-raw-\w+/{part}/\*" for part in ("events", "errors")]),
        ("lambda:InvokeFunction", [r"arn:aws:lambda:.*:function:fraud-detection-archive-\w+"]),
        ("kms:GenerateDataKey", [r"arn:aws:kms:.*:key/[\w-]+"]),
        ("logs:PutLogEvents", [r"arn:aws:logs:.*:log-group:fraud-detection-logs-\w+:\*"]),
        (
            "glue:GetTableVersions",
            [r"arn:aws:glue:.*:catalog", r"arn:aws:glue:.*:database/\w+", r"arn:aws:glue:.*:table/\w+/\w+"],
        ),
    ],
)
def test_firehose_may_read_the_stream_and_the_table_and_write_its_two_folders(streaming, may, action, targets):
    found = may(streaming, action)
    assert len(found) == len(targets)
    for arn, target in zip(found, targets, strict=True):
        assert re.fullmatch(target, arn)


@pytest.mark.parametrize("action", ["s3:DeleteObject", "kinesis:PutRecords", "dynamodb:GetItem", "kms:CreateGrant"])
def test_firehose_may_neither_delete_nor_decide(streaming, may, action):
    assert may(streaming, action) == []


def test_firehose_keeps_its_own_identity_where_the_others_are_brought_along(house, named):
    role = named(house, "aws:iam/role:Role", NAME)
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": ["firehose.amazonaws.com"]}
    assert role.id in destination(house)["roleArn"]
