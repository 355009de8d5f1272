"""Choose: the best of the trials that a platform's tuners made, as `tune` says it of its own."""

import argparse
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import json_text
from ml_pipelines.steps.trial import FILE
from ml_pipelines.steps.tune import chosen
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

STEP = "choose"
_KEYS = ("candidate", "parameters", "value", "folds")


def choose(trials: Sequence[Path], task: Task, to: Path) -> dict[str, Any]:
    """Write the best candidate, its parameters and all trials into the file `to`; returns what it says.

    trials: folders with trial.json in them, in folders below them, or in archives as SageMaker packs what a job left.
    Raises StepError, with nothing written, where a folder holds no trial, or one of another task.
    """
    found = [said for folder in trials for said in _trials(folder, task)]
    # Of equals the first by name and parameters, so that the order of folders tells nothing.
    found.sort(key=lambda said: (-said["value"], said["candidate"], json.dumps(said["parameters"], sort_keys=True)))
    boards = [{key: said[key] for key in _KEYS} for said in found]
    best = chosen(task, found[0]["seed"], found[0]["baseline"], boards)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json_text(best), encoding="utf-8")
    return best


def _trials(folder: Path, task: Task) -> list[dict[str, Any]]:
    found = []
    for where, text in _texts(folder):
        try:
            said = json.loads(text)
        except ValueError as error:
            raise StepError(STEP, where, f"isn't JSON: {error}") from error
        if said.get("task") != task.name or said.get("metric") != task.metric:
            raise StepError(
                STEP,
                where,
                f"is of task `{said.get('task')}` by {said.get('metric')}, not `{task.name}` by {task.metric}",
            )
        task.candidate(said["candidate"])
        found.append(said)
    if not found:
        raise StepError(STEP, str(folder), f"holds no {FILE}")
    return found


def _texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob(FILE)):
        yield str(file), file.read_bytes()
    for packed in sorted(folder.rglob("*.tar.gz")):
        try:
            with tarfile.open(packed) as archive:
                for member in archive.getmembers():
                    if Path(member.name).name == FILE and (stream := archive.extractfile(member)):
                        yield f"{packed}, {member.name}", stream.read()
        except (tarfile.TarError, EOFError) as error:
            raise StepError(STEP, str(packed), f"can't be unpacked: {error}") from error


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--trials", type=Path, required=True, action="append", help="a folder of trials")
    parser.add_argument("--to", type=Path, required=True, help="the file of what was found, tuning.json")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        return choose(options.trials, find(options.task), options.to)

    command.run(parser, step)


if __name__ == "__main__":
    main()
