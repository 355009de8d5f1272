"""Private endpoints are asked for where something in the stack would use them."""

from ml_policies.evaluation import Evaluator
from ml_policies.resource import Resource, Stack
from ml_policies.rules import RULES

ENDPOINTS = "MLB-NET-019"


def resource(type_, name, **properties):
    return Resource(type_, name, f"urn:pulumi:cases::ml-policies::{type_}::{name}", properties)


def lacking(*resources):
    """The names of what lacks an endpoint in a stack of some resources."""
    return [found.resource.name for found in Evaluator([RULES[ENDPOINTS]]).everything(Stack(resources))]


ACCOUNT = resource("azure-native:storage:StorageAccount", "account", accountName="flows")
FLOW_LOG = resource("azure-native:network:FlowLog", "log", storageId="/storageAccounts/flows")
CONTAINER = resource("azure-native:storage:BlobContainer", "container", accountName="flows")
BUCKET = resource("aws:s3/bucket:Bucket", "bucket", bucket="models")
NETWORK = resource("aws:ec2/vpc:Vpc", "network", cidrBlock="10.0.0.0/16")


def test_an_account_for_flow_logs_only_needs_none():
    assert lacking(ACCOUNT) == ["account"]
    assert lacking(ACCOUNT, FLOW_LOG) == []
    assert lacking(ACCOUNT, FLOW_LOG, CONTAINER) == ["account"]


def test_a_stack_of_aws_without_a_network_needs_none():
    assert lacking(BUCKET) == []
    assert lacking(BUCKET, NETWORK) == ["bucket"]


def test_an_endpoint_of_another_service_is_none():
    for service, missing in (("s3", []), ("s3express", ["bucket"]), ("kms", ["bucket"]), ("", ["bucket"])):
        endpoint = resource(
            "aws:ec2/vpcEndpoint:VpcEndpoint", "endpoint", serviceName=f"com.amazonaws.eu-west-1.{service}"
        )
        assert lacking(BUCKET, NETWORK, endpoint) == missing
