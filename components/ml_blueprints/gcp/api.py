"""The tenants' API: API Gateway in front of the service that knows them, which checks their tokens before it is asked.

Its document is OpenAPI 2.0 with Google's extensions (https://cloud.google.com/api-gateway/docs/openapi-overview). A
quota of API Gateway is one of a consumer's project in a minute, which a key names, and never one of a verified token,
nor of a day: it holds all tenants together, and the service holds each one, by its token.
https://cloud.google.com/api-gateway/docs/quotas-overview
"""

import base64
import json
from typing import Any

import pulumi
from pulumi_gcp import apigateway, cloudrunv2, projects

from ml_blueprints.gcp import cloud_run
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Tokens
from ml_blueprints.workload import Workload

# The paths of the scoring service that a tenant may ask.
SCORE_PATH = "/v1/score"

# Whom requests in one document are counted by; a name of ours.
_METRIC = "requests"


class Api(pulumi.ComponentResource):
    """A gateway with a public address, the only one that may invoke the service.

    api, config, gateway: the resources. keys: by tenant, which their owner hands out. url: where tenants come in.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        service: cloudrunv2.Service,
        tokens: Tokens,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:Api", context.logical("api"), None, opts)
        self.context, self.foundation, self.service = context, foundation, service
        self._identity()
        self._config(tokens)
        self._keys()
        self.url = pulumi.Output.concat("https://", self.gateway.default_hostname, SCORE_PATH)
        self.register_outputs({"gatewayId": self.gateway.id, "url": self.url})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _identity(self) -> None:
        context, foundation = self.context, self.foundation
        self.account = foundation.account(
            "gateway", f"Invokes the service of {context.workload.name} for tenants", self._child()
        )
        self.may_invoke = cloud_run.let_invoke(
            "gateway", self.service, context, foundation, self.account.member, self._child()
        )

    def _config(self, tokens: Tokens) -> None:
        """A config can't be changed: another one is made, the gateway takes it, and then the old one goes."""
        context, foundation = self.context, self.foundation
        self.api = apigateway.Api(
            context.logical("api"),
            api_id=f"{context.name}-{context.token}",
            display_name=f"{context.name}: predictions",
            labels=context.tags,
            opts=self._child(depends_on=foundation.services),
        )
        document = self.service.uri.apply(
            lambda uri: json.dumps(openapi(context.workload, tokens, uri), separators=(",", ":"), sort_keys=True)
        )
        self.config = apigateway.ApiConfig(
            context.logical("api"),
            api=self.api.api_id,
            api_config_id_prefix="config-",
            display_name=f"{context.name}: predictions",
            openapi_documents=[
                apigateway.ApiConfigOpenapiDocumentArgs(
                    document=apigateway.ApiConfigOpenapiDocumentDocumentArgs(
                        path="openapi.json",
                        contents=document.apply(lambda text: base64.b64encode(text.encode()).decode()),
                    )
                )
            ],
            gateway_config=apigateway.ApiConfigGatewayConfigArgs(
                backend_config=apigateway.ApiConfigGatewayConfigBackendConfigArgs(
                    google_service_account=self.account.email
                )
            ),
            labels=context.tags,
            opts=self._child(depends_on=[self.may_invoke]),
        )
        self.gateway = apigateway.Gateway(
            context.logical("api"),
            api_config=self.config.id,
            gateway_id=f"{context.name}-{context.token}",
            region=foundation.region,
            display_name=f"{context.name}: predictions",
            labels=context.tags,
            opts=self._child(),
        )

    def _keys(self) -> None:
        """A key of each tenant's, good for this API alone, by which the quota counts; who it is, its token says."""
        context = self.context
        enabled = projects.Service(
            context.logical("api"), service=self.api.managed_service, disable_on_destroy=False, opts=self._child()
        )
        self.keys = {
            tenant.name: projects.ApiKey(
                context.logical(f"key-{tenant.name}"),
                display_name=f"{context.name}: {tenant.name}",
                restrictions=projects.ApiKeyRestrictionsArgs(
                    api_targets=[projects.ApiKeyRestrictionsApiTargetArgs(service=self.api.managed_service)]
                ),
                opts=self._child(depends_on=[enabled]),
            )
            for tenant in context.workload.serving.tenants
        }


def openapi(workload: Workload, tokens: Tokens, service: str) -> dict[str, Any]:
    """What may be asked, with which token and key, how often by all together, and which service (a URL) answers."""
    a_minute = 60 * sum(tenant.requests_per_second for tenant in workload.serving.tenants)
    return {
        "swagger": "2.0",
        "info": {"title": workload.name, "description": workload.description, "version": "1.0.0"},
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "x-google-backend": {
            "address": service,
            "jwt_audience": service,
            "path_translation": "APPEND_PATH_TO_ADDRESS",
            "protocol": "h2",
        },
        "x-google-management": {
            "metrics": [{"name": _METRIC, "displayName": "Requests", "valueType": "INT64", "metricKind": "DELTA"}],
            "quota": {
                "limits": [
                    {
                        "name": "of-all-tenants",
                        "metric": _METRIC,
                        "unit": "1/min/{project}",
                        "values": {"STANDARD": a_minute},
                    }
                ]
            },
        },
        "securityDefinitions": {
            "token": {
                "type": "oauth2",
                "flow": "implicit",
                "authorizationUrl": "",
                "x-google-issuer": tokens.issuer,
                "x-google-jwks_uri": tokens.keys,
                "x-google-audiences": tokens.audience,
            },
            "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
        },
        "paths": {
            SCORE_PATH: {
                "post": {
                    "operationId": "score",
                    "description": "Scores of one row, or of several as `instances`",
                    "security": [{"token": [], "key": []}],
                    "x-google-quota": {"metricCosts": {_METRIC: 1}},
                    "parameters": [{"name": "body", "in": "body", "required": True, "schema": {"type": "object"}}],
                    "responses": {"200": {"description": "Scores", "schema": {"type": "object"}}},
                }
            }
        },
    }
