"""Runs of the workspace that publish what only the network reaches: code to its store, contracts to theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints.azure import facts
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.platform_image import PlatformImage
from ml_blueprints.azure.workspace import Dependencies, Workspace
from ml_blueprints.layers import Context


@dataclass(frozen=True)
class Publisher:
    """Asks for runs in the platform's image, on serverless compute, under the workspace's own identity.

    They are asked for through Azure Resource Manager, which is reached from everywhere.
    """

    context: Context
    foundation: Foundation
    dependencies: Dependencies
    workspace: Workspace
    image: PlatformImage

    def run(
        self,
        part: str,
        version: str,
        command: pulumi.Input[str],
        variables: Mapping[str, pulumi.Input[str]],
        outputs: Mapping[str, machinelearningservices.UriFolderJobOutputArgs],
        opts: pulumi.ResourceOptions,
    ) -> machinelearningservices.Job:
        """The run that publishes one version of something: made once, as its name is that of the version.

        It is there when the deployment ends, and what it publishes some minutes later.
        """
        context, identity = self.context, self.dependencies.identity
        # A run that failed is asked for again by replacing it, and has its name.
        once = pulumi.ResourceOptions(delete_before_replace=True, depends_on=self.dependencies.grants)
        return machinelearningservices.Job(
            context.logical(f"publish-{part}"),
            id=f"publish-{part}-{version}",
            resource_group_name=self.foundation.group,
            workspace_name=self.workspace.name,
            properties=machinelearningservices.CommandJobArgs(
                job_type="Command",
                display_name=f"publish {part} {version}",
                experiment_name=f"{context.name}-publish",
                command=command,
                environment_id=self.image.version.id,
                environment_variables=variables,
                identity=machinelearningservices.ManagedIdentityArgs(
                    identity_type="Managed", client_id=identity.client_id, resource_id=identity.id
                ),
                # Without a compute of its own it is serverless.
                resources=machinelearningservices.JobResourceConfigurationArgs(
                    instance_type=facts.SMALL_JOB_VM_SIZE, instance_count=1
                ),
                limits=machinelearningservices.CommandJobLimitsArgs(job_limits_type="Command", timeout="PT1H"),
                outputs=outputs,
                tags=context.tags,
            ),
            opts=pulumi.ResourceOptions.merge(once, opts),
        )
