"""The pipelines of a task, said once: which step runs after which, on what, and where the pipeline may stop.

The compilers beside this module write each pipeline in the terms of their platform, by its native means. A step is a
command of the runtime image; whatever steps hand over is a folder.

- training: from the archive of events to a registered model, with a search of parameters for each candidate.
- retraining: the same with the parameters of the model in use, which the new one must not fall behind.
- batch scoring: a registered model's scores for all that is due.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ml_pipelines.steps.register import BASELINE
from ml_pipelines.steps.tune import TUNING
from ml_pipelines.tasks.task import Candidate, Task

# What the files in the folders between steps are called.
LOG, LABELS, INPUTS, SCORES = "log.parquet", "labels.parquet", "inputs.parquet", "scores.parquet"


class Pipeline(StrEnum):
    """The pipelines that each task has on each platform."""

    TRAINING = "training"
    RETRAINING = "retraining"
    BATCH_SCORING = "batch-scoring"


@dataclass(frozen=True)
class Given:
    """A folder (or, with `file`, a file in it) that the pipeline is given when it starts."""

    name: str
    file: str = ""

    @property
    def label(self) -> str:
        """What the folder is called in a step that reads it."""
        return self.name


@dataclass(frozen=True)
class From:
    """What an earlier step left in its folder `output`."""

    step: str
    output: str
    file: str = ""

    @property
    def label(self) -> str:
        """What the folder is called in a step that reads it."""
        return f"{self.step}-{self.output}"


@dataclass(frozen=True)
class To:
    """A folder of the step's own."""

    output: str
    file: str = ""


@dataclass(frozen=True)
class Parameter:
    """A word that the pipeline is told when it starts."""

    name: str


Argument = str | Given | From | To | Parameter


@dataclass(frozen=True)
class Step:
    """`python -m ml_pipelines.steps.<module>` with arguments.

    verdict: the folder with the verdict.json that decides whether the pipeline goes on: it stops, with what failed,
    unless `passed` is true. candidate, trials: the step is run by the platform's tuner, so often, with parameters from
    the candidate's space; what it leaves is that of the best trial. cached: the same command on the same inputs need
    not run again within a day.
    """

    name: str
    module: str
    arguments: tuple[Argument, ...]
    verdict: str | None = None
    candidate: Candidate | None = None
    trials: int = 0
    cached: bool = True

    @property
    def outputs(self) -> tuple[str, ...]:
        """The folders that it leaves, each once."""
        return tuple(dict.fromkeys(one.output for one in self.arguments if isinstance(one, To)))

    @property
    def inputs(self) -> tuple[Given | From, ...]:
        """The folders that it reads, each once, without the files in them."""
        found: list[Given | From] = []
        for one in self.arguments:
            if isinstance(one, Given):
                found.append(Given(one.name))
            elif isinstance(one, From):
                found.append(From(one.step, one.output))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Graph:
    """A pipeline of a task.

    parameters: what each word that it may be told is by default. registers: the folder that becomes a version in the
    platform's model registry.
    """

    name: Pipeline
    task: Task
    steps: tuple[Step, ...]
    parameters: Mapping[str, str]
    registers: From | None = None

    @property
    def givens(self) -> tuple[str, ...]:
        """The folders that the pipeline must be given."""
        return tuple(dict.fromkeys(one.name for step in self.steps for one in step.inputs if isinstance(one, Given)))

    def step(self, name: str) -> Step:
        """The step of this name."""
        return next(step for step in self.steps if step.name == name)


def graph(task: Task, pipeline: Pipeline) -> Graph:
    """A pipeline of a task."""
    return {
        Pipeline.TRAINING: _training,
        Pipeline.RETRAINING: _retraining,
        Pipeline.BATCH_SCORING: _batch_scoring,
    }[pipeline](task)


def _training(task: Task) -> Graph:
    tuned = tuple(_tuned(task))
    trials = tuple(word for step in tuned for word in ("--trials", From(step.name, "trial")))
    choose = _step(task, "choose", *trials, "--to", To("tuning", TUNING))
    train = _train(task, "--tuning", From("choose", "tuning", TUNING))
    evaluate = _evaluate(task, "--tuning", From("choose", "tuning", TUNING))
    steps = (*_data(task), *tuned, choose, train, evaluate, *_registered(task))
    return Graph(Pipeline.TRAINING, task, steps, _PARAMETERS, From("register", "registered"))


