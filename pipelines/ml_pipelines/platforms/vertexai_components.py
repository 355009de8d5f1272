"""The components of pipelines on Vertex AI: a step as a lightweight Python component, and Google's launchers of jobs.

A lightweight component is a Python function, of which KFP keeps the text. The text is written here from the step's
command line, so that the graph says it once and the compiled file shows it as a person would have written it.
"""

import json
import linecache
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from google.cloud.aiplatform_v1.types import StudySpec
from google_cloud_pipeline_components import _placeholders as vertex
from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from ml_pipelines.platforms.graph import Argument, From, Given, Parameter, Step, To
from ml_pipelines.steps.trial import METRIC
from ml_pipelines.tasks.task import Choice, Dimension, Predicts, Real, Task, Whole

# The image of all steps, for which a stack puts its own by digest.
RUNTIME_IMAGE = "ml-blueprints-python-runtime"

# Google's launchers of jobs; Vertex AI knows them by this image, and runs them itself.
LAUNCHERS = "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.22.0"

# The machine of a trial, how many of them run at once, and after which time one is given up.
TRIAL_MACHINE, PARALLEL_TRIALS, TRIAL_SECONDS = "n2-standard-4", 4, 4 * 3600

# What folders are, where Vertex AI's lineage has a word for it.
_KINDS = {
    **dict.fromkeys(("archive", "labels", "log", "data", "due", "scores"), "Dataset"),
    **dict.fromkeys(("model", "registered", "champion"), "Model"),
}

_RUNTIME = "ml_pipelines.platforms.vertexai_step"


def name(word: str) -> str:
    """A name as Python has it."""
    return word.replace("-", "_")


def input_name(one: Given | From) -> str:
    """What a component calls a folder that it reads."""
    return name(one.label)


def kind(output: str) -> str:
    """The type of artifact that a folder is."""
    return _KINDS.get(output, "Artifact")


def step(one: Step, task: Task) -> BaseComponent:
    """A step as a lightweight Python component; one with a verdict says whether it passed, and what failed."""
    return _component(name(one.name), "\n".join(_source(one, task)))


def _source(one: Step, task: Task) -> Iterator[str]:
    yield f"def {name(one.name)}("
    for item in one.inputs:
        folder = item.name if isinstance(item, Given) else item.output
        yield f"    {input_name(item)}: dsl.Input[dsl.{kind(folder)}],"
    for output in one.outputs:
        yield f"    {name(output)}: dsl.Output[dsl.{kind(output)}],"
    yield from (f"    {line}," for line in _more_arguments(one, task))
    yield ") -> NamedTuple('Verdict', [('passed', bool), ('failed', str)]):" if one.verdict else "):"
    yield f"    from {_RUNTIME} import describe, run, tell_curve, tell_metrics, verdict"
    yield ""
    if one.module == "batch_score":
        yield "    # Where whoever reads scores looks for them, a folder for each run."
        yield "    scores.uri = predictions + '/' + run_name"
    yield f"    run('{one.module}', ["
    yield from (f"        {', '.join(map(_expression, words))}," for words in _options(one.arguments))
    if one.verdict:
        yield "        '--branch',"
    yield f"    ], leaves=[{', '.join(f'{name(output)}.path' for output in one.outputs)}])"
    yield from (f"    {line}" for line in _afterwards(one, task))


def _more_arguments(one: Step, task: Task) -> Iterator[str]:
    """Metrics and curves that Vertex AI draws, and the words that the step is told."""
    if one.module == "evaluate":
        yield "metrics: dsl.Output[dsl.Metrics]"
        yield "report: dsl.Output[dsl.HTML]"
        if task.predicts is Predicts.CLASS:
            yield "curve: dsl.Output[dsl.ClassificationMetrics]"
    for argument in dict.fromkeys(argument for argument in one.arguments if isinstance(argument, Parameter)):
        yield f"{argument.name}: str"
    if one.module == "batch_score":
        yield "predictions: str"
        yield "run_name: str"


