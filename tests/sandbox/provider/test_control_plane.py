"""The life of resources on a cloud, as each of the three has it."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from sandbox.provider.cloud import CloudError
from sandbox.provider.control_plane import Naming
from sandbox.schema import UNKNOWN, UnknownTypeError
from sandbox.store import Record

BUCKET = "aws:s3/bucket:Bucket"
TOPIC = "aws:sns/topic:Topic"
ROLE = "aws:iam/role:Role"
FUNCTION = "aws:lambda/function:Function"
TRUST = '{"Version": "2012-10-17", "Statement": []}'

# The provider's own work on one resource may take this long.
LIMIT_SECONDS = 0.0015


def test_a_resource_lives_from_its_creation_to_its_deletion(aws) -> None:
    role = aws.make(ROLE, {"assumeRolePolicy": TRUST, "description": "trains"})
    assert aws.plane.read(ROLE, role.id, role.outputs).inputs == role.inputs
    changed = aws.plane.update(role.urn, role.id, role.inputs, {**role.inputs, "description": "tunes"})
    assert changed["description"] == "tunes"
    assert changed["arn"] == role.outputs["arn"]
    assert aws.plane.read(ROLE, role.id, role.outputs).outputs == changed
    aws.delete(role)
    assert aws.plane.read(ROLE, role.id, role.outputs) is None


def test_what_the_cloud_gave_stays_when_a_resource_is_changed(aws) -> None:
    role = aws.make(ROLE, {"assumeRolePolicy": TRUST})
    time.sleep(1.05)
    changed = aws.plane.update(role.urn, role.id, role.inputs, {**role.inputs, "description": "tunes"})
    assert changed == {**role.outputs, "description": "tunes"}


def test_a_generated_name_comes_from_the_engines_random_digits(aws) -> None:
    assert aws.make(ROLE, {"assumeRolePolicy": TRUST}, "trainer", random="0123456789abcdef").id == "trainer-0123456"


def test_without_random_digits_two_generated_names_differ(aws) -> None:
    names = {aws.plane.check(aws.urn(TOPIC), {}, {}, Naming())[0]["name"] for _ in range(5)}
    assert len(names) == 5


def test_a_generated_name_is_kept_by_later_checks(aws) -> None:
    first, _ = aws.plane.check(aws.urn(TOPIC), {}, {}, Naming(random="a" * 16))
    again, _ = aws.plane.check(aws.urn(TOPIC), first, {"displayName": "Alerts"}, Naming(random="b" * 16))
    assert again == {**first, "displayName": "Alerts"}


def test_a_name_that_is_given_takes_the_place_of_a_generated_one(aws) -> None:
    first, _ = aws.plane.check(aws.urn(TOPIC), {}, {}, Naming(random="a" * 16))
    assert aws.plane.check(aws.urn(TOPIC), first, {"name": "alerts"}, Naming())[0] == {"name": "alerts"}


def test_a_name_that_is_not_known_yet_is_left_alone(aws) -> None:
    assert aws.plane.check(aws.urn(TOPIC), {}, {"name": UNKNOWN}, Naming()) == ({"name": UNKNOWN}, [])


def test_the_name_that_the_projects_auto_naming_proposes_is_taken(aws) -> None:
    inputs, failures = aws.plane.check(aws.urn(TOPIC), {}, {}, Naming(proposed="acme-alerts"))
    assert (inputs["name"], failures) == ("acme-alerts", [])


def test_a_name_must_be_given_where_auto_naming_is_disabled(aws) -> None:
    refusals = aws.refusals(TOPIC, {}, Naming(disabled=True))
    assert refusals == ["name: a name must be given, as this project's auto-naming is disabled"]
    assert aws.refusals(TOPIC, {"name": "alerts"}, Naming(disabled=True)) == []


def test_a_name_that_is_taken_is_refused_and_free_again_after_a_deletion(aws) -> None:
    first = aws.make(TOPIC, {"name": "alerts"})
    with pytest.raises(CloudError, match=r"^aws:sns/topic:Topic `arn:aws:sns:.*:alerts` already exists in eu-west-1$"):
        aws.make(TOPIC, {"name": "alerts"})
    aws.delete(first)
    aws.make(TOPIC, {"name": "alerts"})


def test_a_creation_that_is_refused_leaves_nothing(aws) -> None:
    with pytest.raises(CloudError):
        aws.make(FUNCTION, {"name": "scorer", "role": "arn:aws:iam::123456789012:role/nobody"})
    assert aws.store.find() == []


def test_an_update_of_what_is_gone_is_refused(aws) -> None:
    topic = aws.make(TOPIC, {"name": "alerts"})
    aws.delete(topic)
    with pytest.raises(CloudError, match=r"`arn:aws:sns:.*:alerts` does not exist any more; `pulumi refresh`"):
        aws.plane.update(topic.urn, topic.id, topic.inputs, topic.inputs)


def test_an_update_is_refused_a_reference_to_nothing_and_changes_nothing(aws) -> None:
    role = aws.make(ROLE, {"assumeRolePolicy": TRUST})
    function = aws.make(FUNCTION, {"role": role.outputs["arn"]})
    wrong = {**function.inputs, "role": "arn:aws:iam::123456789012:role/nobody"}
    with pytest.raises(CloudError, match=r"^role: there is nothing with the identifier `arn:aws:iam::.*role/nobody`"):
        aws.plane.update(function.urn, function.id, function.inputs, wrong)
    assert aws.plane.read(FUNCTION, function.id, {}).inputs == function.inputs


def test_the_deletion_of_what_is_gone_is_no_error(aws) -> None:
    topic = aws.make(TOPIC, {"name": "alerts"})
    aws.delete(topic)
    aws.delete(topic)
    assert not aws.exists(topic)


def test_a_resource_is_found_for_an_import_by_its_arn_as_by_its_id(aws) -> None:
    aws.make(ROLE, {"assumeRolePolicy": TRUST, "name": "trainer"})
    for identifier in ("trainer", "arn:aws:iam::123456789012:role/trainer"):
        assert aws.plane.read(ROLE, identifier, {}).id == "trainer"
    assert aws.plane.read(TOPIC, "trainer", {}) is None


@pytest.mark.parametrize("operation", ["check", "create", "read", "delete", "update", "preview_create"])
def test_a_type_that_the_provider_does_not_have_is_refused_by_every_operation(aws, operation: str) -> None:
    urn = aws.urn("aws:s3/bukcet:Bucket")
    arguments: dict[str, tuple[Any, ...]] = {
        "check": (urn, {}, {}, Naming()),
        "create": (urn, {}),
        "preview_create": (urn, {}),
        "update": (urn, "x", {}, {}),
        "read": ("aws:s3/bukcet:Bucket", "x", {}),
        "delete": ("aws:s3/bukcet:Bucket", "x", {}),
    }
    with pytest.raises(UnknownTypeError, match=r"has no resource aws:s3/bukcet:Bucket; did you mean aws:s3/bucket:B"):
        getattr(aws.plane, operation)(*arguments[operation])


def test_the_type_in_a_urn_is_the_innermost_one(aws) -> None:
    urn = f"urn:pulumi:dev::ml-blueprints::ml-blueprints:aws:Data${BUCKET}::lake"
    inputs, failures = aws.plane.check(urn, {}, {}, Naming(random="a" * 16))
    assert (inputs["bucket"], failures) == ("lake-aaaaaaa", [])


def test_a_preview_of_a_creation_knows_the_inputs_and_not_what_the_cloud_gives(aws) -> None:
    outputs = aws.plane.preview_create(aws.urn(ROLE), {"name": "trainer", "assumeRolePolicy": TRUST})
    assert outputs["name"] == "trainer"
    assert outputs["arn"] is UNKNOWN
    assert "description" not in outputs
    assert aws.store.find() == []


def test_a_preview_of_a_change_keeps_what_the_cloud_gave(aws) -> None:
    role = aws.make(ROLE, {"assumeRolePolicy": TRUST, "description": "trains"})
    wanted = {**role.inputs, "description": "tunes"}
    outputs = aws.plane.preview_update(role.urn, role.inputs, role.outputs, wanted)
    assert outputs["arn"] == role.outputs["arn"]
    assert outputs["description"] == "tunes"
    assert aws.plane.read(ROLE, role.id, {}).inputs["description"] == "trains"


def test_the_arguments_of_a_function_are_checked(aws) -> None:
    result, failures = aws.plane.invoke("aws:index/getAvailabilityZones:getAvailabilityZones", {"stat": "available"})
    assert result == {}
    assert [failure.path for failure in failures] == ["stat"]


def test_a_function_that_the_sandbox_does_not_have_is_refused_by_name(aws, gcp, azure) -> None:
    for world, token in (
        (aws, "aws:iam/getPolicyDocument:getPolicyDocument"),
        (gcp, "gcp:compute/getRegions:getRegions"),
    ):
        with pytest.raises(CloudError, match=rf"^the sandbox has no function {token}$"):
            world.plane.invoke(token, {})
    with pytest.raises(CloudError, match=r"^the sandbox has no function azure-native:compute:getVirtualMachine$"):
        azure.plane.invoke("azure-native:compute:getVirtualMachine", {"resourceGroupName": "ml", "vmName": "vm"})


@pytest.mark.parametrize("package", ["aws", "gcp", "azure-native"])
def test_its_own_work_on_a_resource_takes_no_more_than_a_millisecond_and_a_half(
    package: str, open_world: Callable[..., Any]
) -> None:
    """Check, creation with references, reading, change and deletion, each in a cloud that holds 1,000 things."""
    world = open_world(package)
    with world.store.change():
        populate(world)
    type_, inputs = subject(world)
    naming = Naming(random="a1b2c3d4e5f6a7b8")
    spent: dict[str, list[float]] = {}

    def timed(operation: str, *arguments: Any) -> Any:
        begun = time.perf_counter()
        result = getattr(world.plane, operation)(*arguments)
        spent.setdefault(operation, []).append(time.perf_counter() - begun)
        return result

    for number in range(30):
        urn = world.urn(type_, f"subject-{number}")
        checked, failures = timed("check", urn, {}, inputs, naming)
        assert failures == []
        id_, outputs = timed("create", urn, checked)
        assert timed("read", type_, id_, outputs) is not None
        timed("diff", urn, checked, {**checked, "tags": {"a": "b"}})
        timed("update", urn, id_, checked, checked)
        timed("delete", type_, id_, outputs)
    assert len(world.store.find()) == 1000
    medians = {operation: median(times) for operation, times in spent.items()}
    assert max(medians.values()) < LIMIT_SECONDS, medians


def populate(world) -> None:
    """Fill a cloud with 1,000 things, in one change of its store as nothing is measured here."""
    type_ = {"aws": ROLE, "gcp": "gcp:pubsub/topic:Topic", "azure-native": "azure-native:resources:ResourceGroup"}
    token = type_[world.cloud.package]
    resource = world.plane.schema.resource(token)
    for number in range(1000):
        name = f"thing-{number}"
        inputs = {"resourceGroupName": name} if token.startswith("azure") else {"name": name, "assumeRolePolicy": TRUST}
        id_ = world.cloud.identify(resource, inputs)
        outputs = world.cloud.outputs(resource, inputs, id_, {})
        record = Record(token, world.cloud.scope(resource, inputs), id_, world.urn(token, name), inputs, outputs)
        world.store.add(record, world.cloud.identifiers(id_, outputs), [])


def subject(world) -> tuple[str, dict[str, Any]]:
    """A resource with nested properties and references to what is there."""
    if world.cloud.package == "aws":
        role = "arn:aws:iam::123456789012:role/thing-7"
        return FUNCTION, {
            "role": role,
            "runtime": "python3.13",
            "handler": "scorer.handle",
            "environment": {"variables": {f"SETTING_{number}": "value" for number in range(20)} | {"ROLE": role}},
        }
    if world.cloud.package == "gcp":
        return "gcp:pubsub/subscription:Subscription", {
            "topic": "projects/acme-ml/topics/thing-7",
            "deadLetterPolicy": {"deadLetterTopic": "projects/acme-ml/topics/thing-8", "maxDeliveryAttempts": 5},
            "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
            "labels": {f"label-{number}": "value" for number in range(20)},
        }
    return "azure-native:storage:StorageAccount", {
        "resourceGroupName": "thing-7",
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS"},
        "networkRuleSet": {"defaultAction": "Deny", "ipRules": [{"iPAddressOrRange": f"10.0.0.{n}"} for n in range(9)]},
        "tags": {f"tag-{number}": "value" for number in range(20)},
    }
