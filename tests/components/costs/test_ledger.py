"""The ledger: what resources take of the table, what is free, not priced or not known yet, and the budget."""

import fnmatch
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pulumi
import pytest
from ml_blueprints.costs import aws, azure, gcp
from ml_blueprints.costs.ledger import Ledger
from ml_blueprints.costs.usage import MEAN_OF_PEAK, Usage
from ml_blueprints.workload import Workload
from sandbox import schema

WORKLOADS = Path(__file__).parents[3] / "stacks" / "workloads"
CLOUDS = {"aws": aws, "gcp": gcp, "azure": azure}
PACKAGES = {"aws": "aws", "gcp": "gcp", "azure": "azure-native"}
SECONDS = 730 * 3600


class Mode(Enum):
    """As SDKs spell values of an enum."""

    PROVISIONED = "PROVISIONED"


@dataclass
class Variant:
    """As an SDK's class for a part of an input."""

    instance_type: str
    initial_instance_count: int


def ledger(cloud, workload="fraud_detection"):
    return Ledger.of(cloud, Workload.load(WORKLOADS / f"{workload}.yaml"))


# By case: cloud, type, inputs, US dollars a month by hand, for 2,000 events/s at the peak and 400 days.
EVENTS = 2000 * MEAN_OF_PEAK * SECONDS
GB = EVENTS / 1e6
KEPT = GB * 400 / (365 / 12)
CASES = {
    "shards": (
        "aws",
        "aws:kinesis/stream:Stream",
        {"shard_count": 3, "stream_mode_details": {"stream_mode": Mode.PROVISIONED}},
        3 * 730 * 0.015 + EVENTS * 1.4e-8,
    ),
    "stream on demand": (
        "aws",
        "aws:kinesis/stream:Stream",
        {"streamModeDetails": {"streamMode": "ON_DEMAND"}},
        730 * 0.04 + GB * (0.08 + 0.04),
    ),
    "fan-out": ("aws", "aws:kinesis/streamConsumer:StreamConsumer", {}, 2 * 730 * 0.015 + GB * 0.013),
    "interface in two subnets": (
        "aws",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        {"vpc_endpoint_type": "Interface", "subnet_ids": ["a", "b"]},
        14.6,
    ),
    "gateway": ("aws", "aws:ec2/vpcEndpoint:VpcEndpoint", {"vpc_endpoint_type": "Gateway"}, 0),
    "fleets": (
        "aws",
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        {
            "production_variants": [Variant("ml.m5.xlarge", 2)],
            "shadow_production_variants": [{"instanceType": "ml.m5.large", "initialInstanceCount": 1}],
        },
        730 * (2 * 0.23 + 0.115),
    ),
    "raw zone": ("aws", "aws:s3/bucket:Bucket", {"tags": {"zone": "raw"}}, KEPT * 0.023),
    "windows": ("aws", "aws:dynamodb/table:Table", {"billing_mode": "PAY_PER_REQUEST"}, EVENTS * (6.25e-7 + 1.25e-7)),
    "bigtable": (
        "gcp",
        "gcp:bigtable/instance:Instance",
        {"clusters": [{"autoscaling_config": {"min_nodes": 2}}, {"num_nodes": 1}]},
        3 * 730 * 0.65,
    ),
    "service that is always there": (
        "gcp",
        "gcp:cloudrunv2/service:Service",
        {
            "template": {
                "scaling": {"min_instance_count": 2},
                "containers": [{"resources": {"cpu_idle": False, "limits": {"cpu": "4", "memory": "2Gi"}}}],
            }
        },
        2 * SECONDS * (4 * 0.000018 + 2 * 0.000002),
    ),
    "deployment": (
        "gcp",
        "pulumi-python:dynamic/ml_blueprints:VertexDeployment",
        {"machines": {"type": "n1-standard-4", "minimum": 2}, "pool": None},
        2 * 730 * 0.219,
    ),
    "topic": ("gcp", "gcp:pubsub/topic:Topic", {}, GB * 40 / 1024),
    "alarm on a share of two metrics": (
        "aws",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        {"metric_queries": [{"metric": {"stat": "Sum"}}, {"metric": {"stat": "Sum"}}, {"expression": "a / b"}]},
        0.20,
    ),
    "processing units": (
        "azure",
        "azure-native:eventhub:Namespace",
        {"sku": {"name": "Premium", "capacity": 2}},
        2 * 749.71,
    ),
    "two nodes of redis": (
        "azure",
        "azure-native:redisenterprise:RedisEnterprise",
        {"sku": {"name": "Balanced_B5"}, "high_availability": "Enabled"},
        2 * 730 * 4.63 / 24,
    ),
    "online deployment": (
        "azure",
        "azure-native:machinelearningservices:OnlineDeployment",
        {"sku": {"capacity": 3}, "properties": {"instance_type": "Standard_F4s_v2"}},
        3 * 730 * 0.194,
    ),
    "private endpoint": ("azure", "azure-native:network:PrivateEndpoint", {}, 7.3),
}


@pytest.mark.parametrize("case", CASES)
def test_a_resource_costs_what_a_calculation_by_hand_says(case):
    cloud, type_, inputs, usd = CASES[case]
    found = ledger(cloud)
    found.note("data", type_, "fraud-detection-part", inputs)
    assert (found.not_priced, found.undecided) == ({}, [])
    assert found.monthly_usd == pytest.approx(usd)