def _options(arguments: Sequence[Argument]) -> Iterator[Sequence[Argument]]:
    """The words of a command line, each option with its value."""
    starts = [place for place, word in enumerate(arguments) if isinstance(word, str) and word.startswith("--")]
    yield from (arguments[start:end] for start, end in zip(starts, [*starts[1:], len(arguments)], strict=True))


def _expression(argument: Argument) -> str:
    """An argument of the command line as Python writes it."""
    match argument:
        case str():
            return repr(argument)
        case Parameter(named):
            return named
        case Given() | From():
            folder, file = input_name(argument), argument.file
        case To(output, file):
            folder = name(output)
    return f"{folder}.path + '/{file}'" if file else f"{folder}.path"


def _afterwards(one: Step, task: Task) -> Iterator[str]:
    if one.module == "evaluate":
        yield "tell_metrics(evaluation.path, metrics, report)"
        if task.predicts is Predicts.CLASS:
            yield f"tell_curve('{task.name}', prepare_data.path, train_model.path, curve)"
    yield from (f"describe({name(output)})" for output in one.outputs if kind(output) == "Model")
    if one.verdict:
        yield f"return verdict({name(one.verdict)}.path)"


def trials(one: Step, task: Task) -> BaseComponent:
    """A search by Vertex AI's tuner, whose trials leave what they found in the folder of the output.

    Google's own component knows no private network but a peered one, so that this one asks its launcher for the job.
    """
    assert one.candidate is not None
    words = [_word(argument) for argument in one.arguments[: one.arguments.index("--to")]]
    label = {"workload": str(task.workload)}

    def searched(
        prepare_data: dsl.Input[dsl.Dataset],
        trial: dsl.Output[dsl.Artifact],
        gcp_resources: dsl.OutputPath(str),  # type: ignore[valid-type]
        network_attachment: str,
        tensorboard: str,
        strategy: str,
    ) -> dsl.ContainerSpec:
        data = str(prepare_data.path)
        arguments = [data if word is None else word for word in words]
        job = {
            "display_name": f"{task.workload}-{one.name}",
            "labels": label,
            "study_spec": {
                "metrics": [{"metric_id": METRIC, "goal": "MAXIMIZE"}],
                "parameters": [_searched(*item) for item in one.candidate.space.items()],
                "measurement_selection_type": "LAST_MEASUREMENT",
            },
            "max_trial_count": one.trials,
            "parallel_trial_count": min(PARALLEL_TRIALS, one.trials),
            "trial_job_spec": {
                "worker_pool_specs": [
                    {
                        "machine_spec": {"machine_type": TRIAL_MACHINE},
                        "replica_count": 1,
                        "container_spec": {
                            "image_uri": RUNTIME_IMAGE,
                            "command": ["python", "-m", f"ml_pipelines.steps.{one.module}"],
                            # Where a trial leaves what it found, Vertex AI says in its environment.
                            "args": [*arguments, "--report", "hypertune"],
                        },
                    }
                ],
                "scheduling": {"timeout": f"{TRIAL_SECONDS}s", "strategy": str(strategy)},
                "service_account": vertex.SERVICE_ACCOUNT_PLACEHOLDER,
                "psc_interface_config": {"network_attachment": str(network_attachment)},
                "base_output_directory": {"output_uri_prefix": str(trial.uri)},
                "tensorboard": str(tensorboard),
            },
            "encryption_spec": {"kms_key_name": vertex.ENCRYPTION_SPEC_KMS_KEY_NAME_PLACEHOLDER},
        }
        return _launched("HyperparameterTuningJob", "hyperparameter_tuning_job", job, str(gcp_resources))

    searched.__name__ = name(one.name)
    return dsl.container_component(searched)


