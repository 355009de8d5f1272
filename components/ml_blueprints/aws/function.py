"""A function of the platform's image on AWS Lambda, under an identity of its own."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import iam, lambda_

from ml_blueprints import routing
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.layers import Context
from ml_blueprints.workload import Workload

# What all variables of a function may take together, as JSON, in which each quotation mark of a routing table is two
# characters. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; how it is measured:
# https://github.com/github-aws-runners/terraform-aws-github-runner/issues/3594
VARIABLES_BYTES = 4096

# What a value may take that only the cloud knows: names of endpoints and feature groups have at most 64 characters, and
# the URL of a queue in the longest region has 134.
_UNKNOWN_BYTES = 134

# Where in a workload the parts of a routing table come from.
_WRITTEN = {
    "features": "features.definitions",
    "fields": "data.contract.path",
    "models": "models",
    "tenants": "serving.tenants",
    "ensemble": "serving.ensemble",
}


def environment(workload: Workload, variables: Mapping[str, pulumi.Input[str]]) -> lambda_.FunctionEnvironmentArgs:
    """The variables of a function. Raises BlueprintError by a field of the workload where Lambda would refuse them."""
    known = {name: value if isinstance(value, str) else "-" * _UNKNOWN_BYTES for name, value in variables.items()}
    size = _size(known)
    if size > VARIABLES_BYTES:
        table = json.loads(known.get(routing.VARIABLE, "{}"))
        longest = max(_WRITTEN, key=lambda part: _size(table.get(part)))
        found = (
            f"{_size(table.get(longest)):,} bytes of a routing table, with which a function's variables have {size:,}"
        )
        right = f"AWS Lambda takes {VARIABLES_BYTES:,} bytes in all: fewer of them, or shorter names, are right"
        raise BlueprintError(f"workload {workload.name} on aws", [Problem(_WRITTEN[longest], found, right)])
    return lambda_.FunctionEnvironmentArgs(variables=dict(variables))


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")).encode())


class Function(pulumi.ComponentResource):
    """Runs a handler of the image in the private network, and may do what it is told besides writing logs and traces.

    `function`, `role` and `rights` are the resources. handler: which of `facts.HANDLERS`, whose name is also the
    function's. concurrency: how many requests it may have at once, which other functions of the account then can't take
    from it. private: whether it is in the network; one outside of it reaches the internet, and nothing of ours.
    Raises BlueprintError for variables that are too long together.
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
            environment=environment(context.workload, variables),
            logging_config=lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=foundation.log_group.name),
            tracing_config=lambda_.FunctionTracingConfigArgs(mode="Active"),
            tags=context.tags,
            # Lambda tries the role on the network when the function is made.
            opts=self._child(depends_on=[self.rights]),
        )
        self.register_outputs({"functionArn": self.function.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)
