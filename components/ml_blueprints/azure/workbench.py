"""Notebooks on Azure: a compute instance for each person who has one, in the workspace's managed network."""

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import authorization, machinelearningservices, storage

from ml_blueprints.azure import facts
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.storage_account import delete_after
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class Workbench(pulumi.ComponentResource):
    """Compute instances by name of their user, and where they may write.

    A person opens the own instance and no other, signed in as themselves. What runs there reads the lake under the
    identity of exploration, which can change nothing in it: it writes runs, and files to `scratch`, which are deleted
    with the data that they were made of. The person has no rights on the data. The SDK's provider can't take root away
    from them on the instance; it holds no credentials but tokens of that identity.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:Workbench", context.logical("workbench"), None, opts)
        self.context, self.foundation, self.data = context, foundation, data
        self._scratch()
        ready = self._rights()
        self.instances = {
            name: self._instance(name, person, ready) for name, person in context.settings.workbench_users.items()
        }
        self.register_outputs({name: instance.id for name, instance in self.instances.items()})

    def _scratch(self) -> None:
        """In the workspace's own account: the lake has what the platform's own jobs made, and nothing else."""
        context, account = self.context, self.data.dependencies.account
        self.scratch = storage.BlobContainer(
            context.logical("scratch"),
            resource_group_name=self.foundation.group,
            account_name=account.name,
            container_name="scratch",
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions(parent=self),
        )
        days = context.workload.data.retention_days
        delete_after(context, "mlstore", self.foundation.group, account, days, ["scratch/"])

    def _rights(self) -> list[pulumi.Resource]:
        foundation, workspace = self.foundation, self.data.workspace
        explore = foundation.role("explore", "explore", facts.EXPLORATION_ACTIONS)
        self.opens = foundation.role("open", "open notebooks", facts.WORKBENCH_ACTIONS)
        return [
            *foundation.grant(Purpose.EXPLORATION, "workspace", explore, workspace.id),
            *foundation.grant(Purpose.EXPLORATION, "scratch", facts.ROLE_BLOB_WRITER, self.scratch.id),
            *self.data.grants[Purpose.EXPLORATION],
        ]

    def _instance(
        self, name: str, person: pulumi.Input[str], ready: Sequence[pulumi.Resource]
    ) -> machinelearningservices.Compute:
        context, foundation = self.context, self.foundation
        may_open = foundation.assign(
            f"{name}-opens",
            person,
            self.opens,
            self.data.workspace.id,
            pulumi.ResourceOptions(parent=self),
            authorization.PrincipalType.USER,
        )
        return machinelearningservices.Compute(
            context.logical(f"workbench-{name}"),
            # 3 to 24 characters, unique in the region.
            compute_name=f"{name}-{context.token[:7]}",
            resource_group_name=foundation.group,
            workspace_name=self.data.workspace.name,
            location=foundation.location,
            identity=machinelearningservices.ManagedServiceIdentityArgs(
                type=machinelearningservices.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[foundation.identities[Purpose.EXPLORATION]],
            ),
            properties=machinelearningservices.ComputeInstanceArgs(
                compute_type="ComputeInstance",
                description=f"Notebooks of {name} for {context.workload.name}",
                disable_local_auth=True,
                properties=machinelearningservices.ComputeInstancePropertiesArgs(
                    vm_size=facts.WORKBENCH_VM_SIZE,
                    enable_node_public_ip=False,
                    enable_sso=True,
                    application_sharing_policy=machinelearningservices.ApplicationSharingPolicy.PERSONAL,
                    personal_compute_instance_settings=machinelearningservices.PersonalComputeInstanceSettingsArgs(
                        assigned_user=machinelearningservices.AssignedUserArgs(
                            object_id=person, tenant_id=foundation.tenant
                        )
                    ),
                    ssh_settings=machinelearningservices.ComputeInstanceSshSettingsArgs(
                        ssh_public_access=machinelearningservices.SshPublicAccess.DISABLED
                    ),
                    idle_time_before_shutdown=facts.WORKBENCH_IDLE,
                    schedules=self._schedules(),
                ),
            ),
            tags=context.tags,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[may_open, *ready, *self.data.workspace_component.outbound_rules]
            ),
        )

    def _schedules(self) -> machinelearningservices.ComputeSchedulesArgs:
        """Whatever still runs in the evening is stopped."""
        return machinelearningservices.ComputeSchedulesArgs(
            compute_start_stop=[
                machinelearningservices.ComputeStartStopScheduleArgs(
                    action=machinelearningservices.ComputePowerAction.STOP,
                    status=machinelearningservices.ScheduleStatus.ENABLED,
                    trigger_type=machinelearningservices.ComputeTriggerType.CRON,
                    cron=machinelearningservices.CronArgs(expression=facts.WORKBENCH_STOP, time_zone="UTC"),
                )
            ]
        )
