"""The development layer on Google Cloud: Artifact Registry, TensorBoard on Vertex AI, the training pipeline."""

import pulumi
from pulumi_gcp import artifactregistry, vertex, workflows

from ml_blueprints import layers, routing
from ml_blueprints.gcp import facts, pipeline_definition
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose


class Development(layers.Development):
    """Registries, experiments and training on Google Cloud.

    Native resources: `repository`, `model_repositories` by model name, `tensorboard`, `training_pipeline`;
    `job` says where pipelines run, `image` is the image of the platform's jobs and services.
    """

    cloud = "gcp"

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
        self._images()
        self._model_registry()
        self._experiments()
        self._training()
        self.give(
            registry={name: repository.id for name, repository in self.model_repositories.items()},
            images=self.images_prefix,
            experiments=self.tensorboard.id,
            pipeline=self.training_pipeline.id,
        )

    def _images(self) -> None:
        context, foundation = self.context, self.foundation
        self.repository = artifactregistry.Repository(
            context.logical("images"),
            repository_id=f"{context.name}-images-{context.token}",
            location=foundation.region,
            format="DOCKER",
            description=f"Images of {context.workload.name}",
            docker_config=artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
            # What runs is named by its digest and keeps its tag; what has lost its tag runs nowhere.
            cleanup_policies=[
                artifactregistry.RepositoryCleanupPolicyArgs(
                    id="untagged",
                    action="DELETE",
                    condition=artifactregistry.RepositoryCleanupPolicyConditionArgs(
                        tag_state="UNTAGGED", older_than=f"{facts.UNTAGGED_IMAGE_DAYS * 86400}s"
                    ),
                )
            ],
            kms_key_name=foundation.key,
            labels=context.tags,
            opts=self.child(depends_on=foundation.ready),
        )
        self.images_prefix = pulumi.Output.concat(
            foundation.region, "-docker.pkg.dev/", foundation.project, "/", self.repository.repository_id
        )
        self.image = routing.image_reference(context.settings.serving_image, self.images_prefix)
        for purpose in Purpose:
            self._grant(f"{purpose}-images", self.repository, facts.ROLE_ARTIFACT_READER, foundation.member(purpose))
        self.realise("image-registry", self.repository)

    def _model_registry(self) -> None:
        """A repository for each model: a version is a package of it, which holds the signed artifact."""
        context, foundation = self.context, self.foundation
        self.model_repositories: dict[str, artifactregistry.Repository] = {}
        for name in routing.grouped_by_name(context.workload.models):
            repository = artifactregistry.Repository(
                context.logical(f"model-{name}"),
                # At most 63 lower case letters, digits and `-`; a model's name has at most 40.
                repository_id=f"model-{name}-{context.token}",
                location=foundation.region,
                format="GENERIC",
                description=f"Versions of {name} for {context.workload.name}",
                kms_key_name=foundation.key,
                labels=context.tags | {"model": name},
                opts=self.child(depends_on=foundation.ready),
            )
            self.model_repositories[name] = repository
            self._grant(
                f"training-model-{name}", repository, facts.ROLE_ARTIFACT_WRITER, foundation.member(Purpose.TRAINING)
            )
        self.realise("model-registry", *self.model_repositories.values())

    def _grant(
        self, part: str, repository: artifactregistry.Repository, role: str, member: pulumi.Input[str]
    ) -> artifactregistry.RepositoryIamMember:
        return artifactregistry.RepositoryIamMember(
            self.context.logical(part),
            repository=repository.repository_id,
            location=self.foundation.region,
            role=role,
            member=member,
            opts=self.child(),
        )

    def _experiments(self) -> None:
        context = self.context
        self.tensorboard = vertex.AiTensorboard(
            context.logical("experiments"),
            display_name=f"{context.name}-{context.token}",
            description=f"Experiments of {context.workload.name}",
            region=self.foundation.region,
            encryption_spec=vertex.AiTensorboardEncryptionSpecArgs(kms_key_name=self.foundation.key),
            labels=context.tags,
            opts=self.child(depends_on=self.foundation.ready),
        )
        self.realise("experiment-tracking", self.tensorboard)

    def _training(self) -> None:
        context, foundation, zones = self.context, self.foundation, self.data.zones
        self.job = pipeline_definition.Job(
            project=foundation.project,
            region=foundation.region,
            image=self.image,
            key=foundation.key,
            attachment=foundation.network_component.attachment.id,
            labels=context.tags,
        )
        training = pipeline_definition.Run(
            name=f"{context.name}-training",
            command=facts.COMMANDS["train"],
            identity=foundation.identities[Purpose.TRAINING],
            destination=pulumi.Output.concat(zones[Zone.MODELS], "/candidates"),
            arguments=["--features", self.features.offline],
            tensorboard=self.tensorboard.id,
        )
        self.training_pipeline = workflows.Workflow(
            context.logical("training"),
            region=foundation.region,
            description=f"Trains the models of {context.workload.name}",
            service_account=foundation.identities[Purpose.TRAINING],
            source_contents=pipeline_definition.run_job(self.job, training),
            crypto_key_name=foundation.key,
            call_log_level="LOG_ERRORS_ONLY",
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(
                depends_on=[
                    *foundation.ready,
                    *foundation.act_as(Purpose.TRAINING, Purpose.TRAINING),
                    *self.data.grants[Purpose.TRAINING],
                ]
            ),
        )
        self.realise("training-pipeline", self.training_pipeline)
