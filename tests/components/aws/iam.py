"""What policies of IAM let through: the part of its language that ours have, and no more.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

Request = tuple[str, str, Mapping[str, str | list[str]]]


@lru_cache(maxsize=8192)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."))


def _fits(patterns: str | list[str], text: str, lower: bool = False) -> bool:
    given = [patterns] if isinstance(patterns, str) else patterns
    return any(_pattern(one.lower() if lower else one).fullmatch(text.lower() if lower else text) for one in given)


def _holds(operator: str, wanted: str | list[str], value: str | list[str] | None) -> bool:
    values = [wanted] if isinstance(wanted, str) else wanted
    match operator:
        case "Null":
            return str(value is None).lower() in values
        case "StringEquals" | "Bool":
            return value in values
        case "StringNotEquals":
            return value not in values
        case "ForAnyValue:StringEquals":
            return any(one in values for one in value or [])
        case "ArnLike" | "StringLike" | "ArnEquals":
            return value is not None and _fits(values, str(value))
        case "ArnNotEquals":
            return value is None or not _fits(values, str(value))
        case "DateLessThanEquals":
            return value is not None and str(value) <= values[0]
    raise AssertionError(f"what {operator} means isn't known here")


def applies(statement: Mapping[str, Any], request: Request) -> bool:
    """Whether a statement is about a request: an action, the ARN of a resource, and what conditions look at."""
    action, resource, known = request
    about = (
        _fits(statement["Action"], action, lower=True)
        if "Action" in statement
        else not _fits(statement["NotAction"], action, lower=True)
    )
    on = (
        _fits(statement["Resource"], resource)
        if "Resource" in statement
        else not _fits(statement["NotResource"], resource)
    )
    tests = [
        (operator, value, known.get(key))
        for operator, keys in statement.get("Condition", {}).items()
        for key, value in keys.items()
    ]
    return about and on and all(_holds(*test) for test in tests)


@lru_cache(maxsize=1024)
def _statements(document: str) -> list[dict[str, Any]]:
    return json.loads(document)["Statement"]


def allowed(documents: Iterable[str], request: Request) -> bool:
    """Whether policies allow a request, and none denies it."""
    found = [one["Effect"] for text in documents for one in _statements(text) if applies(one, request)]
    return "Allow" in found and "Deny" not in found


def may(built: Any, role: str, request: Request) -> bool:
    """Whether the role of a logical name may do something, by its policies and within its boundary."""
    identity = built.named("aws:iam/role:Role", role)
    managed = {one.id: one.inputs["policy"] for one in built.of_type("aws:iam/policy:Policy")}
    attached = [
        managed[one.inputs["policyArn"]]
        for one in built.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if one.inputs["role"] == identity.id
    ]
    inline = [
        one.inputs["policy"]
        for one in built.of_type("aws:iam/rolePolicy:RolePolicy")
        if one.inputs["role"] == identity.id
    ]
    boundary = managed[identity.inputs["permissionsBoundary"]]
    return allowed([*attached, *inline], request) and allowed([boundary], request)
