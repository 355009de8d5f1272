"""Clusters on which jobs of the workspace run: nodes in its managed network, which are there while a job runs."""

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


def cluster(
    context: Context,
    foundation: Foundation,
    place: dict[str, Any],
    name: str,
    purposes: Sequence[Purpose],
    interruptible: bool,
    opts: pulumi.ResourceOptions,
    vm_size: str = facts.JOB_VM_SIZE,
    nodes: int = facts.JOB_NODES,
) -> machinelearningservices.Compute:
    """Nodes without public addresses. A cluster takes the identities of its jobs, the first of them for its own needs.

    name: 2 to 16 characters. interruptible: nodes that cost a fifth and may be taken away at any time; Azure then puts
    the job back in its queue (https://learn.microsoft.com/azure/machine-learning/how-to-manage-optimize-cost). All
    steps of a pipeline share one size: a node that one step leaves is warm for the next.
    """
    priority = machinelearningservices.VmPriority
    return machinelearningservices.Compute(
        context.logical(name),
        compute_name=name,
        location=foundation.location,
        identity=machinelearningservices.ManagedServiceIdentityArgs(
            type=machinelearningservices.ManagedServiceIdentityType.USER_ASSIGNED,
            user_assigned_identities=[foundation.identities[purpose] for purpose in purposes],
        ),
        properties=machinelearningservices.AmlComputeArgs(
            compute_type="AmlCompute",
            disable_local_auth=True,
            properties=machinelearningservices.AmlComputePropertiesArgs(
                vm_size=vm_size,
                vm_priority=priority.LOW_PRIORITY if interruptible else priority.DEDICATED,
                os_type=machinelearningservices.OsType.LINUX,
                enable_node_public_ip=False,
                remote_login_port_public_access=machinelearningservices.RemoteLoginPortPublicAccess.DISABLED,
                scale_settings=machinelearningservices.ScaleSettingsArgs(
                    min_node_count=0, max_node_count=nodes, node_idle_time_before_scale_down="PT5M"
                ),
            ),
        ),
        tags=context.tags,
        opts=opts,
        **place,
    )
