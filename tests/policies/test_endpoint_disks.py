"""MLB-ENC-001 asks an endpoint for a key where SageMaker takes one: not where an instance has disks of its own."""

import pytest
from ml_policies.evaluation import Evaluator
from ml_policies.resource import UNKNOWN, Resource
from ml_policies.rules import RULES

TYPE = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"


def found(*instances: object) -> list[bool]:
    """For an endpoint on these instances without a key: whether each finding is undecided."""
    variants = [{"variantName": f"variant-{number}", "instanceType": kind} for number, kind in enumerate(instances)]
    endpoint = Resource(TYPE, "endpoint", f"urn:pulumi:dev::test::{TYPE}::endpoint", {"productionVariants": variants})
    return [finding.undecided for finding in Evaluator([RULES["MLB-ENC-001"]]).resource(endpoint)]


@pytest.mark.parametrize(
    "instance", ["ml.m5.xlarge", "ml.c6i.large", "ml.t2.medium", "ml.inf2.xlarge", "ml.p3.2xlarge", None]
)
def test_without_local_disks_a_key_is_asked_for(instance):
    assert found(instance) == [False]


@pytest.mark.parametrize(
    "instance",
    ["ml.m5d.xlarge", "ml.g4dn.xlarge", "ml.c6gd.large", "ml.p4de.24xlarge", "ml.g5.xlarge", "ml.trn1n.32xlarge"],
)
def test_with_local_disks_none_is(instance):
    assert found(instance) == []
    assert found("ml.m5.xlarge", instance) == []


def test_an_instance_that_is_unknown_leaves_it_open():
    assert found(UNKNOWN) == [True]
