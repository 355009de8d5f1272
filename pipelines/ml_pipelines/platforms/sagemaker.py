"""`python -m ml_pipelines.platforms.sagemaker`: writes the pipelines of all workloads as SageMaker takes them.

A step is a processing job, training is a training job, a search is a tuning job, a verdict is a condition with a step
that fails; what is registered is a model package. The files are committed, so that a preview imports no SDK; a test
compiles them again and compares. `--check` writes nothing, and fails if a file would change.

What only a stack knows comes in as parameters (role, image, key, buckets), but for the subnets, whose number differs:
the stack puts them where `SUBNETS` stands.
"""

import functools
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# The SDK asks for a region before it does anything; none of it gets into a definition.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession, _JobStepArguments, _ModelStepArguments
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow import steps as native
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline as Definition
from sagemaker.mlops.workflow.pipeline_experiment_config import PipelineExperimentConfig
from sagemaker.mlops.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep, TuningStep
from sagemaker.mlops.workflow.steps import Step as NativeStep

from ml_pipelines import compiled_files
from ml_pipelines.platforms.graph import From, Given, Graph, Parameter, Pipeline, Step, To, graph
from ml_pipelines.platforms.sagemaker_training import COMMAND
from ml_pipelines.steps.manifest import MANIFEST, MODEL
from ml_pipelines.steps.register import BASELINE
from ml_pipelines.steps.trial import METRIC
from ml_pipelines.steps.verdict import METRICS, VERDICT
from ml_pipelines.tasks import TASKS
from ml_pipelines.tasks.task import Candidate, Choice, Real, Whole

# The SDK makes a client for each processing step, with sessions of boto3, to ask for the name of one of its methods.
native.LocalSagemakerClient = functools.cache(native.LocalSagemakerClient)

FOLDER = Path(__file__).parent / "compiled" / "sagemaker"

# Where the stack puts its subnets.
SUBNETS = ["subnets-of-the-stack"]

# Where SageMaker mounts what jobs read and write.
# https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html and
# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html
_INPUTS, _OUTPUTS = "/opt/ml/processing/input", "/opt/ml/processing/output"
_CHANNELS, _MODEL, _HYPERPARAMETERS = "/opt/ml/input/data", "/opt/ml/model", "/opt/ml/input/config/hyperparameters.json"

# The machine of each kind of step, as parameters with these defaults; what isn't named here looks at all events.
MACHINES = {"InstanceType": "ml.m5.xlarge", "SmallInstanceType": "ml.m5.large"}
_SMALL = ("choose", "evaluate", "drift_baseline", "register")
_VOLUME_GIB = 30
_HOURS = {"trial": 1, "train": 4}
_DEFAULT_HOURS = 2
_PARALLEL_TRIALS = 4

# These steps call services of AWS, so that they can't be cut off from the network: `register` reads the key that signs.
_CALLS_SERVICES = ("register",)

