"""The lake on Google Cloud: buckets that nobody reads from outside, with the log of who read them."""

import pulumi
from pulumi_gcp import storage

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context, Zone

# The folder of a zone in which runs of pipelines leave what their steps hand to one another.
RUNS = "runs"

Rule = tuple[str, storage.BucketLifecycleRuleConditionArgs]


class Lake(pulumi.ComponentResource):
    """The zones, a bucket for each, encrypted and versioned, and where their usage is logged.

    buckets: by zone. code: what jobs run, which stays. access_logs: usage logs of all of them, for as long as logs are
    kept.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:gcp:Lake", context.logical("lake"), None, opts)
        self.context, self.foundation = context, foundation
        self._access_logs()
        days = context.workload.data.retention_days
        # Models stay; what they were made of is data, and goes when data go.
        ends = {zone: _deleted(days) for zone in Zone} | {Zone.MODELS: _deleted(days, f"{RUNS}/")}
        self.buckets: dict[Zone, storage.Bucket] = {zone: self._logged(zone, [ends[zone]]) for zone in Zone}
        self.code = self._logged("code", [])
        self.register_outputs({"zones": {zone: bucket.url for zone, bucket in self.buckets.items()}})

    def _access_logs(self) -> None:
        """Cloud Storage delivers usage logs hourly, as a group of Google's that must be let in.

        https://cloud.google.com/storage/docs/access-logs#delivery
        """
        self.access_logs = self._bucket("access-logs", [_deleted(facts.LOG_RETENTION_DAYS)])
        self._may_log = storage.BucketIAMMember(
            self.context.logical("access-logs"),
            bucket=self.access_logs.name,
            role=facts.ROLE_OBJECT_CREATOR,
            member=facts.USAGE_LOG_WRITER,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _logged(self, part: str, rules: list[Rule]) -> storage.Bucket:
        return self._bucket(
            part, rules, storage.BucketLoggingArgs(log_bucket=self.access_logs.name, log_object_prefix=part)
        )

    def _bucket(self, part: str, rules: list[Rule], logging: storage.BucketLoggingArgs | None = None) -> storage.Bucket:
        """A bucket whose old versions go after a month."""
        tidy: list[Rule] = [
            ("Delete", storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=30, with_state="ARCHIVED")),
            ("AbortIncompleteMultipartUpload", storage.BucketLifecycleRuleConditionArgs(age=7)),
        ]
        return storage.Bucket(
            self.context.logical(part),
            location=self.foundation.region,
            # An experiment ends with all that it holds.
            force_destroy=self.context.settings.experiment is not None,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=storage.BucketVersioningArgs(enabled=True),
            encryption=storage.BucketEncryptionArgs(default_kms_key_name=self.foundation.key),
            lifecycle_rules=[
                storage.BucketLifecycleRuleArgs(
                    action=storage.BucketLifecycleRuleActionArgs(type=action), condition=condition
                )
                for action, condition in (*tidy, *rules)
            ],
            logging=logging,
            labels=self.context.tags | {"zone": part},
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*self.foundation.ready, *([self._may_log] if logging else [])]
            ),
        )


def _deleted(days: int, *prefixes: str) -> Rule:
    condition = storage.BucketLifecycleRuleConditionArgs(
        age=days, with_state="LIVE", matches_prefixes=list(prefixes) or None
    )
    return ("Delete", condition)
