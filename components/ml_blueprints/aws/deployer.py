"""Whom workflows bring a stack up as on AWS: what it may, the most that it may be granted, and what is denied to it."""

from collections.abc import Iterable, Mapping

import pulumi
from pulumi_aws import iam

from ml_blueprints.aws import deploy_rights, facts, policy
from ml_blueprints.aws.deploy_rights import Right, When
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context

# Tags by which the platform's own things are told, where names can't.
_TELLING = ("environment", "workload")


class Deployer(pulumi.ComponentResource):
    """An identity that changes what the stack owns, and neither itself nor the most that identities may do.

    `role` is the identity, `policies` what it may by area, `boundary` the most that it may be granted. trusted: the
    policy that says who assumes it.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        development: Development,
        trusted: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:Deployer", context.logical("deployer"), None, opts)
        self.context, self.foundation, self.development = context, foundation, development
        child = pulumi.ResourceOptions(parent=self)
        self.boundary = iam.Policy(
            context.logical("deployer"),
            description=f"The most that the deployer of {context.name} may be granted",
            policy=policy.document(*self._most(), *self._denied()),
            tags=context.tags,
            opts=child,
        )
        self.role = iam.Role(
            context.logical("deployer"),
            description=f"Workflows of {context.settings.delivery.repository} deploy {context.name} to "
            f"{context.settings.environment}",
            assume_role_policy=trusted,
            permissions_boundary=self.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=child,
        )
        self.policies = {
            area: self._policy(area, (self._statement(right) for right in deploy_rights.grouped(rights)))
            for area, rights in deploy_rights.AREAS.items()
        }
        self.policies["reading"] = self._policy("reading", [policy.allow(facts.AUDIT_ACTIONS, ["*"])])
        self.policies["own"] = self._policy("own", self._own())
        self.register_outputs({"roleArn": self.role.arn})

    def _policy(self, area: str, statements: Iterable[policy.Statement]) -> iam.Policy:
        context = self.context
        made = iam.Policy(
            context.logical(f"deployer-{area}"),
            description=f"What the deployer of {context.name} may: {area}",
            policy=policy.document(*statements),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        iam.RolePolicyAttachment(
            context.logical(f"deployer-{area}"),
            role=self.role.name,
            policy_arn=made.arn,
            opts=pulumi.ResourceOptions(parent=made),
        )
        return made

    def _statement(self, right: Right) -> policy.Statement:
        return policy.allow(right.actions, [self.foundation.named(arn) for arn in right.on], **self._when(right.when))

    def _tagged(self, key: str) -> dict[str, str]:
        return {f"aws:{key}/{tag}": self.context.tags[tag] for tag in _TELLING}

    def _when(self, when: When) -> Mapping[str, Mapping[str, object]]:
        new, ours = self._tagged("RequestTag"), self._tagged("ResourceTag")
        bounded = {"iam:PermissionsBoundary": self.foundation.boundary.arn}
        scaled = {"application-autoscaling:service-namespace": "sagemaker"}
        making = sorted(
            right.actions[0].partition(":")[2]
            for rights in deploy_rights.NETWORK.values()
            for right in rights
            if right.when is When.NEW
        )
        function = self.foundation.named(f"arn:aws:lambda:{{place}}:function:{self.context.name}-*")
        return {
            When.ALWAYS: {},
            When.NEW: {"StringEquals": new},
            When.OURS: {"StringEquals": ours},
            When.WHILE_MADE: {"StringEquals": {"ec2:CreateAction": making}},
            When.SCALED_NEW: {"StringEquals": scaled | new},
            When.BOUNDED: {"StringEquals": bounded},
            When.BOUNDED_NEW: {"StringEquals": bounded | new},
            When.OF_SERVICES: {"StringEquals": {"iam:AWSServiceName": list(deploy_rights.SERVICE_LINKED)}},
            When.OF_OUR_FUNCTION: {"ArnLike": {"lambda:FunctionArn": function}},
            When.BY_SPARK: {"StringEquals": {"aws:CalledViaLast": "ops.emr-serverless.amazonaws.com"}},
        }[when]

    def _own(self) -> list[policy.Statement]:
        """What is known by its id: identities that resources are handed, the key, images, pipelines that train."""
        foundation, development = self.foundation, self.development
        brought = [arn for purpose, arn in foundation.role_arns.items() if purpose not in foundation.roles]
        return [
            policy.allow(
                ["iam:PassRole"],
                [self.foundation.named(deploy_rights.ROLES), *brought],
                StringEquals={"iam:PassedToService": sorted(set(deploy_rights.HANDED_TO.values()))},
            ),
            # Services that encrypt for themselves are let by who makes a resource there.
            # https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
            *foundation.use_key(),
            policy.allow(["kms:GenerateDataKeyWithoutPlaintext"], [foundation.key]),
            self._private_names(),
            policy.allow(["ecr:GetAuthorizationToken"], ["*"]),
            policy.allow(
                [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:CompleteLayerUpload",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ],
                [development.repository.arn],
            ),
            policy.allow(["sagemaker:StartPipelineExecution"], [development.pipeline, development.retraining]),
            *self._brought_network(),
        ]

    def _private_names(self) -> policy.Statement:
        """Endpoints of services have private names in the network, in zones that are AWS's.

        https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-rrset-conditions.html
        """
        foundation = self.foundation
        vpc = pulumi.Output.concat("VPCId=", foundation.network_component.vpc_id, ",VPCRegion=", foundation.region)
        return policy.allow(
            ["route53:AssociateVPCWithHostedZone"],
            ["arn:aws:route53:::hostedzone/*"],
            **{"ForAnyValue:StringEquals": {"route53:VPCs": [vpc]}},
        )

    def _brought_network(self) -> list[policy.Statement]:
        """A network of the organisation's doesn't have the platform's tags: groups are made in it."""
        network = self.context.settings.network
        if network.existing_network is None:
            return []
        vpc = self.foundation.named(f"arn:aws:ec2:{{place}}:vpc/{network.existing_network}")
        return [policy.allow(["ec2:CreateSecurityGroup"], [vpc])]

    def _most(self) -> list[policy.Statement]:
        return [policy.allow(deploy_rights.MOST_ACTIONS, ["*"], **self.foundation.until())]

    def _denied(self) -> list[policy.Statement]:
        """What holds whatever it is granted, also by the policy of a resource.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html: a resource's own policy passes
        over what a boundary only leaves out.
        """
        context = self.context
        record, states = (f"arn:aws:s3:::{context.logical(part)}-*" for part in ("audit", "state"))
        roles = [
            self.foundation.named(f"{deploy_rights.ROLES[:-1]}{who}-*") for who in ("audit", "auditor", "deployer")
        ]
        policies, issuers = (
            self.foundation.named(f"arn:aws:iam::{{account}}:{kind}/*") for kind in ("policy", "oidc-provider")
        )
        logs = self.foundation.named(f"arn:aws:logs:{{place}}:log-group:{context.logical('audit')}-*")
        return [
            # Itself, the auditor, who writes the record, and the most that identities may do.
            {
                "Effect": "Deny",
                "NotAction": ["iam:Get*", "iam:List*"],
                "Resource": [*roles, policies, issuers],
            },
            {
                "Effect": "Deny",
                "Action": ["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRole*", "iam:UpdateAssumeRolePolicy"],
                "Resource": ["*"],
                "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": self.foundation.boundary.arn}},
            },
            # By its tags an identity of the platform is kept from the states of stacks.
            {
                "Effect": "Deny",
                "Action": ["iam:UntagRole"],
                "Resource": ["*"],
                "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": list(_TELLING)}},
            },
            {"Effect": "Deny", "Action": ["iam:DeleteRolePermissionsBoundary"], "Resource": ["*"]},
            {"Effect": "Deny", "Action": list(deploy_rights.DATA_ACTIONS), "Resource": ["*"]},
            {
                "Effect": "Deny",
                "Action": ["s3:DeleteObject*", "s3:GetObject*", "s3:PutObject*"],
                "NotResource": [self.foundation.named(deploy_rights.CODE), f"{states}/*"],
            },
            {
                "Effect": "Deny",
                "Action": ["logs:Delete*", "logs:Put*", "s3:DeleteBucket*", "s3:Put*Configuration", "s3:PutBucket*"],
                "Resource": [record, states, logs],
            },
        ]
