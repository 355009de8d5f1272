"""Saved states: what is read of them, and what is said of files that are none."""

import json
import re

import pytest
from ml_policies.state import StateError, read_state

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
BUCKET = {"urn": "urn:pulumi:prod::shop::aws:s3/bucket:Bucket::data", "type": "aws:s3/bucket:Bucket"}


def state(*resources):
    return json.dumps({"version": 3, "deployment": {"resources": resources}})


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        file = tmp_path / "export.json"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_state(file)

    return read_text


def test_a_resource_is_read_with_its_inputs_and_ways(read):
    (bucket,) = read(
        state(
            {
                **BUCKET,
                "inputs": {"tags": {"owner": "a"}, "bucket": None},
                "parent": "urn:parent",
                "dependencies": ["urn:one"],
                "propertyDependencies": {"bucket": ["urn:two"], "tags": None},
                "protect": True,
            }
        )
    ).resources
    assert (bucket.name, bucket.cloud, bucket.parent, bucket.protect) == ("data", "aws", "urn:parent", True)
    assert bucket.properties == {"tags": {"owner": "a"}, "bucket": None}
    assert bucket.depends_on == {"urn:one", "urn:two"}


def test_what_is_about_to_be_deleted_is_left_out(read):
    assert read(state({**BUCKET, "delete": True})).resources == ()


def test_a_stack_without_resources_is_empty(read):
    assert read('{"version": 3, "deployment": {}}').resources == ()


def test_a_readable_secret_is_its_value(read):
    secret = {SIGNATURE: SECRET, "plaintext": '{"deep": "value"}'}
    (bucket,) = read(state({**BUCKET, "inputs": {"secret": secret}})).resources
    assert bucket.properties == {"secret": {"deep": "value"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("not json", "is no JSON"),
        (state(BUCKET)[:-4], "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("null", "is no state of a stack"),
        ("[]", "is no state of a stack"),
        ('"text"', "is no state of a stack"),
        ("{}", "is no state of a stack"),
        ('{"deployment": null}', "is no state of a stack"),
        ('{"deployment": {"resources": {}}}', "is no state of a stack"),
        ('{"version": 3, "checkpoint": {"latest": {}}}', "is no state of a stack"),
        (state("bucket"), "resources[0] has no urn and type"),
        (state(BUCKET, {"urn": "a"}), "resources[1] has no urn and type"),
        (state({**BUCKET, "urn": 5}), "has urn that is no text"),
        (state({**BUCKET, "type": None}), "has type that is no text"),
        (state({**BUCKET, "inputs": []}), "has inputs that is no object"),
        (state({**BUCKET, "parent": {}}), "has parent that is no text"),
        (state({**BUCKET, "dependencies": "urn:a"}), "has dependencies that is no list"),
        (state({**BUCKET, "dependencies": [{}]}), "has dependencies that are no lists of URNs"),
        (state({**BUCKET, "propertyDependencies": []}), "has propertyDependencies that is no object"),
        (state({**BUCKET, "propertyDependencies": {"a": "urn:a"}}), "has dependencies that are no lists of URNs"),
        (state({**BUCKET, "inputs": {"a": {SIGNATURE: SECRET, "plaintext": "{"}}}), "has values that can't be read"),
        (state({**BUCKET, "inputs": {"a": {SIGNATURE: SECRET, "plaintext": 1}}}), "has values that can't be read"),
    ],
)
def test_what_is_no_state_is_refused(read, text, message):
    with pytest.raises(StateError, match=re.escape(message)) as caught:
        read(text)
    assert "export.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(StateError, match=r"nowhere\.json can't be read: No such file"):
        read_state(tmp_path / "nowhere.json")


def test_a_folder_is_told_of(tmp_path):
    with pytest.raises(StateError, match="can't be read: Is a directory"):
        read_state(tmp_path)
