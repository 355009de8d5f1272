"""The feature job on AWS: its file, what starts it and as whom, what it is told, and where Athena finds its rows."""

import hashlib
import json
import re

import pytest
from ml_blueprints import schedules

KEY = "arn:aws:kms:eu-west-1:210987654321:key/5ec0de00-da7a-4000-8000-000000000000"
CODE = "aws:s3/bucketObjectv2:BucketObjectv2"
SCHEDULE = "aws:scheduler/schedule:Schedule"
TABLE = "aws:glue/catalogTable:CatalogTable"
PLATFORMS = pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid"])


def run(built) -> dict:
    """What EMR Serverless is asked to run."""
    (schedule,) = [one for one in built.of_type(SCHEDULE) if one.name.endswith("-feature-job")]
    return json.loads(schedule.inputs["target"]["input"])


def arguments(built) -> dict[str, str]:
    given = run(built)["JobDriver"]["SparkSubmit"]["EntryPointArguments"]
    return dict(zip(given[::2], given[1::2], strict=True))


@PLATFORMS
def test_the_jobs_file_is_named_by_its_content(request, platform):
    built = request.getfixturevalue(platform)
    (code,) = built.of_type(CODE)
    source = built.platform.context.workload.features.job_source
    assert code.inputs["content"] == source
    assert code.inputs["key"] == f"jobs/{hashlib.sha256(source.encode()).hexdigest()[:16]}.py"
    assert f"-models-{code.inputs['bucket'].rpartition('-')[2]}" in code.inputs["bucket"]


def test_another_content_is_another_file_that_the_next_run_uses(streaming, changed, tmp_path):
    def with_another_job(workload: dict) -> None:
        job = tmp_path / "fraud_detection.py"
        job.write_text(streaming.platform.context.workload.features.job_source + "\n# changed\n")
        workload["features"]["job"] = str(job)

    other = changed("fraud_detection", with_another_job)
    (before,), (after,) = streaming.of_type(CODE), other.of_type(CODE)
    assert before.inputs["key"] != after.inputs["key"]
    assert run(other)["JobDriver"]["SparkSubmit"]["EntryPoint"].endswith(after.inputs["key"])


def test_the_file_is_encrypted_with_the_key(house):
    (code,) = house.of_type(CODE)
    assert code.inputs["kmsKeyId"] == KEY


@PLATFORMS
def test_the_schedule_starts_the_job_on_spark(request, platform, named):
    built = request.getfixturevalue(platform)
    schedule = named(built, SCHEDULE, f"{built.platform.context.name}-feature-job").inputs
    assert schedule["scheduleExpression"] == schedules.aws(built.platform.context.workload.features.schedule)
    assert schedule["flexibleTimeWindow"] == {"mode": "OFF"}
    assert schedule["target"]["arn"] == "arn:aws:scheduler:::aws-sdk:emrserverless:startJobRun"
    assert schedule["target"]["retryPolicy"] == {"maximumRetryAttempts": 3}
    (spark,) = built.of_type("aws:emrserverless/application:Application")
    (code,) = built.of_type(CODE)
    told = run(built)
    assert told["ApplicationId"] == spark.id
    assert told["JobDriver"]["SparkSubmit"]["EntryPoint"] == f"s3://{code.inputs['bucket']}/{code.inputs['key']}"
    # A schedule that is tried again starts no second run.
    assert told["ClientToken"] == "<aws.scheduler.execution-id>"
    assert told["ExecutionTimeoutMinutes"] == 240
    assert told["Tags"] == built.platform.context.tags


def test_what_emr_is_asked_is_what_its_api_takes(house):
    botocore = pytest.importorskip("botocore.session", reason="botocore, which knows the API of EMR Serverless")
    service = botocore.get_session().get_service_model("emr-serverless")
    from botocore.validate import ParamValidator

    def as_in_the_api(shape, value):
        """The universal target writes each first letter of a member as a capital; what is a map keeps its keys."""
        if shape.type_name == "structure":
            members = {name[0].upper() + name[1:]: (name, member) for name, member in shape.members.items()}
            assert set(value) <= set(members), f"{sorted(value)} in {shape.name}, which has {sorted(members)}"
            return {members[name][0]: as_in_the_api(members[name][1], part) for name, part in value.items()}
        return value

    shape = service.operation_model("StartJobRun").input_shape
    report = ParamValidator().validate(as_in_the_api(shape, run(house)), shape)
    assert not report.has_errors(), report.generate_report()


