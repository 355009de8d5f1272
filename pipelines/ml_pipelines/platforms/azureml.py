"""`python -m ml_pipelines.platforms.azureml`: writes the pipelines of all workloads as Azure Machine Learning has them.

A pipeline is a pipeline component, a step a command component, a search a sweep. The files are committed, so that a
preview imports no SDK; a test compiles them again and compares. `--check` writes nothing, and fails if a file would
change. What only a stack knows it puts in: the image, and the ids under which it registered the components.

The service has no condition that its SDK makes public: a step whose verdict says no fails (exit code 3), and with it
the pipeline, before anything that comes after. It repeats only steps that run in parallel.
"""

import copy
import inspect
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.ai.ml import Input, Output, dsl
from azure.ai.ml import sweep as search
from azure.ai.ml.entities import CommandComponent, PipelineComponent

from ml_pipelines import compiled_files
from ml_pipelines.platforms.graph import From, Given, Graph, Parameter, Pipeline, Step, To, graph
from ml_pipelines.steps.trial import METRIC
from ml_pipelines.tasks import TASKS
from ml_pipelines.tasks.task import Choice, Dimension, Real, Task

FOLDER = Path(__file__).parent / "compiled" / "azureml"

# Where the stack puts its image.
IMAGE = "azureml:image-of-the-stack:1"

# The step that brings a version to where deployments look for it, and the folder that it is told of.
PUBLISH, PUBLISHED = "publish", "published"
_PUBLISH = "ml_pipelines.platforms.azureml_publish"

# What a step leaves, for each run of it: in the zone that its identity alone writes. The macros are the service's.
# https://learn.microsoft.com/azure/machine-learning/how-to-manage-inputs-outputs-pipeline#customize-output-paths
_MODELS_ZONE, _CURATED_ZONE = "models", "curated"
_KEPT = "azureml://datastores/{zone}/paths/runs/${{{{name}}}}/${{{{output_name}}}}/"

# A version of each of our components that stands for the one that a stack makes of the component's content.
_VERSION = "1"

_HOURS = {"trial": 1, "train": 4}
_DEFAULT_HOURS = 2
_PARALLEL_TRIALS = 4
# Bounds of logarithms lie within the parameter's own, however their powers are rounded.
_DECIMALS = 6


@dataclass
class Compiled:
    """A pipeline on its way: its command components by name, and the pipeline component that names them."""

    components: dict[str, dict[str, Any]]
    pipeline: dict[str, Any]

    def said(self) -> dict[str, Any]:
        """As it is written."""
        return {"components": self.components, "pipeline": self.pipeline}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; returns the exit code."""
    return compiled_files.run("ml_pipelines.platforms.azureml", __doc__, compiled, "compile", arguments)


def compiled() -> dict[Path, str]:
    """The definitions of all pipelines of the tasks that have a workload, by file."""
    return {
        FOLDER / task.workload / f"{pipeline}.json": json.dumps(found.said(), indent=1, ensure_ascii=False) + "\n"
        for task in TASKS.values()
        if task.workload
        for pipeline, found in definitions(task).items()
    }


def definitions(task: Task) -> dict[Pipeline, Compiled]:
    """The pipelines of a task. Steps that are the same in several are one component, by one name."""
    made: dict[str, dict[str, Any]] = {}
    found = {}
    for pipeline in Pipeline:
        compiler = _Compiler(graph(task, pipeline), made)
        found[pipeline] = Compiled(compiler.components(), compiler.pipeline())
    return found


class DefinitionError(Exception):
    """A pipeline that the SDK's own validation refuses."""


