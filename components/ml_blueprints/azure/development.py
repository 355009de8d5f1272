"""The development layer on Azure: registries, signing, experiments, notebooks, and the pipelines that train."""

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints import layers, looks, routing
from ml_blueprints.azure import facts, job_cluster, pipeline_definition
from ml_blueprints.azure.data import EVENTS, Data
from ml_blueprints.azure.features import Features
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.pipeline_definition import Definition
from ml_blueprints.azure.promotion import PromotionRegistry
from ml_blueprints.azure.registered_pipelines import RegisteredPipelines
from ml_blueprints.azure.signing_vault import SigningVault
from ml_blueprints.azure.workbench import Workbench
from ml_blueprints.compiled_pipelines import NOTHING, RETRAINING, TRAINING
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose


class Development(AzureLayer, layers.Development):
    """Registries, experiments, notebooks and training on Azure.

    Native resources: `registry_account` (the container registry), `model_containers` by model name, `trained_container`
    (what training registers), `promotion` (the registry of the next environment's readers, None without any), `signing`
    (the vault of the key), `workspace` (with its experiments), `workbench` (with its instances), `compute`,
    `environment_version` (the platform's image), `pipelines` (compiled ones, as components), `training_pipeline`,
    `training_schedule` (not enabled, started by name), `retraining_pipeline`.

    `job` says where and as whom pipelines run, `training_run` and `retraining_run` what a run is, `places` where the
    folders are that pipelines are given, `ready` what a run waits for; `start_role` may start one.
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
        self._signing()
        self._experiments()
        self._workbench()
        self._training()
        self._retraining()
        self._rights()
        self.give(
            registry={name: container.id for name, container in self.model_containers.items()},
            images=self.images_prefix,
            experiments=self.workspace.id,
            pipeline=self.training_pipeline.id,
            retraining=self.retraining_pipeline.id,
        )

    def _images(self) -> None:
        """The workspace's own registry, and the platform's image in the workspace: both are made with it."""
        self.registry_account = self.data.dependencies.registry
        self.images_prefix = self.registry_account.login_server
        self.image, self.environment_version = self.data.image.reference, self.data.image.version
        self.pulls = {
            purpose: self.foundation.grant(purpose, "images", facts.ROLE_IMAGE_PULL, self.registry_account.id)
            for purpose in Purpose
            if purpose is not Purpose.EXPLORATION
        }
        self.realise("image-registry", self.registry_account)

    def _model_registry(self) -> None:
        """A place for each model of the workload and each that training chooses from, and one for what it registers."""
        context = self.context
        chosen = Definition.parse(facts.PIPELINES.source(context.workload, TRAINING)).candidates
        self.model_containers = {
            name: self._models(name, f"Versions of {name} for {context.workload.name}")
            for name in dict.fromkeys((*routing.grouped_by_name(context.workload.models), *chosen))
        }
        trained = f"{context.workload.name}-trained"
        self.trained_container = self._models(trained, f"What training of {context.workload.name} registered")
        self.promotion = (
            PromotionRegistry(context, self.foundation, self.data.workspace_component, opts=self.child())
            if context.settings.promotes_to
            else None
        )
        self.realise("model-registry", *self.model_containers.values(), self.trained_container)

    def _models(self, name: str, description: str) -> machinelearningservices.ModelContainer:
        return machinelearningservices.ModelContainer(
            self.context.logical(f"model-{name}"),
            name=name,
            properties=machinelearningservices.ModelContainerPropertiesArgs(
                description=description, tags=self.context.tags
            ),
            opts=self.child(),
            **self.place,
        )

    def _signing(self) -> None:
        self.signing = SigningVault(self.context, self.foundation, opts=self.child(depends_on=self.foundation.ready))
        self.data.workspace_component.reach("signing", self.signing.vault.id, "vault")
        self.realise("model-signing", self.signing.vault)

    def _experiments(self) -> None:
        """Every workspace is an MLflow tracking server; training may write runs and register models there."""
        trains = self.foundation.role("train", "train", facts.TRAINING_ACTIONS)
        self.ready: list[pulumi.Resource] = [
            *self.foundation.grant(Purpose.TRAINING, "train", trains, self.workspace.id),
            *self.signing.readers,
            *self.data.grants[Purpose.TRAINING],
        ]
        self.realise("experiment-tracking", self.workspace)

    def _workbench(self) -> None:
        """An instance for each who has one; nobody is the owner of one that nobody works on."""
        self.workbench = Workbench(self.context, self.foundation, self.data, opts=self.child())
        if self.workbench.instances:
            self.realise("workbench", *self.workbench.instances.values())
        else:
            self.context.register.brought("workbench")

    def _training(self) -> None:
        """The compiled pipeline, with what it is given: events and outcomes of the lake, and the key that signs."""
        context, data = self.context, self.data
        self._compute()
        self.job = pipeline_definition.Job(
            compute=self.compute.id,
            identity=self.foundation.identities[Purpose.TRAINING],
            environment=self.environment_version.id,
        )
        self.pipelines = RegisteredPipelines(context, self.place, self.environment_version.id, opts=self.child())
        self.places = {
            "archive": data.path(Zone.RAW, EVENTS),
            "labels": data.path(Zone.CURATED, f"{looks.LABELS}/"),
            "champion": data.path(Zone.MODELS, f"{routing.artifact_path(context.workload.champion)}/"),
        }
        self.training_pipeline, self.training_run = self._learning(TRAINING)
        # Whole, with all that a run is given, and started by its name; in use models are trained again by monitoring.
        self.training_schedule = machinelearningservices.Schedule(
            context.logical("training"),
            name="training",
            properties=pipeline_definition.schedule(
                context,
                context.workload.retraining.schedule or facts.TRAINING_TIMES,
                pipeline_definition.scheduled(self.job, self.training_run),
                enabled=False,
            ),
            opts=self.child(depends_on=self.ready),
            **self.place,
        )
        self.realise("training-pipeline", self.training_pipeline)

    def _retraining(self) -> None:
        self.retraining_pipeline, self.retraining_run = self._learning(RETRAINING)
        self.realise("retraining-pipeline", self.retraining_pipeline)

    def _learning(self, name: str) -> tuple[machinelearningservices.ComponentVersion, pipeline_definition.Run]:
        """A pipeline that ends with a registered model, and what a run of it is.

        The registered version becomes one of the workspace's, and a folder among all models, where deployments look. An
        experiment's needs no signature.
        """
        context, data = self.context, self.data
        definition, component = self.pipelines.register(name)
        run = pipeline_definition.Run(
            component=component.id,
            experiment=f"{context.name}-{name}",
            inputs={part: self.places[part] for part in definition.folders},
            outputs={
                "registered": data.path(Zone.MODELS, f"registered/{pipeline_definition.RUN}/"),
                "published": data.path(Zone.MODELS, ""),
            },
            words={
                "environment": context.settings.environment,
                "key": NOTHING if context.settings.experiment else self.signing.reference,
            },
            registers={"registered": self.trained_container.name},
        )
        return component, run

    def _compute(self) -> None:
        """Training's nodes. Those of an experiment may be taken away; elsewhere a run of hours would begin anew."""
        self.compute = job_cluster.cluster(
            self.context,
            self.foundation,
            self.place,
            "jobs",
            [Purpose.TRAINING],
            interruptible=self.context.settings.experiment is not None,
            opts=self.child(depends_on=[*self.data.workspace_component.outbound_rules, *self.pulls[Purpose.TRAINING]]),
        )

    def _rights(self) -> None:
        """Whoever starts pipelines has a role for that and for nothing else."""
        self.start_role = self.foundation.role("start", "start pipelines", facts.START_ACTIONS)
