"""A SageMaker endpoint with all that belongs to it: models, configuration, rollout with its alarms, and scaling."""

import hashlib
import json
from typing import Any, TypeVar

import pulumi
from pulumi_aws import appautoscaling, cloudwatch, sagemaker, sns

from ml_blueprints import routing
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.fleets import Fleet, Variant
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Inference, Role

# Where answers of an asynchronous endpoint lie, in the folder of what was asked and answered.
ANSWERED = "answered"

_Variant = TypeVar(
    "_Variant",
    sagemaker.EndpointConfigurationProductionVariantArgs,
    sagemaker.EndpointConfigurationShadowProductionVariantArgs,
)


class Endpoint(pulumi.ComponentResource):
    """What answers for a fleet. A new version is a new model and a new configuration, to which the endpoint moves.

    Models and configurations can't be changed; theirs are generated names, so that a change makes new ones before and
    deletes the old ones after. The endpoint's own name says which variants on which instances it has: for others a new
    endpoint is made beside it, as SageMaker rolls out among the same variants only, and refuses an update that takes
    away or resizes one that scales.

    Native resources: `models` by container, `configuration`, `endpoint`, `rollback_alarms` (those of canaries are
    `canary_alarms`, too), `scaling`, and with asynchronous inference `succeeded` and `failed`, the topics that tell of
    each request. `name` is the endpoint's.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        image: pulumi.Input[str],
        fleet: Fleet,
        captured: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        self.context, self.foundation, self.data, self.image, self.fleet = context, foundation, data, image, fleet
        self.captured, self.inference = captured, context.workload.serving.inference
        super().__init__("ml-blueprints:aws:Endpoint", context.logical(fleet.part("endpoint")), None, opts)
        self.name = self._called()
        self.rollback_alarms: list[cloudwatch.MetricAlarm] = []
        self.canary_alarms: list[cloudwatch.MetricAlarm] = []
        self.scaling: list[appautoscaling.Policy] = []
        self.models = {fleet.container(variant): self._model(variant) for variant in (*fleet.live, *fleet.shadows)}
        self._configuration()
        self._endpoint()
        if self.inference is Inference.PROVISIONED:
            for variant in fleet.live:
                self._scale_by_requests(variant)
        if self.inference is Inference.ASYNCHRONOUS:
            self._scale_by_backlog(fleet.live[0])
        self.register_outputs({"endpointArn": self.endpoint.arn})

    @property
    def arn(self) -> pulumi.Output[str]:
        """Of the endpoint."""
        return self.endpoint.arn

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _called(self) -> str:
        """Another one for other variants or instances.

        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html and
        https://github.com/hashicorp/terraform-provider-aws/issues/14337: a variant that scales keeps its type.
        """
        instances = self.context.instance.type if self._on_instances else self.inference
        variants = [variant.name for variant in (*self.fleet.live, *self.fleet.shadows)]
        identity = json.dumps([self.context.token, self.fleet.tenant, instances, variants])
        return f"{self.fleet.part(self.context.name)}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"

    @property
    def _on_instances(self) -> bool:
        return self.inference is not Inference.SERVERLESS

    def _model(self, variant: Variant) -> sagemaker.Model:
        context, foundation = self.context, self.foundation
        first, name = variant.models[0], self.fleet.container(variant)
        environment = routing.behind_router(context.workload, context.settings, variant.models)
        if self.inference is Inference.ASYNCHRONOUS:
            environment |= {"ANSWER_ROWS": "1"}
        tags = {"model": first.name, "version": first.version, "role": first.role.value}
        isolated: dict[str, Any] = {}
        if self._on_instances:
            isolated = {
                "enable_network_isolation": True,
                "vpc_config": sagemaker.ModelVpcConfigArgs(
                    subnets=foundation.subnets, security_group_ids=[foundation.security_group.id]
                ),
            }
        return sagemaker.Model(
            context.logical(name),
            execution_role_arn=foundation.identities[Purpose.SERVING],
            **isolated,
            primary_container=self._on_disk(variant, environment) if self._on_instances else self._fetched(environment),
            tags=context.tags | tags | ({"tenant": self.fleet.tenant} if self.fleet.tenant else {}),
            # SageMaker tries the role on the bucket when the model is made, and on the image when it is served.
            opts=self._child(depends_on=foundation.rights(Purpose.SERVING)),
        )

    def _on_disk(self, variant: Variant, environment: dict[str, str]) -> sagemaker.ModelPrimaryContainerArgs:
        """A container that is given the folders that `register` left, as they are: manifests name files by hash."""
        zone = self.data.zones[Zone.MODELS]
        folders = {
            routing.deployment_name(model): pulumi.Output.concat(zone, "/", routing.artifact_path(model), "/")
            for model in variant.models
        }
        (_, first), *others = folders.items()
        return sagemaker.ModelPrimaryContainerArgs(
            image=self.image,
            model_data_source=sagemaker.ModelPrimaryContainerModelDataSourceArgs(
                s3_data_sources=[
                    sagemaker.ModelPrimaryContainerModelDataSourceS3DataSourceArgs(
                        s3_uri=first, s3_data_type="S3Prefix", compression_type="None"
                    )
                ]
            ),
            additional_model_data_sources=[
                sagemaker.ModelPrimaryContainerAdditionalModelDataSourceArgs(
                    channel_name=channel,
                    s3_data_sources=[
                        sagemaker.ModelPrimaryContainerAdditionalModelDataSourceS3DataSourceArgs(
                            s3_uri=folder, s3_data_type="S3Prefix", compression_type="None"
                        )
                    ],
                )
                for channel, folder in others
            ]
            or None,
            environment=environment,
        )

    def _fetched(self, environment: dict[str, str]) -> sagemaker.ModelPrimaryContainerArgs:
        """A serverless container, which takes no folders and isn't isolated: it reads models and keeps answers itself.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html (ModelDataSource)
        """
        places = {"MODELS": self.data.zones[Zone.MODELS], "CAPTURED": self.captured}
        return sagemaker.ModelPrimaryContainerArgs(image=self.image, environment={**environment, **places})

    def _configuration(self) -> None:
        context, fleet = self.context, self.fleet
        shadows = [
            self._variant(sagemaker.EndpointConfigurationShadowProductionVariantArgs, one) for one in fleet.shadows
        ]
        self.configuration = sagemaker.EndpointConfiguration(
            context.logical(fleet.part("endpoint")),
            kms_key_arn=self.foundation.key if self._on_instances else None,
            production_variants=[
                self._variant(sagemaker.EndpointConfigurationProductionVariantArgs, one) for one in fleet.live
            ],
            shadow_production_variants=shadows or None,
            data_capture_config=self._capture() if self.inference is Inference.PROVISIONED else None,
            async_inference_config=self._queue() if self.inference is Inference.ASYNCHRONOUS else None,
            tags=context.tags,
            opts=self._child(),
        )

    def _variant(self, kind: type[_Variant], variant: Variant) -> _Variant:
        replicas, sizing = self.context.workload.serving.replicas, self.context.sizing
        model = self.models[self.fleet.container(variant)].name
        if self._on_instances:
            return kind(
                variant_name=variant.name,
                model_name=model,
                instance_type=sizing.instance.type,
                initial_instance_count=max(replicas.minimum, 1),
                initial_variant_weight=variant.weight,
            )
        serverless = sagemaker.EndpointConfigurationProductionVariantServerlessConfigArgs(
            memory_size_in_mb=facts.SERVERLESS_MEMORY_MIB[sizing.instance.size],
            max_concurrency=facts.SERVERLESS_CONCURRENCY,
            provisioned_concurrency=replicas.minimum or None,
        )
        return kind(variant_name=variant.name, model_name=model, serverless_config=serverless)

    def _capture(self) -> sagemaker.EndpointConfigurationDataCaptureConfigArgs:
        """What isn't named as JSON is captured in Base64.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CaptureContentTypeHeader.html
        """
        return sagemaker.EndpointConfigurationDataCaptureConfigArgs(
            enable_capture=True,
            initial_sampling_percentage=100,
            destination_s3_uri=self.captured,
            kms_key_id=self.foundation.key,
            capture_content_type_header=sagemaker.EndpointConfigurationDataCaptureConfigCaptureContentTypeHeaderArgs(
                json_content_types=["application/json"]
            ),
            capture_options=[
                sagemaker.EndpointConfigurationDataCaptureConfigCaptureOptionArgs(capture_mode=mode)
                for mode in ("Input", "Output")
            ],
        )

    def _queue(self) -> sagemaker.EndpointConfigurationAsyncInferenceConfigArgs:
        """Answers lie where what was asked and answered is kept, and topics tell of each.

        SageMaker captures nothing there, and a container that is isolated writes nothing: its answers hold their rows.
        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-create-endpoint-prerequisites.html
        """
        self.succeeded, self.failed = self._topic("succeeded"), self._topic("failed")
        return sagemaker.EndpointConfigurationAsyncInferenceConfigArgs(
            output_config=sagemaker.EndpointConfigurationAsyncInferenceConfigOutputConfigArgs(
                s3_output_path=pulumi.Output.concat(self.captured, f"/{ANSWERED}"),
                s3_failure_path=pulumi.Output.concat(self.captured, "/failed"),
                kms_key_id=self.foundation.key,
                notification_config=sagemaker.EndpointConfigurationAsyncInferenceConfigOutputConfigNotificationConfigArgs(
                    success_topic=self.succeeded.arn,
                    error_topic=self.failed.arn,
                ),
            )
        )

    def _topic(self, what: str) -> sns.Topic:
        topic = sns.Topic(
            self.context.logical(what),
            kms_master_key_id=self.foundation.key,
            tags=self.context.tags,
            opts=self._child(),
        )
        self.foundation.grant(Purpose.SERVING, what, policy.allow(["sns:Publish"], [topic.arn]))
        return topic

    def _endpoint(self) -> None:
        # Serverless endpoints are no part of SageMaker's guardrails.
        # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
        if self._on_instances:
            for variant in self.fleet.live:
                alarms = self._rollback_alarms(variant)
                self.rollback_alarms += alarms
                self.canary_alarms += alarms if variant.models[0].role is Role.CANARY else []
        self.endpoint = sagemaker.Endpoint(
            self.context.logical(self.fleet.part("endpoint")),
            name=self.name,
            endpoint_config_name=self.configuration.name,
            deployment_config=self._rollout() if self._on_instances else None,
            tags=self.context.tags,
            opts=self._child(depends_on=self.foundation.rights(Purpose.SERVING)),
        )

    def _rollback_alarms(self, variant: Variant) -> list[cloudwatch.MetricAlarm]:
        """Server errors and slowness of a variant; while it is rolled out, the endpoint goes back when one fires."""
        monitoring = self.context.workload.monitoring
        alarms = [
            self._rollback_alarm(
                "rollback",
                variant,
                f"{variant.name} fails: the deployment is rolled back",
                metric_name="Invocation5XXErrors",
                statistic="Average",
                threshold=monitoring.error_rate_objective,
            )
        ]
        # Without an objective nobody said what slow is, and answers of a queue may take their time.
        if monitoring.latency_objective_ms and self.inference is Inference.PROVISIONED:
            alarms.append(
                self._rollback_alarm(
                    "rollback-latency",
                    variant,
                    f"{variant.name} is slow: the deployment is rolled back",
                    metric_name="ModelLatency",
                    extended_statistic="p99",
                    # SageMaker counts in microseconds.
                    threshold=monitoring.latency_objective_ms * 1000,
                )
            )
        return alarms

    def _rollback_alarm(self, part: str, variant: Variant, description: str, **measured: Any) -> cloudwatch.MetricAlarm:
        return cloudwatch.MetricAlarm(
            self.context.logical(f"{self.fleet.part(part)}-{variant.name}"),
            alarm_description=description,
            namespace="AWS/SageMaker",
            dimensions={"EndpointName": self.name, "VariantName": variant.name},
            period=60,
            evaluation_periods=2,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            tags=self.context.tags,
            opts=self._child(),
            **measured,
        )

    def _rollout(self) -> sagemaker.EndpointDeploymentConfigArgs:
        """Blue/green: the new fleet takes requests by steps, then all, and the old one stays ten minutes."""
        prefix = "EndpointDeploymentConfigBlueGreenUpdatePolicyTrafficRoutingConfiguration"
        instances = max(self.context.workload.serving.replicas.minimum, 1)
        step = {"type": "CAPACITY_PERCENT", "value": facts.ROLLOUT_STEP_PERCENT}
        kind, sizes = "ALL_AT_ONCE", {}
        # A step is at most half of a variant's instances, and a tenth of them is one only where there are ten.
        if instances >= facts.LINEAR_INSTANCES:
            kind = "LINEAR"
            sizes = {"linear_step_size": getattr(sagemaker, f"{prefix}LinearStepSizeArgs")(**step)}
        elif instances > 1:
            kind = "CANARY"
            sizes = {"canary_size": getattr(sagemaker, f"{prefix}CanarySizeArgs")(**step)}
        return sagemaker.EndpointDeploymentConfigArgs(
            blue_green_update_policy=sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyArgs(
                traffic_routing_configuration=getattr(sagemaker, f"{prefix}Args")(
                    type=kind, wait_interval_in_seconds=facts.ROLLOUT_WAIT_SECONDS, **sizes
                ),
                termination_wait_in_seconds=facts.ROLLOUT_KEPT_SECONDS,
                maximum_execution_timeout_in_seconds=facts.ROLLOUT_MOST_SECONDS,
            ),
            auto_rollback_configuration=sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationArgs(
                alarms=[
                    sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationAlarmArgs(alarm_name=alarm.name)
                    for alarm in self.rollback_alarms
                ]
            ),
        )

    def _target(self, variant: Variant) -> appautoscaling.Target:
        replicas = self.context.workload.serving.replicas
        return appautoscaling.Target(
            self.context.logical(self.fleet.part(variant.name)),
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=pulumi.Output.concat("endpoint/", self.endpoint.name, "/variant/", variant.name),
            min_capacity=replicas.minimum,
            max_capacity=replicas.maximum,
            tags=self.context.tags,
            opts=self._child(),
        )

    def _scale_by_requests(self, variant: Variant) -> None:
        """Another instance where those that are there answer as many requests as keep the latency objective."""
        sizing = self.context.sizing
        self._track(
            self._target(variant),
            variant.name,
            target_value=sizing.instance.requests_per_second * sizing.load * 60,
            predefined_metric_specification=appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                predefined_metric_type="SageMakerVariantInvocationsPerInstance"
            ),
        )

    def _scale_by_backlog(self, variant: Variant) -> None:
        """As many instances as the queue needs, none where it is empty, and the first one when something waits.

        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
        """
        target, dimensions = self._target(variant), {"EndpointName": self.name}
        self._track(
            target,
            variant.name,
            target_value=facts.BACKLOG_PER_INSTANCE,
            customized_metric_specification=appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationArgs(
                namespace="AWS/SageMaker",
                metric_name="ApproximateBacklogSizePerInstance",
                statistic="Average",
                dimensions=[
                    appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationDimensionArgs(
                        name="EndpointName", value=self.name
                    )
                ],
            ),
        )
        if self.context.workload.serving.replicas.minimum:
            return
        from_zero = appautoscaling.Policy(
            self.context.logical("from-zero"),
            policy_type="StepScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            step_scaling_policy_configuration=appautoscaling.PolicyStepScalingPolicyConfigurationArgs(
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Average",
                cooldown=300,
                step_adjustments=[
                    appautoscaling.PolicyStepScalingPolicyConfigurationStepAdjustmentArgs(
                        metric_interval_lower_bound="0", scaling_adjustment=1
                    )
                ],
            ),
            opts=self._child(),
        )
        self.scaling.append(from_zero)
        cloudwatch.MetricAlarm(
            self.context.logical("from-zero"),
            alarm_description="Requests wait, and no instance is there",
            namespace="AWS/SageMaker",
            metric_name="HasBacklogWithoutCapacity",
            dimensions=dimensions,
            statistic="Average",
            period=60,
            evaluation_periods=2,
            datapoints_to_alarm=2,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="missing",
            alarm_actions=[from_zero.arn],
            tags=self.context.tags,
            opts=self._child(),
        )

    def _track(self, target: appautoscaling.Target, name: str, **what: Any) -> None:
        self.scaling.append(
            appautoscaling.Policy(
                self.context.logical(self.fleet.part(name)),
                policy_type="TargetTrackingScaling",
                service_namespace=target.service_namespace,
                scalable_dimension=target.scalable_dimension,
                resource_id=target.resource_id,
                target_tracking_scaling_policy_configuration=appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                    scale_in_cooldown=600, scale_out_cooldown=60, **what
                ),
                opts=self._child(),
            )
        )