class _Compiler:
    """One pipeline on its way; `made` are the components of the task's pipelines so far, by name."""

    def __init__(self, found: Graph, made: dict[str, dict[str, Any]]):
        self.graph, self.made = found, made
        self.zone = _CURATED_ZONE if found.name is Pipeline.BATCH_SCORING else _MODELS_ZONE
        self.steps = {step.name: self._component(step) for step in found.steps}
        self.publish = self._publishing() if found.registers else None

    def components(self) -> dict[str, dict[str, Any]]:
        """What is registered before the pipeline, by name."""
        parts = [*self.steps.values(), *([self.publish] if self.publish else [])]
        return {part.name: self.made[part.name] for part in parts}

    def pipeline(self) -> dict[str, Any]:
        """The pipeline component. Raises DefinitionError with what the SDK finds wrong."""
        inputs = {
            **{name: Input(type="uri_folder") for name in self.graph.givens},
            **{name: Input(type="string", default=default) for name, default in self.graph.parameters.items()},
        }
        whole = self._whole(inputs).component
        if not (checked := whole._validate()).passed:
            raise DefinitionError(f"{self.graph.task.name}, {self.graph.name}: {checked.error_messages}")
        return _specification(whole)

    def _whole(self, inputs: Mapping[str, Input]) -> Any:
        """The pipeline as the SDK's decorator makes it of a function, whose signature is its inputs."""

        def build(**given: Any) -> dict[str, Any]:
            return self._wire(given)

        build.__annotations__ = dict(inputs)
        build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=kind.get("default", inspect.Parameter.empty)
                )
                for name, kind in inputs.items()
            ]
        )
        made = dsl.pipeline(
            name=_snake(self.graph.name),
            display_name=f"{self.graph.task.name}: {self.graph.name}",
            description=self.graph.task.sentence,
        )(build)
        return made(**{name: Input(type="uri_folder", path="azureml://given") for name in self.graph.givens})

    def _wire(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Bind each step to what it reads; returns what the pipeline itself leaves."""
        nodes: dict[str, Any] = {}
        for step in self.graph.steps:
            bound = {_snake(source.label): _read(source, given, nodes) for source in self._inputs(step)}
            bound |= {one.name: given[one.name] for one in step.arguments if isinstance(one, Parameter)}
            nodes[step.name] = node = self._node(step, bound)
            node.name = _snake(step.name)
            for output in step.outputs:
                node.outputs[output] = Output(type=_kind(self.graph, step, output), path=self._kept())
        if self.graph.registers and self.publish:
            left = nodes[self.graph.registers.step].outputs[self.graph.registers.output]
            node = self.publish(**{self.graph.registers.output: left})
            node.name = PUBLISH
            node.set_limits(timeout=_DEFAULT_HOURS * 3600)
            return {self.graph.registers.output: left, PUBLISHED: node.outputs[PUBLISHED]}
        last = self.graph.steps[-1]
        return {output: nodes[last.name].outputs[output] for output in last.outputs}

    def _node(self, step: Step, bound: dict[str, Any]) -> Any:
        """A step in the pipeline; a search is a sweep of it, which leaves what its best trial left.

        The sampling is Sobol's sequence, always the same: the service's Bayesian one knows no logarithms. A trial tells
        its value once, at its end, so that there is nothing to end it early by.
        https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters
        """
        component = self.steps[step.name]
        if not step.trials or step.candidate is None:
            node = component(**bound)
            node.set_limits(timeout=_hours(step) * 3600)
            return node
        space = {name: distribution(dimension) for name, dimension in step.candidate.space.items()}
        one = component(**bound, **space)
        # The search takes the step's name.
        one.name = f"{_snake(step.name)}_trial"
        node = one.sweep(
            primary_metric=METRIC,
            goal="maximize",
            sampling_algorithm=search.RandomSamplingAlgorithm(rule="sobol", seed=1),
        )
        node.set_limits(
            max_total_trials=step.trials,
            max_concurrent_trials=min(step.trials, _PARALLEL_TRIALS),
            trial_timeout=_hours(step) * 3600,
            timeout=_hours(step) * 3600 * -(-step.trials // _PARALLEL_TRIALS),
        )
        return node

    def _component(self, step: Step) -> CommandComponent:
        """The step as a component: by its own name, or by the pipeline's too where another pipeline has another one."""
        inputs = {_snake(source.label): Input(type="uri_folder") for source in self._inputs(step)}
        inputs |= {one.name: Input(type="string") for one in step.arguments if isinstance(one, Parameter)}
        searched = step.candidate.space if step.candidate and step.trials else {}
        inputs |= {name: Input(type=_input_type(dimension)) for name, dimension in searched.items()}
        options = {
            "command": " ".join(["python", "-m", f"ml_pipelines.steps.{step.module}", *_words(step, searched)]),
            "inputs": inputs,
            "outputs": {output: Output(type=_kind(self.graph, step, output)) for output in step.outputs},
            "is_deterministic": step.cached,
        }
        return _named(step.name, self.graph, options, self.made)

    def _inputs(self, step: Step) -> tuple[Given | From, ...]:
        """What a step reads, and the verdict that it comes after: the service orders steps by nothing but folders."""
        before = self.graph.steps[: self.graph.steps.index(step)]
        verdicts = [From(one.name, one.verdict) for one in before if one.verdict]
        missing = [one for one in verdicts[-1:] if one.step not in self._before(step.inputs)]
        return (*step.inputs, *missing)

    def _before(self, inputs: Sequence[Given | From]) -> set[str]:
        """The steps that whatever reads these folders comes after."""
        found = {one.step for one in inputs if isinstance(one, From)}
        return found.union(*(self._before(self._inputs(self.graph.step(name))) for name in found))

    def _publishing(self) -> CommandComponent:
        """What brings the registered version to its place among all models."""
        registers = self.graph.registers
        assert registers is not None
        folder = registers.output
        options = {
            "command": f"python -m {_PUBLISH} --model ${{{{inputs.{folder}}}}} --to ${{{{outputs.{PUBLISHED}}}}}",
            "inputs": {folder: Input(type="custom_model")},
            "outputs": {PUBLISHED: Output(type="uri_folder")},
            "is_deterministic": False,
        }
        return _named(PUBLISH, self.graph, options, self.made)

    def _kept(self) -> str:
        return _KEPT.format(zone=self.zone)


def distribution(dimension: Dimension) -> Any:
    """What is searched, as the service's sweeps take it; logarithms are natural ones."""
    if isinstance(dimension, Choice):
        return search.Choice([str(value) for value in dimension.values])
    if not dimension.log:
        is_real = isinstance(dimension, Real)
        bounds = {"min_value": dimension.low, "max_value": dimension.high}
        return search.Uniform(**bounds) if is_real else search.QUniform(**bounds, q=1)
    scale = 10**_DECIMALS
    low, high = math.ceil(math.log(dimension.low) * scale) / scale, math.floor(math.log(dimension.high) * scale) / scale
    if isinstance(dimension, Real):
        return search.LogUniform(min_value=low, max_value=high)
    return search.QLogUniform(min_value=low, max_value=high, q=1)


def _named(name: str, found: Graph, options: Mapping[str, Any], made: dict[str, dict[str, Any]]) -> CommandComponent:
    """A command component by its name, which the stack replaces by an id where the pipeline refers to it."""
    for own in (_snake(name), _snake(f"{found.name}_{name}")):
        said = _specification(_component(own, name, options))
        if made.setdefault(own, said) == said:
            return _component(own, name, options, id=own)
    raise DefinitionError(f"{found.task.name}, {found.name}: step `{name}` is there twice, and not the same")


def _component(own: str, name: str, options: Mapping[str, Any], **registered: str) -> CommandComponent:
    parts = copy.deepcopy(dict(options))
    return CommandComponent(name=own, display_name=name, version=_VERSION, environment=IMAGE, **parts, **registered)


def _specification(part: CommandComponent | PipelineComponent) -> dict[str, Any]:
    """A component as the service's own interface takes it, without what is empty, and without a version."""
    said = part._to_rest_object().as_dict()["properties"]["componentSpec"]
    return {key: value for key, value in json.loads(json.dumps(said)).items() if value is not None and key != "version"}


def _words(step: Step, searched: Mapping[str, Dimension]) -> Iterator[str]:
    """The step's command line in the service's expressions."""
    for argument in step.arguments:
        match argument:
            case Given() | From():
                yield "/".join(filter(None, (f"${{{{inputs.{_snake(argument.label)}}}}}", argument.file)))
            case To(output, file):
                yield "/".join(filter(None, (f"${{{{outputs.{output}}}}}", file)))
            case Parameter(name):
                yield f"${{{{inputs.{name}}}}}"
            case _:
                yield argument
    for name in searched:
        yield f"--{name} ${{{{inputs.{name}}}}}"
    if step.module == "trial":
        yield "--report mlflow"


def _read(source: Given | From, given: Mapping[str, Any], nodes: Mapping[str, Any]) -> Any:
    return given[source.name] if isinstance(source, Given) else nodes[source.step].outputs[source.output]


def _kind(found: Graph, step: Step, output: str) -> str:
    """What is registered as a model must be one."""
    return "custom_model" if found.registers == From(step.name, output) else "uri_folder"


def _input_type(dimension: Dimension) -> str:
    return "string" if isinstance(dimension, Choice) else "number"


def _hours(step: Step) -> int:
    return _HOURS.get(step.module, _DEFAULT_HOURS)


def _snake(name: str) -> str:
    return name.replace("-", "_")


if __name__ == "__main__":
    sys.exit(main())
