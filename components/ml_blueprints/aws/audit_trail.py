"""The audit trail on AWS: who read or wrote models and features, and who changed what, where nobody can alter it."""

from typing import Any

import pulumi
from pulumi_aws import cloudtrail, cloudwatch, iam, s3

from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.bucket import private_bucket
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone

_SERVICE, _KEYS = "cloudtrail.amazonaws.com", "kms.amazonaws.com"
# Zones whose objects are told of one by one.
_RECORDED = (Zone.MODELS, Zone.FEATURES)


class AuditTrail(pulumi.ComponentResource):
    """Native resources: `bucket`, to which CloudTrail alone writes, `log_group`, `role`, `trail`.

    Events of the registry of models and of secrets are those of management; what the online store is asked isn't
    recorded, since that is each request.
    """

    def __init__(
        self, context: Context, foundation: Foundation, data: Data, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__("ml-blueprints:aws:AuditTrail", context.logical("audit"), None, opts)
        self.context, self.foundation, self.data = context, foundation, data
        self.name = f"{context.name}-audit-{context.token}"
        self._bucket()
        self._logs()
        self._trail()
        self.register_outputs({"trailArn": self.trail.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _bucket(self) -> None:
        """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html"""
        context, foundation = self.context, self.foundation
        trail = pulumi.Output.concat(
            "arn:aws:cloudtrail:", foundation.region, ":", foundation.account, ":trail/", self.name
        )
        nobody_else = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"],
            "Resource": ["/*"],
            "Condition": {"StringNotEquals": {"aws:PrincipalServiceName": _SERVICE}},
        }
        made = private_bucket(
            context,
            "audit",
            s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                sse_algorithm="aws:kms", kms_master_key_id=foundation.key
            ),
            facts.LOG_RETENTION_DAYS,
            self._child(),
            policy.allow_service([_SERVICE], ["s3:GetBucketAcl"], "", StringEquals={"aws:SourceArn": trail}),
            policy.allow_service(
                [_SERVICE],
                ["s3:PutObject"],
                pulumi.Output.concat("/AWSLogs/", foundation.account, "/*"),
                StringEquals={"aws:SourceArn": trail, "s3:x-amz-acl": "bucket-owner-full-control"},
            ),
            nobody_else,
            tags={"zone": "audit"},
        )
        self.bucket, self.bucket_policy = made.bucket, made.policy
        s3.BucketLogging(
            context.logical("audit"),
            bucket=self.bucket.id,
            target_bucket=self.data.access_logs.id,
            target_prefix="audit/",
            # S3 delivers only to a bucket that encrypts as it asks.
            opts=pulumi.ResourceOptions(parent=self.bucket, depends_on=[self.data]),
        )

    def _logs(self) -> None:
        """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-required-policy-for-cloudwatch-logs.html"""
        context, foundation = self.context, self.foundation
        self.log_group = cloudwatch.LogGroup(
            context.logical("audit"),
            kms_key_id=foundation.key,
            retention_in_days=facts.LOG_RETENTION_DAYS,
            tags=context.tags,
            opts=self._child(),
        )
        self.role = iam.Role(
            context.logical("audit"),
            description=f"{context.name}: CloudTrail keeps a log",
            assume_role_policy=policy.trust([_SERVICE], foundation.account),
            permissions_boundary=foundation.boundary.arn,
            max_session_duration=3600,
            tags=context.tags,
            opts=self._child(),
        )
        streams = pulumi.Output.concat(self.log_group.arn, ":log-stream:", foundation.account, "_CloudTrail_*")
        self.rights = iam.RolePolicy(
            context.logical("audit"),
            role=self.role.name,
            policy=policy.document(policy.allow(["logs:CreateLogStream", "logs:PutLogEvents"], [streams])),
            opts=self._child(),
        )

    def _trail(self) -> None:
        """All regions, since an identity may act in any; without uses of keys, as each read of an object is one."""
        recorded = [pulumi.Output.concat(self.data.buckets[zone].arn, "/") for zone in _RECORDED]
        self.trail = cloudtrail.Trail(
            self.context.logical("audit"),
            name=self.name,
            s3_bucket_name=self.bucket.id,
            kms_key_id=self.foundation.key,
            enable_logging=True,
            enable_log_file_validation=True,
            include_global_service_events=True,
            is_multi_region_trail=True,
            cloud_watch_logs_group_arn=pulumi.Output.concat(self.log_group.arn, ":*"),
            cloud_watch_logs_role_arn=self.role.arn,
            advanced_event_selectors=[
                _selected("Management", eventCategory={"equals": ["Management"]}, eventSource={"not_equals": [_KEYS]}),
                _selected(
                    "Models and features",
                    **{
                        "eventCategory": {"equals": ["Data"]},
                        "resources.type": {"equals": ["AWS::S3::Object"]},
                        "resources.ARN": {"starts_withs": recorded},
                    },
                ),
            ],
            tags=self.context.tags,
            # CloudTrail tries the bucket and the role when the trail is made.
            opts=self._child(depends_on=[self.bucket_policy, self.rights]),
        )


def _selected(name: str, **fields: dict[str, list[Any]]) -> cloudtrail.TrailAdvancedEventSelectorArgs:
    """Events whose fields say so. https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedFieldSelector.html"""
    return cloudtrail.TrailAdvancedEventSelectorArgs(
        name=name,
        field_selectors=[
            cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs(field=field, **how) for field, how in fields.items()
        ],
    )
