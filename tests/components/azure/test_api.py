"""The API of tenants on Azure: where it is, who comes in, how much each may ask, and how it comes to the router."""

from xml.etree.ElementTree import fromstring

import pytest
from tests.components.conftest import ENTRA

APIM = "azure-native:apimanagement"
SERVICE = f"{APIM}:ApiManagementService"
ROUTER = "azure-native:app:ContainerApp"


@pytest.fixture
def inbound(hybrid):
    (policy,) = hybrid.of_type(f"{APIM}:ApiPolicy")
    assert policy.inputs["format"] == "xml"
    found = fromstring(policy.inputs["value"]).find("inbound")  # noqa: S314 (what we wrote)
    assert found is not None
    return found


def test_the_gateway_is_in_a_subnet_of_its_own_and_reached_from_the_network_alone(hybrid, by_id, named):
    (service,) = hybrid.of_type(SERVICE)
    assert service.inputs["virtualNetworkType"] == "Internal"
    assert by_id(hybrid, service.inputs["virtualNetworkConfiguration"]["subnetResourceId"]) == "Subnet api"
    record = named(hybrid, "azure-native:privatedns:PrivateRecordSet", "delivery-eta-api-host").inputs
    assert record["privateZoneName"] == f"{service.inputs['serviceName']}.azure-api.net"
    assert record["relativeRecordSetName"] == "@"
    group = named(hybrid, "azure-native:network:NetworkSecurityGroup", "delivery-eta-api").inputs
    opened = {rule["name"] for rule in group["securityRules"] if rule["sourceAddressPrefix"] == "Internet"}
    assert not opened
    denied = [rule for rule in group["securityRules"] if (rule["access"], rule["direction"]) == ("Deny", "Outbound")]
    assert [rule["destinationAddressPrefix"] for rule in denied] == ["Internet"]


@pytest.mark.parametrize(("environment", "tier"), [("production", "Premium"), ("staging", "Developer")])
def test_its_tier_is_one_that_can_be_in_a_network(once, environment, tier):
    (service,) = once("delivery_eta", environment=environment).of_type(SERVICE)
    assert service.inputs["sku"] == {"name": tier, "capacity": 1}


def test_the_internet_comes_in_only_where_the_settings_say_so(once, named):
    built = once("delivery_eta", environment="staging", public_api=True)
    (service,) = built.of_type(SERVICE)
    assert service.inputs["virtualNetworkType"] == "External"
    group = named(built, "azure-native:network:NetworkSecurityGroup", "delivery-eta-api").inputs
    (opened,) = [rule for rule in group["securityRules"] if rule["sourceAddressPrefix"] == "Internet"]
    assert opened["destinationPortRange"] == "443"


def test_the_gateway_speaks_no_old_protocols_and_has_no_portal(hybrid):
    (service,) = hybrid.of_type(SERVICE)
    assert set(service.inputs["customProperties"].values()) == {"False"}
    assert any(name.endswith("Backend.Protocols.Tls10") for name in service.inputs["customProperties"])
    assert service.inputs["developerPortalStatus"] == service.inputs["legacyPortalStatus"] == "Disabled"


def test_a_tenant_is_who_its_token_says_and_only_known_ones_come_in(inbound):
    (verify,) = inbound.findall("validate-jwt")
    assert (verify.get("header-name"), verify.get("require-signed-tokens")) == ("Authorization", "true")
    assert verify.get("require-expiration-time") == "true"
    assert [value.text for value in verify.iterfind("issuers/issuer")] == [ENTRA["issuer"]]
    assert [value.text for value in verify.iterfind("audiences/audience")] == ["predictions"]
    (claim,) = verify.iterfind("required-claims/claim")
    assert (claim.get("name"), [value.text for value in claim]) == ("tenant", ["orders", "partners"])


def test_each_tenant_has_the_rate_and_the_quota_of_the_workload_counted_by_its_name(inbound):
    (choose,) = inbound.findall("choose")
    held = {}
    for when in choose:
        rate, quota = when.find("rate-limit-by-key"), when.find("quota-by-key")
        assert rate is not None
        assert f'== "{rate.get("counter-key")}")' in when.get("condition")
        held[rate.get("counter-key")] = (rate.get("calls"), quota.get("calls") if quota is not None else None)
        assert rate.get("renewal-period") == "1"
        assert quota is None or quota.get("renewal-period") == "86400"
    assert held == {"orders": ("300", None), "partners": ("20", "200000")}
    # The name was verified before it is counted by.
    order = [part.tag for part in inbound]
    assert order.index("validate-jwt") < order.index("choose") < order.index("validate-content")


def test_what_is_no_request_is_refused_at_the_door(hybrid, inbound):
    (validate,) = inbound.findall("validate-content")
    assert (validate.get("unspecified-content-type-action"), validate.get("size-exceeded-action")) == ("prevent",) * 2
    assert validate.find("content").get("action") == "prevent"
    (operation,) = hybrid.of_type(f"{APIM}:ApiOperation")
    assert (operation.inputs["method"], operation.inputs["urlTemplate"]) == ("POST", "/v1/score")
    (schema,) = hybrid.of_type(f"{APIM}:ApiSchema")
    (body,) = operation.inputs["request"]["representations"]
    assert (body["schemaId"], body["typeName"]) == (schema.inputs["schemaId"], "Request")
    features = schema.inputs["components"]["schemas"]["Request"]["properties"]["features"]["properties"]
    assert features["orders_1h"] == {"type": "integer", "nullable": True}


def test_the_router_lets_the_gateway_alone_in_and_gets_the_tenants_token_beside_its_own(hybrid, inbound, named):
    identity = named(hybrid, "azure-native:managedidentity:UserAssignedIdentity", "delivery-eta-api")
    (service,) = hybrid.of_type(SERVICE)
    assert list(service.inputs["identity"]["userAssignedIdentities"]) == [identity.id]
    own = inbound.find("authentication-managed-identity")
    assert own.get("resource") == "https://ml.azure.com"
    header = inbound.find("set-header")
    assert header.get("name") == "X-Forwarded-Authorization"
    order = [part.tag for part in inbound]
    assert order.index("set-header") < order.index("authentication-managed-identity")
    (authorisation,) = hybrid.of_type("azure-native:app:ContainerAppsAuthConfig")
    assert authorisation.inputs["globalValidation"] == {"unauthenticatedClientAction": "Return401"}
    entra = authorisation.inputs["identityProviders"]["azureActiveDirectory"]["validation"]
    assert entra["allowedAudiences"] == ["https://ml.azure.com"]
    (principal,) = entra["defaultAuthorizationPolicy"]["allowedPrincipals"]["identities"]
    (api,) = hybrid.of_type(f"{APIM}:Api")
    assert api.inputs["serviceUrl"].startswith(f"https://router-{hybrid.platform.context.token}.")
    assert api.inputs["subscriptionRequired"] is False
    assert principal


def test_tenants_ask_the_gateway(hybrid):
    assert hybrid.platform.serving.api.url == f"https://api-{hybrid.platform.context.token}.azure-api.net"


def test_without_tenants_there_is_no_gateway(streaming, batch):
    assert not streaming.of_type(SERVICE)
    assert not batch.of_type(SERVICE)
