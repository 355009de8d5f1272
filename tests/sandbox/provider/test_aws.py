"""AWS: ids, ARNs, names, references, what is replaced and what is held fast, and the functions."""

import re
from typing import Any

import pytest
from sandbox.provider.cloud import CloudError

ACCOUNT = "123456789012"
TRUST = '{"Version": "2012-10-17", "Statement": []}'
DIGITS = "[0-9a-f]{17}"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

ROLE = "aws:iam/role:Role"
BUCKET = "aws:s3/bucket:Bucket"
VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
MODEL = "aws:sagemaker/model:Model"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
DOMAIN = "aws:sagemaker/domain:Domain"
PROFILE = "aws:sagemaker/userProfile:UserProfile"


@pytest.mark.parametrize(
    ("type_", "inputs", "id_", "arn"),
    [
        (BUCKET, {"bucket": "lake"}, "lake", "arn:aws:s3:::lake"),
        (
            ROLE,
            {"name": "trainer", "assumeRolePolicy": TRUST},
            "trainer",
            f"arn:aws:iam::{ACCOUNT}:role/trainer",
        ),
        (
            "aws:sns/topic:Topic",
            {"name": "alerts"},
            f"arn:aws:sns:eu-west-1:{ACCOUNT}:alerts",
            f"arn:aws:sns:eu-west-1:{ACCOUNT}:alerts",
        ),
        (
            "aws:kinesis/stream:Stream",
            {"name": "events"},
            f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/events",
            f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/events",
        ),
        (
            "aws:sqs/queue:Queue",
            {"name": "dead"},
            f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/dead",
            f"arn:aws:sqs:eu-west-1:{ACCOUNT}:dead",
        ),
        (
            "aws:cloudwatch/logGroup:LogGroup",
            {"name": "/ml/audit"},
            "/ml/audit",
            f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/ml/audit",
        ),
        (
            "aws:ecr/repository:Repository",
            {"name": "scoring"},
            "scoring",
            f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/scoring",
        ),
        (
            "aws:glue/registry:Registry",
            {"registryName": "events"},
            f"arn:aws:glue:eu-west-1:{ACCOUNT}:registry/events",
            f"arn:aws:glue:eu-west-1:{ACCOUNT}:registry/events",
        ),
        (
            "aws:glue/catalogDatabase:CatalogDatabase",
            {"name": "features"},
            f"{ACCOUNT}:features",
            f"arn:aws:glue:eu-west-1:{ACCOUNT}:database/features",
        ),
        (
            "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
            {"modelPackageGroupName": "fraud"},
            "fraud",
            f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model-package-group/fraud",
        ),
        (
            "aws:athena/workgroup:Workgroup",
            {"name": "queries"},
            "queries",
            f"arn:aws:athena:eu-west-1:{ACCOUNT}:workgroup/queries",
        ),
        (
            "aws:dynamodb/table:Table",
            {"name": "windows", "hashKey": "entity", "attributes": [{"name": "entity", "type": "S"}]},
            "windows",
            f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/windows",
        ),
        (
            "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream",
            {"name": "archive", "destination": "extended_s3"},
            f"arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/archive",
            f"arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/archive",
        ),
    ],
)
def test_ids_and_arns_have_the_form_of_each_service(
    aws, type_: str, inputs: dict[str, Any], id_: str, arn: str
) -> None:
    thing = aws.make(type_, inputs)
    assert (thing.id, thing.outputs["arn"]) == (id_, arn)


