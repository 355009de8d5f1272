"""The pipelines as Azure Machine Learning takes them: up to date, valid by the SDK's own rules, in order."""

import importlib
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ml_pipelines.platforms.graph import Pipeline, graph
from ml_pipelines.steps import command
from ml_pipelines.steps.trial import parameters
from ml_pipelines.tasks import TASKS
from ml_pipelines.tasks.task import Choice, Real, Whole

pytestmark = [
    pytest.mark.xdist_group("azureml"),
    # The SDK's own use of marshmallow.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:`Number` field"),
]

FOLDER = Path(__file__).parents[3] / "pipelines" / "ml_pipelines" / "platforms" / "compiled" / "azureml"
FILES = sorted(FOLDER.glob("*/*.json"))
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
LEARNING = [file for file in FILES if file.stem != Pipeline.BATCH_SCORING]
EACH_LEARNING = pytest.mark.parametrize("file", LEARNING, ids=lambda file: f"{file.parent.name}-{file.stem}")
BY_WORKLOAD = {task.workload: task for task in TASKS.values() if task.workload}
COMPONENTS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/components"
EXPRESSION = re.compile(r"\$\{\{(inputs|outputs)\.([a-z0-9_]+)\}\}")
PARENT = re.compile(r"\$\{\{parent\.(?:inputs\.(\w+)|jobs\.(\w+)\.outputs\.(\w+)|outputs\.(\w+))\}\}")


@pytest.fixture(scope="module")
def compiler() -> Any:
    """The compiler, whose SDK takes seconds to import."""
    return importlib.import_module("ml_pipelines.platforms.azureml")


def read(file: Path) -> dict[str, Any]:
    """A compiled pipeline."""
    return json.loads(file.read_text(encoding="utf-8"))


def component(job: dict[str, Any]) -> str:
    """The name of the component that a step is."""
    return job["trial"]["componentId"] if job["type"] == "sweep" else job["componentId"]


def needs(job: dict[str, Any]) -> set[str]:
    """The steps whose folders one reads."""
    found = (PARENT.fullmatch(bound["value"]) for bound in job["inputs"].values())
    return {match[2] for match in found if match and match[2]}


def before(jobs: dict[str, Any], name: str) -> set[str]:
    """All steps that one waits for, directly or not."""
    direct = needs(jobs[name])
    return direct.union(*(before(jobs, one) for one in direct))


def problems(compiler: Any, said: dict[str, Any]) -> Iterator[str]:
    """What the SDK finds wrong with components as the service gives them back."""
    from azure.ai.ml._restclient.arm_ml_service.models import ComponentVersion
    from azure.ai.ml.entities import Component

    assert compiler
    for specification in [*said["components"].values(), said["pipeline"]]:
        name = specification["name"]
        # `validate` has no stack to ask for the components that a pipeline names.
        rest = {"id": f"{COMPONENTS}/{name}/versions/1", "name": "1", "properties": {"componentSpec": specification}}
        specification["version"] = "1"
        found = Component._from_rest_object(ComponentVersion(rest))._validate()
        yield from (f"{name}: {place}: {message}" for place, message in found.error_messages.items())


def test_files_are_up_to_date_and_none_is_left_over(compiler):
    made = compiler.compiled()
    assert set(made) == set(FILES)
    stale = [str(file) for file, text in made.items() if file.read_text(encoding="utf-8") != text]
    assert not stale, "run `make compile`"


def test_each_workload_has_each_pipeline():
    assert {(file.parent.name, file.stem) for file in FILES} == {
        (name, one) for name in BY_WORKLOAD for one in Pipeline
    }


@EACH
def test_the_sdk_finds_nothing_wrong_with_what_the_service_is_sent(compiler, file):
    assert not [*problems(compiler, read(file))]


def test_the_sdk_finds_what_is_wrong(compiler):
    said = read(FOLDER / "churn" / "training.json")
    said["components"]["collect"]["command"] += " ${{inputs.nowhere}}"
    (problem,) = problems(compiler, said)
    assert problem.startswith("collect: ")
    assert "nowhere" in problem


