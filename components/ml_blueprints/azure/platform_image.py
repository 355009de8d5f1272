"""The platform's image as an environment of a workspace, under which jobs and services run it: always by digest."""

import pulumi
from pulumi_azure_native import containerregistry, machinelearningservices

from ml_blueprints import routing
from ml_blueprints.azure import facts
from ml_blueprints.layers import Context


class PlatformImage(pulumi.ComponentResource):
    """One image in a workspace. reference: the image by digest. version: the environment that jobs name."""

    def __init__(
        self,
        context: Context,
        group: pulumi.Input[str],
        workspace: machinelearningservices.Workspace,
        registry: containerregistry.Registry,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:PlatformImage", context.logical("image"), None, opts)
        image = context.settings.serving_image
        place = {"resource_group_name": group, "workspace_name": workspace.name}
        self.reference = routing.image_reference(image, registry.login_server)
        name, _, digest = image.partition("@sha256:")
        environment = machinelearningservices.EnvironmentContainer(
            context.logical("image"),
            name=routing.image_name(image),
            properties=machinelearningservices.EnvironmentContainerPropertiesArgs(
                description=f"The image of {context.workload.name}'s jobs and services", tags=context.tags
            ),
            opts=pulumi.ResourceOptions(parent=self),
            **place,
        )
        service = {"port": facts.SERVICE_PORT}
        self.version = machinelearningservices.EnvironmentVersion(
            context.logical("image"),
            name=environment.name,
            # Environments can't be changed: another image is another version.
            version=digest[:12],
            properties=machinelearningservices.EnvironmentVersionPropertiesArgs(
                description=name,
                image=self.reference,
                os_type=machinelearningservices.OperatingSystemType.LINUX,
                inference_config=machinelearningservices.InferenceContainerPropertiesArgs(
                    liveness_route=machinelearningservices.RouteArgs(path=facts.HEALTH_PATH, **service),
                    readiness_route=machinelearningservices.RouteArgs(path=facts.HEALTH_PATH, **service),
                    scoring_route=machinelearningservices.RouteArgs(path=facts.SCORE_PATH, **service),
                ),
                tags=context.tags,
            ),
            opts=pulumi.ResourceOptions(parent=self),
            **place,
        )
        self.register_outputs({"environmentId": self.version.id})
