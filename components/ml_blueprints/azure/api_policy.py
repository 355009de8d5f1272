"""What the gateway does with each request of a tenant, as the documents of API Management's policies.

A tenant is known by its token and by nothing else. API Management's own quotas of products hang on keys of
subscriptions, long-lived secrets beside the token, which whoever holds one could use with any token. So rates and
quotas are counted by the tenant that the token names
(https://learn.microsoft.com/azure/api-management/quota-by-key-policy). What a document holds, in which order:
https://learn.microsoft.com/azure/api-management/api-management-policies.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ml_blueprints.azure import facts
from ml_blueprints.settings import Tokens
from ml_blueprints.workload import Tenant

SECONDS_PER_DAY = 86_400

# Where the verified token, and the tenant that it names, are while a request is on its way.
_TOKEN, _TENANT = "token", "tenant"


def of_requests(tokens: Tokens, tenants: Sequence[Tenant], identity: str) -> str:
    """Verify the token, hold its tenant to rate and quota, check the body, and go on to the router.

    The router lets the gateway alone in, by its identity (its client id), and verifies the tenant's token again.
    """
    policies, inbound = _document()
    _verify(inbound, tokens, tenants)
    SubElement(
        inbound,
        "set-variable",
        name=_TENANT,
        value=f'@(((Jwt)context.Variables["{_TOKEN}"]).Claims.GetValueOrDefault("{tokens.claim}", ""))',
    )
    choose = SubElement(inbound, "choose")
    for tenant in tenants:
        _hold(choose, tenant)
    validate = SubElement(
        inbound,
        "validate-content",
        {
            "unspecified-content-type-action": "prevent",
            "max-size": str(facts.API_BODY_BYTES),
            "size-exceeded-action": "prevent",
            "errors-variable-name": "wrong",
        },
    )
    SubElement(validate, "content", {"type": "application/json", "validate-as": "json", "action": "prevent"})
    header = SubElement(inbound, "set-header", {"name": "X-Forwarded-Authorization", "exists-action": "override"})
    SubElement(header, "value").text = '@(context.Request.Headers.GetValueOrDefault("Authorization", ""))'
    SubElement(inbound, "authentication-managed-identity", {"resource": facts.SCORING_AUDIENCE, "client-id": identity})
    return _text(policies)


def _document() -> tuple[Element, Element]:
    """A document that does what is done anyway, and its part for what comes in."""
    policies = Element("policies")
    for part in ("inbound", "backend", "outbound", "on-error"):
        SubElement(SubElement(policies, part), "base")
    return policies, policies[0]


def _verify(inbound: Element, tokens: Tokens, tenants: Sequence[Tenant]) -> None:
    verify = SubElement(
        inbound,
        "validate-jwt",
        {
            "header-name": "Authorization",
            "require-scheme": "Bearer",
            "require-expiration-time": "true",
            "require-signed-tokens": "true",
            "failed-validation-httpcode": "401",
            "failed-validation-error-message": "the token is missing, forged, expired, or of no tenant",
            "output-token-variable-name": _TOKEN,
        },
    )
    SubElement(verify, "openid-config", url=f"{tokens.issuer.rstrip('/')}/.well-known/openid-configuration")
    SubElement(SubElement(verify, "audiences"), "audience").text = tokens.audience
    SubElement(SubElement(verify, "issuers"), "issuer").text = tokens.issuer
    claim = SubElement(SubElement(verify, "required-claims"), "claim", name=tokens.claim, match="any")
    for tenant in tenants:
        SubElement(claim, "value").text = tenant.name


def _hold(choose: Element, tenant: Tenant) -> None:
    """A tenant's rate and quota; what it does doesn't count against another."""
    when = SubElement(choose, "when", condition=f'@((string)context.Variables["{_TENANT}"] == "{tenant.name}")')
    SubElement(
        when,
        "rate-limit-by-key",
        {"calls": str(tenant.requests_per_second), "renewal-period": "1", "counter-key": tenant.name},
    )
    if tenant.requests_per_day is not None:
        SubElement(
            when,
            "quota-by-key",
            {
                "calls": str(tenant.requests_per_day),
                "renewal-period": str(SECONDS_PER_DAY),
                "counter-key": tenant.name,
            },
        )


def _text(document: Element) -> str:
    indent(document)
    return tostring(document, encoding="unicode")
