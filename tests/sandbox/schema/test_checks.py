"""What each cloud takes and refuses, and in which words."""

from typing import Any

import pytest
from sandbox import schema
from sandbox.schema import UNKNOWN

ENDPOINT = ("aws", "aws:sagemaker/endpoint:Endpoint")
VARIANTS = ("aws", "aws:sagemaker/endpointConfiguration:EndpointConfiguration")
FUNCTION = ("aws", "aws:lambda/function:Function")
LOG_GROUP = ("aws", "aws:cloudwatch/logGroup:LogGroup")
STREAM = ("aws", "aws:kinesis/stream:Stream")
ROLE = ("aws", "aws:iam/role:Role")
BUCKET = ("gcp", "gcp:storage/bucket:Bucket")
NETWORK = ("gcp", "gcp:compute/network:Network")
ACCOUNT = ("azure-native", "azure-native:storage:StorageAccount")
DEPLOYMENT = ("azure-native", "azure-native:machinelearningservices:OnlineDeployment")
VAULT = ("azure-native", "azure-native:keyvault:Vault")

_IN_WORKSPACE = {"resourceGroupName": "ml", "workspaceName": "ml", "endpointName": "fraud"}
_STORAGE = {"resourceGroupName": "ml", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}

GOOD: list[tuple[tuple[str, str], dict[str, Any]]] = [
    (ENDPOINT, {"endpointConfigName": "fraud"}),
    (ENDPOINT, {"endpointConfigName": UNKNOWN, "tags": UNKNOWN, "deploymentConfig": UNKNOWN}),
    (ENDPOINT, {"endpointConfigName": "fraud", "tags": None, "__defaults": ["name"]}),
    (VARIANTS, {"productionVariants": [{"modelName": "m", "initialInstanceCount": 1, "initialVariantWeight": 0.5}]}),
    (VARIANTS, {"productionVariants": [{"modelName": UNKNOWN}, UNKNOWN]}),
    (FUNCTION, {"role": "r", "runtime": "python3.13", "architectures": ["arm64"], "code": {"sig": "asset"}}),
    (STREAM, {"shardCount": "4", "retentionPeriod": 24.0, "enforceConsumerDeletion": "true"}),
    (LOG_GROUP, {"name": 7, "tags": {"cost": 1, "live": True}, "logGroupClass": ""}),
    (BUCKET, {"location": "EU", "versioning": {"enabled": True}, "labels": {}}),
    (NETWORK, {"routingMode": "GLOBAL", "mtu": "1460", "autoCreateSubnetworks": "false"}),
    (ACCOUNT, {**_STORAGE, "accessTier": "Hot", "allowBlobPublicAccess": False}),
    (DEPLOYMENT, {**_IN_WORKSPACE, "properties": {"endpointComputeType": "Managed", "model": "fraud:3"}}),
    (
        DEPLOYMENT,
        {
            **_IN_WORKSPACE,
            "properties": {
                "endpointComputeType": "Managed",
                "scaleSettings": {"scaleType": "TargetUtilization", "minInstances": 1, "maxInstances": 3},
            },
        },
    ),
]

