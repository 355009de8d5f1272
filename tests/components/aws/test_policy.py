"""Policy documents: what is allowed to whom, under which conditions, and TLS for buckets and queues."""

import json

import pulumi
import pytest
from ml_blueprints.aws import policy


@pytest.fixture
def resolved(run_program):
    """The statements of a document; a program makes it, and they are looked at when it has ended."""

    def resolve(make) -> list[dict]:
        documents: list[str] = []
        run_program("aws", lambda _: pulumi.export("document", make().apply(documents.append)))
        (text,) = documents
        content = json.loads(text)
        assert content["Version"] == "2012-10-17"
        return content["Statement"]

    return resolve


def test_a_statement_without_conditions_has_no_condition():
    assert policy.allow(("s3:GetObject",), ["arn:aws:s3:::b/*"]) == {
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::b/*"],
    }


def test_conditions_are_given_by_operator():
    statement = policy.allow(["iam:PassRole"], ["r"], StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"})
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_a_resources_own_policy_names_the_services():
    statement = policy.allow_service(["events.amazonaws.com"], ["sns:Publish"], "t", StringEquals={"k": "v"})
    assert statement["Principal"] == {"Service": ["events.amazonaws.com"]}
    assert statement["Resource"] == ["t"]
    assert statement["Condition"] == {"StringEquals": {"k": "v"}}


def test_services_assume_a_role_for_the_account_only(resolved):
    assert resolved(lambda: policy.trust(("lambda.amazonaws.com",), pulumi.Output.from_input("123456789012"))) == [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["lambda.amazonaws.com"]},
            "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        }
    ]


@pytest.mark.parametrize(
    ("action", "covered"), [("s3:*", ["arn:x", "arn:x/*"]), ("sqs:*", ["arn:x"])], ids=["bucket", "queue"]
)
def test_requests_without_tls_are_refused_for_the_thing_and_what_is_in_it(resolved, action, covered):
    (statement,) = resolved(lambda: policy.document(policy.deny_insecure_transport(action, "arn:x")))
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", action)
    assert statement["Resource"] == covered
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
