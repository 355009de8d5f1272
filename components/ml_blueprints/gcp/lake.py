"""The lake on Google Cloud: buckets that nobody reads from outside, with the log of who read them."""

import pulumi
from pulumi_gcp import storage

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.buckets import Rule, bucket
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context, Zone

# The folder of a zone in which runs of pipelines leave what their steps hand to one another.
RUNS = "runs"


class Lake(pulumi.ComponentResource):
    """The zones, a bucket for each, and where their usage is logged.

    buckets: by zone. code: what jobs run, which stays. access_logs: usage logs of all of them, for as long as logs are
    kept; may_log: the grant by which they are written.
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
        ends = [_deleted(facts.LOG_RETENTION_DAYS)]
        opts = pulumi.ResourceOptions(parent=self)
        self.access_logs = bucket("access-logs", self.context, self.foundation, ends, opts)
        self.may_log = storage.BucketIAMMember(
            self.context.logical("access-logs"),
            bucket=self.access_logs.name,
            role=facts.ROLE_OBJECT_CREATOR,
            member=facts.USAGE_LOG_WRITER,
            opts=opts,
        )

    def logging(self, part: str) -> storage.BucketLoggingArgs:
        """Where the usage of a bucket is logged."""
        return storage.BucketLoggingArgs(log_bucket=self.access_logs.name, log_object_prefix=part)

    def _logged(self, part: str, rules: list[Rule]) -> storage.Bucket:
        opts = pulumi.ResourceOptions(parent=self, depends_on=[self.may_log])
        return bucket(part, self.context, self.foundation, rules, opts, self.logging(part))


def _deleted(days: int, *prefixes: str) -> Rule:
    condition = storage.BucketLifecycleRuleConditionArgs(
        age=days, with_state="LIVE", matches_prefixes=list(prefixes) or None
    )
    return ("Delete", condition)
