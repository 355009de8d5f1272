"""The compiled pipelines of SageMaker on real data: each command is run as the service would run it.

The service itself can't be had here. The test plays its part with nothing but what the definition says: it fills in
parameters and properties, mounts what lies in S3 and takes what jobs leave there, draws the parameters of a search and
reads its metric in the log, follows conditions, and stops where a step fails.
"""

import importlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ml_pipelines.platforms.graph import Pipeline, graph
from ml_pipelines.steps import manifest
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

pytestmark = pytest.mark.xdist_group("sagemaker")

TRIALS = 2
OPT = "/opt/ml"


class PipelineFailedError(Exception):
    """A step that failed, or a branch that says why it goes no further."""


@dataclass
class Service:
    """What SageMaker does with a pipeline.

    s3: where the buckets lie; python: where containers find it; ran: the steps, in order; packages: versions.
    """

    s3: Path
    python: Path
    execution: str = ""
    ran: list[str] = field(default_factory=list)
    packages: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    files: dict[tuple[str, str], Path] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)

    def run(self, definition: dict[str, Any], execution: str, **given: str) -> None:
        """Run a pipeline. Raises PipelineFailedError."""
        self.execution, self.ran, self.properties, self.files = execution, [], {}, {}
        self.parameters = {
            item["Name"]: given.get(item["Name"], item.get("DefaultValue")) for item in definition["Parameters"]
        }
        assert None not in self.parameters.values()
        waiting = list(definition["Steps"])
        while ready := next((step for step in waiting if _needs(step) <= set(self.ran)), None):
            waiting.remove(ready)
            waiting += self._step(ready)
            self.ran.append(ready["Name"])
        assert not waiting, f"these wait for ever: {[step['Name'] for step in waiting]}"

    def _step(self, step: dict[str, Any]) -> list[dict[str, Any]]:
        """Run a step; returns those that it makes ready."""
        name, said = step["Name"], step["Arguments"]
        match step["Type"]:
            case "Condition":
                passed = all(self._value(one["LeftValue"]) == one["RightValue"] for one in said["Conditions"])
                return said["IfSteps" if passed else "ElseSteps"]
            case "Fail":
                raise PipelineFailedError(self._value(said["ErrorMessage"]))
            case "Processing":
                self._processing(step, self._value(said))
            case "Training":
                self._training(name, self._value(said))
            case "Tuning":
                self._tuning(name, self._value(said))
            case "RegisterModel":
                self.packages.append(self._value(said))
        return []

    def _processing(self, step: dict[str, Any], said: dict[str, Any]) -> None:
        name, opt = step["Name"], self.s3.parent / "jobs" / self.execution / step["Name"]
        for one in said["ProcessingInputs"]:
            self._download(one["S3Input"]["S3Uri"], _mounted(opt, one["S3Input"]["LocalPath"]))
        outputs = {one["OutputName"]: one["S3Output"] for one in said["ProcessingOutputConfig"]["Outputs"]}
        for one in outputs.values():
            _mounted(opt, one["LocalPath"]).mkdir(parents=True)
        words = said["AppSpecification"]["ContainerEntrypoint"] + said["AppSpecification"]["ContainerArguments"]
        self._start(name, words, opt)
        for one in outputs.values():
            shutil.copytree(_mounted(opt, one["LocalPath"]), self._place(one["S3Uri"]), dirs_exist_ok=True)
        for one in step.get("PropertyFiles", ()):
            folder = self._place(outputs[one["OutputName"]]["S3Uri"])
            self.files[name, one["PropertyFileName"]] = folder / one["FilePath"]
        self.properties[name] = {
            "ProcessingOutputConfig": {"Outputs": {key: {"S3Output": one} for key, one in outputs.items()}}
        }

    def _training(self, name: str, said: dict[str, Any]) -> None:
        specification = said["AlgorithmSpecification"]
        words = specification["ContainerEntrypoint"] + specification["ContainerArguments"]
        opt = self._trained(f"{name}-{self.execution}", said, words)
        model = f"{said['OutputDataConfig']['S3OutputPath']}/{name}-{self.execution}/output/model/"
        assert said["OutputDataConfig"]["CompressionType"] == "NONE"
        shutil.copytree(opt / "model", self._place(model))
        self.properties[name] = {"ModelArtifacts": {"S3ModelArtifacts": model}}

    def _tuning(self, name: str, said: dict[str, Any]) -> None:
        config, job = said["HyperParameterTuningJobConfig"], said["TrainingJobDefinition"]
        (metric,) = job["AlgorithmSpecification"]["MetricDefinitions"]
        drawn, tried = random.Random(config["RandomSeed"]), []
        for number in range(config["ResourceLimits"]["MaxNumberOfTrainingJobs"]):
            parameters = dict(_drawn(config["ParameterRanges"], drawn))
            trial = f"{name}-{self.execution}-{number}"
            file = self.s3.parent / "jobs" / self.execution / trial / "input" / "config" / "hyperparameters.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(parameters | {"_tuning_objective_metric": metric["Name"]}))
            words = ["python", "-m", "ml_pipelines.platforms.sagemaker_training", "train"]
            opt = self._trained(trial, job, words)
            (value,) = re.findall(metric["Regex"], (opt / "log").read_text())
            packed = self._place(f"{job['OutputDataConfig']['S3OutputPath']}/{trial}/output/model.tar.gz")
            packed.parent.mkdir(parents=True)
            with tarfile.open(packed, "w:gz") as archive:
                archive.add(opt / "model", ".")
            tried.append((float(value), trial))
        self.values += [value for value, _ in tried]
        tried.sort(reverse=config["HyperParameterTuningJobObjective"]["Type"] == "Maximize")
        self.properties[name] = {"TrainingJobSummaries": [{"TrainingJobName": trial} for _, trial in tried]}

    def _trained(self, job: str, said: dict[str, Any], words: Sequence[str]) -> Path:
        """Run a training job; returns what stands for /opt/ml in it."""
        opt = self.s3.parent / "jobs" / self.execution / job
        for channel in said["InputDataConfig"]:
            self._download(
                channel["DataSource"]["S3DataSource"]["S3Uri"], opt / "input" / "data" / channel["ChannelName"]
            )
        (opt / "model").mkdir(parents=True)
        self._start(job, words, opt, said.get("Environment", {}))
        return opt

    def _start(self, job: str, words: Sequence[str], opt: Path, said: dict[str, str] | None = None) -> None:
        """Run a container's command with a folder in the place of /opt/ml. Raises PipelineFailedError."""
        placed = [word.replace(OPT, str(opt)) for word in words]
        environment = {
            **os.environ,
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            **{name: word.replace(OPT, str(opt)) for name, word in (said or {}).items()},
        }
        ended = subprocess.run(placed, env=environment, capture_output=True, text=True)
        (opt / "log").write_text(ended.stdout)
        if ended.returncode:
            raise PipelineFailedError(f"{job}: {ended.returncode}: {ended.stdout}{ended.stderr}")

    def _place(self, uri: str) -> Path:
        assert uri.startswith("s3://")
        return self.s3 / uri.removeprefix("s3://")

    def _download(self, uri: str, to: Path) -> None:
        """What begins with the address: a folder as it is, or one object."""
        found = self._place(uri)
        if found.is_file():
            to.mkdir(parents=True)
            shutil.copy(found, to)
        else:
            shutil.copytree(found, to)

    def _value(self, value: Any) -> Any:
        match value:
            case {"Get": str(where)}:
                return self._got(where)
            case {"Std:Join": {"On": on, "Values": values}}:
                return on.join(self._value(one) for one in values)
            case {"Std:JsonGet": {"PropertyFile": {"Get": where}, "Path": path}}:
                _, step, _, name = where.split(".")
                return _at(json.loads(self.files[step, name].read_text()), path)
            case dict():
                return {key: self._value(one) for key, one in value.items()}
            case list():
                return [self._value(one) for one in value]
        return value

    def _got(self, where: str) -> Any:
        kind, _, rest = where.partition(".")
        if kind == "Parameters":
            return self.parameters[rest]
        if kind == "Execution":
            return {"PipelineExecutionId": self.execution, "PipelineName": "churn"}[rest]
        return _at(self.properties, rest)


