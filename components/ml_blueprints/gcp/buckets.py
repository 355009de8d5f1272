"""Buckets as this platform makes them: encrypted, versioned, never public, with rights for all of what is in them."""

from collections.abc import Sequence

import pulumi
from pulumi_gcp import storage

from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context

# What is done, and under which condition.
Rule = tuple[str, storage.BucketLifecycleRuleConditionArgs]

# Days for which an old version of an object is kept.
OLD_VERSIONS_DAYS = 30


def bucket(
    part: str,
    context: Context,
    foundation: Foundation,
    rules: Sequence[Rule],
    opts: pulumi.ResourceOptions,
    logging: storage.BucketLoggingArgs | None = None,
    old_versions_days: int = OLD_VERSIONS_DAYS,
) -> storage.Bucket:
    """A bucket whose old versions go after a while."""
    old = storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=old_versions_days, with_state="ARCHIVED")
    tidy: list[Rule] = [
        ("Delete", old),
        ("AbortIncompleteMultipartUpload", storage.BucketLifecycleRuleConditionArgs(age=7)),
    ]
    return storage.Bucket(
        context.logical(part),
        location=foundation.region,
        # An experiment ends with all that it holds.
        force_destroy=context.settings.experiment is not None,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        versioning=storage.BucketVersioningArgs(enabled=True),
        encryption=storage.BucketEncryptionArgs(default_kms_key_name=foundation.key),
        lifecycle_rules=[
            storage.BucketLifecycleRuleArgs(
                action=storage.BucketLifecycleRuleActionArgs(type=action), condition=condition
            )
            for action, condition in (*tidy, *rules)
        ],
        logging=logging,
        labels=context.tags | {"zone": part},
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(foundation.ready))),
    )
