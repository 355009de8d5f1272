"""The commands on the clouds: what they print, what they change, their exit codes, and one line for every error."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BUCKET = "aws:s3/bucket:Bucket"
QUEUE = "aws:sqs/queue:Queue"
USAGE_ERROR = 2

Run = Callable[..., tuple[int, str, str]]


def test_an_empty_sandbox_lists_nothing(run: Run) -> None:
    assert run("list") == (0, "Nothing exists.\n", "")
    assert run("list", "gcp") == (0, "Nothing exists.\n", "")
    assert run("list", "--json") == (0, "[]\n", "")


def test_things_are_listed_per_cloud_with_type_id_and_region(run: Run, aws, gcp) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    aws.make(QUEUE, {"name": "dead"})
    gcp.make("gcp:pubsub/topic:Topic", {"name": "events"})
    code, out, _ = run("list")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        [BUCKET, "lake"],
        [QUEUE, "https://sqs.eu-west-1.amazonaws.com/123456789012/dead", "(eu-west-1)"],
        ["gcp:pubsub/topic:Topic", "projects/acme-ml/topics/events"],
    ]
    assert run("list", "gcp")[1].split() == ["gcp:pubsub/topic:Topic", "projects/acme-ml/topics/events"]
    assert run("list", "aws", "--type", "aws:s3/*")[1].split() == [BUCKET, "lake"]


def test_a_list_as_json_holds_inputs_and_outputs(run: Run, aws) -> None:
    aws.make(BUCKET, {"bucket": "lake", "tags": {"team": "ml"}})
    (thing,) = json.loads(run("list", "--json")[1])
    assert (thing["cloud"], thing["type"], thing["scope"], thing["id"]) == ("aws", BUCKET, "", "lake")
    assert thing["urn"] == aws.urn(BUCKET)
    assert thing["inputs"]["tags"] == {"team": "ml"}
    assert thing["outputs"]["arn"] == "arn:aws:s3:::lake"


@pytest.mark.parametrize("identifier", ["lake", "arn:aws:s3:::lake"])
def test_a_thing_is_deleted_by_its_id_or_its_arn(run: Run, aws, identifier: str) -> None:
    bucket = aws.make(BUCKET, {"bucket": "lake"})
    assert run("delete", "aws", identifier) == (0, f"Deleted {BUCKET} lake.\n", "")
    assert not aws.exists(bucket)


def test_a_deletion_says_how_much_disappeared_with_it(run: Run, azure) -> None:
    group = azure.make("azure-native:resources:ResourceGroup", {"resourceGroupName": "ml"})
    for name in ("a", "b"):
        azure.make(
            "azure-native:managedidentity:UserAssignedIdentity", {"resourceGroupName": "ml", "resourceName": name}
        )
    code, out, _ = run("delete", "azure-native", group.id)
    assert (code, out) == (0, f"Deleted {group.type} {group.id}, and 2 things in it.\n")
    assert azure.store.find() == []


def test_what_was_made_twice_in_place_of_itself_is_one_thing(run: Run, aws) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    for _ in range(2):
        aws.make("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "lake", "policy": "{}"})
    assert run("delete", "aws", "lake", "--type", "aws:s3/bucketPolicy:*")[0] == 0
    assert [record.type for record in aws.store.find()] == [BUCKET]


def test_one_of_several_things_with_an_id_is_chosen_by_its_type(run: Run, aws) -> None:
    aws.make(BUCKET, {"bucket": "lake"})
    policy = aws.make("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "lake", "policy": "{}"})
    code, out, err = run("delete", "aws", "lake")
    assert (code, out) == (USAGE_ERROR, "")
    assert err == (f"sandbox: `lake` is the id of 2 things on aws; choose with --type: {BUCKET}, {policy.type}\n")
    assert run("delete", "aws", "lake", "--type", policy.type)[0] == 0
    assert not aws.exists(policy)


@pytest.mark.parametrize(
    ("assignment", "property_", "value"),
    [
        ("tags.team=web", "tags", {"team": "web", "stage": "dev"}),
        ("tags.owner=me", "tags", {"team": "ml", "stage": "dev", "owner": "me"}),
        ('tags["a:b"]=c=d', "tags", {"team": "ml", "stage": "dev", "a:b": "c=d"}),
        ("forceDestroy=true", "forceDestroy", True),
        ('versioning={"enabled": true}', "versioning", {"enabled": True}),
        (
            "corsRules[0].maxAgeSeconds=60",
            "corsRules",
            [{"allowedMethods": ["GET"], "allowedOrigins": ["*"], "maxAgeSeconds": 60}],
        ),
    ],
)
def test_an_edit_changes_one_property_as_a_refresh_then_finds_it(
    run: Run, aws, assignment: str, property_: str, value: Any
) -> None:
    inputs = {
        "bucket": "lake",
        "tags": {"team": "ml", "stage": "dev"},
        "corsRules": [{"allowedMethods": ["GET"], "allowedOrigins": ["*"]}],
    }
    bucket = aws.make(BUCKET, inputs)
    code, out, _ = run("edit", "aws", "lake", assignment)
    assert code == 0
    assert out.startswith(f"{BUCKET} lake: {assignment.partition('=')[0]} is now ")
    read = aws.plane.read(BUCKET, "lake", bucket.inputs)
    assert read.inputs[property_] == read.outputs[property_] == value
    assert {**read.inputs, property_: None} == {**bucket.inputs, property_: None}


def test_things_of_each_cloud_can_be_edited(run: Run, gcp, azure) -> None:
    gcp.make("gcp:pubsub/topic:Topic", {"name": "events"})
    assert run("edit", "gcp", "events", "labels.team=ml")[0] == 0
    (topic,) = gcp.store.find()
    assert topic.inputs["labels"] == {"team": "ml"}
    group = azure.make("azure-native:resources:ResourceGroup", {"resourceGroupName": "ml"})
    assert run("edit", "azure-native", group.id.upper(), "tags.team=ml")[0] == 0
    (found,) = azure.store.find()
    assert found.outputs["tags"] == {"team": "ml"}


def test_what_an_edited_thing_uses_stays_held_fast(run: Run, aws) -> None:
    vpc = aws.make("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})
    subnet = aws.make("aws:ec2/subnet:Subnet", {"vpcId": vpc.id, "cidrBlock": "10.0.0.0/24"})
    assert run("edit", "aws", subnet.id, "tags.team=ml")[0] == 0
    assert aws.store.users_of((vpc.type, "eu-west-1", vpc.id)) == [(subnet.type, "eu-west-1", subnet.id)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("delete", "aws", "pond"), "there is no `pond` on aws; `python -m sandbox list aws` shows all"),
        (("edit", "aws", "pond", "a=b"), "there is no `pond` on aws; `python -m sandbox list aws` shows all"),
        (
            ("delete", "aws", "lake", "--type", "aws:sqs/*"),
            "there is no `lake` on aws; `python -m sandbox list aws` shows all",
        ),
        (("edit", "aws", "lake", "tags"), "`tags` is not of the form PATH=VALUE, such as tags.owner=me"),
        (("edit", "aws", "lake", "=x"), "the path of the property is missing before `=`"),
        (("edit", "aws", "lake", "arn=x"), f"{BUCKET} has no property `arn` that could be set"),
        (("edit", "aws", "lake", "[0]=x"), f"{BUCKET} has no property `0` that could be set"),
        (
            ("edit", "aws", "lake", "tags..a=x"),
            "`tags..a` is not a path of properties such as tags.owner or rules[0].priority",
        ),
        (("edit", "aws", "lake", "tags[0]=x"), "tags[0]: there is no element 0"),
        (("edit", "aws", "lake", "bucket.a=x"), "bucket.a: `a` is not within an object"),
        (("edit", "aws", "lake", "tags=[1]"), "tags: expected an object, found a list"),
        (
            ("edit", "aws", "lake", "versioning.enabld=true"),
            "versioning.enabld: there is no property `enabld`; did you mean `enabled`?",
        ),
        (
            ("edit", "aws", "lake", "logging.targetBucket=arn:aws:s3:::pond"),
            "logging.targetBucket: there is nothing with the identifier `arn:aws:s3:::pond` on this cloud",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_changes_nothing(
    run: Run, aws, arguments: tuple[str, ...], message: str
) -> None:
    bucket = aws.make(BUCKET, {"bucket": "lake"})
    assert run(*arguments) == (USAGE_ERROR, "", f"sandbox: {message}\n")
    (record,) = aws.store.find()
    assert (record.inputs, record.outputs) == (bucket.inputs, bucket.outputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "oracle"), "argument cloud: invalid choice: 'oracle' (choose from"),
        (("fault", "aws", "--throttle", "0"), "argument --throttle: '0' is not a whole number above 0"),
        (("fault", "aws", "--delay", "soon"), "argument --delay: 'soon' is not a whole number above 0"),
        (("delete", "aws"), "the following arguments are required: id"),
        ((), "the following arguments are required: COMMAND"),
        (("up", "--parallel", "many"), "argument --parallel: invalid int value: 'many'"),
    ],
)
def test_a_wrong_call_is_explained_and_exits_with_two(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)
    assert exit_.value.code == USAGE_ERROR
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", ["up", "preview", "down"])
def test_a_stack_that_does_not_exist_is_refused_with_those_that_do(run: Run, command: str) -> None:
    code, out, err = run(command, "aws-stremaing")
    assert (code, out) == (USAGE_ERROR, "")
    assert err.startswith(
        "sandbox: there is no stack aws-stremaing; the stacks are aws-batch, aws-hybrid, aws-streaming"
    )
    assert err.count("\n") == 1


def test_no_stacks_at_a_time_are_refused(run: Run) -> None:
    assert run("up", "--parallel", "0") == (USAGE_ERROR, "", "sandbox: --parallel is 0; it must be at least 1\n")


def test_faults_are_planned_shown_met_and_cleared(run: Run, aws) -> None:
    assert run("fault", "aws") == (0, "", "")
    planned = (
        "fail-create 2 (n-th creation) of aws:s3/*, met 0 times\ndelay 1 (milliseconds) of aws:s3/*, met 0 times\n"
    )
    assert run("fault", "aws", "--type", "aws:s3/*", "--fail-create", "2", "--delay", "1") == (0, planned, "")
    aws.make(BUCKET, {"bucket": "lake"})
    assert run("fault", "aws")[1] == planned.replace("met 0", "met 1")
    assert run("fault", "gcp")[1] == ""
    code, out, _ = run("fault", "aws", "--clear", "--throttle", "3")
    assert (code, out) == (0, "Cleared 2 faults.\nthrottle 3 (calls) of *, met 0 times\n")


def test_a_state_that_is_no_database_is_named_in_one_line(run: Run, sandbox_home: Path) -> None:
    state = sandbox_home / "clouds" / "aws.sqlite"
    state.parent.mkdir(parents=True)
    state.write_text("not a database, and longer than its header would be\n" * 40)
    code, _, err = run("list")
    assert code == USAGE_ERROR
    assert err == f"sandbox: the state of a cloud can't be opened, {state}: file is not a database\n"


def test_a_home_that_cannot_be_written_is_named_in_one_line(run: Run, sandbox_home: Path) -> None:
    sandbox_home.write_text("a file in its place")
    code, _, err = run("fault", "aws", "--throttle", "1")
    assert code == USAGE_ERROR
    assert err.startswith("sandbox: ")
    assert str(sandbox_home) in err
    assert err.count("\n") == 1


def test_a_reader_who_has_seen_enough_gets_no_traceback(sandbox_home: Path, aws) -> None:
    for number in range(40):
        aws.make(BUCKET, {"bucket": f"lake-{number}"})
    reader, writer = os.pipe()
    os.close(reader)
    listing = subprocess.run(
        [sys.executable, "-m", "sandbox", "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (listing.returncode, listing.stderr) == (141, "")
