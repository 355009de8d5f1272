"""Where resources name images of containers, and checks of each image that they name."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Check, Result, Scope, Undecided, Wrong
from ml_policies.resource import UNKNOWN

# Given an image and the parameters of the rule: what is expected instead, or None.
Judge = Callable[[str, Mapping[str, Any]], str | None]

MODEL = "aws:sagemaker/model:Model"

# Type -> the paths at which images stand.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
PLACES: Mapping[str, tuple[str, ...]] = {
    MODEL: ("primaryContainer.image", "containers[].image"),
    "aws:sagemaker/trainingJob:TrainingJob": ("algorithmSpecification.trainingImage",),
    "aws:lambda/function:Function": ("imageUri",),
    "gcp:cloudrunv2/job:Job": ("template.template.containers[].image",),
    "gcp:cloudrunv2/service:Service": ("template.containers[].image",),
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


@dataclass(frozen=True, slots=True)
class _Images:
    """Judges every image at some paths; with a pattern, every image that the texts there name."""

    paths: tuple[str, ...]
    judge: Judge
    pattern: re.Pattern[str] | None = None

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path in self.paths:
            for where, value in scope.values(path):
                if value is UNKNOWN:
                    yield Undecided(where)
                elif isinstance(value, str):
                    yield from self._judged(where, value, scope.parameters)

    def _judged(self, where: str, text: str, parameters: Mapping[str, Any]) -> Iterator[Result]:
        for image in self.pattern.findall(text) if self.pattern else (text,):
            if image.startswith("${"):
                yield Undecided(where)
            elif expected := self.judge(image, parameters):
                yield Wrong(where, image, expected)


def every_image(judge: Judge) -> dict[str, Check]:
    """A check of the images of each type that names some."""
    checks: dict[str, Check] = {type_: _Images(paths, judge) for type_, paths in PLACES.items()}
    return checks | {type_: _Images((path,), judge, pattern) for type_, (path, pattern) in TEXTS.items()}
