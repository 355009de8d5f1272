"""Automatic rollback on AWS: what takes the requests from a canary that fails, at any time, without anybody."""

from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, sfn

from ml_blueprints.aws import policy
from ml_blueprints.aws.endpoint import Endpoint
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.workload import Role


class Rollback(pulumi.ComponentResource):
    """An alarm of a canary starts a state machine that gives the champion all requests.

    While a new version is rolled out SageMaker goes back by the same alarms itself; this is for the days after. The
    next configuration says the shares of the workload file again.

    Native resources: `rule`, `workflow`, and the roles under which they act, `starter` and `role`.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        endpoint: Endpoint,
        opts: pulumi.ResourceOptions | None = None,
    ):
        self.context, self.foundation, self.endpoint = context, foundation, endpoint
        self.part = endpoint.fleet.part("rollback")
        super().__init__("ml-blueprints:aws:Rollback", context.logical(self.part), None, opts)
        self._workflow()
        self._rule()
        self.register_outputs({"workflowArn": self.workflow.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _identity(self, part: str, service: str, *statements: policy.Statement) -> tuple[iam.Role, iam.RolePolicy]:
        context = self.context
        role = iam.Role(
            context.logical(part),
            description=f"{context.name}: {part}",
            assume_role_policy=policy.trust([service], self.foundation.account),
            permissions_boundary=self.foundation.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self._child(),
        )
        rights = iam.RolePolicy(
            context.logical(part), role=role.name, policy=policy.document(*statements), opts=self._child()
        )
        return role, rights

    def _workflow(self) -> None:
        context, foundation = self.context, self.foundation
        key = policy.allow(["kms:Decrypt", "kms:GenerateDataKey"], [foundation.key])
        self.role, rights = self._identity(
            self.part,
            "states.amazonaws.com",
            policy.allow(["sagemaker:UpdateEndpointWeightsAndCapacities"], [self.endpoint.arn]),
            # Deliveries of logs and traces belong to no resource.
            # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
            policy.allow(
                [
                    "logs:CreateLogDelivery",
                    "logs:DeleteLogDelivery",
                    "logs:DescribeLogGroups",
                    "logs:DescribeResourcePolicies",
                    "logs:GetLogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:PutResourcePolicy",
                    "logs:UpdateLogDelivery",
                    "xray:PutTelemetryRecords",
                    "xray:PutTraceSegments",
                ],
                ["*"],
            ),
            key,
        )
        self.workflow = sfn.StateMachine(
            context.logical(self.part),
            role_arn=self.role.arn,
            definition=pulumi.Output.json_dumps(self._definition()),
            encryption_configuration=sfn.StateMachineEncryptionConfigurationArgs(
                type="CUSTOMER_MANAGED_KMS_KEY", kms_key_id=foundation.key
            ),
            logging_configuration=sfn.StateMachineLoggingConfigurationArgs(
                level="ERROR", log_destination=pulumi.Output.concat(foundation.log_group.arn, ":*")
            ),
            tracing_configuration=sfn.StateMachineTracingConfigurationArgs(enabled=True),
            tags=context.tags,
            # Step Functions tries the role on the logs when the state machine is made.
            opts=self._child(depends_on=[rights]),
        )

    def _definition(self) -> dict[str, Any]:
        """One call; while the endpoint is being updated SageMaker refuses it, and it is tried again."""
        shares = [
            {"VariantName": variant.name, "DesiredWeight": int(variant.models[0].role is Role.CHAMPION)}
            for variant in self.endpoint.fleet.live
        ]
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sagemaker:updateEndpointWeightsAndCapacities",
            "Parameters": {"EndpointName": self.endpoint.name, "DesiredWeightsAndCapacities": shares},
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 30, "MaxAttempts": 60, "BackoffRate": 1}],
            "End": True,
        }
        return {"StartAt": "ChampionOnly", "States": {"ChampionOnly": state}}

    def _rule(self) -> None:
        """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
        context, foundation = self.context, self.foundation
        self.starter, rights = self._identity(
            f"{self.part}-start",
            "events.amazonaws.com",
            policy.allow(["states:StartExecution"], [self.workflow.arn]),
            policy.allow(["kms:Decrypt", "kms:GenerateDataKey"], [foundation.key]),
        )
        self.rule = cloudwatch.EventRule(
            context.logical(self.part),
            description="A canary fails: the champion takes all requests",
            event_pattern=pulumi.Output.json_dumps(
                {
                    "source": ["aws.cloudwatch"],
                    "detail-type": ["CloudWatch Alarm State Change"],
                    "resources": [alarm.arn for alarm in self.endpoint.canary_alarms],
                    "detail": {"state": {"value": ["ALARM"]}},
                }
            ),
            tags=context.tags,
            opts=self._child(),
        )
        cloudwatch.EventTarget(
            context.logical(self.part),
            rule=self.rule.name,
            arn=self.workflow.arn,
            role_arn=self.starter.arn,
            opts=self._child(depends_on=[rights]),
        )
