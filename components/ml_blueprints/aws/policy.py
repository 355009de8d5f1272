"""IAM policy documents: statements as data, and the documents that hold them."""

from collections.abc import Sequence
from typing import Any

import pulumi

Statement = dict[str, Any]


def allow(actions: Sequence[str], resources: Sequence[pulumi.Input[str]], **conditions: Any) -> Statement:
    """A statement that allows actions on resources; conditions by operator, such as `StringEquals={...}`."""
    statement: Statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement | ({"Condition": conditions} if conditions else {})


def allow_service(
    services: Sequence[pulumi.Input[str]], actions: Sequence[str], resource: pulumi.Input[str], **conditions: Any
) -> Statement:
    """A statement of a resource's own policy that lets services act on it."""
    principal = {"Principal": {"Service": list(services)}}
    return allow(actions, [resource], **conditions) | principal


def trust(services: Sequence[str], account: pulumi.Input[str], named: bool = False) -> pulumi.Output[str]:
    """Who may assume a role: these services, on behalf of this account only (no confused deputy).

    named: they say for whom (`aws:SourceIdentity`), which then holds for all that is done.
    """
    return document(
        {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"] if named else "sts:AssumeRole",
            "Principal": {"Service": list(services)},
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
    )


def others(ids: Sequence[str], actions: Sequence[str], *resources: pulumi.Input[str], **conditions: Any) -> Statement:
    """A statement of a resource's own policy that lets other accounts act; who of theirs it is, they say by IAM.

    Without resources it is for the one whose policy it is, where that can be left out.
    """
    statement = allow(actions, resources, **conditions)
    if not resources:
        del statement["Resource"]
    principal = {"Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in ids]}}
    return statement | principal


def deny_insecure_transport(action: str, resource: pulumi.Input[str]) -> Statement:
    """A statement of a bucket's or queue's policy that refuses requests without TLS."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": [resource, pulumi.Output.concat(resource, "/*")] if action.startswith("s3:") else [resource],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def document(*statements: Statement) -> pulumi.Output[str]:
    """A policy document as JSON."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})
