"""The router on AWS: a function in front of the endpoints, which knows tenants and reads the features of an entity."""

import math
from collections.abc import Mapping

import pulumi

from ml_blueprints import routing, sizing
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.endpoint import Endpoint
from ml_blueprints.aws.features import Features
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.function import Function
from ml_blueprints.layers import Context, required


def scoring_endpoint(tenant: str | None) -> str:
    """The variable that names the endpoint of a tenant with instances of its own, or the one of all others."""
    return f"SCORING_ENDPOINT_{tenant.upper().replace('-', '_')}" if tenant else "SCORING_ENDPOINT"


class Router(Function):
    """Takes events of API Gateway's proxy integration, also from those who invoke it by the rights of IAM.

    It may ask the endpoints and read online features, and nothing else. Where an API is in front, whose request it is
    has been verified by the API's authorizer; the router has no way to the keys of tokens.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        image: pulumi.Input[str],
        features: Features,
        endpoints: Mapping[str | None, Endpoint],
        opts: pulumi.ResourceOptions | None = None,
    ):
        workload = context.workload
        told = routing.environment(workload, context.settings, routing.deployed(workload))
        variables: dict[str, pulumi.Input[str]] = {
            **{name: value for name, value in told.items() if not name.startswith("TOKEN_")},
            **{scoring_endpoint(tenant): endpoint.endpoint.name for tenant, endpoint in endpoints.items()},
            "FEATURE_STORE": required(features.online, "online features"),
        }
        if workload.serving.tenants:
            variables["TENANT_FROM"] = "authorizer"
        super().__init__(
            context,
            foundation,
            image,
            "router",
            variables,
            (
                policy.allow(["sagemaker:InvokeEndpoint"], [endpoint.arn for endpoint in endpoints.values()]),
                policy.allow(["sagemaker:BatchGetRecord", "sagemaker:GetRecord"], [features.feature_group.arn]),
            ),
            concurrency=max(facts.FUNCTION_CONCURRENCY, math.ceil(sizing.peak(workload) * facts.ROUTED_SECONDS)),
            opts=opts,
        )
        # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        host = pulumi.Output.concat("https://lambda.", foundation.region, ".amazonaws.com")
        self.url = pulumi.Output.concat(host, "/2015-03-31/functions/", self.function.arn, "/invocations")
