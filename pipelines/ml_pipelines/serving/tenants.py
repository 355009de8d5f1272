"""Tenants: who asks by a token that is verified, how often, and how many requests at a time.

A tenant is what the token says, never the body. Each has a bucket of its own for its rate and a bulkhead for what runs
at a time, so that one's flood is refused before its bodies are read.
"""

import asyncio
import base64
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt

from ml_pipelines.serving.refusal import FORBIDDEN, TOO_MANY, UNAUTHORISED, UNAVAILABLE, RefusedError
from ml_pipelines.serving.table import Tenant

log = logging.getLogger(__name__)

# Signatures of key pairs only: with a shared secret whoever verifies could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
REMEMBERED = 10_000
# A key that isn't known makes us ask the issuer again, but not for each forged token.
ASKED_AGAIN_SECONDS = 30.0
LEEWAY_SECONDS = 10
DAY_SECONDS = 86_400
_TIMEOUT_SECONDS = 5
_RIGHT = "`Authorization: Bearer` and a valid token of the issuer are right"


class Identities:
    """Verifies tokens by the issuer's public keys. `keys` is the URL of its JWKS, a file of it, or the JSON itself.

    A token that was verified is remembered until it ends.
    """

    def __init__(self, issuer: str, audience: str, keys: str, claim: str = "tenant"):
        self._issuer, self._audience, self._source, self._claim = issuer, audience, keys, claim
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def tenant(self, token: str | None) -> str:
        """The tenant's name. Raises RefusedError (401) for a token that is missing, forged, expired or for another."""
        if token is None:
            raise RefusedError(UNAUTHORISED, "authorization", "no token", _RIGHT)
        known = self._known.get(token)
        if known is not None and known[1] > time.time():
            return known[0]
        return await self._verified(token)

    async def _verified(self, token: str) -> str:
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header.get("kid", ""))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise RefusedError(UNAUTHORISED, "authorization", "a token that has expired", _RIGHT) from None
        except jwt.PyJWTError as error:
            found = f"a token that isn't valid ({type(error).__name__})"
            raise RefusedError(UNAUTHORISED, "authorization", found, _RIGHT) from None
        name = _claimed(claims, self._claim)
        self._known[token] = (name, float(claims["exp"]) + LEEWAY_SECONDS)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return name

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            # Whoever comes while the issuer is asked waits for its answer too.
            async with self._asking:
                if kid not in self._keys and time.monotonic() - self._asked_at > ASKED_AGAIN_SECONDS:
                    self._asked_at = time.monotonic()
                    await self._ask()
        if kid not in self._keys:
            if not self._keys:
                raise RefusedError(
                    UNAVAILABLE, "authorization", "no keys of the issuer now", "try again later", ASKED_AGAIN_SECONDS
                )
            raise jwt.InvalidKeyError("a key that the issuer doesn't have")
        return self._keys[kid]

    async def _ask(self) -> None:
        try:
            said = await asyncio.to_thread(self._read)
            keys = [jwt.PyJWK(key) for key in said["keys"] if key.get("use", "sig") == "sig" and key["kty"] != "oct"]
        except Exception as error:  # urllib's, JSON's and PyJWT's; the keys that are known go on to be used.
            log.error("%s: the issuer's keys can't be read: %s", self._source[:200], error)
            return
        self._keys = {key.key_id or "": key for key in keys}

    def _read(self) -> Mapping[str, Any]:
        if self._source.startswith("https://") or self._source.startswith("http://127.0.0.1"):
            return jwt.PyJWKClient(self._source, cache_jwk_set=False, timeout=_TIMEOUT_SECONDS).fetch_data()
        if self._source.startswith("{"):
            # Where a container reaches nothing, as with SageMaker's network isolation.
            return json.loads(self._source)
        return json.loads(Path(self._source).read_text(encoding="utf-8"))


def of_authorizer(event: Any) -> str:
    """The tenant in an event of API Gateway, whose Lambda authorizer has verified it. Raises RefusedError (401)."""
    try:
        name = event["requestContext"]["authorizer"]["tenant"]
    except (KeyError, TypeError):
        name = None
    if not isinstance(name, str) or not name:
        raise RefusedError(UNAUTHORISED, "authorization", "no tenant of the API's authorizer", _RIGHT)
    return name


