"""The compiled pipelines for Vertex AI: fresh, of the platform's own schema, and of steps that there are."""

import argparse
import ast
import importlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ml_pipelines.platforms import graph as graphs
from ml_pipelines.platforms.graph import Pipeline
from ml_pipelines.tasks import TASKS, find
from ml_pipelines.tasks.task import Choice, Real, Whole

COMPILED = Path(graphs.__file__).parent / "compiled" / "vertexai"
FILES = sorted(COMPILED.rglob("*.yaml"))
TRAINED = [task for task in TASKS.values() if task.workload]


def compiled(workload: str, pipeline: Pipeline) -> dict[str, Any]:
    return yaml.safe_load((COMPILED / workload / f"{pipeline}.yaml").read_text())


def commands(definition: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Module and arguments of each step; what is known when the pipeline runs stands as a word of its default."""
    told = definition["root"]["inputDefinitions"]["parameters"]
    for executor in definition["deploymentSpec"]["executors"].values():
        container = executor.get("container", {})
        if container.get("image") == "ml-blueprints-python-runtime":
            for node in ast.walk(ast.parse(container["command"][-1])):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "run":
                    module, words = node.args
                    assert isinstance(words, ast.List)
                    yield ast.literal_eval(module), [word(one, told) for one in words.elts]
        elif "HyperparameterTuningJob" in container.get("args", ()):
            pool = job(container)["trial_job_spec"]["worker_pool_specs"][0]["container_spec"]
            yield pool["command"][-1].removeprefix("ml_pipelines.steps."), pool["args"]


def word(node: ast.expr, told: dict[str, Any]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return str(told[node.id]["defaultValue"]) if isinstance(node, ast.Name) else f"/gcs/{ast.unparse(node)}"


def job(container: dict[str, Any]) -> dict[str, Any]:
    """What a launcher is asked for."""
    return json.loads(container["args"][container["args"].index("--payload") + 1])


def executor(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return definition["deploymentSpec"]["executors"][f"exec-{name}"]["container"]


def tasks(definition: dict[str, Any]) -> dict[str, Any]:
    """All tasks of a pipeline by name, in whichever branch."""
    dags = [definition["root"], *(one for one in definition["components"].values() if "dag" in one)]
    return {name: task for dag in dags for name, task in dag["dag"]["tasks"].items()}


def test_compiled_files_are_those_of_the_graphs():
    from ml_pipelines.platforms import vertexai

    # KFP looks through the whole stack for each limit of a step, which is short in a thread.
    with ThreadPoolExecutor(1) as thread:
        fresh = thread.submit(vertexai.compiled).result()
    assert fresh == {file: file.read_text() for file in FILES}
    assert len(fresh) == len(TRAINED) * len(Pipeline)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_each_is_a_pipeline_by_kfps_own_schema(file):
    from google.protobuf import json_format
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

    definition = yaml.safe_load(file.read_text())
    json_format.ParseDict(definition, PipelineSpec())
    # https://cloud.google.com/vertex-ai/docs/pipelines/build-pipeline: a name as in a resource's id, up to 128 letters.
    assert definition["pipelineInfo"]["name"] == f"{file.parent.name}-{file.stem}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_each_step_takes_its_command_line(file, monkeypatch):
    class ParsedError(Exception):
        """The step took its arguments."""

    parse = argparse.ArgumentParser.parse_args

    def parsed(parser: argparse.ArgumentParser, *arguments: Any) -> None:
        parse(parser, *arguments)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    monkeypatch.setenv("AIP_MODEL_DIR", "gs://models/1/model/")
    found = list(commands(yaml.safe_load(file.read_text())))
    for module, arguments in found:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(ParsedError):
            importlib.import_module(f"ml_pipelines.steps.{module}").main()
    steps = graphs.graph(find(file.parent.name), Pipeline(file.stem)).steps
    assert sorted(module for module, _ in found) == sorted(step.module for step in steps)


@pytest.mark.parametrize("task", TRAINED, ids=lambda task: task.name)
def test_a_search_is_a_job_of_the_tuner_with_the_candidates_space(task):
    from google.cloud.aiplatform_v1.types import HyperparameterTuningJob, StudySpec

    definition = compiled(task.workload, Pipeline.TRAINING)
    scales = {True: StudySpec.ParameterSpec.ScaleType.UNIT_LOG_SCALE, False: 1}
    for candidate in task.candidates:
        if not candidate.space:
            continue
        payload = job(executor(definition, f"tune-{candidate.name}"))
        # An enumeration takes no placeholder, which Vertex AI replaces before.
        payload["trial_job_spec"]["scheduling"]["strategy"] = "SPOT"
        tuned = HyperparameterTuningJob(payload)
        assert tuned.max_trial_count == task.trials * candidate.effort
        (metric,) = tuned.study_spec.metrics
        assert (metric.metric_id, metric.goal.name) == ("trial_value", "MAXIMIZE")
        asked = {one.parameter_id: one for one in tuned.study_spec.parameters}
        assert set(asked) == set(candidate.space)
        for name, dimension in candidate.space.items():
            match dimension:
                case Real(low, high, log):
                    spec = asked[name].double_value_spec
                    assert (spec.min_value, spec.max_value, asked[name].scale_type) == (low, high, scales[log])
                case Whole(low, high, log):
                    whole = asked[name].integer_value_spec
                    assert (whole.min_value, whole.max_value, asked[name].scale_type) == (low, high, scales[log])
                case Choice(values):
                    assert list(asked[name].categorical_value_spec.values) == [str(value) for value in values]


def test_trials_run_as_the_pipeline_does_in_its_network_with_its_key():
    trial = job(executor(compiled("churn", Pipeline.TRAINING), "tune-gradient-boosting"))
    assert trial["encryption_spec"] == {"kms_key_name": "{{$.pipeline_encryption_key_name}}"}
    asked = trial["trial_job_spec"]
    assert asked["service_account"] == "{{$.pipeline_service_account}}"
    assert asked["psc_interface_config"] == {"network_attachment": "{{$.inputs.parameters['network_attachment']}}"}
    assert asked["base_output_directory"] == {"output_uri_prefix": "{{$.outputs.artifacts['trial'].uri}}"}
    assert asked["scheduling"]["strategy"] == "{{$.inputs.parameters['strategy']}}"


def test_the_image_stands_wherever_a_stack_puts_its_own():
    text = (COMPILED / "churn" / "training.yaml").read_text()
    images = {
        one["container"]["image"]
        for one in yaml.safe_load(text)["deploymentSpec"]["executors"].values()
        if "container" in one
    }
    assert images == {
        "ml-blueprints-python-runtime",
        "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.22.0",
    }


def test_a_verdict_decides_whether_the_pipeline_goes_on():
    definition = compiled("churn", Pipeline.TRAINING)
    branches = {
        task["taskInfo"]["name"]: task["triggerPolicy"]["condition"]
        for task in tasks(definition).values()
        if "triggerPolicy" in task
    }
    passed = "inputs.parameter_values['pipelinechannel--evaluate-passed'] == true"
    assert branches["evaluate-passed"] == passed
    assert branches["evaluate-refused"] == f"!({passed})"
    registering = next(
        one for one in definition["components"].values() if "register" in one.get("dag", {}).get("tasks", {})
    )
    assert {"drift-baseline", "register", "publish"} <= set(registering["dag"]["tasks"])
    assert not {"register", "publish"} & set(definition["root"]["dag"]["tasks"])


def test_what_may_have_changed_is_not_taken_from_the_cache():
    cached = {
        name: bool(task.get("cachingOptions", {}).get("enableCache"))
        for name, task in tasks(compiled("churn", Pipeline.TRAINING)).items()
    }
    assert all(
        cached[name] for name in ("validate", "prepare", "tune-gradient-boosting", "choose", "train", "evaluate")
    )
    assert not any(cached[name] for name in ("export", "collect", "register", "publish", "model-upload", "refuse"))


def test_steps_are_run_once_more_and_are_sized():
    found = tasks(compiled("churn", Pipeline.TRAINING))
    assert found["train"]["retryPolicy"]["maxRetryCount"] == 1
    assert "retryPolicy" not in found["refuse"]
    assert executor(compiled("churn", Pipeline.TRAINING), "train")["resources"]["resourceMemoryLimit"] == "16G"


def test_lineage_knows_data_models_and_what_was_measured():
    outputs = {
        (name, output): kind["artifactType"]["schemaTitle"]
        for name, one in compiled("churn", Pipeline.TRAINING)["components"].items()
        for output, kind in one.get("outputDefinitions", {}).get("artifacts", {}).items()
    }
    assert outputs["comp-prepare", "data"] == "system.Dataset"
    assert outputs["comp-train", "model"] == "system.Model"
    assert outputs["comp-evaluate", "metrics"] == "system.Metrics"
    assert outputs["comp-evaluate", "curve"] == "system.ClassificationMetrics"
    assert outputs["comp-model-upload", "model"] == "google.VertexModel"
    regression = compiled("delivery-eta", Pipeline.TRAINING)["components"]["comp-evaluate"]["outputDefinitions"]
    assert "curve" not in regression["artifacts"]


def test_archives_are_exported_by_bigquery_itself():
    asked = executor(compiled("fraud-detection", Pipeline.BATCH_SCORING), "export")["args"]
    query = json.loads(asked[asked.index("--job_configuration_query_override") + 1])["query"]
    assert query.startswith("EXPORT DATA OPTIONS (uri = '{{$.outputs.artifacts['archive'].uri}}/events-*.parquet'")
    # The launcher's words are JSON.
    assert not {'"', "\n"} & set(query)