def _retraining(task: Task) -> Graph:
    fresh = ("--as-of", Parameter("as_of"))
    train = _train(task, "--like", Given("champion"))
    evaluate = _evaluate(task, "--champion", Given("champion"))
    steps = (*_data(task, *fresh), train, evaluate, *_registered(task))
    parameters = _PARAMETERS | {"as_of": "now"}
    return Graph(Pipeline.RETRAINING, task, steps, parameters, From("register", "registered"))


def _batch_scoring(task: Task) -> Graph:
    log = From("collect", "log", LOG)
    collect = _collect(task, labels=False)
    due = _step(task, "due", "--log", log, "--as-of", Parameter("as_of"), "--to", To("due", INPUTS), cached=False)
    score = _step(
        task,
        "batch_score",
        *("--model", Given("champion"), "--inputs", From("due", "due", INPUTS), "--to", To("scores", SCORES)),
        *("--environment", Parameter("environment"), "--trusted", Parameter("trusted")),
        cached=False,
    )
    parameters = {"as_of": "now", "since": "none", "environment": "production", "trusted": "none"}
    return Graph(Pipeline.BATCH_SCORING, task, (collect, due, score), parameters)


_PARAMETERS: dict[str, str] = {"since": "none", "environment": "production", "key": "none"}


def _data(task: Task, *validating: Argument) -> Iterator[Step]:
    """From the archive to examples."""
    yield _collect(task, labels=task.labels)
    events: tuple[Argument, ...] = ("--log", From("collect", "log", LOG))
    if task.labels:
        events += ("--labels", From("collect", "log", LABELS))
    # What was validated as fresh isn't any more a day later.
    yield _step(
        task,
        "validate",
        *events,
        *validating,
        "--to",
        To("validation"),
        verdict="validation",
        cached=not validating,
    )
    yield _step(task, "prepare", *events, "--to", To("data"))


def _collect(task: Task, labels: bool) -> Step:
    """Archives grow, so that the same folder isn't the same data."""
    words: tuple[Argument, ...] = ("--archive", Given("archive"), "--since", Parameter("since"))
    words += ("--to", To("log", LOG))
    if labels:
        words += ("--labels", Given("labels"), "--labels-to", To("log", LABELS))
    return _step(task, "collect", *words, cached=False)


def _tuned(task: Task) -> Iterator[Step]:
    """A trial of each candidate; of one with something to search for, as many as the tuner takes."""
    for candidate in task.candidates:
        trials = task.trials * candidate.effort if candidate.space else 0
        yield Step(
            f"tune-{candidate.name}",
            "trial",
            (
                *("--task", task.name, "--candidate", candidate.name),
                *("--data", From("prepare", "data"), "--to", To("trial")),
            ),
            candidate=candidate,
            trials=trials,
        )


def _train(task: Task, *chosen: Argument) -> Step:
    return _step(task, "train", "--data", From("prepare", "data"), *chosen, "--to", To("model"))


def _evaluate(task: Task, *compared: Argument) -> Step:
    words: tuple[Argument, ...] = ("--data", From("prepare", "data"), "--model", From("train", "model"), *compared)
    return _step(task, "evaluate", *words, "--to", To("evaluation"), verdict="evaluation")


def _registered(task: Task) -> Iterator[Step]:
    model = From("train", "model")
    yield _step(
        task,
        "drift_baseline",
        *("--data", From("prepare", "data"), "--model", model, "--to", To("baseline", BASELINE)),
    )
    yield _step(
        task,
        "register",
        *("--model", model, "--evaluation", From("evaluate", "evaluation")),
        *("--baseline", From("drift-baseline", "baseline", BASELINE), "--to", To("registered")),
        *("--environment", Parameter("environment"), "--key", Parameter("key")),
        cached=False,
    )


def _step(task: Task, module: str, *arguments: Argument, verdict: str | None = None, cached: bool = True) -> Step:
    return Step(module.replace("_", "-"), module, ("--task", task.name, *arguments), verdict=verdict, cached=cached)
