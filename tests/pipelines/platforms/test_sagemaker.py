"""The pipelines as SageMaker takes them: up to date, each step by the model of the API that it calls, in order."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from ml_pipelines.platforms.graph import Pipeline, graph
from ml_pipelines.steps import command
from ml_pipelines.tasks import TASKS
from moto import mock_aws

pytestmark = pytest.mark.xdist_group("sagemaker")

FOLDER = Path(__file__).parents[3] / "pipelines" / "ml_pipelines" / "platforms" / "compiled" / "sagemaker"
FILES = sorted(FOLDER.glob("*/*.json"))
API = botocore.session.get_session().get_service_model("sagemaker")
# Which API a step calls, and what SageMaker Pipelines adds to a step's arguments.
CALLS = {
    "Processing": ("CreateProcessingJob", {"ProcessingJobName": "pipelines-abc-step"}),
    "Training": ("CreateTrainingJob", {"TrainingJobName": "pipelines-abc-step"}),
    "Tuning": ("CreateHyperParameterTuningJob", {"HyperParameterTuningJobName": "abc-step"}),
    "RegisterModel": ("CreateModelPackage", {}),
}
GIVEN = {
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "ImageUri": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml@sha256:{'0' * 64}",
    "KmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/5ec0de00-da7a-4000-8000-000000000000",
    "SecurityGroupId": "sg-0123456789abcdef0",
    "ModelsBucket": "models",
    "ModelPackageGroupPrefix": "churn-0123456",
    **{name: f"s3://lake/{name.lower()}" for name in ("Archive", "Labels", "Champion", "Predictions")},
}


@pytest.fixture(scope="module")
def compiler() -> Any:
    """The compiler, whose SDK takes seconds to import."""
    return importlib.import_module("ml_pipelines.platforms.sagemaker")


def read(file: Path) -> dict[str, Any]:
    """A compiled pipeline."""
    return json.loads(file.read_text(encoding="utf-8"))


def steps(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All steps by name, those of branches, too; each with the condition that it is a branch of, and which."""
    found: dict[str, dict[str, Any]] = {}
    for step in definition["Steps"]:
        found[step["Name"]] = step | {"Within": None}
        for branch in ("IfSteps", "ElseSteps"):
            for inner in step["Arguments"].get(branch, []):
                found[inner["Name"]] = inner | {"Within": (step["Name"], branch)}
    return found


def references(value: Any) -> Iterator[str]:
    """What a value gets from elsewhere."""
    if isinstance(value, dict):
        if set(value) == {"Get"}:
            yield value["Get"]
        for key, item in value.items():
            if key not in ("IfSteps", "ElseSteps"):
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def needs(found: dict[str, dict[str, Any]], name: str) -> set[str]:
    """The steps that one waits for."""
    step = found[name]
    named = {reference.split(".")[1] for reference in references(step["Arguments"]) if reference.startswith("Steps.")}
    return named | set(step.get("DependsOn", ())) | ({step["Within"][0]} if step["Within"] else set())


def before(found: dict[str, dict[str, Any]], name: str) -> set[str]:
    """All steps that one waits for, directly or not. Raises AssertionError where one waits for itself."""
    seen, ahead = set(), [name]
    while ahead:
        for other in needs(found, ahead.pop()) - seen:
            assert other != name, f"{name} waits for itself"
            seen.add(other)
            ahead.append(other)
    return seen