def _at(found: Any, path: str) -> Any:
    """A part of a document, as in `a.b[0]['c']`."""
    for name, index, key in re.findall(r"(?:^|\.)([\w-]+)|\[(\d+)\]|\['([^']+)'\]", path):
        found = found[int(index)] if index else found[name or key]
    return found


def _needs(step: dict[str, Any]) -> set[str]:
    own = {key: value for key, value in step["Arguments"].items() if key not in ("IfSteps", "ElseSteps")}
    return set(re.findall(r'"Get": "Steps\.([\w-]+)\.', json.dumps(own))) | set(step.get("DependsOn", ()))


def _mounted(opt: Path, path: str) -> Path:
    return opt / path.removeprefix(f"{OPT}/")


def _drawn(ranges: dict[str, Any], drawn: random.Random) -> Iterator[tuple[str, str]]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-ranges.html"""
    for kind, parameters in ranges.items():
        for one in parameters:
            if kind == "CategoricalParameterRanges":
                yield one["Name"], drawn.choice(one["Values"])
                continue
            low, high = float(one["MinValue"]), float(one["MaxValue"])
            value = drawn.uniform(low, high)
            if one["ScalingType"] == "Logarithmic":
                value = math.exp(drawn.uniform(math.log(low), math.log(high)))
            yield one["Name"], str(round(value)) if kind == "IntegerParameterRanges" else str(value)


@pytest.fixture
def service(tmp_path: Path, archive: Path, python: Path) -> Service:
    """An account whose lake holds the archive."""
    shutil.copytree(archive, tmp_path / "s3" / "raw" / "events")
    return Service(tmp_path / "s3", python)


@pytest.fixture(scope="module")
def compiled() -> dict[Pipeline, dict[str, Any]]:
    """The pipelines of churn with few trials, and with candidates that are quickly fitted."""
    compiler = importlib.import_module("ml_pipelines.platforms.sagemaker")
    session = compiler.PipelineSession()
    return {one: compiler.definition(graph(_few(), one), session) for one in Pipeline}


def _few() -> Task:
    task = find("churn")
    return replace(task, trials=TRIALS, candidates=tuple(replace(one, effort=1) for one in task.candidates[:2]))


def given(key: Path, champion: str = "s3://models/none/") -> dict[str, str]:
    """What a stack puts in the place of parameters."""
    return {
        "RoleArn": "role",
        "ImageUri": "image",
        "KmsKeyId": "key",
        "SecurityGroupId": "group",
        "ModelsBucket": "models",
        "ModelPackageGroupPrefix": "churn-0123456",
        "Archive": "s3://raw/events/",
        "Champion": champion,
        "Predictions": "s3://curated/predictions",
        "Key": str(key),
    }


def test_a_model_is_trained_registered_trained_again_and_used(service, compiled, key, tmp_path):
    service.run(compiled[Pipeline.TRAINING], "first", **given(key))
    (found,) = [file for file in (service.s3 / "models").rglob("manifest.json") if "runs" not in file.parts]
    public = manifest.private_key(key).public_key()
    said = manifest.verify(found.parent, [public])
    assert found.parent == service.s3 / "models" / said["name"] / said["version"]
    assert len(service.values) == TRIALS * len(_few().candidates)
    chosen = json.loads(
        (service.s3 / "models" / "runs" / "churn" / "first" / "choose" / "tuning" / "tuning.json").read_text()
    )
    # Of each search the best is looked at, and of these the best is taken.
    assert (chosen["value"], chosen["candidate"]) == (pytest.approx(max(service.values)), said["name"])
    assert len(chosen["trials"]) == len(_few().candidates)

    (package,) = service.packages
    assert package["ModelPackageGroupName"] == f"churn-0123456-{said['name']}"
    (container,) = package["InferenceSpecification"]["Containers"]
    address = container["ModelDataSource"]["S3DataSource"]["S3Uri"]
    assert address == f"s3://models/{said['name']}/{said['version']}/"
    told = package["CustomerMetadataProperties"]
    assert (told["model_sha256"], told["version"]) == (said["files"]["model.onnx"], said["version"])
    for source in (
        package["ModelMetrics"]["ModelQuality"]["Statistics"],
        package["ModelMetrics"]["ModelQuality"]["Constraints"],
        package["ModelMetrics"]["ModelDataQuality"]["Statistics"],
    ):
        assert (service.s3 / source["S3Uri"].removeprefix("s3://")).is_file()

    # What came out isn't worse than itself, so that it is registered again, as another version.
    service.run(compiled[Pipeline.RETRAINING], "second", **given(key, address), AsOf="2018-09-15")
    assert len(service.packages) == 2
    assert service.packages[1]["CustomerMetadataProperties"]["version"] != said["version"]

    trusted = manifest.as_word(public)
    service.run(compiled[Pipeline.BATCH_SCORING], "third", **given(key, address), AsOf="2018-09-15", Trusted=trusted)
    scored = pq.read_table(service.s3 / "curated" / "predictions" / "run=third" / "scores.parquet")
    assert set(scored["model"].to_pylist()) <= {f"{said['name']}/{said['version']}"}


def test_data_that_a_verdict_refuses_end_the_pipeline_and_say_where_it_is_told(service, compiled, key):
    """A day on which the newest events are years old."""
    with pytest.raises(PipelineFailedError, match=r"^churn: `validate` said no, and why in s3://") as failed:
        service.run(compiled[Pipeline.RETRAINING], "only", **given(key), AsOf="2030-01-01")
    assert service.ran == ["collect", "validate", "validate-passed"]
    verdict = service.s3 / str(failed.value).partition("s3://")[2]
    assert json.loads(verdict.read_text())["passed"] is False
    assert not service.packages


def test_a_model_that_nobody_trusted_signed_scores_nothing(service, compiled, key):
    (service.s3 / "models" / "stranger").mkdir(parents=True)
    (service.s3 / "models" / "stranger" / "manifest.json").write_text("{}")
    with pytest.raises(PipelineFailedError, match=r"^batch-score: 2: "):
        service.run(compiled[Pipeline.BATCH_SCORING], "only", **given(key, "s3://models/stranger/"), AsOf="2018-09-15")
    assert not (service.s3 / "curated").exists()