@EACH
def test_steps_name_components_folders_and_words_that_exist(file):
    said = read(file)
    whole, parts = said["pipeline"], said["components"]
    jobs = whole["jobs"]
    assert {component(job) for job in jobs.values()} == set(parts)
    for name, job in jobs.items():
        part = parts[component(job)]
        assert job["name"] == name
        assert {*job["inputs"], *job.get("search_space", {})} == set(part["inputs"])
        assert set(job["outputs"]) == set(part["outputs"])
        for bound in job["inputs"].values():
            given, other, output, _ = PARENT.fullmatch(bound["value"]).groups()
            assert given in whole["inputs"] or output in parts[component(jobs[other])]["outputs"]
        for kind, expression in EXPRESSION.findall(part["command"]):
            assert expression in part[kind]
        assert name not in before(jobs, name)


def test_the_same_step_is_one_component_in_all_pipelines_of_a_workload():
    for workload in BY_WORKLOAD:
        known: dict[str, Any] = {}
        for file in FOLDER.glob(f"{workload}/*.json"):
            for name, part in read(file)["components"].items():
                assert known.setdefault(name, part) == part
        assert "retraining_train" in known
        assert "retraining_collect" not in known


@EACH
def test_the_steps_own_parsers_take_every_command_line(file, monkeypatch):
    """With the words that a pipeline is told by default, in place of the service's expressions."""
    said = read(file)
    for job in said["pipeline"]["jobs"].values():
        part = said["components"][component(job)]
        line = EXPRESSION.sub(lambda match, job=job: _word(said, job, *match.groups()), part["command"])
        python, option, module, *words = line.split()
        assert (python, option) == ("python", "-m")
        assert "${{" not in line
        step, taken = importlib.import_module(module), []
        monkeypatch.setattr(command, "run", lambda parser, *_, taken=taken: taken.append(_parsed(parser)))
        monkeypatch.setattr(sys, "argv", [module, *words])
        if module.endswith("azureml_publish"):
            monkeypatch.setattr(step, "publish", lambda *given, taken=taken: taken.append(given))
        step.main(*([words] if module.endswith("azureml_publish") else []))
        assert len(taken) == 1


def _parsed(parser: Any) -> Any:
    return parser.parse_args(command.given(sys.argv[1:]))


def _word(said: dict[str, Any], job: dict[str, Any], kind: str, name: str) -> str:
    if kind == "outputs":
        return f"/mnt/{name}"
    if name in job.get("search_space", {}):
        found = job["search_space"][name]
        return found["values"][0] if found["type"] == "choice" else "1"
    given = PARENT.fullmatch(job["inputs"][name]["value"])[1]
    return said["pipeline"]["inputs"].get(given, {}).get("default", f"/mnt/{name}")


def test_a_command_line_that_a_step_does_not_know_is_found(monkeypatch, capsys):
    step = importlib.import_module("ml_pipelines.steps.collect")
    monkeypatch.setattr(command, "run", lambda parser, *_: _parsed(parser))
    monkeypatch.setattr(sys, "argv", ["collect", "--task", "churn", "--archives", "/mnt/archive"])
    with pytest.raises(SystemExit):
        step.main()
    assert "--archive" in capsys.readouterr().err


@EACH_LEARNING
def test_what_comes_after_a_verdict_waits_for_it(file):
    """A step that says no fails, so that what waits for it never begins."""
    jobs = read(file)["pipeline"]["jobs"]
    found = graph(BY_WORKLOAD[file.parent.name], Pipeline(file.stem))
    verdicts: list[str] = []
    for step in found.steps:
        name = step.name.replace("-", "_")
        assert set(verdicts) <= before(jobs, name)
        if step.verdict:
            verdicts.append(name)
    assert verdicts == ["validate", "evaluate"]
    assert {*verdicts, "register"} <= before(jobs, "publish")


