"""Which machines run, how many at most, and that they stop when nobody needs them."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import (
    Check,
    Result,
    Scope,
    all_of,
    any_of,
    equals,
    judged,
    number,
    one_of,
    present,
    when,
)
from ml_policies.definitions import every
from ml_policies.resource import MISSING
from ml_policies.rule import Parameter, Rule, Severity

ENDPOINT_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
TRAINING_JOB = "aws:sagemaker/trainingJob:TrainingJob"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
NOTEBOOK = "aws:sagemaker/notebookInstance:NotebookInstance"
WORKBENCH = "gcp:workbench/instance:Instance"
WORKFLOW = "gcp:workflows/workflow:Workflow"
RESOURCE_POOL = "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool"
PERSISTENT = "gcp:vertex/aiPersistentResource:AiPersistentResource"
MODEL_GARDEN = "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment"
COMPUTE = "azure-native:machinelearningservices:Compute"
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"

CLUSTER = equals("properties.computeType", "AmlCompute")
_INSTANCE = equals("properties.computeType", "ComputeInstance")

# Type -> the paths at which the types of machines stand.
_MACHINES: Mapping[str, tuple[str, ...]] = {
    ENDPOINT_CONFIGURATION: ("productionVariants[].instanceType", "shadowProductionVariants[].instanceType"),
    TRAINING_JOB: ("resourceConfig.instanceType", "resourceConfig.instanceGroups[].instanceType"),
    NOTEBOOK: ("instanceType",),
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": ("jobResources.clusterConfig.instanceType",),
    WORKBENCH: ("gceSetup.machineType",),
    RESOURCE_POOL: ("dedicatedResources.machineSpec.machineType",),
    PERSISTENT: ("resourcePools[].machineSpec.machineType",),
    MODEL_GARDEN: ("deployConfig.dedicatedResources.machineSpec.machineType",),
    "gcp:colab/runtimeTemplate:RuntimeTemplate": ("machineSpec.machineType",),
    DEPLOYMENT: ("properties.instanceType",),
    "azure-native:machinelearningservices:BatchDeployment": ("properties.resources.instanceType",),
    COMPUTE: ("properties.properties.vmSize",),
}
# Type -> the path of a text that defines jobs, and how types of machines are named in it.
_TEXTS: Mapping[str, tuple[str, re.Pattern[str]]] = {
    PIPELINE: ("pipelineDefinition", re.compile(r'"InstanceType"\s*:\s*"([^"]+)"')),
    WORKFLOW: ("sourceContents", re.compile(r"""machineType["']?\s*:\s*["']?([^\s"',}]+)""")),
}
_ISO_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def _of_allowed_type(machine: str, parameters: Mapping[str, Any]) -> str | None:
    types = parameters["allowed_types"]
    if not types or any(fnmatch.fnmatchcase(machine.casefold(), one.casefold()) for one in types):
        return None
    return f"one of {', '.join(types)}"


def few(path: str, default: Any = MISSING, source: str = "", optional: bool = False) -> Check:
    """A number from 0 to the parameter `most`; one that is optional may be absent."""

    def wrong(value: Any, parameters: Mapping[str, Any]) -> str | None:
        if optional and value is MISSING:
            return None
        return None if 0 <= number(value, -1) <= parameters["most"] else f"{parameters['most']} or less"

    return judged(path, wrong, default, source)


def minutes(value: Any) -> float:
    """The minutes of `PT30M`, `10800s` or a number of seconds; 0 for what is none."""
    text = str(value).strip()
    if (found := _ISO_DURATION.fullmatch(text)) and any(found.groups()):
        days, hours, rest, seconds = (int(part or 0) for part in found.groups())
        return days * 1440 + hours * 60 + rest + seconds / 60
    return max(number(text.removesuffix("s"), 0) / 60, 0)


def _soon(path: str, default: Any = MISSING, source: str = "") -> Check:
    """A time after which something stops: more than none, and at most the parameter `minutes`."""

    def wrong(value: Any, parameters: Mapping[str, Any]) -> str | None:
        most = parameters["minutes"]
        return None if 0 < minutes(value) <= most else f"a stop after {most} minutes or less"

    return judged(path, wrong, default, source)


def _idle_studio(place: str) -> Check:
    """Idle shutdown of a kind of application of SageMaker Studio."""
    settings = f"{place}.appLifecycleManagement.idleSettings"

    def wrong(value: Any, parameters: Mapping[str, Any]) -> str | None:
        return None if 0 < number(value, 0) <= parameters["minutes"] else "a stop that is soon"

    return all_of(
        equals(f"{settings}.lifecycleManagement", "ENABLED"), judged(f"{settings}.idleTimeoutInMinutes", wrong)
    )


@dataclass(frozen=True, slots=True)
class asked:  # noqa: N801 (it reads as the checks beside it)
    """A check that counts only if the parameter `required` is true."""

    check: Check

    def __call__(self, scope: Scope) -> Iterator[Result]:
        return self.check(scope) if scope.parameters["required"] else iter(())


def _spot(path: str, training: str, cheap: str, words: str) -> Check:
    """A text that defines jobs, in which each job of training has what makes it run on spare capacity."""
    jobs, savings = re.compile(training), re.compile(cheap)

    def wrong(value: Any, _: Mapping[str, Any]) -> str | None:
        text = value if isinstance(value, str) else ""
        return words if len(jobs.findall(text)) > len(savings.findall(text)) else None

    return judged(path, wrong)


RULES = (
    Rule(
        "MLB-CST-001",
        "Machines are of the types that the organisation has approved.",
        Severity.MEDIUM,
        "Choose a type from the list, or have it approved and add it to the parameter.",
        checks={type_: every(paths, _of_allowed_type) for type_, paths in _MACHINES.items()}
        | {type_: every((path,), _of_allowed_type, pattern) for type_, (path, pattern) in _TEXTS.items()},
        parameters={
            "allowed_types": Parameter(
                [],
                {"type": "array", "items": {"type": "string"}},
                "Types of machines, also as patterns such as `ml.m5.*`; all, if empty.",
            )
        },
    ),
    Rule(
        "MLB-CST-002",
        "What scales by itself has an upper bound, and it isn't beyond what the organisation allows.",
        Severity.MEDIUM,
        "Set the greatest number of instances, or lower it.",
        checks={
            "aws:appautoscaling/target:Target": when(
                one_of(
                    "scalableDimension",
                    ("sagemaker:variant:DesiredInstanceCount", "sagemaker:inference-component:DesiredCopyCount"),
                ),
                few("maxCapacity"),
            ),
            ENDPOINT_CONFIGURATION: all_of(
                few("productionVariants[].initialInstanceCount", optional=True),
                few("productionVariants[].managedInstanceScaling.maxInstanceCount", optional=True),
                few("shadowProductionVariants[].initialInstanceCount", optional=True),
                few("shadowProductionVariants[].managedInstanceScaling.maxInstanceCount", optional=True),
            ),
            "gcp:cloudrunv2/service:Service": any_of(
                few(
                    "template.scaling.maxInstanceCount",
                    default=100,
                    source="https://cloud.google.com/run/docs/configuring/max-instances",
                ),
                few("scaling.maxInstanceCount"),
            ),
            RESOURCE_POOL: few("dedicatedResources.maxReplicaCount", optional=True),
            MODEL_GARDEN: few("deployConfig.dedicatedResources.maxReplicaCount", optional=True),
            PERSISTENT: all_of(
                few("resourcePools[].replicaCount", optional=True),
                few("resourcePools[].autoscalingSpec.maxReplicaCount", optional=True),
            ),
            "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": when(
                present("bigtable"), few("bigtable.autoScaling.maxNodeCount")
            ),
            "azure-native:app:ContainerApp": few(
                "template.scale.maxReplicas",
                default=10,
                source="https://www.pulumi.com/registry/packages/azure-native/api-docs/app/containerapp/#scale",
            ),
            "azure-native:monitor:AutoscaleSetting": few("profiles[].capacity.maximum"),
            COMPUTE: when(CLUSTER, few("properties.properties.scaleSettings.maxNodeCount")),
            DEPLOYMENT: all_of(
                few("sku.capacity", optional=True),
                when(
                    equals("properties.scaleSettings.scaleType", "TargetUtilization"),
                    few("properties.scaleSettings.maxInstances"),
                ),
            ),
        },
        parameters={"most": Parameter(20, {"type": "integer", "minimum": 1}, "The greatest number there may be.")},
    ),
    Rule(
        "MLB-CST-003",
        "Capacity for training costs nothing, or little, while nothing is trained.",
        Severity.MEDIUM,
        "Let clusters shrink to no nodes, or end by themselves, soon after the last job.",
        checks={
            TRAINING_JOB: judged(
                "resourceConfig.keepAlivePeriodInSeconds",
                lambda value, parameters: (
                    None
                    if 0 <= number(value, -1) <= parameters["minutes"] * 60
                    else "no warm pool, or one that ends soon"
                ),
                default=0,
                source="https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html",
            ),
            "aws:emr/cluster:Cluster": _soon("autoTerminationPolicy.idleTimeout"),
            "gcp:dataproc/cluster:Cluster": _soon("clusterConfig.lifecycleConfig.idleDeleteTtl"),
            PERSISTENT: one_of("resourcePools[].autoscalingSpec.minReplicaCount", ("0", 0, "1", 1)),
            COMPUTE: when(
                CLUSTER,
                all_of(
                    equals(
                        "properties.properties.scaleSettings.minNodeCount",
                        0,
                        default=0,
                        source="https://www.pulumi.com/registry/packages/azure-native/api-docs/machinelearningservices/"
                        "compute/#scalesettings",
                    ),
                    _soon("properties.properties.scaleSettings.nodeIdleTimeBeforeScaleDown"),
                ),
            ),
        },
        parameters={"minutes": Parameter(60, {"type": "integer", "minimum": 1}, "The minutes without work.")},
        references=("checkov:CKV_AZURE_150",),
    ),
    Rule(
        "MLB-CST-004",
        "Notebooks and the machines of developers stop when nobody works on them.",
        Severity.MEDIUM,
        "Turn on idle shutdown, after some hours at most.",
        checks={
            # A notebook instance has no idle shutdown but by a script that its lifecycle configuration starts.
            NOTEBOOK: present("lifecycleConfigName"),
            "aws:sagemaker/domain:Domain": _idle_studio("defaultUserSettings.jupyterLabAppSettings"),
            WORKBENCH: _soon(
                "gceSetup.metadata.idle-timeout-seconds",
                default="10800",
                source="https://cloud.google.com/vertex-ai/docs/workbench/instances/manage-metadata",
            ),
            "gcp:colab/runtimeTemplate:RuntimeTemplate": _soon("idleShutdownConfig.idleTimeout"),
            COMPUTE: when(_INSTANCE, _soon("properties.properties.idleTimeBeforeShutdown")),
        },
        parameters={"minutes": Parameter(180, {"type": "integer", "minimum": 10}, "The minutes without work.")},
        references=("azure-policy:IdleShutdown_Audit",),
        differs={
            "azure-policy:IdleShutdown_Audit": "It accepts any time; a stop after three days saves little.",
        },
    ),
    Rule(
        "MLB-CST-005",
        "Training runs on spare capacity, where the organisation asks for it.",
        Severity.LOW,
        "Use managed spot training, spot workers, or nodes of low priority, and keep checkpoints.",
        checks={
            TRAINING_JOB: asked(
                equals(
                    "enableManagedSpotTraining",
                    True,
                    default=False,
                    source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html",
                )
            ),
            PIPELINE: asked(
                _spot(
                    "pipelineDefinition",
                    r'"Type"\s*:\s*"Training"',
                    r'"EnableManagedSpotTraining"\s*:\s*true',
                    "`EnableManagedSpotTraining` in each step of training",
                )
            ),
            WORKFLOW: asked(
                _spot(
                    "sourceContents",
                    r"customJobs\.create",
                    r"""strategy["']?\s*:\s*["']?(?:SPOT|FLEX_START)""",
                    "the scheduling strategy `SPOT` of each job",
                )
            ),
            COMPUTE: asked(
                when(
                    CLUSTER,
                    equals(
                        "properties.properties.vmPriority",
                        "LowPriority",
                        default="Dedicated",
                        source="https://learn.microsoft.com/azure/machine-learning/how-to-manage-optimize-cost"
                        "#low-pri-vm",
                    ),
                )
            ),
        },
        parameters={"required": Parameter(False, {"type": "boolean"}, "Whether training must run on spare capacity.")},
    ),
)
