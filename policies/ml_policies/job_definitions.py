"""Jobs inside of a text: the steps of a SageMaker pipeline, and what a workflow starts on Vertex AI and on Spark."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ml_policies.checks import Check, Result, Scope, Undecided, parsed
from ml_policies.resource import UNKNOWN

# By a connector, or by a request to the service itself.
# https://cloud.google.com/workflows/docs/reference/googleapis/aiplatform/Overview
_JOBS = r"(customJobs|hyperparameterTuningJobs|batchPredictionJobs|trainingPipelines|pipelineJobs)"
_VERTEX_CALL = re.compile(rf"googleapis\.aiplatform\.\w+\.projects\.locations\.{_JOBS}\.create")
_VERTEX_REQUEST = re.compile(rf"https://[\w-]*aiplatform\.googleapis\.com/\w+/.*/{_JOBS}")
_VERTEX_JOB = re.compile(f"{_VERTEX_CALL.pattern}|{_VERTEX_REQUEST.pattern}")
# https://cloud.google.com/dataproc-serverless/docs/reference/rest/v1/projects.locations.batches/create
_SPARK_BATCHES = re.compile(r"https://dataproc\.googleapis\.com/\w+/.*/batches")
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
        yield from _each_body(scope, self.path, self.check, _VERTEX_JOB, _vertex_job)


@dataclass(frozen=True, slots=True)
class each_spark_batch:  # noqa: N801
    """A check of the body of each batch of serverless Spark that a workflow's source, in JSON or YAML, starts."""

    path: str
    check: Check

    def __call__(self, scope: Scope) -> Iterator[Result]:
        yield from _each_body(scope, self.path, self.check, _SPARK_BATCHES, _spark_batch)


def _each_body(
    scope: Scope, path: str, check: Check, mentioned: re.Pattern[str], started: Callable[[str, Mapping], str | None]
) -> Iterator[Result]:
    for place, value in scope.values(path):
        if value is UNKNOWN:
            yield Undecided(place)
        elif isinstance(value, str) and mentioned.search(value):
            source = _source(value)
            if source is None:
                yield Undecided(place)
            for call, arguments in _calls(source):
                if name := started(call, arguments):
                    yield from check(scope.inside(f"{path}.{name}", arguments.get("body")))


def _vertex_job(call: str, arguments: Mapping[str, Any]) -> str | None:
    found = _VERTEX_CALL.fullmatch(call)
    if call == "http.post":
        found = _VERTEX_REQUEST.fullmatch(str(arguments.get("url")))
    return f"{found[1]}.create" if found else None


def _spark_batch(call: str, arguments: Mapping[str, Any]) -> str | None:
    return "batches.create" if call == "http.post" and _SPARK_BATCHES.search(str(arguments.get("url"))) else None


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


def _calls(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a workflow calls, in any of its branches, and with which arguments."""
    if isinstance(value, Mapping):
        if isinstance(call := value.get("call"), str):
            arguments = value.get("args")
            yield call, arguments if isinstance(arguments, Mapping) else {}
        for inner in value.values():
            yield from _calls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _calls(inner)
