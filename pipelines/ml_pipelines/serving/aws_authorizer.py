"""Lets tenants into an API of API Gateway: `ml_pipelines.serving.aws_authorizer.handle`, a Lambda authorizer.

The token is verified by the same code as in the service. The answer is a policy for this API alone, the tenant's name,
and the key of its usage plan, by which API Gateway holds its rate and its quota (`apiKeySource` is `AUTHORIZER`).
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ml_pipelines.serving.refusal import UNAVAILABLE, RefusedError
from ml_pipelines.serving.settings import Issuer, SettingError
from ml_pipelines.serving.tenants import Identities

log = logging.getLogger(__name__)

# A policy's language has versions, of which this is the newest.
_POLICY = "2012-10-17"


class UnauthorizedError(Exception):
    """API Gateway answers 401 where the message is this word."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


@lru_cache(maxsize=1)
def _identities() -> Identities:
    issuer = Issuer.read()
    if issuer is None:
        raise SettingError("TOKEN_ISSUER: found nothing; tenants are known by tokens, whose issuer is to be named")
    return Identities(issuer.issuer, issuer.audience, issuer.keys, issuer.claim)


@lru_cache(maxsize=1)
def _api_keys() -> Mapping[str, str]:
    """The keys of usage plans by tenant. Raises SettingError."""
    try:
        keys = json.loads(os.environ.get("API_KEYS", ""))
    except ValueError as error:
        raise SettingError(f"API_KEYS: isn't JSON: {error}") from error
    if not isinstance(keys, dict) or not keys or not all(isinstance(key, str) and key for key in keys.values()):
        raise SettingError("API_KEYS: an object of keys by tenant is right")
    return keys


def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """The policy of whoever asks, by the token alone (TOKEN), or by a request with its headers (REQUEST).

    Raises UnauthorizedError without a token that is valid. A tenant that isn't known is denied by its policy.
    """
    keys, resource = _api_keys(), _whole_stage(event["methodArn"])
    try:
        tenant = asyncio.run(_identities().tenant(_token(event)))
    except RefusedError as error:
        log.warning("a request isn't let in: %s", error)
        if error.status == UNAVAILABLE:
            raise
        raise UnauthorizedError from None
    allowed = tenant in keys
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if allowed else "Deny",
        "Resource": resource,
    }
    return {
        "principalId": tenant,
        "policyDocument": {"Version": _POLICY, "Statement": [statement]},
        **({"context": {"tenant": tenant}, "usageIdentifierKey": keys[tenant]} if allowed else {}),
    }


def _token(event: Mapping[str, Any]) -> str | None:
    said = event.get("authorizationToken")
    if said is None:
        headers = event.get("headers") or {}
        said = next((value for name, value in headers.items() if name.lower() == "authorization"), None)
    kind, _, token = (said or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def _whole_stage(method: str) -> str:
    """All methods of the stage: API Gateway keeps the policy for a while, and for whatever is asked with this token."""
    api, stage, *_ = method.split("/")
    return f"{api}/{stage}/*"