@pytest.mark.parametrize(
    ("type_", "inputs", "id_", "arn"),
    [
        (VPC, {"cidrBlock": "10.0.0.0/16"}, f"vpc-{DIGITS}", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:vpc/vpc-{DIGITS}"),
        ("aws:ec2/eip:Eip", {}, f"eipalloc-{DIGITS}", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:elastic-ip/eipalloc-{DIGITS}"),
        ("aws:kms/key:Key", {}, UUID, f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{UUID}"),
        (
            "aws:emrserverless/application:Application",
            {"releaseLabel": "emr-7.9.0", "type": "spark"},
            DIGITS,
            f"arn:aws:emr-serverless:eu-west-1:{ACCOUNT}:/applications/{DIGITS}",
        ),
    ],
)
def test_ids_that_the_cloud_chooses_differ_and_stand_in_the_arn(
    aws, type_: str, inputs: dict[str, Any], id_: str, arn: str
) -> None:
    first, second = aws.make(type_, inputs, "first"), aws.make(type_, inputs, "second")
    assert first.id != second.id
    assert re.fullmatch(id_, first.id)
    assert re.fullmatch(arn, first.outputs["arn"])
    assert first.outputs["arn"].endswith(first.id)


@pytest.mark.parametrize(
    ("type_", "inputs", "logical", "property_", "name"),
    [
        (BUCKET, {}, "Raw-Data", "bucket", "raw-data-a1b2c3d"),
        (ROLE, {"assumeRolePolicy": TRUST}, "Trainer", "name", "Trainer-a1b2c3d"),
        ("aws:sns/topic:Topic", {}, "alerts", "name", "alerts-a1b2c3d"),
    ],
)
def test_auto_naming_adds_seven_digits_to_the_logical_name(
    aws, type_: str, inputs: dict[str, Any], logical: str, property_: str, name: str
) -> None:
    assert aws.make(type_, inputs, logical).outputs[property_] == name


def test_the_generated_name_of_an_alias_has_its_prefix(aws) -> None:
    key = aws.make("aws:kms/key:Key", {})
    assert aws.make("aws:kms/alias:Alias", {"targetKeyId": key.outputs["keyId"]}, "lake").id == "alias/lake-a1b2c3d"


def test_a_generated_name_that_would_be_too_long_is_refused(aws) -> None:
    with pytest.raises(CloudError, match=r"^the name `a{60}-a1b2c3d` .* has 68 characters; .*Bucket takes 63$"):
        aws.make(BUCKET, {}, "a" * 60)


def test_a_resource_type_whose_name_is_required_gets_none(aws) -> None:
    assert aws.refusals("aws:glue/registry:Registry", {}) == [
        "registryName: the required property `registryName` is missing"
    ]


def test_names_are_unique_within_a_region_and_roles_within_the_account(aws, open_world) -> None:
    elsewhere = open_world("aws", {"region": "us-east-1"})
    for world in (aws, elsewhere):
        world.make("aws:sqs/queue:Queue", {"name": "dead"})
        world.make("aws:cloudwatch/logGroup:LogGroup", {"name": "audit"})
    aws.make(ROLE, {"name": "trainer", "assumeRolePolicy": TRUST})
    with pytest.raises(CloudError, match=r"^aws:iam/role:Role `trainer` already exists$"):
        elsewhere.make(ROLE, {"name": "trainer", "assumeRolePolicy": TRUST})
    aws.make(BUCKET, {"bucket": "lake"})
    with pytest.raises(CloudError, match=r"^aws:s3/bucket:Bucket `lake` already exists$"):
        elsewhere.make(BUCKET, {"bucket": "lake"})


def test_a_reader_of_a_stream_stands_below_it(aws) -> None:
    stream = aws.make("aws:kinesis/stream:Stream", {"name": "events"})
    consumer = aws.make("aws:kinesis/streamConsumer:StreamConsumer", {"name": "processor", "streamArn": stream.id})
    assert consumer.id == consumer.outputs["arn"] == f"{stream.id}/consumer/processor:1"


def test_an_object_lies_in_its_bucket_and_is_no_setting_of_it(aws) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    for key in ("jobs/1.py", "jobs/2.py"):
        found = aws.make("aws:s3/bucketObjectv2:BucketObjectv2", {"bucket": "lake", "key": key, "content": "x"}, key)
        assert found.id == f"lake/{key}"
        assert found.outputs["arn"] == f"arn:aws:s3:::lake/{key}"


def test_the_names_of_log_streams_are_unique_in_their_group(aws) -> None:
    for group in ("audit", "jobs"):
        aws.make("aws:cloudwatch/logGroup:LogGroup", {"name": group}, group)
        stream = aws.make("aws:cloudwatch/logStream:LogStream", {"name": "archive", "logGroupName": group}, group)
        assert stream.id == "archive"
        assert stream.outputs["arn"] == f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:{group}:log-stream:archive"
    with pytest.raises(CloudError, match=r"`archive` already exists in jobs$"):
        aws.make("aws:cloudwatch/logStream:LogStream", {"name": "archive", "logGroupName": "jobs"}, "again")


def test_a_location_of_lake_formation_is_named_by_what_it_registers(aws) -> None:
    lake = aws.make(BUCKET, {"bucket": "lake"})
    location = aws.make("aws:lakeformation/resource:Resource", {"arn": lake.outputs["arn"]})
    assert location.id == lake.outputs["arn"]


def test_a_resource_may_be_put_into_another_region_than_the_providers(aws) -> None:
    topic = aws.make("aws:sns/topic:Topic", {"name": "alerts", "region": "us-east-1"})
    assert topic.id == f"arn:aws:sns:us-east-1:{ACCOUNT}:alerts"
    assert aws.exists(topic)
    aws.delete(topic)
    assert aws.store.find() == []


@pytest.mark.parametrize(
    ("type_", "inputs", "refusal"),
    [
        (
            SUBNET,
            {"vpcId": "vpc-0123456789abcdef0"},
            "vpcId: there is nothing with the identifier `vpc-0123456789abcdef0`",
        ),
        (
            "aws:lambda/function:Function",
            {"role": f"arn:aws:iam::{ACCOUNT}:role/nobody"},
            f"role: there is nothing with the identifier `arn:aws:iam::{ACCOUNT}:role/nobody`",
        ),
        (
            ENDPOINT,
            {"endpointConfigName": "fraud"},
            f"endpointConfigName: there is no {CONFIGURATION} of the name `fraud`",
        ),
        (
            CONFIGURATION,
            {"productionVariants": [{"modelName": "fraud"}]},
            f"productionVariants[0].modelName: there is no {MODEL} of the name `fraud`",
        ),
        (
            "aws:s3/bucketVersioning:BucketVersioning",
            {"bucket": "lake", "versioningConfiguration": {"status": "Enabled"}},
            f"bucket: there is no {BUCKET} of the name `lake`",
        ),
        (
            "aws:cloudwatch/logStream:LogStream",
            {"name": "archive", "logGroupName": "audit"},
            "logGroupName: there is no aws:cloudwatch/logGroup:LogGroup of the name `audit`",
        ),
        (
            "aws:kinesis/streamConsumer:StreamConsumer",
            {"name": "processor", "streamArn": f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/none"},
            f"streamArn: there is nothing with the identifier `arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/none`",
        ),
        (
            "aws:kinesis/stream:Stream",
            {"encryptionType": "KMS", "kmsKeyId": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/none"},
            f"kmsKeyId: there is nothing with the identifier `arn:aws:kms:eu-west-1:{ACCOUNT}:key/none`",
        ),
        (
            MODEL,
            {
                "executionRoleArn": "arn:aws:iam::aws:role/service",
                "primaryContainer": {"image": "i", "modelDataUrl": "s3://nowhere/model.tar.gz"},
            },
            "primaryContainer.modelDataUrl: there is nothing with the identifier `nowhere`",
        ),
        (
            "aws:s3/bucketNotification:BucketNotification",
            {"bucket": "arn:aws:s3:::nowhere"},
            "bucket: there is nothing with the identifier `arn:aws:s3:::nowhere`",
        ),
    ],
)
def test_a_reference_to_what_does_not_exist_is_refused_by_its_path(
    aws, type_: str, inputs: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(CloudError) as error:
        aws.make(type_, inputs)
    assert str(error.value) == f"{refusal} on this cloud"


def test_references_to_what_exists_are_taken_in_each_of_their_forms(aws) -> None:
    role = aws.make(ROLE, {"assumeRolePolicy": TRUST})
    bucket = aws.make(BUCKET, {"bucket": "lake"})
    key = aws.make("aws:kms/key:Key", {})
    model = aws.make(
        MODEL,
        {
            "executionRoleArn": role.outputs["arn"],
            "primaryContainer": {"image": "scorer", "modelDataUrl": f"s3://{bucket.id}/fraud/model.tar.gz"},
        },
    )
    for number, identifier in enumerate((key.id, key.outputs["arn"])):
        aws.make("aws:kms/alias:Alias", {"targetKeyId": identifier, "name": f"alias/lake-{number}"})
    aws.make("aws:s3/bucketPolicy:BucketPolicy", {"bucket": bucket.id, "policy": TRUST})
    aws.make(CONFIGURATION, {"productionVariants": [{"modelName": model.outputs["name"]}]})


def test_a_name_counts_as_a_reference_only_to_a_thing_of_the_right_type(aws) -> None:
    aws.make("aws:sns/topic:Topic", {"name": "fraud"})
    with pytest.raises(CloudError, match=r"of the name `fraud`"):
        aws.make(ENDPOINT, {"endpointConfigName": "fraud"})


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        "arn:aws:iam::999999999999:role/partner",
        f"arn:aws:iam::{ACCOUNT}:root",
        "arn:aws:s3:::*",
        "vpc",
        "a text about arn:aws:iam::123456789012:role/x",
    ],
)
def test_what_only_others_could_have_issued_is_no_reference(aws, text: str) -> None:
    aws.make(ROLE, {"assumeRolePolicy": TRUST, "description": text, "permissionsBoundary": text})


@pytest.mark.parametrize(
    ("type_", "property_", "replaced"),
    [
        (MODEL, "primaryContainer", True),
        (MODEL, "tags", False),
        (CONFIGURATION, "productionVariants", True),
        (ENDPOINT, "endpointConfigName", False),
        (ENDPOINT, "name", True),
        (BUCKET, "bucket", True),
        (BUCKET, "forceDestroy", False),
        (VPC, "cidrBlock", True),
        (VPC, "enableDnsHostnames", False),
        ("aws:kinesis/stream:Stream", "shardCount", False),
        ("aws:kinesis/stream:Stream", "region", True),
        ("aws:lambda/function:Function", "memorySize", False),
        ("aws:sagemaker/featureGroup:FeatureGroup", "recordIdentifierFeatureName", True),
    ],
)
def test_what_the_service_cannot_change_is_replaced(aws, type_: str, property_: str, replaced: bool) -> None:
    old, new = ({}, {}) if property_ != "tags" else ({"a": "x"}, {"a": "y"})
    difference = aws.plane.diff(aws.urn(type_), {property_: old or "old"}, {property_: new or "new"})
    assert bool(difference.replacing) is replaced
    assert difference.changes


def test_a_network_is_held_fast_by_what_lies_in_it(aws) -> None:
    vpc = aws.make(VPC, {"cidrBlock": "10.0.0.0/16"})
    subnet = aws.make(SUBNET, {"vpcId": vpc.id, "cidrBlock": "10.0.1.0/24"})
    with pytest.raises(
        CloudError, match=rf"^{VPC} `{vpc.id}` can't be deleted: it is in use by {SUBNET} `{subnet.id}`$"
    ):
        aws.delete(vpc)
    aws.delete(subnet)
    aws.delete(vpc)
    assert aws.store.find() == []


def test_a_domain_is_held_fast_by_the_people_in_it(aws) -> None:
    role = aws.make(ROLE, {"name": "explorer", "assumeRolePolicy": TRUST})
    settings = {"executionRole": role.outputs["arn"]}
    domain = aws.make(
        DOMAIN, {"domainName": "lab", "authMode": "SSO", "subnetIds": [], "vpcId": "", "defaultUserSettings": settings}
    )
    assert re.fullmatch(f"d-{DIGITS}", domain.id)
    profile = aws.make(PROFILE, {"domainId": domain.id, "userProfileName": "ada"})
    assert profile.id == f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:user-profile/{domain.id}/ada"
    with pytest.raises(CloudError, match=rf"^{DOMAIN} `{domain.id}` can't be deleted: it is in use by {PROFILE}"):
        aws.delete(domain)
    aws.delete(profile)
    aws.delete(domain)


def test_a_secret_of_the_same_name_is_another_one(aws) -> None:
    arns = []
    for _ in range(2):
        secret = aws.make("aws:secretsmanager/secret:Secret", {"name": "signing"})
        aws.delete(secret)
        arns.append(secret.outputs["arn"])
    assert all(
        re.fullmatch(rf"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:signing-[0-9a-f]{{6}}", arn) for arn in arns
    )
    assert len(set(arns)) == 2


def test_settings_of_a_bucket_overwrite_each_other(aws) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    for status in ("Enabled", "Suspended"):
        aws.make(
            "aws:s3/bucketVersioning:BucketVersioning",
            {"bucket": "lake", "versioningConfiguration": {"status": status}},
        )
    (versioning,) = aws.store.find("aws:s3/bucketVersioning:*")
    assert versioning.inputs["versioningConfiguration"] == {"status": "Suspended"}


def test_outputs_follow_from_region_and_account(aws) -> None:
    bucket = aws.make(BUCKET, {"bucket": "lake"}).outputs
    assert bucket["bucketRegionalDomainName"] == "lake.s3.eu-west-1.amazonaws.com"
    assert bucket["region"] == bucket["bucketRegion"] == "eu-west-1"
    repository = aws.make("aws:ecr/repository:Repository", {"name": "scoring"}).outputs
    assert repository["repositoryUrl"] == f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/scoring"
    role = aws.make(ROLE, {"assumeRolePolicy": TRUST}).outputs
    function = aws.make("aws:lambda/function:Function", {"name": "score", "role": role["arn"]}).outputs
    assert function["qualifiedArn"] == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:score:$LATEST"
    assert function["invokeArn"].startswith("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:")


def test_what_is_not_given_and_has_documented_values_gets_one_of_them(aws) -> None:
    assert aws.make("aws:cloudwatch/logGroup:LogGroup", {}).outputs["logGroupClass"] == "STANDARD"
    assert aws.make(BUCKET, {}).outputs["acl"] == "private"


def test_the_providers_default_tags_are_among_all_tags(open_world) -> None:
    world = open_world("aws", {"region": "eu-west-1", "defaultTags": {"tags": {"team": "ml", "stage": "dev"}}})
    outputs = world.make(BUCKET, {"tags": {"stage": "test"}}).outputs
    assert outputs["tagsAll"] == {"team": "ml", "stage": "test"}
    assert outputs["tags"] == {"stage": "test"}


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_may_come_from_the_environment(open_world, monkeypatch, variable: str) -> None:
    world = open_world("aws", {})
    assert [failure.path for failure in world.cloud.check_configuration({})] == ["region"]
    monkeypatch.setenv(variable, "eu-north-1")
    assert world.cloud.check_configuration({}) == []
    assert world.make("aws:sns/topic:Topic", {"name": "alerts"}).id == f"arn:aws:sns:eu-north-1:{ACCOUNT}:alerts"


def test_functions_know_account_region_partition_and_zones(aws) -> None:
    def call(name: str, **arguments: Any) -> dict[str, Any]:
        result, failures = aws.plane.invoke(f"aws:index/{name}:{name}", arguments)
        assert failures == []
        return result

    assert call("getCallerIdentity")["accountId"] == ACCOUNT
    assert call("getRegion")["region"] == "eu-west-1"
    assert call("getRegion", region="us-east-1")["endpoint"] == "ec2.us-east-1.amazonaws.com"
    assert call("getPartition")["dnsSuffix"] == "amazonaws.com"
    assert call("getAvailabilityZones", state="available")["names"] == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]


def test_a_data_source_finds_what_exists_and_refuses_what_does_not(aws) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    result, _ = aws.plane.invoke("aws:s3/getBucket:getBucket", {"bucket": "lake"})
    assert (result["id"], result["arn"]) == ("lake", "arn:aws:s3:::lake")
    with pytest.raises(CloudError, match=r"^aws:s3/getBucket:getBucket: there is no .*:Bucket with .*'pond'"):
        aws.plane.invoke("aws:s3/getBucket:getBucket", {"bucket": "pond"})
