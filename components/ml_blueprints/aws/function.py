"""A function of the platform's image on AWS Lambda, under an identity of its own."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import iam, lambda_

from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context


class Function(pulumi.ComponentResource):
    """Runs a handler of the image in the private network, and may do what it is told besides writing logs and traces.

    `function`, `role` and `rights` are the resources. handler: which of `facts.HANDLERS`, whose name is also the
    function's. concurrency: how many requests it may have at once, which other functions of the account then can't take
    from it. private: whether it is in the network; one outside of it reaches the internet, and nothing of ours.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        image: pulumi.Input[str],
        handler: str,
        variables: Mapping[str, pulumi.Input[str]],
        statements: tuple[policy.Statement, ...] = (),
        concurrency: int = facts.FUNCTION_CONCURRENCY,
        private: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ):
        name = context.logical(handler)
        super().__init__("ml-blueprints:aws:Function", name, None, opts)
        self.role = iam.Role(
            name,
            description=f"{context.name}: {handler}",
            assume_role_policy=policy.trust(["lambda.amazonaws.com"], foundation.account),
            permissions_boundary=foundation.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self._child(),
        )
        self.rights = iam.RolePolicy(
            name,
            role=self.role.name,
            policy=policy.document(
                *statements,
                *(foundation.use_network() if private else ()),
                policy.allow(
                    ["logs:CreateLogStream", "logs:PutLogEvents"],
                    [pulumi.Output.concat(foundation.log_group.arn, ":*")],
                ),
                # Traces belong to no resource. https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
                policy.allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]),
                policy.allow(["kms:Decrypt"], [foundation.key]),
            ),
            opts=self._child(),
        )
        network = lambda_.FunctionVpcConfigArgs(
            subnet_ids=foundation.subnets, security_group_ids=[foundation.security_group.id]
        )
        self.function = lambda_.Function(
            name,
            role=self.role.arn,
            package_type="Image",
            image_uri=image,
            image_config=lambda_.FunctionImageConfigArgs(
                entry_points=list(facts.HANDLER_ENTRY_POINT), commands=[facts.HANDLERS[handler]]
            ),
            memory_size=facts.FUNCTION_MEMORY_MIB,
            timeout=facts.API_SECONDS,
            reserved_concurrent_executions=concurrency,
            kms_key_arn=foundation.key,
            vpc_config=network if private else None,
            environment=lambda_.FunctionEnvironmentArgs(variables=dict(variables)),
            logging_config=lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=foundation.log_group.name),
            tracing_config=lambda_.FunctionTracingConfigArgs(mode="Active"),
            tags=context.tags,
            # Lambda tries the role on the network when the function is made.
            opts=self._child(depends_on=[self.rights]),
        )
        self.register_outputs({"functionArn": self.function.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)
