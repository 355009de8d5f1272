"""The delivery layer on AWS: a deploy role that only workflows of one repository and environment may assume."""

import pulumi
from pulumi_aws import iam

from ml_blueprints import layers
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context


class Delivery(layers.Delivery):
    """Deployment by Git on AWS.

    Native resources: `deploy_role`, and `issuer_provider` where the settings say that this stack registers the issuer.
    """

    cloud = "aws"

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        development: Development,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__(context, opts)
        self.foundation, self.development = foundation, development
        self.issuer_provider: iam.OpenIdConnectProvider | None = None
        self._federation()
        self._deploy_role()
        self.give(deployer=self.deploy_role.arn, issuer=facts.OIDC_ISSUERS[context.settings.delivery.provider])

    def _federation(self) -> None:
        """An account knows an issuer once, whichever stacks trust it; so one stack at most registers it."""
        delivery = self.context.settings.delivery
        issuer = facts.OIDC_ISSUERS[delivery.provider]
        if delivery.create_issuer:
            self.issuer_provider = iam.OpenIdConnectProvider(
                self.context.logical("issuer"),
                url=issuer,
                client_id_lists=[facts.OIDC_AUDIENCES[delivery.provider]],
                tags=self.context.tags,
                opts=self.child(),
            )
            self.issuer_arn = self.issuer_provider.arn
            return
        self.issuer_arn = pulumi.Output.concat(
            "arn:aws:iam::", self.foundation.account, ":oidc-provider/", issuer.removeprefix("https://")
        )

    def _deploy_role(self) -> None:
        context, delivery = self.context, self.context.settings.delivery
        issuer = facts.OIDC_ISSUERS[delivery.provider].removeprefix("https://")
        subject = facts.OIDC_SUBJECTS[delivery.provider].format(
            repository=delivery.repository, environment=context.settings.environment
        )
        self.deploy_role = iam.Role(
            context.logical("deployer"),
            description=f"Workflows of {delivery.repository} deploy {context.name} to {context.settings.environment}",
            assume_role_policy=policy.document(
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Principal": {"Federated": self.issuer_arn},
                    "Condition": {
                        "StringEquals": {
                            f"{issuer}:aud": facts.OIDC_AUDIENCES[delivery.provider],
                            f"{issuer}:sub": subject,
                        }
                    },
                }
            ),
            permissions_boundary=self.foundation.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self.child(),
        )
        iam.RolePolicy(
            context.logical("deployer"),
            role=self.deploy_role.name,
            policy=policy.document(
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
                    [self.development.repository.arn],
                ),
                policy.allow(
                    ["sagemaker:DescribePipeline", "sagemaker:StartPipelineExecution", "sagemaker:UpdatePipeline"],
                    [self.development.pipeline, self.development.retraining],
                ),
            ),
            opts=self.child(),
        )
        self.realise("federated-deployment", self.deploy_role)
