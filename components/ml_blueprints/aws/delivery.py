"""The delivery layer on AWS: a deploy role that only workflows of one repository and environment may assume."""

import pulumi
from pulumi_aws import iam, s3

from ml_blueprints import layers
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.bucket import private_bucket
from ml_blueprints.aws.deployer import Deployer
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone


class Delivery(layers.Delivery):
    """Deployment by Git on AWS.

    Native resources: `deploy_role`, and `issuer_provider` where the settings say that this stack registers the issuer;
    `audit_role`, `state_bucket`.
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
        self._deployer()
        self._audit_role()
        self._state()
        self.give(
            deployer=self.deploy_role.arn,
            auditor=self.audit_role.arn,
            issuer=facts.OIDC_ISSUERS[context.settings.delivery.provider],
            state_url=pulumi.Output.concat("s3://", self.state_bucket.bucket, "?region=", foundation.region),
            secrets_provider=pulumi.Output.concat("awskms:///", foundation.key, "?region=", foundation.region),
        )

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

    def _trusted_in(self, environment: str) -> pulumi.Output[str]:
        """Workflows of the repository that run in an environment, and no others."""
        delivery = self.context.settings.delivery
        issuer = facts.OIDC_ISSUERS[delivery.provider].removeprefix("https://")
        subject = facts.OIDC_SUBJECTS[delivery.provider].format(repository=delivery.repository, environment=environment)
        return policy.document(
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
        )

    def _deployer(self) -> None:
        """An experiment's ends with it: its boundary says so."""
        trusted = self._trusted_in(self.context.settings.environment)
        made = Deployer(self.context, self.foundation, self.development, trusted, opts=self.child())
        self.deploy_role = made.role
        self.realise("federated-deployment", made.role)
        self.realise("stack-deployment", *made.policies.values())

    def _state(self) -> None:
        """Where stacks keep their state: of all platforms' identities the deployer alone reads and writes it.

        The auditor, who compares it with what is there, reads and locks it. Secrets in it are under our key.
        https://www.pulumi.com/docs/iac/concepts/state-and-backends/ and
        https://www.pulumi.com/docs/iac/concepts/secrets/
        """
        context, foundation, data = self.context, self.foundation, self.development.data
        # Identities of platforms carry the tag; who deploys without ours is a matter of the account's own rights.
        no_platform = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:DeleteObject", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            "Resource": ["/*"],
            "Condition": {
                "Null": {"aws:PrincipalTag/workload": "false"},
                "ArnNotEquals": {"aws:PrincipalArn": [self.deploy_role.arn, self.audit_role.arn]},
            },
        }
        self.state_bucket = private_bucket(
            context,
            "state",
            s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                sse_algorithm="aws:kms", kms_master_key_id=foundation.key
            ),
            None,
            self.child(),
            no_platform,
            tags={"zone": "state"},
        ).bucket
        s3.BucketLogging(
            context.logical("state"),
            bucket=self.state_bucket.id,
            target_bucket=data.access_logs.id,
            target_prefix="state/",
            # S3 delivers only to a bucket that encrypts as it asks.
            opts=pulumi.ResourceOptions(parent=self.state_bucket, depends_on=[data]),
        )
        self._may_use_states(self.deploy_role, "deployer-state", "/*", ["kms:Decrypt", "kms:Encrypt"])
        self._may_use_states(self.audit_role, "auditor-state", "/.pulumi/locks/*", ["kms:Decrypt"])
        self.realise("state-backend", self.state_bucket)

    def _may_use_states(self, role: iam.Role, part: str, written: str, key: list[str]) -> None:
        """Let a role read all states, and write some objects of the bucket."""
        bucket = self.state_bucket.arn
        iam.RolePolicy(
            self.context.logical(part),
            role=role.name,
            policy=policy.document(
                policy.allow(["s3:GetBucketLocation", "s3:ListBucket"], [bucket]),
                policy.allow(["s3:GetObject"], [pulumi.Output.concat(bucket, "/*")]),
                policy.allow(["s3:DeleteObject", "s3:PutObject"], [pulumi.Output.concat(bucket, written)]),
                policy.allow([*key, "kms:GenerateDataKey"], [self.foundation.key]),
            ),
            opts=self.child(),
        )

    def _audit_role(self) -> None:
        """Who compares at night what is there with the states: it sees how things are set up, and no data.

        Its boundary is its own, as what the platform's other identities do is nothing for it, and the other way round.
        """
        context, delivery = self.context, self.context.settings.delivery
        environment = f"{context.settings.environment}-audit"
        jobs = pulumi.Output.concat(self.development.data.buckets[Zone.MODELS].arn, "/jobs/*")
        # The provider reads an object's tags with it. https://github.com/hashicorp/terraform/issues/12137
        read = ["s3:GetObject", "s3:GetObjectTagging"]
        # By name, as the bucket lets the auditor in, and so is made after it.
        states = f"arn:aws:s3:::{context.logical('state')}-*/*"
        most = iam.Policy(
            context.logical("auditor"),
            description=f"The most that the auditor of {context.name} may be granted",
            policy=policy.document(
                *(
                    policy.allow(actions, resources, **self.foundation.until())
                    for actions, resources in (
                        (facts.AUDIT_ACTIONS, ["*"]),
                        (read, [jobs]),
                        (["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [states]),
                        (["kms:Decrypt", "kms:GenerateDataKey"], [self.foundation.key]),
                    )
                )
            ),
            tags=context.tags,
            opts=self.child(),
        )
        self.audit_role = iam.Role(
            context.logical("auditor"),
            description=f"Workflows of {delivery.repository} compare {context.name} with its state",
            assume_role_policy=self._trusted_in(environment),
            permissions_boundary=most.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self.child(),
        )
        iam.RolePolicy(
            context.logical("auditor"),
            role=self.audit_role.name,
            policy=policy.document(
                policy.allow(facts.AUDIT_ACTIONS, ["*"]),
                # The code of the feature job is a resource of the stack.
                policy.allow(read, [jobs]),
            ),
            opts=self.child(),
        )
