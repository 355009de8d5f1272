"""The schema that is read from the source of the installed SDKs."""

import importlib
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
from sandbox import schema
from sandbox.schema import Type, UnknownTypeError
from sandbox.schema.introspect import Source, snake


@pytest.mark.parametrize(
    ("package", "token", "required"),
    [
        ("aws", "aws:sagemaker/endpoint:Endpoint", {"endpointConfigName"}),
        ("aws", "aws:lambda/function:Function", {"role"}),
        ("aws", "aws:s3/bucket:Bucket", set()),
        ("gcp", "gcp:storage/bucket:Bucket", {"location"}),
        ("gcp", "gcp:vertex/aiEndpoint:AiEndpoint", {"displayName", "location"}),
        ("azure-native", "azure-native:resources:ResourceGroup", set()),
        ("azure-native", "azure-native:storage:StorageAccount", {"resourceGroupName", "kind", "sku"}),
    ],
)
def test_required_inputs_are_those_that_the_sdk_requires(package: str, token: str, required: set[str]) -> None:
    inputs = schema.package(package).resource(token).inputs
    assert {name for name, property_ in inputs.items() if property_.required} == required


@pytest.mark.parametrize(
    ("package", "module", "class_", "token"),
    [
        ("aws", "pulumi_aws.kinesis", "Stream", "aws:kinesis/stream:Stream"),
        ("aws", "pulumi_aws.sqs", "Queue", "aws:sqs/queue:Queue"),
        ("gcp", "pulumi_gcp.pubsub", "Topic", "gcp:pubsub/topic:Topic"),
        ("azure-native", "pulumi_azure_native.keyvault", "Vault", "azure-native:keyvault:Vault"),
    ],
)
def test_inputs_are_the_very_parameters_of_the_imported_sdk(package: str, module: str, class_: str, token: str) -> None:
    arguments = getattr(importlib.import_module(module), f"{class_}Args")
    parameters = set(inspect.signature(arguments.__init__).parameters) - {"self", "__self__"}
    assert {snake(name) for name in schema.package(package).resource(token).inputs} == parameters


@pytest.mark.parametrize(
    ("package", "token", "name", "kind"),
    [
        ("aws", "aws:kinesis/stream:Stream", "shardCount", "integer"),
        ("aws", "aws:kinesis/stream:Stream", "enforceConsumerDeletion", "boolean"),
        ("aws", "aws:lambda/function:Function", "code", "asset"),
        ("aws", "aws:sagemaker/endpoint:Endpoint", "tags", "map"),
        ("aws", "aws:sagemaker/endpoint:Endpoint", "deploymentConfig", "object"),
        ("gcp", "gcp:storage/bucket:Bucket", "lifecycleRules", "array"),
        ("azure-native", "azure-native:storage:StorageAccount", "accessTier", "enum"),
        ("azure-native", "azure-native:storage:StorageAccount", "kind", "union"),
    ],
)
def test_types_are_those_of_the_annotations(package: str, token: str, name: str, kind: str) -> None:
    assert schema.package(package).resource(token).inputs[name].type.kind == kind


def test_nested_types_are_resolved_to_their_own_properties() -> None:
    endpoint = schema.package("aws").resource("aws:sagemaker/endpoint:Endpoint")
    deployment = endpoint.objects[endpoint.inputs["deploymentConfig"].type.ref or ""]
    rollback = endpoint.objects[deployment["autoRollbackConfiguration"].type.ref or ""]
    alarm = endpoint.objects[(rollback["alarms"].type.items or Type("any")).ref or ""]
    assert alarm["alarmName"].type.kind == "string"
    assert alarm["alarmName"].required


def test_enums_hold_the_values_that_go_over_the_wire() -> None:
    account = schema.package("azure-native").resource("azure-native:storage:StorageAccount")
    assert account.enums[account.inputs["accessTier"].type.ref or ""] == ("Hot", "Cool", "Premium", "Cold")


def test_values_that_the_documentation_lists_plainly_are_taken() -> None:
    network = schema.package("gcp").resource("gcp:compute/network:Network")
    assert network.inputs["routingMode"].values == ("REGIONAL", "GLOBAL")
    assert network.inputs["name"].values == ()


def test_variants_of_an_object_carry_the_constant_that_tells_them_apart() -> None:
    deployment = schema.package("azure-native").resource("azure-native:machinelearningservices:OnlineDeployment")
    options = deployment.inputs["properties"].type.options
    constants = {deployment.objects[option.ref or ""]["endpointComputeType"].constant for option in options}
    assert constants == {"Kubernetes", "Managed"}


def test_outputs_hold_the_inputs_and_what_the_cloud_adds() -> None:
    bucket = schema.package("aws").resource("aws:s3/bucket:Bucket")
    assert {"arn", "bucketDomainName", "hostedZoneId", "bucket"} <= set(bucket.outputs)
    assert "arn" not in bucket.inputs
    assert bucket.outputs["arn"].required
    endpoint = schema.package("aws").resource("aws:sagemaker/endpoint:Endpoint")
    assert not endpoint.outputs["deploymentConfig"].required


