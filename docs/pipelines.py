"""The page of the pipelines: the graphs that all platforms share, and what each step is on each platform.

The graphs are drawn from `ml_pipelines.platforms.graph`, the tables read from the compiled files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_pipelines.platforms
import yaml
from docs.markdown import heads, row
from ml_pipelines.platforms.graph import From, Given, Graph, Pipeline, Step, graph
from ml_pipelines.tasks import TASKS

COMPILED = Path(ml_pipelines.platforms.__file__).parent / "compiled"
PLATFORMS = {"sagemaker": "SageMaker", "vertexai": "Vertex AI", "azureml": "Azure ML"}
EXAMPLE = "churn"

_SENTENCES = {
    Pipeline.TRAINING: "From the archive of events to a registered model, with a search of parameters for each of the "
    "candidates.",
    Pipeline.RETRAINING: "The same with the candidate and the parameters of the model in use (`champion`), which the "
    "new one must not fall behind; the data must be fresh.",
    Pipeline.BATCH_SCORING: "The scores of the model in use for all that is due.",
}
_VERDICT = re.compile(r"pipelinechannel--(\w+)-passed")
# KFP numbers the tasks of one component.
_NUMBER = re.compile(r"-\d+$")
# Operators of Google's own, by the type of job that they ask for.
_OPERATORS = {
    "HyperparameterTuningJob": "hyperparameter tuning job",
    "BigqueryQueryJob": "query of BigQuery",
    "UploadModel": "upload to the model registry",
}


def page() -> str:
    """The graphs, and for each step what runs it on each platform."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from (
        "# Pipelines",
        "",
        "Each task has three pipelines. What they do is said once, in `ml_pipelines.platforms.graph`; `make compile`",
        "writes them in the terms of each platform, by its own SDK, to `pipelines/ml_pipelines/platforms/compiled`,",
        "and the stacks provision these files. Steps are the command lines that [training](training.md) tells of.",
        "How each platform runs them, and what isn't native there: [SageMaker](platforms/sagemaker.md),",
        "[Vertex AI](platforms/vertexai.md), [Azure ML](platforms/azureml.md). `make docs` writes this page from the",
        "graphs and the compiled files; a test compares it.",
        "",
        f"The example is `{EXAMPLE}`. Other tasks have other candidates, and {_with_labels()} gets its labels",
        "apart from its events. A box with two lines at its sides is run by the platform's own tuner; a diamond is a",
        "verdict, which ends the pipeline if it says no. Azure Machine Learning has no conditions in the public part",
        "of its SDK: there the step with the verdict fails, by exit code 3, and what follows isn't started.",
    )
    for pipeline in Pipeline:
        found = graph(TASKS[EXAMPLE], pipeline)
        yield from ("", f"## {pipeline.replace('-', ' ').capitalize()}", "", _SENTENCES[pipeline], "")
        yield from ("```mermaid", "flowchart LR", *_drawn(found), "```", "")
        yield from _table(found)


def _with_labels() -> str:
    return " and ".join(f"`{task.name}`" for task in TASKS.values() if task.workload and task.labels)


def _drawn(found: Graph) -> Iterator[str]:
    for name in found.givens:
        yield f"    given-{name}[({name})]"
    gate, since = "", set[str]()
    for step in found.steps:
        yield f"    {step.name}{_box(step)}"
        for one in step.inputs:
            if isinstance(one, Given):
                yield f"    given-{one.name} --> {step.name}"
            else:
                yield f"    {one.step} -->|{one.output}| {step.name}"
        # What reads nothing that was made after the last verdict waits for the verdict itself.
        if gate and not since & {one.step for one in step.inputs if isinstance(one, From)}:
            yield f"    {gate} -->|passed| {step.name}"
        since.add(step.name)
        if step.verdict:
            gate, since = f"{step.name}-verdict", set()
            yield f"    {step.name} --> {gate}{{passed?}}"
            yield f"    {gate} -->|no| {step.name}-failed([stops, and says why])"
    if found.registers:
        yield f"    {found.registers.step} -->|{found.registers.output}| registry[(model registry)]"


def _box(step: Step) -> str:
    return f"[[{step.name}, {step.trials} trials]]" if step.trials else f"[{step.name}]"


def _table(found: Graph) -> Iterator[str]:
    by_platform = {platform: dict(ways(platform, found.task.name, found.name)) for platform in PLATFORMS}
    names = [step.name for step in found.steps]
    more = {name for ways_ in by_platform.values() for name in ways_} - set(names)
    yield from heads("step", *PLATFORMS.values())
    for name in (*names, *sorted(more)):
        yield from row(name, *(by_platform[platform].get(name, "") for platform in PLATFORMS))


def ways(platform: str, workload: str, pipeline: str) -> Iterator[tuple[str, str]]:
    """Each step of a compiled pipeline, and what it is on its platform."""
    (file,) = (COMPILED / platform / workload).glob(f"{pipeline}.*")
    content = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    read = {"sagemaker": _sagemaker, "vertexai": _vertexai, "azureml": _azureml}
    return read[platform](content)


def _sagemaker(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return _sagemaker_steps(content["Steps"])


def _sagemaker_steps(steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for step in steps:
        way = {"Processing": "processing job", "Training": "training job", "RegisterModel": "model package"}.get(
            step["Type"], step["Type"].lower()
        )
        if step["Type"] == "Tuning":
            limits = step["Arguments"]["HyperParameterTuningJobConfig"]["ResourceLimits"]
            way = f"tuning job, {limits['MaxNumberOfTrainingJobs']} training jobs"
        yield step["Name"], way + (", cached" if step.get("CacheConfig", {}).get("Enabled") else "")
        if step["Type"] == "Condition":
            yield from _sagemaker_steps([*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]])


def _vertexai(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return _vertexai_tasks(content, content["root"])


def _vertexai_tasks(
    content: Mapping[str, Any], component: Mapping[str, Any], refused: str = ""
) -> Iterator[tuple[str, str]]:
    """`refused` is the verdict that said no, in the branch of it that fails."""
    for name, task in component["dag"]["tasks"].items():
        inner = content["components"][task["componentRef"]["name"]]
        if "dag" in inner:
            condition = task.get("triggerPolicy", {}).get("condition", "")
            asked = _VERDICT.search(condition)
            if asked and not condition.startswith("!"):
                yield f"{asked[1]}-passed", "condition"
            negative = asked[1] if asked and condition.startswith("!") else ""
            yield from _vertexai_tasks(content, inner, negative or refused)
            continue
        executor = content["deploymentSpec"]["executors"][inner["executorLabel"]]
        way = "importer" if "importer" in executor else _container(executor["container"])
        cached = ", cached" if task.get("cachingOptions", {}).get("enableCache") else ""
        yield f"{refused}-failed" if refused else _NUMBER.sub("", name), way + cached


def _container(container: Mapping[str, Any]) -> str:
    words = [*container.get("command", ()), *container.get("args", ())]
    kinds = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "--type"]
    return _OPERATORS[kinds[0]] if kinds else "Python component"


def _azureml(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, job in content["pipeline"]["jobs"].items():
        way = "command job"
        if job["type"] == "sweep":
            way = f"sweep job, {job['limits']['max_total_trials']} trials"
        component = content["components"].get(job.get("componentId", ""), {})
        yield name.replace("_", "-"), way + (", cached" if component.get("is_deterministic") else "")