class Told:
    """Claims that Google's API Gateway hands on of a token whose signature it has verified.

    Nobody but the gateway may reach the service then. Issuer, audience and time are looked at once more.
    https://cloud.google.com/api-gateway/docs/authenticating-users-jwt
    """

    def __init__(self, issuer: str, audience: str, claim: str):
        self._issuer, self._audience, self._claim = issuer, audience, claim

    def tenant(self, said: Sequence[str]) -> str:
        """The tenant's name, of the headers that there are, one of which is right. Raises RefusedError (401, 403)."""
        try:
            (encoded,) = said
            claims = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
            audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
            good = claims["iss"] == self._issuer and self._audience in audience
            good = good and float(claims["exp"]) + LEEWAY_SECONDS > time.time()
        except (ValueError, KeyError, TypeError, RecursionError):
            good, claims = False, {}
        if not good:
            raise RefusedError(UNAUTHORISED, "authorization", "no valid claims of the API's gateway", _RIGHT)
        return _claimed(claims, self._claim)


def _claimed(claims: Mapping[str, Any], claim: str) -> str:
    name = claims.get(claim)
    if not isinstance(name, str) or not name:
        found = f"a token without the claim `{claim}`"
        raise RefusedError(FORBIDDEN, "authorization", found, "a token of a tenant is right")
    return name


class Gate:
    """One tenant's rate and bulkhead, or this process's share of them."""

    __slots__ = ("_at", "_burst", "_day", "_left", "_quota", "_rate", "_tokens", "concurrency", "running", "tenant")

    def __init__(self, tenant: Tenant, share: float = 1.0):
        self.tenant, self._rate = tenant, tenant.requests_per_second * share
        self._burst = max(1.0, self._rate)
        self._quota = None if tenant.requests_per_day is None else tenant.requests_per_day * share
        self._day, self._left = -1.0, 0.0
        self._tokens, self._at = self._burst, time.monotonic()
        self.concurrency, self.running = max(1, round(tenant.concurrency * share)), 0

    def enter(self) -> None:
        """Take a request in; `leave` when it is done. Raises RefusedError (429) beyond rate, bulkhead or quota."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            wait = (1 - self._tokens) / self._rate if self._rate else 60.0
            right = f"{self.tenant.requests_per_second:g} requests a second are yours"
            raise RefusedError(TOO_MANY, "tenant", "more requests than its rate", right, wait)
        if self.running >= self.concurrency:
            right = f"{self.concurrency} at a time are yours"
            raise RefusedError(TOO_MANY, "tenant", "more requests at a time than it may", right, 0.1)
        if self._quota is not None:
            self._take_of_quota(self._quota)
        self._tokens -= 1
        self.running += 1

    def _take_of_quota(self, quota: float) -> None:
        """Count a request of the day, in UTC. Raises RefusedError where none is left."""
        day, passed = divmod(time.time(), DAY_SECONDS)
        if day != self._day:
            self._day, self._left = day, quota
        if self._left < 1:
            right = f"{self.tenant.requests_per_day:g} requests a day are yours"
            raise RefusedError(TOO_MANY, "tenant", "more requests than its quota", right, DAY_SECONDS - passed)
        self._left -= 1

    def charge(self, rows: int) -> None:
        """Count what a request asks for beyond its first row; what is owed is waited for by the requests after it."""
        self._tokens -= rows
        self._left -= rows

    def leave(self) -> None:
        """A request is done."""
        self.running -= 1


class Gates:
    """The gates of all tenants. A new table keeps what each has asked and is at."""

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._gates: dict[str, Gate] = {}

    def take(self, tenants: Mapping[str, Tenant]) -> None:
        """Have these tenants from now on."""
        self._gates = {
            name: there if (there := self._gates.get(name)) and there.tenant == tenant else Gate(tenant, self._share)
            for name, tenant in tenants.items()
        }

    def of(self, name: str) -> Gate:
        """The gate of a tenant. Raises RefusedError (403) for one that isn't known here."""
        gate = self._gates.get(name)
        if gate is None:
            raise RefusedError(
                FORBIDDEN, "authorization", "a tenant that isn't known here", "a token of a tenant is right"
            )
        return gate