@PLATFORMS
def test_the_job_reads_the_archived_events_and_writes_its_own_folder(request, platform, named):
    built = request.getfixturevalue(platform)
    name = built.platform.context.name
    told = arguments(built)
    # Files of a batch come later than they happened, and none is left out; a stream's archive is made up for by days.
    assert set(told) == {"--source", "--format", "--destination"} | (set() if platform == "batch" else {"--since"})
    raw = named(built, TABLE, f"{name}-raw").inputs
    assert told["--source"] == raw["storageDescriptor"]["location"]
    assert told["--format"] == "parquet"
    assert re.fullmatch(rf"s3://{name}-features-[0-9a-f]+/computed/", told["--destination"])


def test_the_job_understands_what_it_is_told(streaming):
    source = streaming.platform.context.workload.features.job_source
    for argument in arguments(streaming):
        assert f'"{argument}"' in source


def test_the_job_acts_as_ingest_and_is_started_by_monitoring(house):
    (schedule,) = [one for one in house.of_type(SCHEDULE) if one.name.endswith("-feature-job")]
    assert schedule.inputs["kmsKeyArn"] == KEY
    assert schedule.inputs["target"]["roleArn"] == "arn:aws:iam::210987654321:role/house-monitoring"
    assert run(house)["ExecutionRoleArn"] == "arn:aws:iam::210987654321:role/house-ingest"


def test_a_runs_logs_are_kept_encrypted_with_those_of_the_platform(house, named):
    told = run(house)["ConfigurationOverrides"]["MonitoringConfiguration"]
    group = named(house, "aws:cloudwatch/logGroup:LogGroup", "fraud-detection-logs")
    assert told == {
        "CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroupName": group.id, "EncryptionKeyArn": KEY},
        "ManagedPersistenceMonitoringConfiguration": {"Enabled": False},
    }


def test_the_schedule_waits_for_the_file_and_for_the_right_to_start(streaming, named):
    schedule = named(streaming, SCHEDULE, "fraud-detection-feature-job")
    (code,) = streaming.of_type(CODE)
    grant = named(streaming, "aws:iam/rolePolicy:RolePolicy", "fraud-detection-monitoring-feature-job")
    assert {code.urn, grant.urn} <= set(schedule.depends_on)


def test_only_monitoring_starts_runs_and_only_of_this_application(streaming, allowed):
    (spark,) = streaming.of_type("aws:emrserverless/application:Application")
    (application,) = allowed(streaming, "monitoring", "emr-serverless:StartJobRun")
    assert application.endswith(f":/applications/{spark.id}")
    assert allowed(streaming, "monitoring", "emr-serverless:TagResource") == [application, f"{application}/jobruns/*"]
    for purpose in ("ingest", "training", "serving"):
        assert not allowed(streaming, purpose, "emr-serverless:StartJobRun")


def test_only_the_jobs_identity_looks_for_its_log_group(streaming, allowed):
    assert allowed(streaming, "ingest", "logs:DescribeLogGroups") == ["arn:aws:logs:eu-west-1:123456789012:log-group:*"]
    for purpose in ("training", "serving", "monitoring"):
        assert not allowed(streaming, purpose, "logs:DescribeLogGroups")


@PLATFORMS
def test_athena_finds_the_features_and_their_days(request, platform, named):
    built = request.getfixturevalue(platform)
    workload = built.platform.context.workload
    table = named(built, TABLE, f"{built.platform.context.name}-features").inputs
    location = table["storageDescriptor"]["location"]
    assert table["name"] == f"{workload.features.group}_features"
    assert table["databaseName"] == named(built, TABLE, f"{built.platform.context.name}-raw").inputs["databaseName"]
    assert location == arguments(built)["--destination"]
    assert [(part["name"], part["type"]) for part in table["partitionKeys"]] == [("arrived_on", "string")]
    told = table["parameters"]
    assert told["projection.enabled"] == "true"
    assert (told["projection.arrived_on.type"], told["projection.arrived_on.format"]) == ("date", "yyyy-MM-dd")
    assert told["storage.location.template"] == f"{location}arrived_on=${{arrived_on}}/"


@pytest.mark.parametrize(
    ("workload", "column", "kind"),
    [
        ("fraud_detection", "transactions_1h", "bigint"),
        ("fraud_detection", "amount_1h", "double"),
        ("personalization", "favourite_genre", "string"),
        ("churn", "is_monthly", "boolean"),
    ],
)
def test_each_type_of_feature_has_its_column(once, named, workload, column, kind):
    table = named(once(workload), TABLE, f"{workload.replace('_', '-')}-features").inputs
    columns = {one["name"]: one["type"] for one in table["storageDescriptor"]["columns"]}
    assert columns[column] == kind
    assert columns["arrived_at"] == "bigint"
