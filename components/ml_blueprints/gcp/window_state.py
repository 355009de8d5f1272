"""Where the windows of each entity lie: a table of Bigtable, whose rows are changed one at a time by comparison."""

from typing import Any

import pulumi
from pulumi_gcp import bigtable, compute

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose

# Names that the event processor knows: the column family, and the profile that its requests name.
FAMILY = "state"
PROFILE = "processor"

# Bigtable keeps automated backups for 3 days or longer. https://cloud.google.com/bigtable/docs/backups#automated
BACKUP_EVERY = "24h"
BACKUP_KEPT = "72h"


class WindowState(pulumi.ComponentResource):
    """One row for each entity, in one cluster: a change that compares first needs one place to compare in.

    instance, table, garbage_collection, app_profile, reader_and_writer (the grant of the event processor). url: how the
    processor names the table. In production neither the table nor its instance can be deleted before they are
    released; nodes follow the load from one on.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:gcp:WindowState", context.logical("window-state"), None, opts)
        self.context, self.foundation = context, foundation
        self.kept = context.settings.environment == "production"
        self._instance()
        self._table()
        self._profile()
        self.reader_and_writer = bigtable.TableIamMember(
            context.logical("ingest-windows"),
            instance_name=self.instance.name,
            table=self.table.name,
            role=facts.ROLE_BIGTABLE_USER,
            member=foundation.member(Purpose.INGEST),
            opts=self._child(),
        )
        self.url = pulumi.Output.concat(
            "bigtable://", foundation.project, "/", self.instance.name, "/", self.table.name, f"?app_profile={PROFILE}"
        )
        self.register_outputs({"url": self.url})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _instance(self) -> None:
        context, foundation = self.context, self.foundation
        zones = compute.get_zones_output(
            region=foundation.region,
            status="UP",
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=foundation.ready),
        )
        self.cluster = f"state-{context.token}"
        self.instance = bigtable.Instance(
            context.logical("windows"),
            # 6 to 33 lower case letters, digits and `-`; a cluster's id 6 to 30.
            name=f"state-{context.token}",
            display_name=f"{context.name}: windows"[:30],
            clusters=[
                bigtable.InstanceClusterArgs(
                    cluster_id=self.cluster,
                    zone=zones.names[0],
                    storage_type="SSD",
                    kms_key_name=foundation.key,
                    autoscaling_config=bigtable.InstanceClusterAutoscalingConfigArgs(
                        min_nodes=1,
                        max_nodes=nodes(context.workload.data.events_per_second),
                        cpu_target=facts.BIGTABLE_CPU_TARGET,
                    ),
                )
            ],
            deletion_protection=self.kept,
            # Backups go with an instance that nothing keeps.
            force_destroy=not self.kept,
            labels=context.tags,
            # A region that gets another zone is no reason to make the cluster anew.
            opts=self._child(depends_on=foundation.ready, ignore_changes=["clusters[0].zone"]),
        )

    def _table(self) -> None:
        """Rows go when nothing has changed them for as long as data is kept.

        How long a row matters is known to the processor, which takes no notice of what is older than its windows.
        """
        context = self.context
        self.table = bigtable.Table(
            context.logical("windows"),
            name="windows",
            instance_name=self.instance.name,
            column_families=[bigtable.TableColumnFamilyArgs(family=FAMILY)],
            deletion_protection="PROTECTED" if self.kept else "UNPROTECTED",
            automated_backup_policy=bigtable.TableAutomatedBackupPolicyArgs(
                frequency=BACKUP_EVERY, retention_period=BACKUP_KEPT
            ),
            opts=self._child(),
        )
        self.garbage_collection = bigtable.GCPolicy(
            context.logical("windows"),
            instance_name=self.instance.name,
            table=self.table.name,
            column_family=FAMILY,
            mode="UNION",
            max_age=bigtable.GCPolicyMaxAgeArgs(duration=f"{context.workload.data.retention_days * 24}h"),
            max_versions=[bigtable.GCPolicyMaxVersionArgs(number=1)],
            # A table's rules go with it.
            deletion_policy="ABANDON",
            opts=self._child(),
        )

    def _profile(self) -> None:
        """All requests go to the one cluster, which compares and changes a row at once."""
        self.app_profile = bigtable.AppProfile(
            self.context.logical("windows"),
            instance=self.instance.name,
            app_profile_id=PROFILE,
            description=f"Event processor of {self.context.workload.name}",
            single_cluster_routing=bigtable.AppProfileSingleClusterRoutingArgs(
                cluster_id=self.cluster, allow_transactional_writes=True
            ),
            standard_isolation=bigtable.AppProfileStandardIsolationArgs(priority="PRIORITY_HIGH"),
            # Without it a profile can't be deleted that was used within the last weeks.
            ignore_warnings=True,
            opts=self._child(),
        )


def nodes(events_per_second: int) -> int:
    """The most nodes for this many events a second at the peak: twice what they take, so that a peak may be higher."""
    return max(2, 2 * -(-events_per_second // facts.EVENTS_PER_BIGTABLE_NODE))
