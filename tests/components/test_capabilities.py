"""Capabilities: what realises each on every cloud, what a workload asks for, and the record of what a stack has."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ml_blueprints.capabilities import CAPABILITIES, VERTEX_DEPLOYMENT, Layer, Register, asked_by, described
from ml_blueprints.workload import Workload
from sandbox import schema

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"
PACKAGES = {"aws": "aws", "gcp": "gcp", "azure": "azure-native"}


@pytest.mark.parametrize("capability", CAPABILITIES.values(), ids=lambda capability: capability.id)
@pytest.mark.parametrize("cloud", PACKAGES)
def test_each_capability_is_realised_on_each_cloud_by_types_that_its_sdk_has(cloud, capability):
    types = capability.realised_by(cloud)
    assert types
    assert set(types) - {VERTEX_DEPLOYMENT} <= set(schema.package(PACKAGES[cloud]).tokens)


@pytest.mark.parametrize("capability", CAPABILITIES.values(), ids=lambda capability: capability.id)
def test_each_capability_is_told_in_sentences(capability):
    assert capability.sentence[0].isupper()
    assert capability.sentence.endswith(".")
    assert not capability.note or capability.note.endswith(".")


def test_capabilities_are_listed_once_and_in_the_order_of_the_layers():
    order = list(Layer)
    positions = [order.index(capability.layer) for capability in CAPABILITIES.values()]
    assert positions == sorted(positions)
    assert set(positions) == set(range(len(order)))
    assert all(name == capability.id for name, capability in CAPABILITIES.items())


def test_where_another_layer_makes_what_realises_a_capability_its_note_says_so():
    elsewhere = {
        (capability.id, cloud): capability.made_in(cloud)
        for capability in CAPABILITIES.values()
        for cloud in PACKAGES
        if capability.made_in(cloud) is not capability.layer
    }
    assert elsewhere == {
        ("image-registry", "azure"): Layer.DATA,
        ("experiment-tracking", "azure"): Layer.DATA,
        ("stream-archive", "aws"): Layer.SERVING,
        ("audit-trail", "azure"): Layer.DATA,
    }
    for (capability, _), layer in elsewhere.items():
        assert f"{layer} layer" in CAPABILITIES[capability].note


ALWAYS = {
    *("private-network", "private-service-access", "flow-logs", "customer-managed-key", "identity-per-purpose"),
    *("central-logs", "data-lake", "data-catalog", "schema-registry", "offline-features", "model-registry"),
    *("image-registry", "experiment-tracking", "training-pipeline", "alerts", "alarms", "drift-detection"),
    *("retraining-trigger", "budget", "federated-deployment", "feature-engineering"),
    *("retraining-pipeline", "model-signing", "workbench"),
    *("silence", "usage", "model-quality", "dashboard", "audit-trail", "state-backend"),
    "stack-deployment",
}
LIVE = {
    *("stream-ingest", "stream-archive", "dead-letters", "online-features", "window-state", "feature-updates"),
    *("real-time-scoring", "autoscaling", "error-budget"),
}


REQUESTS = {"router", "canary", "automatic-rollback"}
TENANTS = {"api", "tenant-quotas"}


@pytest.mark.parametrize(
    ("stem", "more"),
    [
        ("churn", {"batch-scoring"}),
        ("credit_scoring", {"batch-scoring"}),
        ("delivery_eta", {*LIVE, *REQUESTS, *TENANTS, "batch-scoring", "dedicated-placement"}),
        ("demand_forecasting", {"batch-scoring"}),
        ("fraud_detection", {*LIVE, "stream-scoring", "decision-stream", "shadow"}),
        ("personalization", {*LIVE, *REQUESTS, *TENANTS, "stream-scoring", "decision-stream"}),
    ],
)
def test_architecture_and_workload_say_which_capabilities_are_asked_for(stem, more):
    workload = Workload.load(WORKLOADS / f"{stem}.yaml")
    assert asked_by(workload.architecture, workload) == ALWAYS | more


def test_outcomes_are_looked_at_where_they_come():
    workload = Workload.load(WORKLOADS / "churn.yaml")
    feedback = workload.monitoring.feedback.model_copy(update={"labels_within_days": None})
    without = workload.monitoring.model_copy(update={"feedback": feedback})
    asked = asked_by(workload.architecture, workload.model_copy(update={"monitoring": without}))
    assert asked_by(workload.architecture, workload) - asked == {"model-quality"}


@pytest.fixture
def in_program(run_program: Callable) -> Callable:
    """Run something on AWS that needs a running Pulumi program, and return what it returns."""

    def run(act: Callable[[], Any]) -> Any:
        returned: list[Any] = []
        run_program("aws", lambda _: returned.append(act()))
        return returned[0]

    return run


def register(*asked: str) -> Register:
    return Register("aws", frozenset(asked))


def test_a_resource_of_a_listed_type_realises_a_capability(in_program):
    def act():
        kept = register("customer-managed-key")
        key = aws.kms.Key("key")
        kept.realise("customer-managed-key", key)
        kept.realise("customer-managed-key", aws.kms.Key("second"))
        return kept, key

    kept, key = in_program(act)
    assert kept.realised["customer-managed-key"][0] is key
    assert len(kept.realised["customer-managed-key"]) == 2
    assert kept.missing() == frozenset()


def test_a_resource_of_another_type_is_refused_and_not_kept(in_program):
    kept = register("customer-managed-key")

    def act():
        with pytest.raises(ValueError, match="customer-managed-key") as refused:
            kept.realise("customer-managed-key", aws.sqs.Queue("queue"))
        return str(refused.value)

    assert in_program(act) == (
        "capability customer-managed-key is realised on aws by aws:kms/key:Key, not by aws:sqs/queue:Queue"
    )
    assert kept.missing() == {"customer-managed-key"}


def test_one_of_the_types_of_another_cloud_is_refused(in_program):
    kept = replace(register("customer-managed-key"), cloud="gcp")

    def act():
        with pytest.raises(ValueError, match="on gcp by gcp:kms/cryptoKey:CryptoKey, not by aws:kms/key:Key"):
            kept.realise("customer-managed-key", aws.kms.Key("key"))
        return True

    assert in_program(act)


def test_a_capability_is_not_realised_by_nothing():
    with pytest.raises(ValueError, match="budget is realised by at least one resource; none was given"):
        register("budget").realise("budget")


def test_an_unknown_capability_is_refused():
    with pytest.raises(KeyError, match="teleport"):
        register().brought("teleport")
    with pytest.raises(KeyError, match="teleport"):
        register().realise("teleport")


def test_what_has_no_resource_and_is_not_brought_along_is_missing():
    kept = register("customer-managed-key", "private-network", "budget")
    kept.brought("private-network")
    assert kept.missing() == {"customer-managed-key", "budget"}
    assert kept.outputs() == {}


def test_a_stack_tells_the_urns_of_what_realises_its_capabilities(in_program):
    found = {}

    def act():
        kept = register("customer-managed-key", "alarms")
        key, other = aws.kms.Key("key"), aws.kms.Key("other")
        kept.realise("customer-managed-key", key, other)
        outputs = kept.outputs()
        pulumi.Output.all(key.urn, other.urn, *outputs["customer-managed-key"]).apply(
            lambda urns: found.update({"expected": urns[:2], "told": urns[2:]})
        )
        return outputs

    assert list(in_program(act)) == ["customer-managed-key"]
    assert found["told"] == found["expected"]
    assert found["told"][0].endswith("::key")


def test_capabilities_are_described_in_the_order_of_the_layers():
    assert described({"budget", "data-lake"}) == [
        "data-lake: Raw, curated and feature data lie in separate zones, versioned and not public.",
        "budget: Spending beyond the budget is reported before the month ends.",
    ]