_DAY = CacheConfig(enable_caching=True, expire_after="P1D")
_SERVICE_FAILS = StepRetryPolicy(
    [StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING], interval_seconds=10, max_attempts=5
)
_JOB_FAILS = SageMakerJobStepRetryPolicy(
    [SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
    [SageMakerJobExceptionTypeEnum.INTERNAL_ERROR, SageMakerJobExceptionTypeEnum.CAPACITY_ERROR],
    interval_seconds=60,
    max_attempts=4,
)
_RETRIES: list[RetryPolicy] = [_SERVICE_FAILS, _JOB_FAILS]

# What the registry says of a version, by where its manifest says it.
_SAID = {"name": "name", "version": "version", "task": "task", "code": "code", "created_at": "created_at"}

# Formats that the scoring service takes and gives.
_FORMATS = ["application/json", "application/jsonlines"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; returns the exit code."""
    # The SDK tells of the settings that it doesn't find, and of each name that it leaves to SageMaker.
    logging.disable(logging.WARNING)
    return compiled_files.run("ml_pipelines.platforms.sagemaker", __doc__, compiled, "compile", arguments)


def compiled() -> dict[Path, str]:
    """The definitions of all pipelines of the tasks that have a workload, by file."""
    session = PipelineSession()
    return {
        FOLDER / task.workload / f"{pipeline}.json": text(definition(graph(task, pipeline), session))
        for task in TASKS.values()
        if task.workload
        for pipeline in Pipeline
    }


def text(found: Mapping[str, Any]) -> str:
    """A definition as it is written."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def definition(found: Graph, session: PipelineSession) -> dict[str, Any]:
    """A pipeline as CreatePipeline takes it.

    https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/
    """
    compiler = _Compiler(found, session)
    steps = compiler.steps()
    made = Definition(
        name=f"{found.task.name}-{found.name}",
        parameters=list(compiler.parameters.values()),
        # Each run is an experiment's trial, where its jobs are found with their parameters and metrics.
        pipeline_experiment_config=PipelineExperimentConfig(
            ExecutionVariables.PIPELINE_NAME, ExecutionVariables.PIPELINE_EXECUTION_ID
        ),
        steps=steps,
        sagemaker_session=session,
    )
    said = json.loads(made.definition())
    return _in_order({key: value for key, value in said.items() if value})


def _in_order(found: Any) -> Any:
    """The SDK collects dependencies in sets, whose order differs from run to run."""
    if isinstance(found, list):
        return [_in_order(item) for item in found]
    if isinstance(found, dict):
        return {key: sorted(item) if key == "DependsOn" else _in_order(item) for key, item in found.items()}
    return found


class _Made(NativeStep):
    """A step whose arguments are at hand.

    The SDK's own makers of them (ModelTrainer, HyperparameterTuner) ask IAM about the role, know no entry point of an
    image's own, and leave out isolation and keys of a search.
    """

    def __init__(self, name: str, request: dict[str, Any], **options: Any):
        super().__init__(name=name, step_args=_JobStepArguments(self.caller, request), **options)
        # Nothing is left to be called when the pipeline is built, and no code to be uploaded.
        self.step_args, self.request = None, request

    @property
    def arguments(self) -> dict[str, Any]:
        return self.request


class _Processing(_Made, ProcessingStep):
    caller = "run"


class _Training(_Made, TrainingStep):
    caller = "train"


class _Tuning(_Made, TuningStep):
    caller = "tune"


class _Compiler:
    """One pipeline on its way; `parameters` by their names in the graph, or their own where the graph has none."""

    def __init__(self, found: Graph, session: PipelineSession):
        self.graph, self.session = found, session
        self.made: dict[str, NativeStep] = {}
        names = ["role_arn", "image_uri", "kms_key_id", "security_group_id", "models_bucket", *found.givens]
        if found.registers:
            names.append("model_package_group_prefix")
        if found.name is Pipeline.BATCH_SCORING:
            names.append("predictions")
        self.parameters = {name: ParameterString(_pascal(name)) for name in names}
        self.parameters |= {name: ParameterString(name, default) for name, default in MACHINES.items()}
        self.parameters |= {name: ParameterString(_pascal(name), word) for name, word in found.parameters.items()}

    def steps(self) -> list[NativeStep]:
        """The steps of the pipeline: what comes after a verdict, and up to the next one, is a branch of it."""
        steps: list[NativeStep] = []
        branch = steps
        for step in self.graph.steps:
            if step.verdict:
                branch = steps
            self.made[step.name] = made = self._step(step)
            branch.append(made)
            if step.verdict:
                condition = self._condition(step)
                steps.append(condition)
                branch = condition.if_steps
        if self.graph.registers:
            branch.extend(self._registered(self.graph.registers))
        return steps

    def _step(self, step: Step) -> NativeStep:
        if step.trials:
            return self._tuning(step)
        return self._training(step) if step.module == "train" else self._processing(step)

    def _processing(self, step: Step) -> NativeStep:
        words = self._words(step, _INPUTS, _OUTPUTS) + (["--branch"] if step.verdict else [])
        files = []
        if step.verdict:
            files.append(PropertyFile(VERDICT.partition(".")[0], step.verdict, VERDICT))
        if self.graph.registers and step.name == self.graph.registers.step:
            files.append(PropertyFile(MANIFEST.partition(".")[0], self.graph.registers.output, MANIFEST))
        return self._process(
            step.name,
            ["python", "-m", f"ml_pipelines.steps.{step.module}", *words],
            {source.label: self._where(source) for source in step.inputs},
            {output: self._kept(step, output) for output in step.outputs},
            machine=self._machine(step.module),
            isolated=step.module not in _CALLS_SERVICES,
            property_files=files,
            cache_config=_DAY if step.cached else None,
        )

    def _process(
        self,
        name: str,
        command: Sequence[str | PipelineVariable],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        machine: PipelineVariable,
        isolated: bool = True,
        **options: Any,
    ) -> NativeStep:
        """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html"""
        key, words = self.parameters["kms_key_id"], list(command)
        request = {
            "RoleArn": self.parameters["role_arn"],
            "AppSpecification": {
                "ImageUri": self.parameters["image_uri"],
                "ContainerEntrypoint": words[:3],
                "ContainerArguments": words[3:],
            },
            "ProcessingInputs": [
                {
                    "InputName": folder,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"{_INPUTS}/{folder}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                        "S3DataDistributionType": "FullyReplicated",
                        "S3CompressionType": "None",
                    },
                }
                for folder, uri in inputs.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": folder,
                        "S3Output": {"S3Uri": uri, "LocalPath": f"{_OUTPUTS}/{folder}", "S3UploadMode": "EndOfJob"},
                    }
                    for folder, uri in outputs.items()
                ],
                "KmsKeyId": key,
            },
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": machine,
                    "InstanceCount": 1,
                    "VolumeSizeInGB": _VOLUME_GIB,
                    "VolumeKmsKeyId": key,
                }
            },
            "NetworkConfig": {
                "EnableNetworkIsolation": isolated,
                "EnableInterContainerTrafficEncryption": True,
                "VpcConfig": self._network(),
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": _DEFAULT_HOURS * 3600},
        }
        return _Processing(name, request, retry_policies=_RETRIES, **options)

    def _training(self, step: Step) -> NativeStep:
        """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html"""
        specification = {
            "TrainingImage": self.parameters["image_uri"],
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", f"ml_pipelines.steps.{step.module}"],
            "ContainerArguments": self._words(step, _CHANNELS, None),
        }
        # Its model stays a folder, which the steps after it read.
        output = self._kept(step, step.outputs[0])
        request = self._job(step, specification, {"S3OutputPath": output, "CompressionType": "NONE"})
        return _Training(step.name, request, retry_policies=_RETRIES, cache_config=_DAY if step.cached else None)

    def _tuning(self, step: Step) -> NativeStep:
        """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html

        Jobs of a search start the image with the word `train` and nothing else; what that runs is in the environment.
        """
        words = [*self._words(step, _CHANNELS, None), "--hyperparameters", _HYPERPARAMETERS]
        specification = {
            "TrainingImage": self.parameters["image_uri"],
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": METRIC, "Regex": f"{METRIC}=(-?[0-9.]+(?:e[-+]?[0-9]+)?)"}],
        }
        # Trials that a later run takes from the cache are found by their job's name, so that no run is in the path.
        output = self._place("trials", step.name)
        job = self._job(step, specification, {"S3OutputPath": output, "CompressionType": "GZIP"})
        request = {
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "RandomSeed": 1,
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": METRIC},
                "ResourceLimits": {
                    "MaxNumberOfTrainingJobs": step.trials,
                    "MaxParallelTrainingJobs": min(step.trials, _PARALLEL_TRIALS),
                },
                "ParameterRanges": ranges(step.candidate) if step.candidate else {},
                "TrainingJobEarlyStoppingType": "Off",
            },
            "TrainingJobDefinition": {
                **job,
                "Environment": {COMMAND: json.dumps([f"ml_pipelines.steps.{step.module}", *words])},
            },
        }
        return _Tuning(step.name, request, retry_policies=_RETRIES, cache_config=_DAY if step.cached else None)

    def _job(self, step: Step, specification: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
        """What training jobs and those of a search have in common."""
        key = self.parameters["kms_key_id"]
        return {
            "RoleArn": self.parameters["role_arn"],
            "AlgorithmSpecification": specification,
            "InputDataConfig": [
                {
                    "ChannelName": source.label,
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": self._where(source),
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
                for source in step.inputs
            ],
            "OutputDataConfig": {**output, "KmsKeyId": key},
            "ResourceConfig": {
                "InstanceType": self._machine(step.module),
                "InstanceCount": 1,
                "VolumeSizeInGB": _VOLUME_GIB,
                "VolumeKmsKeyId": key,
            },
            "VpcConfig": self._network(),
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": _HOURS[step.module] * 3600},
        }

    def _condition(self, step: Step) -> ConditionStep:
        """SageMaker knows no condition within a condition, so that each stands for itself."""
        verdict = self._where(From(step.name, step.verdict or ""))
        failed = FailStep(
            f"{step.name}-failed",
            error_message=Join(
                on="", values=[f"{self.graph.task.name}: `{step.name}` said no, and why in ", verdict, f"/{VERDICT}"]
            ),
        )
        passed = JsonGet(step_name=step.name, property_file=VERDICT.partition(".")[0], json_path="passed")
        return ConditionStep(
            f"{step.name}-passed",
            conditions=[ConditionEquals(left=passed, right=True)],
            else_steps=[failed],
        )

    def _registered(self, found: From) -> Iterator[NativeStep]:
        """The version goes where deployments look for it, and becomes a package that waits for a person's approval.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
        """
        said = {
            name: JsonGet(step_name=found.step, property_file=MANIFEST.partition(".")[0], json_path=path)
            for name, path in {**_SAID, "model_sha256": f"files['{MODEL}']"}.items()
        }
        place = Join(on="/", values=["s3:/", self.parameters["models_bucket"], said["name"], said["version"]])
        here, there = found.label, "published"
        publish = self._process(
            "publish",
            ["cp", "-r", "-T", f"{_INPUTS}/{here}", f"{_OUTPUTS}/{there}"],
            {here: self._where(found)},
            {there: place},
            machine=self._machine("register"),
        )
        published = publish.properties.ProcessingOutputConfig.Outputs[there].S3Output.S3Uri

        def file(name: str) -> dict[str, Any]:
            return {"ContentType": "application/json", "S3Uri": Join(on="/", values=[published, name])}

        request = {
            "ModelPackageGroupName": Join(on="-", values=[self.parameters["model_package_group_prefix"], said["name"]]),
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": self.parameters["image_uri"],
                        "ModelDataSource": {
                            "S3DataSource": {
                                "S3Uri": Join(on="", values=[published, "/"]),
                                "S3DataType": "S3Prefix",
                                "CompressionType": "None",
                            }
                        },
                    }
                ],
                "SupportedContentTypes": _FORMATS,
                "SupportedResponseMIMETypes": _FORMATS,
            },
            "ModelMetrics": {
                "ModelQuality": {"Statistics": file(METRICS), "Constraints": file(VERDICT)},
                "ModelDataQuality": {"Statistics": file(BASELINE)},
            },
            "CustomerMetadataProperties": said | {"execution": ExecutionVariables.PIPELINE_EXECUTION_ID},
        }
        made = _ModelStepArguments(SimpleNamespace(sagemaker_session=self.session))
        made.caller_name = "create_model_package_from_containers"
        made.create_model_package_request = request
        yield publish
        yield ModelStep("package", step_args=made, retry_policies=[_SERVICE_FAILS])

    def _words(self, step: Step, inputs: str, outputs: str | None) -> list[str | PipelineVariable]:
        """The step's command line, with what is mounted where; without `outputs` what it leaves is the job's model."""
        words: list[str | PipelineVariable] = []
        for argument in step.arguments:
            match argument:
                case Given() | From():
                    words.append("/".join(filter(None, (inputs, argument.label, argument.file))))
                case To(output, file):
                    words.append("/".join(filter(None, (f"{outputs}/{output}" if outputs else _MODEL, file))))
                case Parameter(name):
                    words.append(self.parameters[name])
                case _:
                    words.append(argument)
        return words

    def _where(self, source: Given | From) -> Any:
        """The URI of a folder that a step reads: by a property of the step that left it, which orders them, too."""
        if isinstance(source, Given):
            return self.parameters[source.name]
        made = self.made[source.step]
        if isinstance(made, _Tuning):
            prefix = Join(on="/", values=["runs", ExecutionVariables.PIPELINE_NAME, "trials", source.step])
            return made.get_top_model_s3_uri(0, self.parameters["models_bucket"], prefix)
        if isinstance(made, _Training):
            return made.properties.ModelArtifacts.S3ModelArtifacts
        return made.properties.ProcessingOutputConfig.Outputs[source.output].S3Output.S3Uri

    def _kept(self, step: Step, output: str) -> PipelineVariable:
        """Where a step leaves a folder: each run has a place of its own; scores go where they are looked for."""
        if self.graph.name is Pipeline.BATCH_SCORING and step is self.graph.steps[-1]:
            run = Join(on="=", values=["run", ExecutionVariables.PIPELINE_EXECUTION_ID])
            return Join(on="/", values=[self.parameters["predictions"], run])
        return self._place(ExecutionVariables.PIPELINE_EXECUTION_ID, step.name, output)

    def _place(self, *parts: str | PipelineVariable) -> PipelineVariable:
        bucket = ("s3:/", self.parameters["models_bucket"])
        return Join(on="/", values=[*bucket, "runs", ExecutionVariables.PIPELINE_NAME, *parts])

    def _machine(self, module: str) -> PipelineVariable:
        return self.parameters["SmallInstanceType" if module in _SMALL else "InstanceType"]

    def _network(self) -> dict[str, Any]:
        return {"SecurityGroupIds": [self.parameters["security_group_id"]], "Subnets": SUBNETS}


def ranges(candidate: Candidate) -> dict[str, list[dict[str, Any]]]:
    """What is searched for a candidate, as SageMaker's tuner takes it."""
    found: dict[str, list[dict[str, Any]]] = {
        "IntegerParameterRanges": [],
        "ContinuousParameterRanges": [],
        "CategoricalParameterRanges": [],
    }
    for name, dimension in candidate.space.items():
        match dimension:
            case Choice(values):
                found["CategoricalParameterRanges"].append({"Name": name, "Values": [str(value) for value in values]})
            case Real(low, high, log) | Whole(low, high, log):
                kind = "IntegerParameterRanges" if isinstance(dimension, Whole) else "ContinuousParameterRanges"
                scaling = "Logarithmic" if log else "Linear"
                found[kind].append({"Name": name, "MinValue": str(low), "MaxValue": str(high), "ScalingType": scaling})
    return {kind: items for kind, items in found.items() if items}


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


if __name__ == "__main__":
    sys.exit(main())
