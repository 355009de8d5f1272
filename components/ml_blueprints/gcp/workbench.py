"""The workbench on Google Cloud: a Workbench instance for each person, in the private network."""

import pulumi
from pulumi_gcp import workbench

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class Workbench(pulumi.ComponentResource):
    """`notebooks` and `entries`, the right of each person to their own notebook, by person.

    Notebooks run under the identity of exploration, which reads what was made of events and changes nothing. They have
    no public address; their disks have the platform's key; who is idle for an hour stops paying for the machine. In an
    experiment people are root and may take files out; elsewhere they aren't, and may not.
    """

    def __init__(self, context: Context, foundation: Foundation, opts: pulumi.ResourceOptions | None = None):
        super().__init__("ml-blueprints:gcp:Workbench", context.logical("workbench"), None, opts)
        self.context, self.foundation = context, foundation
        people = context.settings.workbench_users
        self.notebooks = {person: self._notebook(person, address) for person, address in people.items()}
        self.entries = self._entries()
        self.register_outputs({"notebooks": {name: one.id for name, one in self.notebooks.items()}})

    def _notebook(self, person: str, address: str) -> workbench.Instance:
        context, foundation = self.context, self.foundation
        experiments = context.settings.experiment is not None
        return workbench.Instance(
            context.logical(f"notebook-{person}"),
            # At most 63 lower case letters, digits and `-`.
            name=f"{context.name}-{person}-{context.token}",
            location=f"{foundation.region}-{facts.NOTEBOOK_ZONE}",
            instance_owners=[address],
            disable_proxy_access=False,
            enable_deletion_protection=False,
            gce_setup=workbench.InstanceGceSetupArgs(
                machine_type=facts.NOTEBOOK_MACHINE_TYPE,
                disable_public_ip=True,
                enable_ip_forwarding=False,
                service_accounts=[
                    workbench.InstanceGceSetupServiceAccountArgs(email=foundation.identities[Purpose.EXPLORATION])
                ],
                network_interfaces=[
                    workbench.InstanceGceSetupNetworkInterfaceArgs(
                        network=foundation.network, subnet=foundation.subnets[-1], nic_type="GVNIC"
                    )
                ],
                vm_image=workbench.InstanceGceSetupVmImageArgs(**facts.NOTEBOOK_IMAGE),
                shielded_instance_config=workbench.InstanceGceSetupShieldedInstanceConfigArgs(
                    enable_secure_boot=True, enable_vtpm=True, enable_integrity_monitoring=True
                ),
                boot_disk=workbench.InstanceGceSetupBootDiskArgs(
                    disk_size_gb=str(facts.NOTEBOOK_BOOT_GIB),
                    disk_type="PD_BALANCED",
                    disk_encryption="CMEK",
                    kms_key=foundation.key,
                ),
                data_disks=workbench.InstanceGceSetupDataDisksArgs(
                    disk_size_gb=str(facts.NOTEBOOK_DATA_GIB),
                    disk_type="PD_BALANCED",
                    disk_encryption="CMEK",
                    kms_key=foundation.key,
                ),
                metadata={
                    **facts.NOTEBOOK_METADATA,
                    "notebook-disable-root": str(not experiments).lower(),
                    "notebook-disable-downloads": str(not experiments).lower(),
                },
            ),
            labels=context.tags | {"person": person},
            opts=pulumi.ResourceOptions(parent=self, depends_on=foundation.ready),
        )

    def _entries(self) -> dict[str, workbench.InstanceIamMember]:
        """Whoever owns a notebook opens, starts and stops it, and can't change what it is."""
        if not self.notebooks:
            return {}
        role = self.foundation.role("use-notebook", "use a notebook", facts.NOTEBOOK_PERMISSIONS)
        return {
            person: workbench.InstanceIamMember(
                self.context.logical(f"notebook-{person}"),
                name=notebook.name,
                location=notebook.location,
                role=role.name,
                member=f"user:{self.context.settings.workbench_users[person]}",
                condition=self.foundation.until(workbench.InstanceIamMemberConditionArgs),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for person, notebook in self.notebooks.items()
        }