def test_secret_outputs_are_marked() -> None:
    user = schema.package("gcp").resource("gcp:sql/user:User")
    assert {name for name, output in user.outputs.items() if output.secret} >= {"password"}
    assert not user.outputs["name"].secret


def test_what_forces_a_replacement_by_the_documentation_is_marked() -> None:
    account = schema.package("azure-native").resource("azure-native:storage:StorageAccount")
    topic = schema.package("gcp").resource("gcp:pubsub/topic:Topic")
    assert account.inputs["location"].replaces
    assert topic.inputs["tags"].replaces
    assert not account.inputs["tags"].replaces
    assert not topic.inputs["labels"].replaces


@pytest.mark.parametrize(
    ("token", "form"),
    [
        ("gcp:pubsub/topic:Topic", "projects/{{project}}/topics/{{name}}"),
        ("gcp:compute/network:Network", "projects/{{project}}/global/networks/{{name}}"),
        ("gcp:vertex/aiEndpoint:AiEndpoint", "projects/{{project}}/locations/{{location}}/endpoints/{{name}}"),
    ],
)
def test_the_form_of_an_import_id_is_read_from_the_documentation(token: str, form: str) -> None:
    assert schema.package("gcp").resource(token).import_id == form


@pytest.mark.parametrize(
    ("package", "token", "message"),
    [
        (
            "aws",
            "aws:s3/bukcet:Bucket",
            "has no resource aws:s3/bukcet:Bucket; did you mean aws:s3/bucket:Bucket or ",
        ),
        ("gcp", "gcp:storage/buckets:Bucket", "has no resource gcp:storage/buckets:Bucket; did you mean "),
        ("azure-native", "nonsense", "azure-native 3.29.0 has no resource nonsense"),
    ],
)
def test_an_unknown_resource_type_is_refused_with_the_nearest_that_exist(
    package: str, token: str, message: str
) -> None:
    with pytest.raises(UnknownTypeError) as refusal:
        schema.package(package).resource(token)
    assert message.replace("3.29.0", version("pulumi-azure-native")) in str(refusal.value)


@pytest.mark.parametrize("token", ["aws:s3/getNope:getNope", "nonsense", "aws:nowhere/getBucket:getBucket"])
def test_an_unknown_function_is_refused(token: str) -> None:
    with pytest.raises(UnknownTypeError, match=f"^aws .* has no function {token}$"):
        schema.package("aws").function(token)


def test_a_function_has_its_arguments_and_its_result() -> None:
    function = schema.package("gcp").function("gcp:organizations/getProject:getProject")
    assert set(function.inputs) == {"projectId"}
    assert {"number", "projectId", "name", "labels"} <= set(function.outputs)


@pytest.mark.parametrize(
    ("package", "settings"),
    [
        ("aws", {"region", "defaultTags", "accessKey", "skipCredentialsValidation"}),
        ("gcp", {"project", "region", "zone", "credentials"}),
        ("azure-native", {"location", "subscriptionId", "tenantId"}),
    ],
)
def test_a_provider_has_its_settings(package: str, settings: set[str]) -> None:
    assert settings <= set(schema.package(package).configuration())


@pytest.mark.parametrize("package", ["aws", "gcp", "azure-native"])
def test_every_type_of_the_sdk_is_listed_and_a_sample_of_them_can_be_read(package: str) -> None:
    read = schema.package(package)
    assert read.version == version(f"pulumi-{package}")
    assert len(read.tokens) > 1000
    source = Source(package)
    for token in sorted(read.tokens)[::150]:
        found = source.resource(token)
        assert found.outputs, token
        refs = [property_.type.ref for property_ in found.inputs.values() if property_.type.kind == "object"]
        assert all(found.objects[ref or ""] is not None for ref in refs), token


def test_a_compiled_schema_is_read_from_the_cache_and_not_from_the_sdk_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled = schema.Package("aws").resource("aws:sqs/queue:Queue")
    monkeypatch.setattr(schema, "Source", None)
    assert schema.Package("aws").resource("aws:sqs/queue:Queue") == compiled
    assert [path.suffix for path in (tmp_path / "ml-blueprints" / "schemas").rglob("*-aws_sqs*")] == [".pickle"]


def test_a_provider_without_an_installed_sdk_is_refused_by_name() -> None:
    with pytest.raises(UnknownTypeError, match="the SDK pulumi_oracle is not installed"):
        Source("oracle")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("AiEndpoint", "ai_endpoint"),
        ("VPCLink", "vpc_link"),
        ("IAMMember", "iam_member"),
        ("getEC2Host", "get_ec2_host"),
    ],
)
def test_file_names_are_made_as_the_sdk_makes_them(name: str, file: str) -> None:
    assert snake(name) == file
