"""APIs in front of models: how often they may be called, by whom how much, and what they refuse."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from ml_policies.checks import Check, all_of, any_of, equals, judged, mentions, one_of, present
from ml_policies.relations import anywhere, dependents, either, naming, related
from ml_policies.resource import MISSING
from ml_policies.rule import Rule, Severity

METHOD = "aws:apigateway/method:Method"
METHOD_SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
REQUEST_VALIDATOR = "aws:apigateway/requestValidator:RequestValidator"
STAGE = "aws:apigatewayv2/stage:Stage"
USAGE_PLAN = "aws:apigateway/usagePlan:UsagePlan"
API_CONFIG = "gcp:apigateway/apiConfig:ApiConfig"
API_PRODUCT = "gcp:apigee/apiProduct:ApiProduct"
API = "azure-native:apimanagement:Api"
API_POLICY = "azure-native:apimanagement:ApiPolicy"
SERVICE_POLICY = "azure-native:apimanagement:Policy"
PRODUCT = "azure-native:apimanagement:Product"
PRODUCT_POLICY = "azure-native:apimanagement:ProductPolicy"
REST_STAGE = "aws:apigateway/stage:Stage"
FIREWALL_OF = "aws:wafv2/webAclAssociation:WebAclAssociation"
BACKEND = "gcp:compute/backendService:BackendService"
APPLICATION_GATEWAY = "azure-native:network:ApplicationGateway"


def above_zero(path: str, default: Any = MISSING, source: str = "") -> Check:
    """A number that is greater than zero, which often stands for no limit."""

    def wrong(value: Any, _: Mapping[str, Any]) -> str | None:
        try:
            return None if float(value) > 0 else "a limit above 0"
        except (TypeError, ValueError):
            return "a limit above 0"

    return judged(path, wrong, default, source)


def document_with(path: str, pattern: str, words: str) -> Check:
    """The documents at a path, in Base64, have what a regular expression looks for."""
    compiled = re.compile(pattern)

    def wrong(value: Any, _: Mapping[str, Any]) -> str | None:
        try:
            text = base64.b64decode(value, validate=True).decode() if isinstance(value, str) else ""
        except (binascii.Error, UnicodeDecodeError):
            text = str(value)
        return None if compiled.search(text) else words

    return judged(path, wrong)


policies_of_api = either(dependents(API_POLICY), naming(API_POLICY, "apiId", "apiId"), anywhere(SERVICE_POLICY))
_policies_of_product = either(dependents(PRODUCT_POLICY), naming(PRODUCT_POLICY, "productId", "productId"))
_UNLIMITED = "nothing limits how often it may be called"
_NO_QUOTA = "nothing limits what one customer may use"

RULES = (
    Rule(
        "MLB-SRV-003",
        "An API in front of a model limits how often it is called.",
        Severity.MEDIUM,
        "Set a rate and a burst for the stage, a quota in the API's document, or a rate-limit policy.",
        checks={
            METHOD_SETTINGS: all_of(
                above_zero(
                    "settings.throttlingRateLimit",
                    -1,
                    "https://www.pulumi.com/registry/packages/aws/api-docs/apigateway/methodsettings/",
                ),
                above_zero(
                    "settings.throttlingBurstLimit",
                    -1,
                    "https://www.pulumi.com/registry/packages/aws/api-docs/apigateway/methodsettings/",
                ),
            ),
            STAGE: all_of(
                above_zero("defaultRouteSettings.throttlingRateLimit"),
                above_zero("defaultRouteSettings.throttlingBurstLimit"),
            ),
            # https://cloud.google.com/api-gateway/docs/quotas-overview
            API_CONFIG: document_with(
                "openapiDocuments[].document.contents", r"x-google-quota", "a quota (x-google-quota)"
            ),
        },
        relations={
            API: related(
                policies_of_api, _UNLIMITED, mentions("value", r"<(rate-limit|llm-token-limit|quota)", "a limit")
            ),
        },
    ),
    Rule(
        "MLB-SRV-004",
        "Every customer of an API has a quota of its own.",
        Severity.MEDIUM,
        "Give each usage plan or product a quota and a rate.",
        checks={
            USAGE_PLAN: all_of(above_zero("quotaSettings.limit"), above_zero("throttleSettings.rateLimit")),
            API_PRODUCT: all_of(above_zero("quota"), present("quotaInterval"), present("quotaTimeUnit")),
            PRODUCT: equals(
                "subscriptionRequired",
                True,
                True,
                "https://learn.microsoft.com/azure/templates/microsoft.apimanagement/service/products",
            ),
        },
        relations={
            PRODUCT: related(
                _policies_of_product, _NO_QUOTA, mentions("value", r"<(quota|llm-token-limit|rate-limit)", "a quota")
            ),
        },
    ),
    Rule(
        "MLB-SRV-005",
        "An API in front of a model refuses requests that are not what it asks for.",
        Severity.LOW,
        "Validate bodies and parameters of requests before they reach the model.",
        checks={
            METHOD: any_of(present("requestValidatorId"), one_of("httpMethod", ("OPTIONS", "GET", "HEAD"))),
            REQUEST_VALIDATOR: any_of(
                *(
                    equals(
                        f"validateRequest{part}",
                        True,
                        False,
                        "https://www.pulumi.com/registry/packages/aws/api-docs/apigateway/requestvalidator/",
                    )
                    for part in ("Body", "Parameters")
                )
            ),
        },
        relations={
            API: related(
                policies_of_api,
                "nothing checks what it is asked",
                mentions("value", r"<validate-(content|parameters)", "a policy that validates"),
            ),
        },
        missing={"gcp": "API Gateway checks no bodies, and what Apigee checks lies inside of the bundle of a proxy."},
        references=("checkov:CKV2_AWS_53",),
    ),
    Rule(
        "MLB-SRV-009",
        "A web application firewall looks at what an API is asked.",
        Severity.MEDIUM,
        "Associate a web ACL with the stage, or give the load balancer in front a firewall's policy.",
        checks={
            # https://cloud.google.com/armor/docs/security-policy-overview: policies are of what the internet reaches.
            BACKEND: any_of(
                present("securityPolicy"),
                one_of(
                    "loadBalancingScheme",
                    ("INTERNAL", "INTERNAL_MANAGED", "INTERNAL_SELF_MANAGED"),
                    "EXTERNAL",
                    "https://www.pulumi.com/registry/packages/gcp/api-docs/compute/backendservice/",
                ),
            ),
            # https://learn.microsoft.com/azure/web-application-firewall/ag/ag-overview
            APPLICATION_GATEWAY: any_of(
                present("firewallPolicy.id"), equals("webApplicationFirewallConfiguration.enabled", True)
            ),
        },
        relations={
            REST_STAGE: related(
                either(dependents(FIREWALL_OF), naming(FIREWALL_OF, "resourceArn", "arn")),
                "no web ACL is associated with it",
                present("webAclArn"),
            ),
        },
        references=("checkov:CKV2_AWS_29", "checkov:CKV_AZURE_120"),
    ),
)
