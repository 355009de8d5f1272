"""The development layer on Azure: container registry, models and experiments of the workspace, training pipeline."""

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints import layers, routing
from ml_blueprints.azure import facts, pipeline_definition
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.features import Features
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose


class Development(AzureLayer, layers.Development):
    """Registries, experiments and training on Azure.

    Native resources: `registry_account` (the container registry), `model_containers` by model name, `workspace` (with
    its experiments), `compute`, `environment_version` (the platform's image), `training_command`, `training_pipeline`;
    `job` says where and as whom pipelines run, `training` what a training run is, `start_role` may start one.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        features: Features,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__(context, opts)
        self.foundation, self.data, self.features = foundation, data, features
        self.workspace = data.workspace
        self.place = {"resource_group_name": foundation.group, "workspace_name": self.workspace.name}
        self._images()
        self._model_registry()
        self._experiments()
        self._compute()
        self._training()
        self.give(
            registry={name: container.id for name, container in self.model_containers.items()},
            images=self.images_prefix,
            experiments=self.workspace.id,
            pipeline=self.training_pipeline.id,
        )

    def _images(self) -> None:
        """The workspace's own registry, and the platform's image in the workspace: both are made with it."""
        self.registry_account = self.data.dependencies.registry
        self.images_prefix = self.registry_account.login_server
        self.image, self.environment_version = self.data.image.reference, self.data.image.version
        self.pulls = {
            purpose: self.foundation.grant(purpose, "images", facts.ROLE_IMAGE_PULL, self.registry_account.id)
            for purpose in Purpose
        }
        self.realise("image-registry", self.registry_account)

    def _model_registry(self) -> None:
        context = self.context
        self.model_containers = {
            name: machinelearningservices.ModelContainer(
                context.logical(f"model-{name}"),
                name=name,
                properties=machinelearningservices.ModelContainerPropertiesArgs(
                    description=f"Versions of {name} for {context.workload.name}", tags=context.tags
                ),
                opts=self.child(),
                **self.place,
            )
            for name in routing.grouped_by_name(context.workload.models)
        }
        self.realise("model-registry", *self.model_containers.values())

    def _experiments(self) -> None:
        """Every workspace is an MLflow tracking server; training may write runs and register models there."""
        role = self.foundation.role("train", "train", facts.TRAINING_ACTIONS)
        self.foundation.grant(Purpose.TRAINING, "train", role, self.workspace.id)
        self.realise("experiment-tracking", self.workspace)

    def _compute(self) -> None:
        """Nodes without public addresses in the workspace's managed network, which are there while a job runs.

        A cluster takes the identities of the jobs that run on it, the first of them for its own needs.
        """
        context, identities = self.context, self.foundation.identities
        purposes = (Purpose.TRAINING, Purpose.SERVING)
        self.compute = machinelearningservices.Compute(
            context.logical("jobs"),
            # 2 to 16 characters.
            compute_name="jobs",
            location=self.foundation.location,
            identity=machinelearningservices.ManagedServiceIdentityArgs(
                type=machinelearningservices.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identities[purpose] for purpose in purposes],
            ),
            properties=machinelearningservices.AmlComputeArgs(
                compute_type="AmlCompute",
                disable_local_auth=True,
                properties=machinelearningservices.AmlComputePropertiesArgs(
                    vm_size=facts.JOB_VM_SIZE,
                    vm_priority=machinelearningservices.VmPriority.DEDICATED,
                    os_type=machinelearningservices.OsType.LINUX,
                    enable_node_public_ip=False,
                    remote_login_port_public_access=machinelearningservices.RemoteLoginPortPublicAccess.DISABLED,
                    scale_settings=machinelearningservices.ScaleSettingsArgs(
                        min_node_count=0, max_node_count=facts.JOB_NODES, node_idle_time_before_scale_down="PT5M"
                    ),
                ),
            ),
            tags=context.tags,
            opts=self.child(depends_on=[*self.data.workspace_component.outbound_rules, *self.pulls[Purpose.TRAINING]]),
            **self.place,
        )

    def _training(self) -> None:
        context, data = self.context, self.data
        self.job = pipeline_definition.Job(
            compute=self.compute.id,
            identity=self.foundation.identities[Purpose.TRAINING],
            environment=self.environment_version.id,
        )
        folders = {"inputs": ("features",), "outputs": ("candidates",)}
        step = pipeline_definition.command(self.job, "train", facts.COMMANDS["train"], **folders)
        self.training_command = self.component("train", step)
        whole = pipeline_definition.pipeline(self.job, "training", "train", self.training_command.id, **folders)
        self.training_pipeline = self.component("training", whole)
        self.training = pipeline_definition.Run(
            component=self.training_pipeline.id,
            experiment=f"{context.name}-training",
            inputs={"features": data.path(Zone.FEATURES, "offline/")},
            outputs={"candidates": data.path(Zone.MODELS, "candidates/")},
        )
        self.start_role = self.foundation.role("start", "start pipelines", facts.START_ACTIONS)
        self.realise("training-pipeline", self.training_pipeline)

    def component(self, name: str, specification: dict[str, object]) -> machinelearningservices.ComponentVersion:
        """A component of the workspace, by name; another specification is another version of it."""
        context = self.context
        container = machinelearningservices.ComponentContainer(
            context.logical(name),
            name=name,
            properties=machinelearningservices.ComponentContainerPropertiesArgs(
                description=f"{name} of {context.workload.name}", tags=context.tags
            ),
            opts=self.child(),
            **self.place,
        )
        return machinelearningservices.ComponentVersion(
            context.logical(name),
            name=container.name,
            version=pipeline_definition.version(specification),
            properties=machinelearningservices.ComponentVersionPropertiesArgs(
                component_spec=specification, description=f"{name} of {context.workload.name}", tags=context.tags
            ),
            opts=self.child(),
            **self.place,
        )