def resolved(value: Any, definition: dict[str, Any]) -> Any:
    """A value as it is when the pipeline runs, with made-up answers of earlier steps."""
    if isinstance(value, list):
        return [resolved(item, definition) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Get": name} if name.startswith("Parameters."):
            parameters = {item["Name"]: item.get("DefaultValue") for item in definition["Parameters"]}
            found = parameters[name.removeprefix("Parameters.")] or GIVEN[name.removeprefix("Parameters.")]
            return found
        case {"Get": "Execution.PipelineName"}:
            return "churn-training"
        case {"Get": "Execution.PipelineExecutionId"}:
            return "abcdefghijkl"
        case {"Get": name}:
            return "job" if name.endswith("JobName") else f"s3://models/runs/{name.split('.')[1]}"
        case {"Std:Join": {"On": on, "Values": values}}:
            return on.join(resolved(item, definition) for item in values)
        case {"Std:JsonGet": {"Path": path}}:
            return path.split("[")[0].replace("_", "-")
    return {key: resolved(item, definition) for key, item in value.items()}


def wrong(value: Any, shape: Any, where: str) -> Iterator[str]:
    """What breaks the model of the API: the parts that botocore leaves to the service, which are words and bounds."""
    if shape.type_name == "structure":
        for key, item in value.items():
            yield from wrong(item, shape.members[key], f"{where}.{key}")
    elif shape.type_name == "list":
        if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", 10**9):
            yield f"{where} has {len(value)} items"
        for item in value:
            yield from wrong(item, shape.member, where)
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from wrong(key, shape.key, where)
            yield from wrong(item, shape.value, f"{where}.{key}")
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{where} is {value}"
        if len(value) > shape.metadata.get("max", 10**9):
            yield f"{where} is longer than {shape.metadata['max']}"
        pattern = shape.metadata.get("pattern", "")
        if r"\p{" not in pattern and not re.fullmatch(pattern or ".*", value, re.DOTALL):
            yield f"{where} is {value}, not {pattern}"


def test_files_are_up_to_date_and_none_is_left_over(compiler):
    made = compiler.compiled()
    assert set(made) == set(FILES)
    stale = [str(file) for file, text in made.items() if file.read_text(encoding="utf-8") != text]
    assert not stale, "run `make compile`"


def test_each_workload_has_each_pipeline():
    workloads = {task.workload for task in TASKS.values() if task.workload}
    assert {(file.parent.name, file.stem) for file in FILES} == {(name, one) for name in workloads for one in Pipeline}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_each_step_is_a_call_that_its_api_takes(file):
    definition = read(file)
    for step in steps(definition).values():
        if step["Type"] not in CALLS:
            continue
        operation, added = CALLS[step["Type"]]
        request = resolved(step["Arguments"], definition) | added
        shape = API.operation_model(operation).input_shape
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), f"{step['Name']}: {report.generate_report()}"
        assert not [*wrong(request, shape, step["Name"])]


def test_a_call_that_its_api_would_not_take_is_found():
    shape = API.operation_model("CreateProcessingJob").input_shape
    request = {"ProcessingJobName": "-", "RoleArn": "me", "AppSpecification": {"ImageUri": "a b"}}
    said = [*wrong(request, shape, "job")]
    assert [line.split(" is ")[0] for line in said] == ["job.ProcessingJobName", "job.RoleArn"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_steps_are_ordered_and_name_what_exists(file):
    definition = read(file)
    found, parameters = steps(definition), {item["Name"] for item in definition["Parameters"]}
    for name, step in found.items():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", name)
        assert before(found, name) <= set(found)
        for reference in references(step["Arguments"]):
            kind, _, rest = reference.partition(".")
            assert kind in ("Parameters", "Steps", "Execution")
            assert kind != "Parameters" or rest in parameters
            if kind == "Steps" and ".PropertyFiles." in rest:
                other, _, file_name = rest.partition(".PropertyFiles.")
                assert file_name in {one["PropertyFileName"] for one in found[other]["PropertyFiles"]}
            elif kind == "Steps" and ".Outputs['" in rest:
                output = rest.split("'")[1]
                outputs = found[rest.split(".")[0]]["Arguments"]["ProcessingOutputConfig"]["Outputs"]
                assert output in {one["OutputName"] for one in outputs}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_definition_is_within_the_limits_of_the_service(file):
    """https://docs.aws.amazon.com/general/latest/gr/sagemaker.html: 50 steps and 200 parameters, unless one asks."""
    definition = read(file)
    assert len(json.dumps(definition)) < API.shape_for("PipelineDefinition").metadata["max"]
    assert len(steps(definition)) <= 50
    assert len(definition["Parameters"]) <= 200
    conditions = [step for step in steps(definition).values() if step["Type"] == "Condition"]
    assert all(step["Within"] is None for step in conditions), "SageMaker knows no condition within a condition"


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != "batch-scoring"], ids=lambda file: str(file))
def test_nothing_runs_past_a_verdict_that_says_no(file):
    definition = read(file)
    found = steps(definition)
    past = {"validate": {"prepare", "train", "evaluate", "register", "publish", "package"}}
    past["evaluate"] = {"drift-baseline", "register", "publish", "package"}
    for verdict, names in past.items():
        for name in names:
            assert f"{verdict}-passed" in before(found, name)
        condition = found[f"{verdict}-passed"]["Arguments"]
        (asked,) = condition["Conditions"]
        assert asked["LeftValue"]["Std:JsonGet"]["Path"] == "passed"
        assert asked["RightValue"] is True
        (failed,) = condition["ElseSteps"]
        said = resolved(failed["Arguments"]["ErrorMessage"], definition)
        assert f"`{verdict}` said no" in said
        assert said.endswith("/verdict.json")
        # With any other exit code of a step the pipeline would fail before it could say why.
        assert "--branch" in found[verdict]["Arguments"]["AppSpecification"]["ContainerArguments"]


