"""The API of tenants: API Management in the platform's network, in front of the router."""

from typing import Any

import pulumi
from pulumi_azure_native import apimanagement, managedidentity

from ml_blueprints.azure import api_policy, facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.request_schema import request_schema
from ml_blueprints.settings import Tokens


def host(context: Context) -> str:
    """The gateway's host name; unique in the world."""
    return f"{service_name(context)}.{facts.API_HOST}"


def service_name(context: Context) -> str:
    """1 to 50 letters, digits and `-`."""
    return f"api-{context.token}"


class Api(pulumi.ComponentResource):
    """One door for all tenants: tokens, rates and quotas, and what a request looks like, are checked here.

    It is in the network, and reached from there alone unless the settings open it. service, api, policy: the resources;
    url: where tenants ask. principal: the object id under which the gateway comes to the router.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        tokens: Tokens,
        identity: managedidentity.UserAssignedIdentity,
        router: pulumi.Input[str],
        ready: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:Api", context.logical("api"), None, opts)
        self.context, self.foundation, self.tokens, self.identity = context, foundation, tokens, identity
        self._service(ready)
        self._api(router)
        self.url = f"https://{host(context)}"
        self.register_outputs({"serviceId": self.service.id, "url": self.url})

    @property
    def _place(self) -> dict[str, Any]:
        return {"resource_group_name": self.foundation.group, "service_name": self.service.name}

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _service(self, ready: list[pulumi.Resource]) -> None:
        """In the network's own subnet for it, by a private address: `Internal`; `External` has a public one, too."""
        context, foundation, public = self.context, self.foundation, self.context.settings.public_api
        kinds = apimanagement.VirtualNetworkType
        self.service = apimanagement.ApiManagementService(
            context.logical("api"),
            service_name=service_name(context),
            resource_group_name=foundation.group,
            location=foundation.location,
            sku=apimanagement.ApiManagementServiceSkuPropertiesArgs(
                name=facts.API_TIERS[context.settings.environment], capacity=1
            ),
            publisher_name=context.workload.name,
            publisher_email=context.workload.owner,
            identity=apimanagement.ApiManagementServiceIdentityArgs(
                type=apimanagement.ApimIdentityType.USER_ASSIGNED,
                user_assigned_identities=self.identity.id.apply(
                    lambda id_: {id_: apimanagement.UserIdentityPropertiesArgs()}
                ),
            ),
            virtual_network_type=kinds.EXTERNAL if public else kinds.INTERNAL,
            virtual_network_configuration=apimanagement.VirtualNetworkConfigurationArgs(
                subnet_resource_id=foundation.subnets[1]
            ),
            custom_properties=facts.API_PROTOCOLS,
            developer_portal_status=apimanagement.DeveloperPortalStatus.DISABLED,
            legacy_portal_status=apimanagement.LegacyPortalStatus.DISABLED,
            tags=context.tags,
            # A service takes up to an hour to come up (facts.API_TIERS).
            opts=self._child(
                depends_on=ready, custom_timeouts=pulumi.CustomTimeouts(create="2h", update="2h", delete="1h")
            ),
        )
        foundation.keep_logs("api", self.service)
        if not public:
            address = self.service.private_ip_addresses.apply(lambda found: found[0] if found else "")
            foundation.network_component.resolve("api-host", host(context), "@", address)

    def _api(self, router: pulumi.Input[str]) -> None:
        """One operation, as on each cloud: `POST /v1/score`."""
        context = self.context
        self.api = apimanagement.Api(
            context.logical("score"),
            api_id="score",
            display_name=f"{context.workload.name}: scores",
            description=context.workload.description,
            path="",
            protocols=[apimanagement.Protocol.HTTPS],
            service_url=router,
            # Tokens tell tenants; keys of subscriptions would be secrets beside them.
            subscription_required=False,
            opts=self._child(),
            **self._place,
        )
        schema = apimanagement.ApiSchema(
            context.logical("request"),
            api_id=self.api.name,
            schema_id="request",
            content_type="application/vnd.oai.openapi.components+json",
            components={"schemas": {"Request": request_schema(context.workload, nullable=True)}},
            opts=self._child(),
            **self._place,
        )
        operation = apimanagement.ApiOperation(
            context.logical("score"),
            api_id=self.api.name,
            operation_id="score",
            display_name="Score",
            method="POST",
            url_template="/v1/score",
            request=apimanagement.RequestContractArgs(
                representations=[
                    apimanagement.RepresentationContractArgs(
                        content_type="application/json", schema_id=schema.name, type_name="Request"
                    )
                ]
            ),
            responses=[apimanagement.ResponseContractArgs(status_code=200, description="A score, or one for each")],
            opts=self._child(),
            **self._place,
        )
        tenants, tokens = context.workload.serving.tenants, self.tokens
        self.policy = apimanagement.ApiPolicy(
            context.logical("score"),
            api_id=self.api.name,
            policy_id="policy",
            format=apimanagement.PolicyContentFormat.XML,
            value=self.identity.client_id.apply(lambda client: api_policy.of_requests(tokens, tenants, client or "")),
            opts=self._child(depends_on=[operation]),
            **self._place,
        )
