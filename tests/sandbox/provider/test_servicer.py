"""A provider over gRPC, spoken to as the engine speaks to it: with the messages of the `pulumi` package."""

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2

BUCKET = "aws:s3/bucket:Bucket"
ROLE = "aws:iam/role:Role"
MODEL = "aws:sagemaker/model:Model"
TRUST = '{"Version": "2012-10-17"}'


def test_a_resource_lives_from_check_to_delete(engine) -> None:
    urn = urn_of(ROLE)
    checked = engine.check(urn, {"assumeRolePolicy": TRUST})
    assert list(checked.failures) == []
    inputs = plain(checked.inputs)
    assert inputs["name"] == "thing-a1b2c3d"

    created = engine.create(urn, inputs)
    assert created.id == "thing-a1b2c3d"
    outputs = plain(created.properties)
    assert outputs["arn"] == "arn:aws:iam::123456789012:role/thing-a1b2c3d"

    read = engine.read(urn, created.id, inputs=inputs, properties=outputs)
    assert (read.id, plain(read.inputs), plain(read.properties)) == (created.id, inputs, outputs)

    wanted = {**inputs, "description": "trains"}
    updated = engine.stub.Update(
        provider_pb2.UpdateRequest(
            id=created.id, urn=urn, olds=struct(outputs), old_inputs=struct(inputs), news=struct(wanted)
        )
    )
    assert plain(updated.properties) == {**outputs, "description": "trains"}

    engine.stub.Delete(provider_pb2.DeleteRequest(id=created.id, urn=urn, properties=updated.properties))
    assert engine.read(urn, created.id, inputs=wanted).id == ""


def test_failures_of_a_check_name_the_path_and_the_reason(engine) -> None:
    checked = engine.check(urn_of(ROLE), {"assumeRolePolic": TRUST, "tags": {"a": []}})
    assert sorted(failure.reason for failure in checked.failures) == [
        "assumeRolePolic: there is no property `assumeRolePolic`; did you mean `assumeRolePolicy`?",
        "assumeRolePolicy: the required property `assumeRolePolicy` is missing",
        "tags.a: expected text, found a list",
    ]


@pytest.mark.parametrize(
    ("mode", "proposed", "name", "failures"),
    [
        ("PROPOSE", "acme-thing", "acme-thing", 0),
        ("ENFORCE", "acme-thing", "acme-thing", 0),
        ("DISABLE", "", None, 1),
    ],
)
def test_the_projects_auto_naming_is_followed(
    engine, mode: str, proposed: str, name: str | None, failures: int
) -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions
    autonaming = options(proposed_name=proposed, mode=options.Mode.Value(mode))
    checked = engine.check(urn_of(ROLE), {"assumeRolePolicy": TRUST}, autonaming=autonaming)
    assert plain(checked.inputs).get("name") == name
    assert len(checked.failures) == failures


def test_an_unknown_value_passes_the_check_and_comes_back_from_a_preview(engine) -> None:
    urn = urn_of(MODEL)
    checked = engine.check(urn, {"executionRoleArn": rpc.UNKNOWN, "name": "fraud"})
    assert list(checked.failures) == []
    assert plain(checked.inputs)["executionRoleArn"] == rpc.UNKNOWN
    previewed = engine.create(urn, plain(checked.inputs), preview=True)
    assert previewed.id == ""
    outputs = plain(previewed.properties)
    assert (outputs["arn"], outputs["executionRoleArn"], outputs["name"]) == (rpc.UNKNOWN, rpc.UNKNOWN, "fraud")


def test_secrets_and_outputs_are_taken_for_their_values(engine) -> None:
    inputs = {
        "assumeRolePolicy": {rpc._special_sig_key: rpc._special_secret_sig, "value": TRUST},
        "description": {rpc._special_sig_key: rpc._special_output_value_sig, "value": "trains", "secret": True},
        "path": {rpc._special_sig_key: rpc._special_output_value_sig},
    }
    checked = engine.check(urn_of(ROLE), inputs)
    assert list(checked.failures) == []
    answered = plain(checked.inputs)
    assert (answered["assumeRolePolicy"], answered["description"], answered["path"]) == (TRUST, "trains", rpc.UNKNOWN)


