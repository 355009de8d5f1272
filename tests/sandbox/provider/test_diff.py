"""What changed between two sets of inputs, and whether a resource can be changed or must be replaced."""

from typing import Any

import pytest
from sandbox.schema import UNKNOWN

MODEL = "aws:sagemaker/model:Model"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
STREAM = "aws:kinesis/stream:Stream"
QUEUE = "aws:sqs/queue:Queue"


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({}, {}, {}),
        ({"tags": {"a": "1"}}, {"tags": {"a": "1"}}, {}),
        ({"shardCount": 1}, {"shardCount": 2}, {"shardCount": "update"}),
        ({}, {"shardCount": 2}, {"shardCount": "add"}),
        ({"shardCount": 2}, {}, {"shardCount": "delete"}),
        ({"shardCount": 2}, {"shardCount": UNKNOWN}, {"shardCount": "update"}),
        (
            {"tags": {"a": "1", "b": "2"}},
            {"tags": {"b": "3", "c": "4"}},
            {"tags.a": "delete", "tags.b": "update", "tags.c": "add"},
        ),
        ({"tags": {"a:b": "1"}}, {"tags": {"a:b": "2"}}, {'tags["a:b"]': "update"}),
        (
            {"shardLevelMetrics": ["a", "b"]},
            {"shardLevelMetrics": ["a", "c", "d"]},
            {"shardLevelMetrics[1]": "update", "shardLevelMetrics[2]": "add"},
        ),
        ({"shardLevelMetrics": ["a", "b"]}, {"shardLevelMetrics": ["a"]}, {"shardLevelMetrics[1]": "delete"}),
        (
            {"streamModeDetails": {"streamMode": "PROVISIONED"}},
            {"streamModeDetails": {"streamMode": "ON_DEMAND"}},
            {"streamModeDetails.streamMode": "update"},
        ),
        ({"tags": {"a": "1"}}, {"tags": UNKNOWN}, {"tags": "update"}),
        ({"__defaults": []}, {"__defaults": ["name"]}, {}),
    ],
)
def test_changes_are_named_by_the_innermost_path(
    aws, old: dict[str, Any], new: dict[str, Any], changes: dict[str, str]
) -> None:
    difference = aws.plane.diff(aws.urn(STREAM), old, new)
    assert difference.changes == changes
    assert difference.replacing == set()
    assert not difference.delete_first


def test_a_replacement_is_said_of_the_changed_part_and_of_no_other(aws) -> None:
    old = {"name": "a", "productionVariants": [{"modelName": "m1"}, {"modelName": "m2"}], "tags": {"x": "1"}}
    new = {"name": "a", "productionVariants": [{"modelName": "m1"}, {"modelName": "m3"}], "tags": {"x": "2"}}
    difference = aws.plane.diff(aws.urn(CONFIGURATION), old, new)
    assert difference.changes == {"productionVariants[1].modelName": "update", "tags.x": "update"}
    assert difference.replacing == {"productionVariants[1].modelName"}


def test_a_replacement_under_the_same_name_deletes_first(aws) -> None:
    old = {"name": "fraud", "primaryContainer": {"image": "a"}}
    assert aws.plane.diff(aws.urn(MODEL), old, {**old, "primaryContainer": {"image": "b"}}).delete_first
    assert not aws.plane.diff(aws.urn(MODEL), old, {**old, "tags": {"a": "b"}}).delete_first


def test_a_replacement_under_a_generated_or_another_name_does_not(aws) -> None:
    old = {"name": "fraud-a1b2c3d", "__defaults": ["name"], "primaryContainer": {"image": "a"}}
    assert not aws.plane.diff(aws.urn(MODEL), old, {**old, "primaryContainer": {"image": "b"}}).delete_first
    fixed = {"name": "fraud", "primaryContainer": {"image": "a"}}
    other = {"name": "fraud-2", "primaryContainer": {"image": "b"}}
    assert not aws.plane.diff(aws.urn(MODEL), fixed, other).delete_first


def test_a_replacement_of_what_has_an_id_from_the_cloud_does_not_delete_first(aws) -> None:
    old = {"cidrBlock": "10.0.0.0/16"}
    difference = aws.plane.diff(aws.urn("aws:ec2/vpc:Vpc"), old, {"cidrBlock": "10.1.0.0/16"})
    assert difference.replacing == {"cidrBlock"}
    assert not difference.delete_first


def test_a_name_that_is_not_known_yet_may_be_another_one(azure, gcp) -> None:
    azure_old = {"resourceGroupName": "ml", "accountName": "lake", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    azure_type = "azure-native:storage:StorageAccount"
    for new in ({**azure_old, "accountName": UNKNOWN}, {**azure_old, "resourceGroupName": UNKNOWN}):
        difference = azure.plane.diff(azure.urn(azure_type), azure_old, new)
        assert difference.replacing
        assert not difference.delete_first
    moved = {**azure_old, "location": "northeurope"}
    assert azure.plane.diff(azure.urn(azure_type), azure_old, moved).delete_first
    key = {"name": "lake", "keyRing": "projects/acme-ml/locations/eu/keyRings/ml"}
    difference = gcp.plane.diff(gcp.urn("gcp:kms/cryptoKey:CryptoKey"), key, {**key, "keyRing": UNKNOWN})
    assert difference.replacing == {"keyRing"}
    assert not difference.delete_first
