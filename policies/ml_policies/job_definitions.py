"""Jobs inside of a text: the steps of a SageMaker pipeline, and what a workflow starts on Vertex AI."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ml_policies.checks import Check, Result, Scope, Undecided, parsed
from ml_policies.resource import UNKNOWN

# https://cloud.google.com/workflows/docs/reference/googleapis/aiplatform/Overview
_VERTEX_JOB = re.compile(
    r"googleapis\.aiplatform\.\w+\.projects\.locations\."
    r"(customJobs|hyperparameterTuningJobs|batchPredictionJobs|trainingPipelines|pipelineJobs)\.create"
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class each_step:  # noqa: N801 (it reads as the checks beside it)
    """A check of the arguments of each step of a pipeline's definition, by the type of the step.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps.html
    """

    path: str
    by_type: Mapping[str, Check]

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            definition = parsed(value)
            if definition is UNKNOWN or definition is None:
                yield Undecided(path)
                continue
            for name, type_, arguments in _steps(definition):
                if check := self.by_type.get(type_):
                    yield from check(scope.inside(f"{self.path}.{name}", arguments))


@dataclass(frozen=True, slots=True)
class each_vertex_job:  # noqa: N801
    """A check of the body of each job of Vertex AI that a workflow's source, in JSON or YAML, starts."""

    path: str
    check: Check

    def __call__(self, scope: Scope) -> Iterator[Result]:
        for path, value in scope.values(self.path):
            if value is UNKNOWN:
                yield Undecided(path)
            elif isinstance(value, str) and _VERTEX_JOB.search(value):
                source = _source(value)
                if source is None:
                    yield Undecided(path)
                for call, body in _vertex_jobs(source):
                    yield from self.check(scope.inside(f"{self.path}.{call}", body))


def _steps(definition: Any) -> Iterator[tuple[str, str, Any]]:
    """Name, type and arguments of each step, those inside of conditions too."""
    if not isinstance(definition, Mapping):
        return
    for steps in (definition.get(key) for key in ("Steps", "IfSteps", "ElseSteps")):
        for step in steps if isinstance(steps, list) else ():
            if isinstance(step, Mapping):
                arguments = step.get("Arguments")
                yield str(step.get("Name", "")), str(step.get("Type", "")), arguments
                yield from _steps(arguments)


def _source(text: str) -> Any:
    try:
        # A safe loader, in C where there is one.
        return yaml.load(text, Loader=_LOADER)  # noqa: S506
    except yaml.YAMLError:
        return None


def _vertex_jobs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        call = value.get("call")
        if isinstance(call, str) and (found := _VERTEX_JOB.fullmatch(call)):
            arguments = value.get("args")
            yield f"{found[1]}.create", arguments.get("body") if isinstance(arguments, Mapping) else None
        for inner in value.values():
            yield from _vertex_jobs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _vertex_jobs(inner)