def test_a_preview_makes_and_changes_nothing(engine, aws) -> None:
    role = aws.make(ROLE, {"assumeRolePolicy": TRUST, "name": "trainer"})
    engine.create(urn_of(BUCKET), {"bucket": "lake"}, preview=True)
    previewed = engine.stub.Update(
        provider_pb2.UpdateRequest(
            id=role.id,
            urn=role.urn,
            olds=struct(role.outputs),
            old_inputs=struct(role.inputs),
            news=struct({**role.inputs, "description": rpc.UNKNOWN}),
            preview=True,
        )
    )
    outputs = plain(previewed.properties)
    assert (outputs["description"], outputs["arn"]) == (rpc.UNKNOWN, role.outputs["arn"])
    assert [record.inputs for record in aws.store.find()] == [role.inputs]


def test_a_diff_names_changed_and_replacing_properties_in_detail(engine) -> None:
    old = {"name": "fraud", "primaryContainer": {"image": "a"}, "tags": {"x": "1"}}
    new = {"name": "fraud", "primaryContainer": {"image": "b"}, "tags": {"y": "1"}}
    answer = engine.stub.Diff(
        provider_pb2.DiffRequest(id="fraud", urn=urn_of(MODEL), old_inputs=struct(old), news=struct(new))
    )
    kinds = provider_pb2.PropertyDiff
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(answer.diffs) == ["primaryContainer", "tags"]
    assert list(answer.replaces) == ["primaryContainer"]
    assert answer.deleteBeforeReplace
    assert {path: (diff.kind, diff.inputDiff) for path, diff in answer.detailedDiff.items()} == {
        "primaryContainer.image": (kinds.UPDATE_REPLACE, True),
        "tags.x": (kinds.DELETE, True),
        "tags.y": (kinds.ADD, True),
    }


def test_equal_inputs_are_no_difference(engine) -> None:
    same = struct({"name": "fraud", "tags": {"x": "1"}})
    answer = engine.stub.Diff(provider_pb2.DiffRequest(id="fraud", urn=urn_of(MODEL), old_inputs=same, news=same))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_an_import_reads_by_id_alone_and_finds_the_inputs(engine, aws) -> None:
    bucket = aws.make(BUCKET, {"bucket": "lake", "tags": {"team": "ml"}})
    read = engine.read(urn_of(BUCKET), "lake")
    assert (read.id, plain(read.inputs)) == ("lake", bucket.inputs)
    assert engine.read(urn_of(BUCKET), "arn:aws:s3:::lake").id == "lake"
    assert engine.read(urn_of(BUCKET), "pond").id == ""


def test_a_refresh_sees_what_was_changed_behind_pulumis_back(engine, aws) -> None:
    bucket = aws.make(BUCKET, {"bucket": "lake", "tags": {"team": "ml"}})
    aws.plane.update(bucket.urn, bucket.id, bucket.inputs, {**bucket.inputs, "tags": {"team": "web"}})
    read = engine.read(bucket.urn, bucket.id, inputs=bucket.inputs, properties=bucket.outputs)
    assert plain(read.inputs)["tags"] == plain(read.properties)["tags"] == {"team": "web"}


def test_a_function_answers_or_says_what_is_wrong_with_its_arguments(engine) -> None:
    token = "aws:index/getCallerIdentity:getCallerIdentity"
    answer = engine.stub.Invoke(provider_pb2.InvokeRequest(tok=token))
    assert plain(getattr(answer, "return"))["accountId"] == "123456789012"
    answer = engine.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=struct({"accountt": "x"})))
    assert [failure.reason.partition(":")[0] for failure in answer.failures] == ["accountt"]


@pytest.mark.parametrize(
    ("settings", "failures"),
    [
        ({"region": "eu-west-1"}, []),
        ({"region": "eu-west-1", "version": "7.0.0", "skipCredentialsValidation": "true"}, []),
        ({"regoin": "eu-west-1", "region": "eu-west-1"}, ["regoin: the provider aws has no such setting"]),
        ({}, ["region: missing region; set it with `pulumi config set aws:region ...`"]),
        (
            {"region": "eu-west-1", "defaultTags": '{"tags"'},
            ["defaultTags: this is not the JSON of an object or a list"],
        ),
        (
            {"region": {rpc._special_sig_key: rpc._special_secret_sig, "value": "eu-west-1"}},
            [],
        ),
    ],
)
def test_the_providers_own_settings_are_checked(engine, settings: dict[str, Any], failures: list[str]) -> None:
    answer = engine.stub.CheckConfig(
        provider_pb2.CheckRequest(urn=urn_of("pulumi:providers:aws"), news=struct(settings))
    )
    assert [failure.reason for failure in answer.failures] == failures
    assert plain(answer.inputs) == settings


