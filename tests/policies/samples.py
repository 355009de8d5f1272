"""A few rules and a stack that meets, breaks and leaves open each of them, for tests of what is made of findings."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ml_policies.checks import Result, Wrong, allowed, equals, present
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rule import Parameter, Rule, Severity

TODAY = date(2026, 6, 1)
BUCKET = "aws:s3/bucket:Bucket"
QUEUE = "aws:sqs/queue:Queue"
TOPIC = "aws:sns/topic:Topic"
NAMES = {"type": "array", "items": {"type": "string"}}


def has_dependent(resource: Resource, stack: Stack, _: Mapping[str, Any]) -> Iterator[Result]:
    """Something in the stack depends on a resource."""
    if not any(stack.dependents(resource)):
        yield Wrong("", None, "something that reads it")


KEY = Rule(
    "MLB-ENC-001",
    "A bucket has a key.",
    Severity.HIGH,
    "Give it a key.",
    checks={BUCKET: present("key"), QUEUE: present("key")},
    references=("checkov:CKV_AWS_1",),
)
PUBLIC = Rule(
    "MLB-NET-001",
    "Nothing is public.",
    Severity.CRITICAL,
    "Take the grant away.",
    checks={BUCKET: equals("public", False, default=False)},
    exemptible=False,
)
REGION = Rule(
    "MLB-NET-002",
    "Data stays where it may be.",
    Severity.LOW,
    "Move it.",
    checks={BUCKET: allowed("region", "regions")},
    parameters={
        "regions": Parameter([], NAMES, "Where data may be."),
        "days": Parameter(3, {"type": "integer", "minimum": 1}, "For how long."),
    },
)
READ = Rule(
    "MLB-DAT-001",
    "A queue is read.",
    Severity.MEDIUM,
    "Read it.",
    relations={QUEUE: has_dependent},
)
SCANNED = Rule(
    "MLB-SUP-001",
    "A topic has a schema.",
    Severity.HIGH,
    "Give it one.",
    checks={TOPIC: present("schema")},
)
RULES = {rule.id: rule for rule in (KEY, PUBLIC, REGION, READ, SCANNED)}


def resource(type_: str, name: str, **properties: Any) -> Resource:
    """A resource of the stack."""
    return Resource(type_, name, f"urn:pulumi:prod::shop::{type_}::{name}", properties)


# MLB-ENC-001: `bare` breaks it, `open` leaves it open. MLB-NET-001: `bare` breaks it. MLB-NET-002: passes while nothing
# is configured. MLB-DAT-001: `jobs` breaks it. MLB-SUP-001: nothing of its type.
STACK = Stack(
    (
        resource(BUCKET, "good", key="k", region="eu-west-1"),
        resource(BUCKET, "bare", public=True, region="us-east-1"),
        resource(BUCKET, "open", key=UNKNOWN, region="eu-west-1"),
        resource(QUEUE, "jobs", key="k"),
    )
)


def exemption(**changes: Any) -> dict[str, Any]:
    """An exemption as a configuration holds it; a change of None takes a field away."""
    whole = {
        "rule": "MLB-ENC-001",
        "urn": "*::bare",
        "owner": "ml-platform",
        "reason": "Moves in May.",
        "ticket": "ML-1",
        "expires": "2026-12-31",
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}