def test_what_is_not_known_yet_is_told_by_name_and_breaks_nothing():
    found = ledger("aws")
    unknown = pulumi.Output.from_input(3)
    found.note("data", "aws:kinesis/stream:Stream", "decisions", {"shard_count": unknown})
    found.note("foundation", "aws:kms/key:Key", "key", {"description": unknown})
    assert found.undecided == ["decisions"]
    assert found.monthly_usd == 1.0
    assert found.outputs(10)["undecided"] == ["decisions"]


@pytest.mark.parametrize(
    ("cloud", "type_", "inputs", "reason"),
    [
        ("aws", "aws:sagemaker/pipeline:Pipeline", {}, "by the length of runs"),
        ("aws", "aws:made/up:Up", {}, "not in the table"),
        (
            "aws",
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
            {"production_variants": [Variant("ml.p9.huge", 1)]},
            "no price for ml.p9.huge",
        ),
        ("azure", "azure-native:eventhub:Namespace", {"sku": {"name": "Standard"}}, "no price for Standard"),
    ],
)
def test_what_has_no_price_is_counted_with_the_reason_and_never_as_nothing(cloud, type_, inputs, reason):
    found = ledger(cloud)
    found.note("data", type_, "part", inputs)
    told = found.outputs(10)
    assert told["notPriced"] == {"types": 1, "resources": 1, "reasons": {f"{type_}: {reason}": 1}}
    assert told["priced"] == told["free"] == {"types": 0, "resources": 0}


def test_a_batch_workload_says_nothing_of_what_comes_and_so_nothing_is_made_up():
    found = ledger("aws", "credit_scoring")
    found.note("data", "aws:s3/bucket:Bucket", "raw", {"tags": {"zone": "raw"}})
    assert found.usage == Usage(0, 0, 0, 0, None)
    assert found.monthly_usd == 0
    assert found.not_priced.total() == 1


def test_the_breakdown_adds_up_by_layer_and_by_type():
    found = ledger("aws")
    found.note("foundation", "aws:kms/key:Key", "key", {})
    found.note("foundation", "aws:iam/role:Role", "role", {})
    found.note("monitoring", "aws:cloudwatch/metricAlarm:MetricAlarm", "one", {})
    found.note("monitoring", "aws:cloudwatch/metricAlarm:MetricAlarm", "two", {})
    told = found.outputs(10)
    assert told["layers"] == {"foundation": 1.0, "monitoring": 0.2}
    assert told["types"] == {"aws:kms/key:Key": 1.0, "aws:cloudwatch/metricAlarm:MetricAlarm": 0.2}
    assert told["priced"] == {"types": 2, "resources": 3}
    assert told["free"] == {"types": 1, "resources": 1}
    assert (told["monthlyUsd"], told["budgetUsd"]) == (1, 10)


def test_a_budget_that_does_not_carry_the_estimate_is_a_warning_with_what_costs_most():
    found = ledger("gcp")
    found.note("features", "gcp:bigtable/instance:Instance", "windows", {"clusters": [{"num_nodes": 2}]})
    found.note("foundation", "gcp:kms/cryptoKey:CryptoKey", "key", {})
    assert found.warning(1000) is None
    warning = found.warning(900)
    assert warning.startswith(
        "the estimate of 949 USD a month is over the budget of 900; most of it: windows (Instance)"
    )


def test_what_is_read_secondhand_is_told():
    found = ledger("gcp")
    found.note("features", "gcp:bigtable/instance:Instance", "windows", {"clusters": [{"num_nodes": 1}]})
    found.note("foundation", "gcp:dns/managedZone:ManagedZone", "zone", {})
    told = found.outputs(1000)
    assert told["secondhandUsd"] == round(730 * 0.65)
    assert told["prices"]["places"] == ["europe-west1, 2026-09-30", "us-central1, 2026-11-26"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_types_of_the_rules_are_those_of_the_sdk_and_none_is_named_twice(cloud):
    module, tokens = CLOUDS[cloud], set(schema.package(PACKAGES[cloud]).tokens)
    ours = {type_ for type_ in module.RULES if type_.startswith("pulumi-python:")}
    assert (module.RULES.keys() | module.BY_USE.keys()) - ours <= tokens
    assert not module.RULES.keys() & module.BY_USE.keys()
    for pattern in module.FREE:
        matched = {type_ for type_ in tokens if fnmatch.fnmatchcase(type_, pattern)}
        assert matched or pattern.startswith("pulumi-python:"), f"{pattern} matches nothing"
        assert not matched & (module.RULES.keys() | module.BY_USE.keys()), pattern


def test_a_platform_tells_what_it_costs_by_layer(build):
    built = build("aws", "credit_scoring")
    cost = built.platform.cost
    # Counted independently: each registered resource is in the breakdown once.
    custom = [found for found in built.resources if found.custom and not found.type.startswith("pulumi:")]
    told = [cost[part]["resources"] for part in ("priced", "free", "notPriced")]
    assert sum(told) + len(cost["undecided"]) == len(custom)
    assert cost["monthlyUsd"] == round(sum(cost["layers"].values()))
    interfaces = [found for found in built.of_type("aws:ec2/vpcEndpoint:VpcEndpoint") if found.inputs.get("subnetIds")]
    assert cost["types"]["aws:ec2/vpcEndpoint:VpcEndpoint"] == pytest.approx(len(interfaces) * 2 * 7.3)