def test_settings_hold_once_they_are_configured_objects_as_json(engine) -> None:
    settings = {"region": "us-east-1", "defaultTags": '{"tags": {"team": "ml"}}'}
    answer = engine.stub.Configure(provider_pb2.ConfigureRequest(args=struct(settings)))
    assert answer.supportsPreview
    outputs = plain(engine.create(urn_of(BUCKET), {"bucket": "lake"}).properties)
    assert outputs["region"] == "us-east-1"
    assert outputs["tagsAll"] == {"team": "ml"}


def test_changed_settings_are_a_difference_of_the_provider(engine) -> None:
    def difference(old: dict[str, Any], new: dict[str, Any]) -> tuple[int, list[str]]:
        answer = engine.stub.DiffConfig(
            provider_pb2.DiffRequest(urn="urn", old_inputs=struct(old), olds=struct(old), news=struct(new))
        )
        return answer.changes, list(answer.diffs)

    kinds = provider_pb2.DiffResponse
    assert difference({"region": "a"}, {"region": "a"}) == (kinds.DIFF_NONE, [])
    assert difference({"region": "a"}, {"region": "b", "profile": "x"}) == (kinds.DIFF_SOME, ["profile", "region"])


def test_the_provider_says_its_version_and_that_it_takes_auto_naming(engine) -> None:
    assert engine.stub.GetPluginInfo(Empty()).version == version("pulumi-aws")
    assert engine.stub.Handshake(provider_pb2.ProviderHandshakeRequest()).supports_autonaming_configuration


def test_what_the_cloud_refuses_is_an_error_with_its_words_and_nothing_else(engine, aws) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    with pytest.raises(grpc.RpcError) as refusal:
        engine.create(urn_of(BUCKET), {"bucket": "lake"})
    assert refusal.value.code() == grpc.StatusCode.UNKNOWN
    assert refusal.value.details() == "aws:s3/bucket:Bucket `lake` already exists"


def test_an_unknown_type_is_an_error_that_names_it(engine) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        engine.check(urn_of("aws:s3/bukcet:Bucket"), {})
    assert "has no resource aws:s3/bukcet:Bucket; did you mean" in refusal.value.details()


def test_a_defect_of_the_sandbox_is_called_one_and_names_its_place(engine, aws, monkeypatch) -> None:
    monkeypatch.setattr(aws.plane, "read", lambda *_: 1 // 0)
    with pytest.raises(grpc.RpcError) as failure:
        engine.read(urn_of(BUCKET), "lake")
    assert failure.value.code() == grpc.StatusCode.INTERNAL
    assert failure.value.details().startswith("a defect of the sandbox itself: ZeroDivisionError: ")
    assert "test_servicer.py:" in failure.value.details()


@pytest.mark.parametrize(
    ("call", "message", "what"),
    [
        ("Call", provider_pb2.CallRequest(), "methods of resources"),
        ("Construct", provider_pb2.ConstructRequest(), "components"),
        ("Parameterize", provider_pb2.ParameterizeRequest(), "parameters"),
        ("GetMapping", provider_pb2.GetMappingRequest(), "mappings"),
    ],
)
def test_what_the_sandbox_does_not_serve_is_refused_as_unimplemented(
    engine, call: str, message: Any, what: str
) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(engine.stub, call)(message)
    assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert (
        refusal.value.details() == f"the sandbox's provider aws has no {what}: it serves resources and functions only"
    )


def test_without_a_schema_an_import_is_told_to_generate_no_code(engine) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        engine.stub.GetSchema(provider_pb2.GetSchemaRequest())
    assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert refusal.value.details().startswith("the sandbox's provider aws has no package schema: ")
    assert "`pulumi import` needs `--generate-code=false`" in refusal.value.details()


def test_a_provider_stops_when_the_engine_says_so(engine) -> None:
    assert not engine.provider.stopping.is_set()
    engine.stub.Cancel(Empty())
    assert engine.provider.stopping.is_set()


def test_of_simultaneous_creations_of_one_name_exactly_one_succeeds(engine, aws) -> None:
    def create(_: int) -> str:
        try:
            return engine.create(urn_of(BUCKET), {"bucket": "lake"}).id
        except grpc.RpcError as refusal:
            return refusal.details()

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(create, range(8)))
    assert sorted(answers) == ["aws:s3/bucket:Bucket `lake` already exists"] * 7 + ["lake"]
    assert len(aws.store.find()) == 1


def urn_of(type_: str) -> str:
    return f"urn:pulumi:dev::ml-blueprints::{type_}::thing"


def struct(values: dict[str, Any]) -> Struct:
    message = Struct()
    message.update(values)
    return message


def plain(message: Struct) -> dict[str, Any]:
    """A message's values, as json_format gives them."""
    return MessageToDict(message)
