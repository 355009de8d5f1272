"""Where resources name images of containers, and checks of each image that they name."""

import re
from collections.abc import Mapping

from ml_policies.checks import Check
from ml_policies.definitions import Judge, every
from ml_policies.scoring import GCP_MODEL

MODEL = "aws:sagemaker/model:Model"

# Type -> the paths at which images stand.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
PLACES: Mapping[str, tuple[str, ...]] = {
    MODEL: ("primaryContainer.image", "containers[].image"),
    "aws:sagemaker/trainingJob:TrainingJob": ("algorithmSpecification.trainingImage",),
    "aws:lambda/function:Function": ("imageUri",),
    "gcp:cloudrunv2/job:Job": ("template.template.containers[].image",),
    "gcp:cloudrunv2/service:Service": ("template.containers[].image",),
    GCP_MODEL: ("container.image",),
    "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment": (
        "modelConfig.containerSpec.imageUri",
    ),
    "azure-native:app:ContainerApp": ("template.containers[].image", "template.initContainers[].image"),
    "azure-native:app:Job": ("template.containers[].image", "template.initContainers[].image"),
    "azure-native:containerinstance:ContainerGroup": ("containers[].image", "initContainers[].image"),
    "azure-native:machinelearningservices:EnvironmentVersion": ("properties.image",),
}
# Type -> the path of a text that defines jobs, and how images are named in it.
# https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-pipelines.html and
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/ContainerSpec
TEXTS: Mapping[str, tuple[str, re.Pattern[str]]] = {
    "aws:sagemaker/pipeline:Pipeline": (
        "pipelineDefinition",
        re.compile(r'"(?:TrainingImage|ImageUri|Image)"\s*:\s*"([^"]+)"'),
    ),
    "gcp:workflows/workflow:Workflow": ("sourceContents", re.compile(r"""imageUri["']?\s*:\s*["']?([^\s"',}]+)""")),
}


def every_image(judge: Judge) -> dict[str, Check]:
    """A check of the images of each type that names some."""
    checks: dict[str, Check] = {type_: every(paths, judge) for type_, paths in PLACES.items()}
    return checks | {type_: every((path,), judge, pattern) for type_, (path, pattern) in TEXTS.items()}