@EACH_LEARNING
def test_what_is_registered_is_a_model_that_the_pipeline_leaves(file):
    said = read(file)
    assert said["pipeline"]["outputs"] == {"registered": {"type": "custom_model"}, "published": {"type": "uri_folder"}}
    jobs = said["pipeline"]["jobs"]
    assert jobs["register"]["outputs"]["registered"]["value"] == "${{parent.outputs.registered}}"
    assert jobs["publish"]["inputs"]["registered"]["value"] == "${{parent.jobs.register.outputs.registered}}"


@EACH
def test_what_steps_leave_lies_in_a_zone_that_their_identity_writes_apart_by_run(file):
    zone = "curated" if file.stem == Pipeline.BATCH_SCORING else "models"
    for job in read(file)["pipeline"]["jobs"].values():
        for left in job["outputs"].values():
            whole = PARENT.fullmatch(left.get("value", ""))
            assert whole or left["uri"] == f"azureml://datastores/{zone}/paths/runs/${{{{name}}}}/${{{{output_name}}}}/"


@EACH
def test_only_what_the_same_inputs_decide_is_taken_from_an_earlier_run(file):
    said = read(file)
    found = graph(BY_WORKLOAD[file.parent.name], Pipeline(file.stem))
    for step in found.steps:
        part = said["components"][component(said["pipeline"]["jobs"][step.name.replace("-", "_")])]
        assert part["is_deterministic"] is step.cached


@EACH
def test_each_job_ends_by_itself(file):
    for job in read(file)["pipeline"]["jobs"].values():
        if job["type"] == "sweep":
            assert job["limits"]["trial_timeout"] == 3600
            assert job["limits"]["timeout"] >= 3600
        else:
            assert re.fullmatch(r"PT[1-4]H", job["limits"]["timeout"])


@pytest.mark.parametrize("workload", BY_WORKLOAD)
def test_a_candidate_is_searched_as_often_as_the_task_says_in_all_of_its_space(workload):
    task = BY_WORKLOAD[workload]
    said = read(FOLDER / workload / "training.json")
    for candidate in task.candidates:
        name = f"tune_{candidate.name.replace('-', '_')}"
        job, part = said["pipeline"]["jobs"][name], said["components"][name]
        assert part["command"].endswith("--report mlflow")
        if not candidate.space:
            assert job["type"] == "command"
            continue
        assert job["objective"] == {"goal": "maximize", "primary_metric": "trial_value"}
        assert job["limits"]["max_total_trials"] == task.trials * candidate.effort
        assert job["sampling_algorithm"] == {"type": "random", "seed": 1, "rule": "sobol"}
        assert set(job["search_space"]) == set(candidate.space)


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (Real(0.1, 0.9), {"type": "uniform", "min_value": 0.1, "max_value": 0.9}),
        (Whole(4, 16), {"type": "quniform", "min_value": 4, "max_value": 16, "q": 1}),
        (Choice(("a", 2)), {"type": "choice", "values": ["a", "2"]}),
    ],
)
def test_a_dimension_is_the_services_own_distribution(compiler, dimension, expected):
    assert compiler.distribution(dimension)._to_rest_object() == _listed(expected)


def _listed(expected: dict[str, Any]) -> list[Any]:
    """As jobs outside of pipelines have it: the type, and the arguments in order."""
    return [expected.pop("type"), [*expected.values()] if "values" not in expected else [expected["values"]]]


@pytest.mark.parametrize("workload", BY_WORKLOAD)
def test_the_ends_of_a_logarithmic_range_are_values_that_a_trial_takes(workload):
    jobs = read(FOLDER / workload / "training.json")["pipeline"]["jobs"]
    for candidate in BY_WORKLOAD[workload].candidates:
        for name, dimension in candidate.space.items():
            found = jobs[f"tune_{candidate.name.replace('-', '_')}"]["search_space"][name]
            if "log" not in found["type"]:
                continue
            whole = found["type"].startswith("q")
            ends = [math.exp(found[end]) for end in ("min_value", "max_value")]
            for end in ends:
                words = {name: str(float(round(end))) if whole else repr(end)}
                assert parameters(candidate, words)[name] == pytest.approx(end, rel=1e-5, abs=0.5 if whole else 0)
            assert ends == pytest.approx([dimension.low, dimension.high], rel=1e-5)