def commands(definition: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The module and arguments of each step that runs one of ours."""
    for step in steps(definition).values():
        found = resolved(step["Arguments"], definition)
        if step["Type"] == "Tuning":
            module, *words = json.loads(found["TrainingJobDefinition"]["Environment"]["ML_BLUEPRINTS_TRAIN"])
            yield module, words
        elif step["Type"] in ("Processing", "Training") and step["Name"] != "publish":
            said = found.get("AppSpecification") or found["AlgorithmSpecification"]
            assert said["ContainerEntrypoint"][:2] == ["python", "-m"]
            yield said["ContainerEntrypoint"][2], said["ContainerArguments"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_each_command_line_is_one_that_its_step_takes(file, monkeypatch):
    parsed = []

    def parse(parser, _step, refused=None):
        if refused:
            parser.add_argument("--branch", action="store_true")
        parsed.append(parser.parse_args(command.given(sys.argv[1:])))

    monkeypatch.setattr(command, "run", parse)
    found = [*commands(read(file))]
    for module, words in found:
        monkeypatch.setattr(sys, "argv", [module, *words])
        importlib.import_module(module).main()
    assert len(parsed) == len(found) >= 3
    assert {options.task for options in parsed} == {file.parent.name}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_what_a_step_reads_is_mounted_and_what_it_leaves_is_kept(file):
    for step in steps(read(file)).values():
        arguments = step["Arguments"]
        if step["Type"] != "Processing":
            continue
        mounted = {one["S3Input"]["LocalPath"] for one in arguments["ProcessingInputs"]}
        mounted |= {one["S3Output"]["LocalPath"] for one in arguments["ProcessingOutputConfig"]["Outputs"]}
        words = (
            arguments["AppSpecification"]["ContainerArguments"] + arguments["AppSpecification"]["ContainerEntrypoint"]
        )
        named = {"/".join(word.split("/")[:6]) for word in words if str(word).startswith("/opt/ml")}
        assert named == mounted


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_jobs_are_private_encrypted_and_cut_off_unless_they_call_a_service(file):
    for step in steps(read(file)).values():
        if step["Type"] not in ("Processing", "Training", "Tuning"):
            continue
        job = step["Arguments"].get("TrainingJobDefinition", step["Arguments"])
        network = job.get("NetworkConfig", job)
        key = {"Get": "Parameters.KmsKeyId"}
        assert network["VpcConfig"]["SecurityGroupIds"] == [{"Get": "Parameters.SecurityGroupId"}]
        assert network["EnableInterContainerTrafficEncryption"] is True
        assert network["EnableNetworkIsolation"] is (step["Name"] != "register")
        resources = (
            job["ProcessingResources"]["ClusterConfig"] if step["Type"] == "Processing" else job["ResourceConfig"]
        )
        output = job["ProcessingOutputConfig"] if step["Type"] == "Processing" else job["OutputDataConfig"]
        assert resources["VolumeKmsKeyId"] == output["KmsKeyId"] == key
        assert job["RoleArn"] == {"Get": "Parameters.RoleArn"}


def test_the_tuner_searches_what_the_task_declares():
    task = TASKS["delivery-eta"]
    found = steps(read(FOLDER / "delivery-eta" / "training.json"))
    for candidate in task.candidates:
        said = found[f"tune-{candidate.name}"]["Arguments"]["HyperParameterTuningJobConfig"]
        ranges = said["ParameterRanges"]
        assert {one["Name"] for kind in ranges.values() for one in kind} == set(candidate.space)
        assert said["ResourceLimits"]["MaxNumberOfTrainingJobs"] == task.trials * candidate.effort
        assert said["HyperParameterTuningJobObjective"] == {"Type": "Maximize", "MetricName": "trial_value"}
    boosting = found["tune-gradient-boosting"]["Arguments"]["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert boosting["CategoricalParameterRanges"] == [{"Name": "loss", "Values": ["absolute_error", "squared_error"]}]
    rate = {"Name": "learning_rate", "MinValue": "0.02", "MaxValue": "0.2", "ScalingType": "Logarithmic"}
    assert rate in boosting["ContinuousParameterRanges"]
    leaves = {"Name": "leaves", "MinValue": "8", "MaxValue": "64", "ScalingType": "Logarithmic"}
    assert leaves in boosting["IntegerParameterRanges"]


@pytest.mark.parametrize("value", [0.8464, -12.5, 1e-05, -2.5e-07, 3.0])
def test_the_tuner_finds_the_value_in_the_log(value):
    found = steps(read(FOLDER / "churn" / "training.json"))["tune-scorecard"]["Arguments"]["TrainingJobDefinition"]
    (metric,) = found["AlgorithmSpecification"]["MetricDefinitions"]
    (said,) = re.findall(metric["Regex"], f"\ntrial_value={value!r}\n{{}}")
    assert float(said) == value


def test_the_best_trial_of_each_search_goes_to_the_choice():
    found = steps(read(FOLDER / "churn" / "training.json"))
    inputs = found["choose"]["Arguments"]["ProcessingInputs"]
    for name in ("gradient-boosting", "logistic-regression", "scorecard"):
        (uri,) = [one["S3Input"]["S3Uri"] for one in inputs if one["InputName"] == f"tune-{name}-trial"]
        best = f"Steps.tune-{name}.TrainingJobSummaries[0].TrainingJobName"
        assert uri["Std:Join"]["Values"][-2:] == [{"Get": best}, "output/model.tar.gz"]
        # The job's own folder, whichever run of the pipeline it is of: the search may come from the cache.
        written = found[f"tune-{name}"]["Arguments"]["TrainingJobDefinition"]["OutputDataConfig"]["S3OutputPath"]
        assert "Execution.PipelineExecutionId" not in [*references(written)]


def test_a_version_is_registered_where_deployments_look_for_it():
    definition = read(FOLDER / "churn" / "training.json")
    found = steps(definition)
    (output,) = found["publish"]["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    assert resolved(output["S3Output"]["S3Uri"], definition) == "s3://models/name/version"
    package = found["package"]["Arguments"]
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    (container,) = package["InferenceSpecification"]["Containers"]
    source = container["ModelDataSource"]["S3DataSource"]
    assert (source["S3DataType"], source["CompressionType"]) == ("S3Prefix", "None")
    assert "Steps.publish.ProcessingOutputConfig.Outputs['published'].S3Output.S3Uri" in [*references(source)]
    said = package["CustomerMetadataProperties"]
    assert said["model_sha256"]["Std:JsonGet"]["Path"] == "files['model.onnx']"
    assert {"name", "version", "code", "created_at", "execution"} <= set(said)


def test_retraining_and_batch_scoring_read_the_champion():
    retrained = steps(read(FOLDER / "churn" / "retraining.json"))
    assert not [name for name in retrained if name.startswith("tune-")]
    for found, names in (
        (retrained, ("train", "evaluate")),
        (steps(read(FOLDER / "churn" / "batch-scoring.json")), ("batch-score",)),
    ):
        for name in names:
            assert "Parameters.Champion" in [*references(found[name]["Arguments"])]


def test_steps_are_cached_but_those_whose_data_grow():
    found = steps(read(FOLDER / "churn" / "retraining.json"))
    cached = {name for name, step in found.items() if "CacheConfig" in step}
    assert cached == {"prepare", "train", "evaluate", "drift-baseline"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_jobs_are_tried_again_where_the_service_fails(file):
    for step in steps(read(file)).values():
        if step["Type"] in CALLS:
            types = {kind for policy in step["RetryPolicies"] for kind in policy["ExceptionType"]}
            assert {"Step.SERVICE_FAULT", "Step.THROTTLING"} <= types
            assert (step["Type"] == "RegisterModel") == ("SageMaker.CAPACITY_ERROR" not in types)


@mock_aws
def test_the_service_takes_them_as_they_are():
    client = botocore.session.get_session().create_client(
        "sagemaker", region_name="eu-west-1", aws_access_key_id="-", aws_secret_access_key="-"
    )
    for file in FILES:
        name = f"{file.parent.name}-{file.stem}"
        text = file.read_text(encoding="utf-8")
        client.create_pipeline(
            PipelineName=name, PipelineDefinition=text, RoleArn=GIVEN["RoleArn"], ClientRequestToken=f"{name:0<32}"
        )
        assert json.loads(client.describe_pipeline(PipelineName=name)["PipelineDefinition"]) == json.loads(text)


def test_every_step_of_the_graph_is_in_the_pipeline():
    for task in TASKS.values():
        for pipeline in Pipeline if task.workload else ():
            found = steps(read(FOLDER / (task.workload or "") / f"{pipeline}.json"))
            assert {step.name for step in graph(task, pipeline).steps} <= set(found)
