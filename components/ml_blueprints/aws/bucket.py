"""Buckets as this platform makes them: versioned, encrypted, closed to the public, and their use is logged."""

from collections.abc import Mapping
from typing import NamedTuple

import pulumi
from pulumi_aws import s3

from ml_blueprints.aws import facts, policy
from ml_blueprints.layers import Context


class PrivateBucket(NamedTuple):
    """A bucket, how it encrypts, and whom it lets in, for what must wait for that."""

    bucket: s3.Bucket
    encryption: s3.BucketServerSideEncryptionConfiguration
    policy: s3.BucketPolicy


def private_bucket(
    context: Context,
    part: str,
    encryption: s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs,
    days: int | None,
    opts: pulumi.ResourceOptions,
    *statements: policy.Statement,
    tags: dict[str, str],
    passing: Mapping[str, int] | None = None,
) -> PrivateBucket:
    """A bucket whose objects go after these days (None: never) and whose old versions go after a month.

    `statements` are added to its policy; a `Resource` in them is a path in the bucket, such as `/*`. `passing` are
    prefixes with days of their own. In an experiment the bucket goes with all that is in it.
    """
    name = context.logical(part)
    bucket = s3.Bucket(name, force_destroy=context.settings.experiment is not None, tags=context.tags | tags, opts=opts)
    inside = pulumi.ResourceOptions(parent=bucket)
    s3.BucketVersioning(
        name,
        bucket=bucket.id,
        versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        opts=inside,
    )
    encryption_configuration = s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=encryption, bucket_key_enabled=True
            )
        ],
        opts=inside,
    )
    closed = s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=inside,
    )
    let_in = s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=policy.document(
            policy.deny_insecure_transport("s3:*", bucket.arn),
            *(
                statement | {"Resource": [pulumi.Output.concat(bucket.arn, path) for path in statement["Resource"]]}
                for statement in statements
            ),
        ),
        # S3 takes one change of a bucket's access at a time.
        opts=pulumi.ResourceOptions(parent=bucket, depends_on=[closed]),
    )
    _retention(name, bucket, days, passing or {})
    return PrivateBucket(bucket, encryption_configuration, let_in)


def _retention(name: str, bucket: s3.Bucket, days: int | None, passing: Mapping[str, int]) -> None:
    s3.BucketLifecycleConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            s3.BucketLifecycleConfigurationRuleArgs(
                id="retention",
                status="Enabled",
                filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                expiration=None if days is None else s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
                noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=30
                ),
                abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                    days_after_initiation=7
                ),
            ),
            *(
                s3.BucketLifecycleConfigurationRuleArgs(
                    id=prefix.strip("/"),
                    status="Enabled",
                    filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
                    expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
                )
                for prefix, days in passing.items()
            ),
        ],
        opts=pulumi.ResourceOptions(parent=bucket),
    )


def log_bucket(context: Context, account: pulumi.Input[str], opts: pulumi.ResourceOptions) -> PrivateBucket:
    """Where S3 says who used which object of the other buckets.

    S3 delivers to buckets that encrypt with its own keys only, and by a policy, not by an access list:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    deliver = policy.allow_service(
        ["logging.s3.amazonaws.com"], ["s3:PutObject"], "/*", StringEquals={"aws:SourceAccount": account}
    )
    return private_bucket(
        context,
        "access-logs",
        s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(sse_algorithm="AES256"),
        facts.LOG_RETENTION_DAYS,
        opts,
        deliver,
        tags={"zone": "access-logs"},
    )
