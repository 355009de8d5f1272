"""The development layer on AWS: images, registries, the key that signs, experiments, notebooks, and pipelines."""

import json

import pulumi
from pulumi_aws import ecr, sagemaker, secretsmanager

from ml_blueprints import layers, looks, routing
from ml_blueprints.aws import facts, pipeline_definition, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.features import Features
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.workbench import Workbench
from ml_blueprints.compiled_pipelines import NOTHING, RETRAINING, TRAINING, trusted
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

# A package group's name is its model's after a prefix, and has at most 63 characters.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackageGroup.html
_GROUP_LENGTH = 63

_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


class Development(layers.Development):
    """Registries, experiments, notebooks and training on AWS.

    Native resources: `repository`, `package_groups` by model name, `signing_key` (a secret without a value, which its
    owner puts there), `tracking_server`, `workbench` (domain, profiles, spaces), `training_pipeline`,
    `retraining_pipeline`; `job` says where and as whom pipelines run, `image` is the image of the platform's jobs and
    services.
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
        self._signing()
        self._experiments()
        self._workbench()
        self._training()
        self._retraining()
        self._rights()
        self.give(
            registry={name: group.arn for name, group in self.package_groups.items()},
            images=self.images_prefix,
            experiments=self.tracking_server.arn,
            pipeline=self.training_pipeline.arn,
            retraining=self.retraining_pipeline.arn,
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
            force_delete=context.settings.experiment is not None,
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
        if taking := context.settings.promotes_to:
            ecr.RepositoryPolicy(
                context.logical("images"),
                repository=self.repository.name,
                policy=policy.document(policy.others(taking, _PULL)),
                opts=pulumi.ResourceOptions(parent=self.repository),
            )
        self.images_prefix = self.repository.repository_url.apply(lambda url: url.removesuffix(f"/{name}"))
        self.image = routing.image_reference(context.settings.serving_image, self.images_prefix)
        for purpose in (Purpose.TRAINING, Purpose.SERVING, Purpose.INGEST, Purpose.MONITORING):
            self.foundation.grant(
                purpose,
                "images",
                policy.allow(["ecr:GetAuthorizationToken"], ["*"]),
                policy.allow(_PULL, [self.repository.arn]),
            )

    def _model_registry(self) -> None:
        """A place for each model of the workload, and for each that training chooses from."""
        context, taking = self.context, self.context.settings.promotes_to
        self.group_prefix = f"{context.name}-{context.token}"
        chosen = pipeline_definition.candidates(facts.PIPELINES.source(context.workload, TRAINING))
        self.package_groups = {
            name: sagemaker.ModelPackageGroup(
                context.logical(name),
                model_package_group_name=f"{self.group_prefix}-{name}"[:_GROUP_LENGTH].rstrip("-"),
                model_package_group_description=f"Versions of {name} for {context.workload.name}",
                tags=context.tags,
                opts=self.child(),
            )
            for name in dict.fromkeys((*routing.grouped_by_name(context.workload.models), *chosen))
        }
        for name, group in self.package_groups.items() if taking else ():
            sagemaker.ModelPackageGroupPolicy(
                context.logical(name),
                model_package_group_name=group.model_package_group_name,
                resource_policy=policy.document(
                    policy.others(taking, ["sagemaker:DescribeModelPackageGroup"], group.arn),
                    policy.others(
                        taking, ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"], _packages(group)
                    ),
                ),
                opts=pulumi.ResourceOptions(parent=group),
            )
        self.realise("model-registry", *self.package_groups.values())
        self.realise("image-registry", self.repository)

    def _signing(self) -> None:
        """The key's place, without the key: whoever owns it puts it there, and training alone reads it."""
        context = self.context
        self.signing_key = secretsmanager.Secret(
            context.logical("signing"),
            description=f"Ed25519 key that signs models of {context.workload.name}, PEM",
            kms_key_id=self.foundation.key,
            recovery_window_in_days=0 if context.settings.experiment else facts.SECRET_RECOVERY_DAYS,
            tags=context.tags,
            opts=self.child(),
        )
        training = self.foundation.identities[Purpose.TRAINING]
        nobody_else = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": ["*"],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": training}},
        }
        secretsmanager.SecretPolicy(
            context.logical("signing"),
            secret_arn=self.signing_key.arn,
            block_public_policy=True,
            policy=policy.document(nobody_else),
            opts=pulumi.ResourceOptions(parent=self.signing_key),
        )
        self.realise("model-signing", self.signing_key)

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

    def _workbench(self) -> None:
        self.workbench = Workbench(
            self.context, self.foundation, self.data, self.tracking_server.arn, opts=self.child()
        )
        self.realise("workbench", self.workbench.domain)

    def _training(self) -> None:
        context = self.context
        self.job = pipeline_definition.Job(
            role=self.foundation.identities[Purpose.TRAINING],
            image=self.image,
            key=self.foundation.key,
            subnets=self.foundation.subnets,
            security_group=self.foundation.security_group.id,
            models_bucket=self.data.buckets[Zone.MODELS].bucket,
            spot=context.settings.experiment is not None,
        )
        self.training_pipeline = self._pipeline(TRAINING)
        self.realise("training-pipeline", self.training_pipeline)

    def _retraining(self) -> None:
        self.retraining_pipeline = self._pipeline(RETRAINING)
        self.realise("retraining-pipeline", self.retraining_pipeline)

    def _pipeline(self, name: str) -> sagemaker.Pipeline:
        context = self.context
        return sagemaker.Pipeline(
            context.logical(name),
            pipeline_name=f"{context.name}-{name}-{context.token}",
            pipeline_display_name=f"{context.name}-{name}",
            pipeline_definition=pipeline_definition.filled(
                facts.PIPELINES.source(context.workload, name), self.job, self.pipeline_values
            ),
            role_arn=self.job.role,
            tags=context.tags,
            opts=self.child(),
        )

    @property
    def pipeline_values(self) -> dict[str, pulumi.Input[str]]:
        """What the compiled pipelines are told; an experiment may register models that nobody signed."""
        context, zones = self.context, self.data.zones
        key: pulumi.Input[str] = NOTHING
        if not context.settings.experiment:
            key = pulumi.Output.concat("aws-secret:", self.signing_key.arn)
        champion = routing.artifact_path(context.workload.champion)
        return {
            "Archive": pulumi.Output.concat(zones[Zone.RAW], "/events/"),
            "Labels": pulumi.Output.concat(zones[Zone.CURATED], f"/{looks.LABELS}/"),
            "Champion": pulumi.Output.concat(zones[Zone.MODELS], f"/{champion}/"),
            "Predictions": pulumi.Output.concat(zones[Zone.CURATED], "/predictions"),
            "ModelPackageGroupPrefix": self.group_prefix,
            "Environment": context.settings.environment,
            "Key": key,
            "Trusted": trusted(context.settings),
        }

    def _rights(self) -> None:
        """What SageMaker Pipelines does as the training role, in this network only, and what the steps themselves do.

        Jobs of a search have no room for the pipeline's run in their names.
        """
        foundation, account = self.foundation, self._account()
        here = pipeline_definition.in_network(foundation)
        searches = [pulumi.Output.concat(account, ":hyper-parameter-tuning-job/*")]
        of_runs = [
            pulumi.Output.concat(account, f":{kind}/*")
            for kind in ("experiment", "experiment-trial", "experiment-trial-component")
        ]
        foundation.grant(
            Purpose.TRAINING,
            "pipelines",
            *pipeline_definition.may_run_jobs(foundation, self.job.role, "processing", "training"),
            policy.allow(["sagemaker:CreateHyperParameterTuningJob"], searches, **here),
            policy.allow(
                [
                    "sagemaker:AddTags",
                    "sagemaker:DescribeHyperParameterTuningJob",
                    "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
                    "sagemaker:StopHyperParameterTuningJob",
                ],
                searches,
            ),
            policy.allow(
                [
                    "sagemaker:AddTags",
                    "sagemaker:AssociateTrialComponent",
                    "sagemaker:CreateExperiment",
                    "sagemaker:CreateTrial",
                    "sagemaker:CreateTrialComponent",
                    "sagemaker:DescribeExperiment",
                    "sagemaker:DescribeTrial",
                    "sagemaker:DescribeTrialComponent",
                    "sagemaker:UpdateTrialComponent",
                ],
                of_runs,
            ),
        )
        foundation.grant(
            Purpose.TRAINING,
            "registry",
            policy.allow(
                ["sagemaker:AddTags", "sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"],
                [_packages(group) for group in self.package_groups.values()],
            ),
            policy.allow(["secretsmanager:GetSecretValue"], [self.signing_key.arn]),
        )

    def _account(self) -> pulumi.Output[str]:
        return pulumi.Output.concat("arn:aws:sagemaker:", self.foundation.region, ":", self.foundation.account)


def _packages(group: sagemaker.ModelPackageGroup) -> pulumi.Output[str]:
    """The ARN pattern of a group's versions."""
    return pulumi.Output.concat(group.arn.apply(lambda arn: arn.replace("-group/", "/")), "/*")