BAD: list[tuple[tuple[str, str], dict[str, Any], list[str]]] = [
    # Unknown and missing properties, at the top and within
    (
        ENDPOINT,
        {"endpointConfigNam": "fraud"},
        [
            "endpointConfigNam: there is no property `endpointConfigNam`; did you mean `endpointConfigName`?",
            "endpointConfigName: the required property `endpointConfigName` is missing",
        ],
    ),
    (
        ENDPOINT,
        {"endpointConfigName": None},
        ["endpointConfigName: the required property `endpointConfigName` is missing"],
    ),
    (
        ENDPOINT,
        {"endpointConfigName": "fraud", "xyz": 1},
        [
            "xyz: there is no property `xyz`; there are deploymentConfig, endpointConfigName, name, region, tags",
        ],
    ),
    (
        VARIANTS,
        {"productionVariants": [{"modelName": "a"}, {"modelname": "b"}]},
        [
            "productionVariants[1].modelname: there is no property `modelname`; did you mean `modelName`?",
        ],
    ),
    (
        BUCKET,
        {"location": "EU", "lifecycleRules": [{"action": {}, "condition": {}}]},
        [
            "lifecycleRules[0].action.type: the required property `type` is missing",
        ],
    ),
    (
        DEPLOYMENT,
        {**_IN_WORKSPACE, "properties": {"endpointComputeType": "Managed", "modell": "fraud:3"}},
        [
            "properties.modell: there is no property `modell`; did you mean `model`?",
        ],
    ),
    (ACCOUNT, {**_STORAGE, "sku": {}}, ["sku.name: the required property `name` is missing"]),
    # Wrong types
    (VARIANTS, {"productionVariants": "all"}, ["productionVariants: expected a list, found text (`all`)"]),
    (
        VARIANTS,
        {"productionVariants": [{"initialInstanceCount": "many"}]},
        [
            "productionVariants[0].initialInstanceCount: expected a whole number, found text (`many`)",
        ],
    ),
    (VARIANTS, {"productionVariants": ["a"]}, ["productionVariants[0]: expected an object, found text (`a`)"]),
    (STREAM, {"retentionPeriod": 1.5}, ["retentionPeriod: expected a whole number, found a number (`1.5`)"]),
    (STREAM, {"retentionPeriod": True}, ["retentionPeriod: expected a whole number, found a boolean (`True`)"]),
    (LOG_GROUP, {"tags": ["a"]}, ["tags: expected an object, found a list"]),
    (LOG_GROUP, {"tags": {"a": {}}}, ["tags.a: expected text, found an object"]),
    (
        FUNCTION,
        {"role": "r", "code": "handler"},
        ["code: expected an asset or archive, found text (`handler`)"],
    ),
    (ROLE, {"assumeRolePolicy": ["allow"]}, ["assumeRolePolicy: expected text, found a list"]),
    (BUCKET, {"location": "EU", "versioning": True}, ["versioning: expected an object, found a boolean (`True`)"]),
    (NETWORK, {"mtu": "big"}, ["mtu: expected a whole number, found text (`big`)"]),
    (NETWORK, {"autoCreateSubnetworks": "no"}, ["autoCreateSubnetworks: expected true or false, found text (`no`)"]),
    (ACCOUNT, {**_STORAGE, "location": 1}, ["location: expected text, found a number (`1`)"]),
    (ACCOUNT, {**_STORAGE, "tags": {"a": 1}}, ["tags.a: expected text, found a number (`1`)"]),
    (
        ACCOUNT,
        {**_STORAGE, "allowBlobPublicAccess": "false"},
        [
            "allowBlobPublicAccess: expected true or false, found text (`false`)",
        ],
    ),
    # Values outside an enum or what the documentation lists
    (FUNCTION, {"role": "r", "packageType": "Tar"}, ["packageType: `Tar` is not one of Zip, Image"]),
    (
        LOG_GROUP,
        {"logGroupClass": "CHEAP"},
        ["logGroupClass: `CHEAP` is not one of STANDARD, INFREQUENT_ACCESS, DELIVERY"],
    ),
    (NETWORK, {"routingMode": "LOCAL"}, ["routingMode: `LOCAL` is not one of REGIONAL, GLOBAL"]),
    (ACCOUNT, {**_STORAGE, "accessTier": "Warm"}, ["accessTier: `Warm` is not one of Hot, Cool, Premium, Cold"]),
    (
        ACCOUNT,
        {**_STORAGE, "networkRuleSet": {"defaultAction": "Ask"}},
        [
            "networkRuleSet.defaultAction: `Ask` is not one of Allow, Deny",
        ],
    ),
    (
        VAULT,
        {"resourceGroupName": "ml", "properties": {"tenantId": "t", "sku": {"family": "A", "name": "gold"}}},
        ["properties.sku.name: `gold` is not one of standard, premium"],
    ),
    (
        DEPLOYMENT,
        {**_IN_WORKSPACE, "properties": {"endpointComputeType": "Abacus"}},
        [
            "properties.endpointComputeType: `Abacus` is not one of Kubernetes, Managed",
        ],
    ),
]


@pytest.mark.parametrize(("where", "inputs"), GOOD)
def test_right_inputs_are_taken(where: tuple[str, str], inputs: dict[str, Any]) -> None:
    assert refusals(where, inputs) == []


@pytest.mark.parametrize(("where", "inputs", "reasons"), BAD)
def test_wrong_inputs_are_refused_in_words_that_name_the_property(
    where: tuple[str, str], inputs: dict[str, Any], reasons: list[str]
) -> None:
    assert refusals(where, inputs) == reasons


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = {"role": 1, "packageType": "Tar", "timeout": "soon", "layers": "l", "colour": "blue"}
    assert [refusal.partition(":")[0] for refusal in refusals(FUNCTION, wrong)] == [
        "packageType",
        "timeout",
        "layers",
        "colour",
    ]


def test_an_enum_names_all_its_values() -> None:
    (refusal,) = refusals(FUNCTION, {"role": "r", "runtime": "cobol"})
    assert refusal.startswith("runtime: `cobol` is not one of ")
    assert "python3.13" in refusal
    assert "nodejs22.x" in refusal


def test_functions_are_checked_as_resources_are() -> None:
    function = schema.package("aws").function("aws:index/getAvailabilityZones:getAvailabilityZones")
    assert schema.check(function, {"state": "available", "filters": [{"name": "opt-in", "values": ["yes"]}]}) == []
    (failure,) = schema.check(function, {"stat": "available"})
    assert failure == schema.Failure("stat", "there is no property `stat`; did you mean `state`?")


def refusals(where: tuple[str, str], inputs: dict[str, Any]) -> list[str]:
    package, token = where
    failures = schema.check(schema.package(package).resource(token), inputs)
    return [f"{failure.path}: {failure.reason}" for failure in failures]
