"""The development layer on Google Cloud: images, registries, the key that signs, experiments, notebooks, pipelines."""

import hashlib

import pulumi
from pulumi_gcp import artifactregistry, secretmanager, storage, vertex

from ml_blueprints import layers, looks, routing
from ml_blueprints.compiled_pipelines import NOTHING, RETRAINING, TRAINING
from ml_blueprints.gcp import facts, pipeline_definition, vertex_pipeline
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation, expiry
from ml_blueprints.gcp.lake import RUNS
from ml_blueprints.gcp.vertex_pipeline import VertexPipeline
from ml_blueprints.gcp.workbench import Workbench
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose


class Development(layers.Development):
    """Registries, experiments, notebooks and training on Google Cloud.

    Native resources: `repository`, `pipeline_repository`, `model_repositories` by model name, `signing_key` (a secret
    without a value, which its owner puts there), `tensorboard`, `workbench` (notebooks and entries by person),
    `training` and `retraining_run`, each with its `definition` and `workflow`; `training_pipeline` and
    `retraining_pipeline` are their workflows. `job` says where single jobs run, `image` is the image of the platform's
    jobs and services.
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
        self._signing()
        self._experiments()
        self._workbench()
        self._training()
        self._retraining()
        self._rights()
        self.give(
            registry={name: repository.id for name, repository in self.model_repositories.items()},
            images=self.images_prefix,
            experiments=self.tensorboard.id,
            pipeline=self.training_pipeline.id,
            retraining=self.retraining_pipeline.id,
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
        # Where compiled pipelines are uploaded for those who start one by hand.
        self.pipeline_repository = artifactregistry.Repository(
            context.logical("pipelines"),
            repository_id=f"{context.name}-pipelines-{context.token}",
            location=foundation.region,
            format="KFP",
            description=f"Pipelines of {context.workload.name}",
            kms_key_name=foundation.key,
            labels=context.tags,
            opts=self.child(depends_on=foundation.ready),
        )
        self.realise("image-registry", self.repository)

    def _model_registry(self) -> None:
        """A repository for each model that is in use, or that training may choose: a version is a package of it.

        Pipelines register versions in Vertex AI's own registry, which needs no resource, and leave them in the lake.
        """
        context, foundation = self.context, self.foundation
        self.model_repositories: dict[str, artifactregistry.Repository] = {}
        chosen = vertex_pipeline.candidates(vertex_pipeline.compiled(context.workload, TRAINING))
        for name in dict.fromkeys((*routing.grouped_by_name(context.workload.models), *chosen)):
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
        self.realise("model-registry", *self.model_repositories.values())

    def _signing(self) -> None:
        """The key that signs models: a secret without a value, so that no state ever holds one."""
        context, foundation = self.context, self.foundation
        experiment = context.settings.experiment
        self.signing_key = secretmanager.Secret(
            context.logical("signing-key"),
            secret_id=f"{context.name}-signing-key-{context.token}",
            replication=secretmanager.SecretReplicationArgs(
                user_managed=secretmanager.SecretReplicationUserManagedArgs(
                    replicas=[
                        secretmanager.SecretReplicationUserManagedReplicaArgs(
                            location=foundation.region,
                            customer_managed_encryption=(
                                secretmanager.SecretReplicationUserManagedReplicaCustomerManagedEncryptionArgs(
                                    kms_key_name=foundation.key
                                )
                            ),
                        )
                    ]
                )
            ),
            expire_time=expiry(experiment) if experiment else None,
            # A version that is destroyed by mistake can be had back for a month.
            version_destroy_ttl=f"{facts.SECRET_RETENTION_DAYS * 86400}s",
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(depends_on=foundation.ready),
        )
        self.realise("model-signing", self.signing_key)

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

    def _workbench(self) -> None:
        self.workbench = Workbench(self.context, self.foundation, opts=self.child())
        if self.workbench.notebooks:
            self.realise("workbench", *self.workbench.notebooks.values())
        else:
            # Nobody who is named is to have a notebook: people bring their own.
            self.context.register.brought("workbench")

    def _training(self) -> None:
        context, foundation = self.context, self.foundation
        self.job = pipeline_definition.Job(
            project=foundation.project,
            region=foundation.region,
            image=self.image,
            key=foundation.key,
            attachment=foundation.network_component.attachment.id,
            labels=context.tags,
        )
        # Pipelines act under the identity that starts them, and so do their jobs.
        self.may_train = foundation.act_as(Purpose.TRAINING, Purpose.TRAINING)
        self.training = self._pipeline("training", TRAINING)
        self.training_pipeline = self.training.workflow
        self.realise("training-pipeline", self.training_pipeline)

    def _retraining(self) -> None:
        self.retraining_run = self._pipeline("retraining", RETRAINING)
        self.retraining_pipeline = self.retraining_run.workflow
        self.realise("retraining-pipeline", self.retraining_pipeline)

    def _pipeline(self, part: str, pipeline: str) -> VertexPipeline:
        context, zones = self.context, self.data.zones
        run = vertex_pipeline.Run(
            pipeline=pipeline,
            identity=Purpose.TRAINING,
            image=self.image,
            root=pulumi.Output.concat(zones[Zone.MODELS], f"/{RUNS}"),
            told={
                **self.events(),
                "labels": pulumi.Output.concat(zones[Zone.CURATED], f"/{looks.LABELS}"),
                "champion": self.champion(),
                "models": zones[Zone.MODELS],
                "registered_as": f"{context.name}-{context.token}",
                "environment": context.settings.environment,
                "key": self._key(),
                "network_attachment": self.foundation.network_component.attachment.id,
                "tensorboard": self.tensorboard.id,
                "strategy": facts.STRATEGIES[context.settings.experiment is not None],
                vertex_pipeline.PARENT: NOTHING,
            },
        )
        ready = [*self.may_train, *self.data.grants[Purpose.TRAINING]]
        return VertexPipeline(part, context, self.foundation, self.data.lake.code, run, self.child(), ready)

    def events(self) -> dict[str, pulumi.Input[str]]:
        """What pipelines are told of the archive: the table of events, and by which of its columns they arrived."""
        arrival = facts.PUBLISH_TIME if self.data.topic else self.context.workload.data.event_time
        return {"table": self.data.table_path, "arrival": arrival}

    def champion(self) -> pulumi.Output[str]:
        """The folder of the model in use."""
        return pulumi.Output.concat(
            self.data.zones[Zone.MODELS], f"/{routing.artifact_path(self.context.workload.champion)}"
        )

    def _key(self) -> pulumi.Input[str]:
        """What signs; an experiment takes models without a signature, so that nobody need bring a key."""
        if self.context.settings.experiment is not None:
            return NOTHING
        return pulumi.Output.concat("gcp-secret:", self.signing_key.id, "/versions/latest")

    def _rights(self) -> None:
        """All run the image; training alone reads the key; who takes models on reads them, and nothing beside them."""
        foundation, training = self.foundation, self.foundation.member(Purpose.TRAINING)
        for purpose in Purpose:
            self._grant(f"{purpose}-images", self.repository, facts.ROLE_ARTIFACT_READER, foundation.member(purpose))
        for name, repository in self.model_repositories.items():
            self._grant(f"training-model-{name}", repository, facts.ROLE_ARTIFACT_WRITER, training)
        secretmanager.SecretIamMember(
            self.context.logical("training-signing-key"),
            secret_id=self.signing_key.secret_id,
            role=facts.ROLE_SECRET_READER,
            member=training,
            condition=foundation.until(secretmanager.SecretIamMemberConditionArgs),
            opts=self.child(),
        )
        for account in self.context.settings.promotes_to:
            self._promote(account)

    def _promote(self, account: str) -> None:
        """Let the next environment read models; what runs of pipelines leave holds data, and stays here."""
        context, models = self.context, self.data.buckets[Zone.MODELS]
        part, member = f"promote-{hashlib.sha256(account.encode()).hexdigest()[:8]}", f"serviceAccount:{account}"
        for name, repository in self.model_repositories.items():
            self._grant(f"{part}-{name}", repository, facts.ROLE_ARTIFACT_READER, member)
        storage.BucketIAMMember(
            context.logical(part),
            bucket=models.name,
            role=facts.ROLE_OBJECT_READER,
            member=member,
            condition=storage.BucketIAMMemberConditionArgs(
                title="models",
                description="Models, and nothing of the runs that made them",
                expression=models.name.apply(
                    lambda bucket: f'!resource.name.startsWith("projects/_/buckets/{bucket}/objects/{RUNS}/")'
                ),
            ),
            opts=self.child(),
        )
