"""Functions outside of the network: one that verifies tokens for an API may be there, and no other."""

import pytest
from ml_policies.checks import Wrong
from ml_policies.evaluation import Evaluator
from ml_policies.resource import Resource, Stack
from ml_policies.rules import RULES

NETWORK = {"vpcConfig": {"subnetIds": ["subnet-1"]}}
AUTHORIZER = Resource(
    "aws:apigateway/authorizer:Authorizer", "tenants", "urn:tenants", {}, depends_on=frozenset({"urn:verifier"})
)
# It needs the verifier through the authorizer alone.
METHOD = Resource("aws:apigateway/method:Method", "ask", "urn:ask", {}, depends_on=frozenset({"urn:tenants"}))


def function(name, properties):
    return Resource("aws:lambda/function:Function", name, f"urn:{name}", properties)


@pytest.mark.parametrize(
    ("resources", "wrong"),
    [
        ([function("verifier", {}), AUTHORIZER], []),
        ([function("verifier", {})], ["verifier"]),
        ([function("router", {}), function("verifier", {}), AUTHORIZER, METHOD], ["router"]),
        ([function("router", NETWORK), function("verifier", {}), AUTHORIZER, METHOD], []),
    ],
)
def test_only_a_function_that_authorizes_is_outside_of_the_network(resources, wrong):
    found = Evaluator([RULES["MLB-NET-017"]]).stack(Stack(tuple(resources)))
    assert [one.resource.name for one in found] == wrong
    assert all(isinstance(one.result, Wrong) for one in found)
