"""The development layer on AWS: ECR for images, model package groups, MLflow tracking, the training pipeline."""

import json

import pulumi
from pulumi_aws import ecr, sagemaker

from ml_blueprints import layers, routing
from ml_blueprints.aws import facts, pipeline_definition, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.features import Features
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose


class Development(layers.Development):
    """Registries, experiments and training on AWS.

    Native resources: `repository`, `package_groups` by model name, `tracking_server`, `training_pipeline`;
    `job` says where and as whom pipelines run, `image` is the image of the platform's jobs and services.
    """

    cloud = "aws"

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
            registry={name: group.arn for name, group in self.package_groups.items()},
            images=self.images_prefix,
            experiments=self.tracking_server.arn,
            pipeline=self.training_pipeline.arn,
        )

    def _images(self) -> None:
        context = self.context
        name = routing.image_name(context.settings.serving_image)
        prefix = f"{context.name}-{context.token}"
        self.repository = ecr.Repository(
            context.logical("images"),
            name=f"{prefix}/{name}",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[
                ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=self.foundation.key)
            ],
            tags=context.tags,
            opts=self.child(),
        )
        # What runs is named by its digest and keeps its tag; what has lost its tag runs nowhere.
        untagged = {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": facts.UNTAGGED_IMAGE_DAYS,
        }
        ecr.LifecyclePolicy(
            context.logical("images"),
            repository=self.repository.name,
            policy=json.dumps({"rules": [{"rulePriority": 1, "selection": untagged, "action": {"type": "expire"}}]}),
            opts=pulumi.ResourceOptions(parent=self.repository),
        )
        self.images_prefix = self.repository.repository_url.apply(lambda url: url.removesuffix(f"/{name}"))
        self.image = routing.image_reference(context.settings.serving_image, self.images_prefix)
        for purpose in (Purpose.TRAINING, Purpose.SERVING, Purpose.INGEST, Purpose.MONITORING):
            self.foundation.grant(
                purpose,
                "images",
                policy.allow(["ecr:GetAuthorizationToken"], ["*"]),
                policy.allow(
                    ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    [self.repository.arn],
                ),
            )

    def _model_registry(self) -> None:
        context = self.context
        self.package_groups = {
            name: sagemaker.ModelPackageGroup(
                context.logical(name),
                model_package_group_name=f"{context.name}-{name}"[:54] + f"-{context.token}",
                model_package_group_description=f"Versions of {name} for {context.workload.name}",
                tags=context.tags,
                opts=self.child(),
            )
            for name in routing.grouped_by_name(context.workload.models)
        }
        self.realise("model-registry", *self.package_groups.values())
        self.realise("image-registry", self.repository)
        self.foundation.grant(
            Purpose.TRAINING,
            "registry",
            policy.allow(
                ["sagemaker:CreateModelPackage"],
                [
                    pulumi.Output.concat(group.arn.apply(lambda arn: arn.replace("-group/", "/")), "/*")
                    for group in self.package_groups.values()
                ],
            ),
        )

    def _experiments(self) -> None:
        context = self.context
        self.tracking_server = sagemaker.MlflowTrackingServer(
            context.logical("experiments"),
            tracking_server_name=f"{context.name}-{context.token}",
            artifact_store_uri=pulumi.Output.concat(self.data.zones[Zone.MODELS], "/experiments"),
            role_arn=self.foundation.identities[Purpose.TRAINING],
            tracking_server_size="Small",
            automatic_model_registration=False,
            tags=context.tags,
            opts=self.child(depends_on=self.foundation.rights(Purpose.TRAINING)),
        )
        self.realise("experiment-tracking", self.tracking_server)
        self.foundation.grant(
            Purpose.TRAINING,
            "experiments",
            policy.allow(
                [
                    "sagemaker-mlflow:CreateExperiment",
                    "sagemaker-mlflow:CreateRun",
                    "sagemaker-mlflow:GetExperimentByName",
                    "sagemaker-mlflow:LogBatch",
                    "sagemaker-mlflow:LogMetric",
                    "sagemaker-mlflow:LogParam",
                    "sagemaker-mlflow:UpdateRun",
                ],
                [self.tracking_server.arn],
            ),
        )

    def _training(self) -> None:
        context, zones = self.context, self.data.zones
        role = self.foundation.identities[Purpose.TRAINING]
        self.job = pipeline_definition.Job(
            role=role,
            image=self.image,
            key=self.foundation.key,
            subnets=self.foundation.subnets,
            security_group=self.foundation.security_group.id,
        )
        self.training_pipeline = sagemaker.Pipeline(
            context.logical("training"),
            pipeline_name=f"{context.name}-training-{context.token}",
            pipeline_display_name=f"{context.name}-training",
            pipeline_definition=pipeline_definition.training(
                self.job,
                source=self.features.job.destination,
                destination=pulumi.Output.concat(zones[Zone.MODELS], "/candidates"),
            ),
            role_arn=role,
            tags=context.tags,
            opts=self.child(),
        )
        self.realise("training-pipeline", self.training_pipeline)
        self._rights_of_pipelines()

    def _rights_of_pipelines(self) -> None:
        """What SageMaker Pipelines does as the training role: jobs named by SageMaker, and passing the role to them."""
        account = pulumi.Output.concat("arn:aws:sagemaker:", self.foundation.region, ":", self.foundation.account)
        self.foundation.grant(
            Purpose.TRAINING,
            "pipelines",
            policy.allow(
                [
                    "sagemaker:AddTags",
                    "sagemaker:CreateTrainingJob",
                    "sagemaker:DescribeTrainingJob",
                    "sagemaker:StopTrainingJob",
                ],
                [pulumi.Output.concat(account, ":training-job/pipelines-*")],
            ),
            policy.allow(
                [
                    "sagemaker:AddTags",
                    "sagemaker:CreateTransformJob",
                    "sagemaker:DescribeTransformJob",
                    "sagemaker:StopTransformJob",
                ],
                [pulumi.Output.concat(account, ":transform-job/pipelines-*")],
            ),
            policy.allow(
                ["iam:PassRole"],
                [self.foundation.identities[Purpose.TRAINING]],
                StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"},
            ),
        )