def export(task: Task) -> BaseComponent:
    """The archive's events as Parquet files, exported by BigQuery itself into the folder of the output.

    Google's own component has no output for the files that a query writes, so that this one asks its launcher.
    """

    def export(
        archive: dsl.Output[dsl.Dataset],
        gcp_resources: dsl.OutputPath(str),  # type: ignore[valid-type]
        table: str,
        arrival: str,
        since: str,
    ) -> dsl.ContainerSpec:
        # A literal, so that BigQuery leaves out the partitions that lie before it.
        first = f"IF('{since}' = 'none', TIMESTAMP '1970-01-01', CAST(NULLIF('{since}', 'none') AS TIMESTAMP))"
        # The words are those of whoever may start the pipeline.
        events = f"SELECT * FROM `{table}` WHERE {arrival} >= {first}"  # noqa: S608
        options = f"uri = '{archive.uri}/events-*.parquet', format = 'PARQUET', overwrite = true"
        query = f"EXPORT DATA OPTIONS ({options}) AS {events}"
        job = {"configuration": {"query": {}, "labels": {"workload": str(task.workload)}}}
        more = ["--job_configuration_query_override", json.dumps({"query": query}), "--executor_input", "{{$}}"]
        return _launched("BigqueryQueryJob", "bigquery.query_job", job, str(gcp_resources), *more)

    return dsl.container_component(export)


def _launched(type_: str, module: str, job: Mapping[str, Any], resources: str, *more: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(
        image=LAUNCHERS,
        command=["python3", "-u", "-m", f"google_cloud_pipeline_components.container.v1.{module}.launcher"],
        args=[
            *("--type", type_, "--payload", json.dumps(job)),
            *("--project", vertex.PROJECT_ID_PLACEHOLDER, "--location", vertex.LOCATION_PLACEHOLDER),
            *("--gcp_resources", resources, *more),
        ],
    )


def _word(argument: Argument) -> str | None:
    """A word of a trial's command line; None for the folder of data, which is known when it runs."""
    match argument:
        case str():
            return argument
        case From("prepare", "data", ""):
            return None
    raise TypeError(f"a trial is told words and the prepared data, not {argument}")


def _searched(named: str, dimension: Dimension) -> dict[str, Any]:
    """A dimension of the search space as Vertex AI's tuner has it."""
    spec = StudySpec.ParameterSpec
    match dimension:
        case Real(low, high, log):
            range_: dict[str, Any] = {"double_value_spec": {"min_value": low, "max_value": high}}
        case Whole(low, high, log):
            range_ = {"integer_value_spec": {"min_value": low, "max_value": high}}
        case Choice(values):
            # As words, which `trial` takes for what they are.
            range_, log = {"categorical_value_spec": {"values": [str(value) for value in values]}}, None
    scale = {} if log is None else {"scale_type": "UNIT_LOG_SCALE" if log else "UNIT_LINEAR_SCALE"}
    asked = {"parameter_id": named, **range_, **scale}
    spec(asked)
    return asked


def refuse() -> BaseComponent:
    """What ends the pipeline where a verdict says no."""
    text = f"""def refuse(verdict: dsl.Input[dsl.Artifact], failed: str):
    from {_RUNTIME} import refuse

    refuse(verdict.uri, failed)
"""
    return _component("refuse", text)


def publish() -> BaseComponent:
    """What copies a registered version to where serving and the next training find it."""
    text = f"""def publish(
    registered: dsl.Input[dsl.Model],
    models: str,
) -> NamedTuple('Published', [('uri', str), ('description', str), ('aliases', list), ('labels', dict)]):
    from {_RUNTIME} import publish

    return publish(registered.path, models)
"""
    return _component("publish", text)


def _component(named: str, text: str) -> BaseComponent:
    """A lightweight component of a function's text, which is where KFP looks for the text of functions."""
    file = f"<component {named}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"dsl": dsl, "NamedTuple": NamedTuple}
    exec(compile(text, file, "exec"), scope)  # noqa: S102 (the text is this module's own)
    return dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)(scope[named])
