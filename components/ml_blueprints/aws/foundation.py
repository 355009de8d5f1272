"""The foundation on AWS: VPC, KMS key, IAM roles under a permissions boundary, and a log group."""

import pulumi
from pulumi_aws import cloudwatch, get_caller_identity_output, get_region_output, iam, kms

from ml_blueprints import layers
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.network import Network
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class Foundation(layers.Foundation):
    """Network, key, identities and logs on AWS.

    Native resources: `network_component` (VPC, subnets, endpoints), `kms_key`, `roles` by purpose, `boundary`,
    `log_group`; `security_group` is the one of all workloads.
    """

    cloud = "aws"

    def __init__(self, context: Context, opts: pulumi.ResourceOptions | None = None):
        super().__init__(context, opts)
        invoke = pulumi.InvokeOptions(parent=self)
        self.account = get_caller_identity_output(opts=invoke).account_id
        self.region = get_region_output(opts=invoke).region
        self.roles: dict[Purpose, iam.Role] = {}
        self._granted: dict[Purpose, list[pulumi.Resource]] = {purpose: [] for purpose in Purpose}
        self._encryption()
        self._logs()
        self._boundary()
        self._network()
        self._identities()
        self.give(
            key=self.key_arn,
            network=self.network_component.vpc_id,
            subnets=self.network_component.subnet_ids,
            identities=self.role_arns,
            logs=self.log_group.arn,
        )

    def grant(self, purpose: Purpose, name: str, *statements: policy.Statement) -> list[pulumi.Resource]:
        """Give an identity of ours the rights that a layer needs; an identity brought along is its owner's to equip.

        Returns the grant, so that what needs it can wait for it.
        """
        if purpose not in self.roles:
            return []
        granted = iam.RolePolicy(
            self.context.logical(f"{purpose}-{name}"),
            role=self.roles[purpose].name,
            policy=policy.document(*statements),
            opts=self.child(),
        )
        self._granted[purpose].append(granted)
        return [granted]

    def rights(self, purpose: Purpose) -> list[pulumi.Resource]:
        """All grants so far of an identity of ours, for what is only made once its identity can do its work."""
        return list(self._granted[purpose])

    def use_key(self) -> tuple[policy.Statement, ...]:
        """The statements that let an identity use the platform's key, also on volumes, for which AWS makes grants.

        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
        """
        return (
            policy.allow(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"], [self.key_arn]),
            policy.allow(["kms:CreateGrant"], [self.key_arn], Bool={"kms:GrantIsForAWSResource": "true"}),
        )

    def use_network(self) -> tuple[policy.Statement, ...]:
        """The statements that let jobs, endpoints and functions make their network interfaces.

        EC2's interface actions take no resource but `*` for some of their parts; the condition holds them to this VPC's
        subnets. https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
        """
        here = pulumi.Output.concat("arn:aws:ec2:", self.region, ":", self.account)
        subnets = [pulumi.Output.concat(here, ":subnet/", subnet) for subnet in self.network_component.subnet_ids]
        interfaces = pulumi.Output.concat(here, ":network-interface/*")
        group = pulumi.Output.concat(here, ":security-group/", self.security_group.id)
        return (
            policy.allow(
                [
                    "ec2:DescribeDhcpOptions",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs",
                ],
                ["*"],
            ),
            policy.allow(["ec2:CreateNetworkInterface"], [*subnets, interfaces, group]),
            policy.allow(
                [
                    "ec2:CreateNetworkInterfacePermission",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DeleteNetworkInterfacePermission",
                ],
                [interfaces],
            ),
        )

    def _encryption(self) -> None:
        context, settings = self.context, self.context.settings.encryption
        if settings.existing_key:
            self.key_arn = pulumi.Output.from_input(settings.existing_key)
            context.register.brought("customer-managed-key")
            return
        self.kms_key = kms.Key(
            context.logical("key"),
            description=f"Data of {context.workload.name}",
            enable_key_rotation=True,
            rotation_period_in_days=settings.rotation_days,
            deletion_window_in_days=30,
            policy=self._key_policy(),
            tags=context.tags,
            opts=self.child(),
        )
        kms.Alias(
            context.logical("key"),
            name=f"alias/ml-blueprints/{context.name}-{context.token}",
            target_key_id=self.kms_key.key_id,
            opts=self.child(),
        )
        self.key_arn = self.kms_key.arn
        self.realise("customer-managed-key", self.kms_key)

    def _key_policy(self) -> pulumi.Output[str]:
        """The account administers the key by IAM; services may use it for this account's things only."""
        root = pulumi.Output.concat("arn:aws:iam::", self.account, ":root")
        logs = pulumi.Output.concat("arn:aws:logs:", self.region, ":", self.account, ":log-group:*")
        crypt = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:DescribeKey"]
        return policy.document(
            policy.allow(["kms:*"], ["*"]) | {"Sid": "AccountAdministers", "Principal": {"AWS": root}},
            policy.allow_service(
                [pulumi.Output.concat("logs.", self.region, ".amazonaws.com")],
                [*crypt, "kms:ReEncrypt*"],
                "*",
                ArnLike={"kms:EncryptionContext:aws:logs:arn": logs},
            ),
            policy.allow_service(
                ["cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"],
                ["kms:Decrypt", "kms:GenerateDataKey*"],
                "*",
                StringEquals={"aws:SourceAccount": self.account},
            ),
            *self._used_by_trails(),
            *self._decrypting_elsewhere(),
        )

    def _used_by_trails(self) -> tuple[policy.Statement, ...]:
        """Trails of this account write what they record under the key.

        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
        """
        trails = pulumi.Output.concat("arn:aws:cloudtrail:*:", self.account, ":trail/*")
        service, ours = ["cloudtrail.amazonaws.com"], {"ArnLike": {"aws:SourceArn": trails}}
        context = {"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": trails}}
        return (
            policy.allow_service(service, ["kms:GenerateDataKey*"], "*", **ours, **context),
            policy.allow_service(service, ["kms:DescribeKey"], "*", **ours),
        )

    def _decrypting_elsewhere(self) -> tuple[policy.Statement, ...]:
        """Accounts that take models on read them, and the images that serve them, from S3 and ECR; nothing else."""
        taking = self.context.settings.promotes_to
        if not taking:
            return ()
        services = [pulumi.Output.concat(name, ".", self.region, ".amazonaws.com") for name in ("s3", "ecr")]
        reading = ["kms:Decrypt", "kms:DescribeKey"]
        return (policy.others(taking, reading, "*", StringEquals={"kms:ViaService": services}),)

    def _logs(self) -> None:
        # A key that doesn't exist yet can't be named; the group's policy is the key's, so it is made after it.
        self.log_group = cloudwatch.LogGroup(
            self.context.logical("logs"),
            kms_key_id=self.key_arn,
            retention_in_days=facts.LOG_RETENTION_DAYS,
            tags=self.context.tags,
            opts=self.child(),
        )
        self.realise("central-logs", self.log_group)

    def _network(self) -> None:
        network = Network(self.context, self.account, self.log_group.arn, self.boundary.arn, opts=self.child())
        self.network_component = network
        self.security_group = network.security_group
        if network.flow_log is None:
            for capability in ("private-network", "private-service-access", "flow-logs"):
                self.context.register.brought(capability)
            return
        self.realise("private-network", *network.subnets)
        self.realise("private-service-access", *network.endpoints)
        self.realise("flow-logs", network.flow_log)

    def _boundary(self) -> None:
        """Identities brought along aren't under it, but some are handed on by ours."""
        mine, key = tuple(facts.BOUNDARY_OWN), "kms:"
        own = [action for action in facts.BOUNDARY_ACTIONS if action.startswith(mine)]
        others = [action for action in facts.BOUNDARY_ACTIONS if not action.startswith((*mine, key))]
        named = [self.named(arn) for arn in dict.fromkeys(facts.BOUNDARY_OWN.values())]
        of_key = [action for action in facts.BOUNDARY_ACTIONS if action.startswith(key)]
        until = self.until()
        self.boundary = iam.Policy(
            self.context.logical("boundary"),
            description=f"The most that a role of {self.context.name} may be granted",
            policy=policy.document(
                policy.allow(others, ["*"], **until),
                policy.allow(own, [*named, *self.context.settings.identities.values()], **until),
                policy.allow(of_key, [self.key_arn], **until),
            ),
            tags=self.context.tags,
            opts=self.child(),
        )

    def named(self, arn: str) -> pulumi.Output[str]:
        """An ARN with the platform's words: `{name}`, `{token}`, `{account}`, `{region}`, `{place}` (the two of them
        together) and `{catalog}`, the database's."""
        name, token = self.context.name, self.context.token
        catalog = f"{name}_{token}".replace("-", "_")

        def filled(where: list[str]) -> str:
            region, account = where
            words = {"region": region, "account": account, "place": f"{region}:{account}"}
            return arn.format(name=name, token=token, catalog=catalog, **words)

        return pulumi.Output.all(self.region, self.account).apply(filled)

    def until(self) -> dict[str, dict[str, str]]:
        """The condition on all rights: those of an experiment end with it, whatever is left of its resources."""
        experiment = self.context.settings.experiment
        return {"DateLessThanEquals": {"aws:CurrentTime": f"{experiment.expires_on}T23:59:59Z"}} if experiment else {}

    def _identities(self) -> None:
        context = self.context
        self.role_arns: dict[Purpose, pulumi.Output[str]] = {}
        for purpose in Purpose:
            if existing := context.settings.identities.get(purpose):
                self.role_arns[purpose] = pulumi.Output.from_input(existing)
                continue
            self.roles[purpose] = iam.Role(
                context.logical(purpose),
                description=f"{context.name}: {purpose}",
                # Notebooks say whose they are, so that each person has rights of their own.
                assume_role_policy=policy.trust(
                    facts.TRUSTED_SERVICES[purpose], self.account, named=purpose is Purpose.EXPLORATION
                ),
                permissions_boundary=self.boundary.arn,
                max_session_duration=3600,
                tags=context.tags,
                opts=self.child(),
            )
            self.role_arns[purpose] = self.roles[purpose].arn
        if self.roles:
            self.realise("identity-per-purpose", *self.roles.values())
        else:
            context.register.brought("identity-per-purpose")
        self._work_in_network()

    def _work_in_network(self) -> None:
        """Jobs, endpoints and functions in a VPC make network interfaces, keep logs and count metrics."""
        job_logs = pulumi.Output.concat("arn:aws:logs:", self.region, ":", self.account, ":log-group:/aws/sagemaker/*")
        for purpose in self.roles:
            self.grant(
                purpose,
                "network",
                *self.use_network(),
                policy.allow(["logs:CreateLogGroup"], [job_logs]),
                policy.allow(
                    ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    [pulumi.Output.concat(self.log_group.arn, ":*"), job_logs],
                ),
                policy.allow(
                    ["cloudwatch:PutMetricData"],
                    ["*"],
                    StringEquals={"cloudwatch:namespace": ["/aws/sagemaker/Endpoints/data-metrics", "ml-blueprints"]},
                ),
                *self.use_key(),
            )
