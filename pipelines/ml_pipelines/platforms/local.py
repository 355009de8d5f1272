"""The training pipeline on this machine, on real data: `python -m ml_pipelines.platforms.local churn`.

It runs the steps one after the other, as the platforms' pipelines do, and says what each found. Everything lies in
`<to>/<task>`; models that pass the gates in `<to>/registry`.
"""

import argparse
import datetime
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_pipelines import datasets
from ml_pipelines.features.log import ARRIVED_AT
from ml_pipelines.platforms.graph import INPUTS, SCORES
from ml_pipelines.steps.batch_score import batch_score
from ml_pipelines.steps.drift_baseline import drift_baseline
from ml_pipelines.steps.due import due
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.evaluate import evaluate
from ml_pipelines.steps.manifest import ManifestError, private_key
from ml_pipelines.steps.prepare import TEST, prepare
from ml_pipelines.steps.register import BASELINE, newest, register
from ml_pipelines.steps.train import Origin, train
from ml_pipelines.steps.tune import TUNING, tune
from ml_pipelines.steps.validate import validate
from ml_pipelines.steps.verdict import CARD, REPORT, failures
from ml_pipelines.tasks import TASKS, Task, find

REFUSED, FAILED = 3, 2


class RefusedError(Exception):
    """Data, or a model, that a verdict says no to."""


@dataclass
class Progress:
    """Says what is being done, in one line that is written over on a terminal, and how long it took."""

    title: str = ""

    @contextmanager
    def step(self, title: str) -> Generator[Callable[[str], None]]:
        """A step; what it is told is its outcome, of which the last is kept."""
        started, last = time.perf_counter(), ""

        def told(what: str) -> None:
            nonlocal last
            last = what
            if sys.stdout.isatty():
                print(f"\r\x1b[K  {title:<9} {what}", end="", flush=True)

        told("...")
        last = ""
        try:
            yield told
        finally:
            start = "\r\x1b[K" if sys.stdout.isatty() else ""
            print(f"{start}  {title:<9} {time.perf_counter() - started:5.1f} s  {last}", flush=True)


@dataclass(frozen=True)
class Run:
    """A run of the pipeline: where it writes, and what it is told of itself."""

    to: Path
    origin: Origin
    seed: int = 1
    trials: int | None = None
    key: Path | None = None
    version: str | None = None

    @property
    def registry(self) -> Path:
        """The folder of all registered models."""
        return self.to / "registry"


def run(task: Task, how: Run, progress: Progress | None = None) -> Path:
    """Run all steps for a task; returns the folder of the registered model.

    Raises RefusedError where the data or the model isn't let pass, StepError where a step can't do its work; nothing is
    registered then.
    """
    progress, folder = progress or Progress(), how.to / task.name
    print(f"{task.name}: {task.sentence}", flush=True)
    with progress.step("data") as told:
        log, labels = history(task, folder, how.seed)
        told(f"{pq.read_metadata(log).num_rows:,} events of `{task.data_set}`")
    with progress.step("validate") as told:
        said = validate(log, labels, task, folder / "validation")
        told(_counted(said))
    _stop_unless(said, folder / "validation")
    with progress.step("prepare") as told:
        split = prepare(log, labels, task, folder / "data", how.seed)
        told(f"{split['train']['rows']:,} to learn from, {split['test']['rows']:,} held back by {split['by']}")
    with progress.step("tune") as told:
        tuned = tune(folder / "data", task, folder / TUNING, how.seed, how.trials, told)
        told(f"{tuned['candidate']} is best: {task.metric} {tuned['value']:.4f}, baseline {tuned['baseline']:.4f}")
    with progress.step("train") as told:
        made = train(folder / "data", folder / TUNING, task, folder / "model", how.origin, how.seed)
        size = (folder / "model" / "model.onnx").stat().st_size
        told(f"model.onnx, {size / 1000:,.0f} kB, within {made['onnx_difference']:.0e} of what was fitted")
    with progress.step("evaluate") as told:
        champion = newest(how.registry, task)
        found = evaluate(
            folder / "data", folder / "model", task, folder / "evaluation", champion, folder / TUNING, how.seed
        )
        best = found["metrics"]["model"][task.metric]
        told(f"{task.metric} {best['value']:.4f} ({best['low']:.4f} to {best['high']:.4f}) on data held back")
    print(f"  report    {folder / 'evaluation' / REPORT}\n  card      {folder / 'evaluation' / CARD}")
    if not found["passed"]:
        lines = [f"evaluate: {task.name}: the gates don't let the model pass:"]
        raise RefusedError("\n".join([*lines, *(f"- {one}" for one in found["failed"])]))
    with progress.step("baseline") as told:
        drift_baseline(folder / "data", folder / "model", task, folder / BASELINE)
        told("how inputs and scores are distributed, for the monitors")
    with progress.step("register") as told:
        environment = "production" if how.key else "experiment"
        made = register(
            *(folder / "model", folder / "evaluation", folder / BASELINE, task, how.registry),
            version=how.version,
            key=how.key,
            environment=environment,
        )
        registered = how.registry / task.name / made["name"] / made["version"]
        told(f"{made['name']} {made['version']}, {'signed' if how.key else 'unsigned, for experiments'}: {registered}")
    with progress.step("score") as told:
        trusted = [private_key(how.key).public_key()] if how.key else []
        asked, what = _asked(log, task, folder)
        scored = batch_score(registered, asked, task, folder / SCORES, trusted, unsigned=not how.key)
        told(f"{scored['rows']:,} rows in {SCORES}: {what}")
    return registered


def _asked(log: Path, task: Task, folder: Path) -> tuple[Path, str]:
    """What is due when the last event arrives, and what that is; what was held back where all outcomes are known."""
    if task.due is not None:
        newest_event = pc.max(pq.read_table(log, columns=[ARRIVED_AT])[ARRIVED_AT]).as_py()
        said = due(log, task, newest_event, folder / INPUTS)
        if said["rows"]:
            return folder / INPUTS, said["what"]
    return folder / "data" / TEST, "what was held back, as nothing is due"


def history(task: Task, folder: Path, seed: int) -> tuple[Path, Path | None]:
    """Write the events of the task's data set, and its labels if they come apart, as the archive would have them."""
    folder.mkdir(parents=True, exist_ok=True)
    log, labels = folder / "log.parquet", folder / "labels.parquet"
    if task.contract is None:
        pq.write_table(datasets.raw(task.data_set), log)
        return log, None
    found = datasets.load(task.data_set, datasets.Request(events=task.events, seed=seed))
    pq.write_table(found.log, log)
    if found.labels is None:
        return log, None
    pq.write_table(found.labels, labels)
    return log, labels


def code(folder: Path) -> str:
    """The commit of a work tree, with `+changed` where files differ from it; `unknown` outside of one."""
    asked = ("git", "-C", str(folder))
    found = subprocess.run([*asked, "rev-parse", "HEAD"], capture_output=True, text=True)
    if found.returncode:
        return "unknown"
    changed = subprocess.run([*asked, "status", "--porcelain", "."], capture_output=True, text=True).stdout.strip()
    return found.stdout.strip() + ("+changed" if changed else "")


def _counted(said: dict[str, Any]) -> str:
    return f"{len(said['checks']) - said['failed']} of {len(said['checks'])} checks passed"


def _stop_unless(said: dict[str, Any], folder: Path) -> None:
    if not said["passed"]:
        lines = [f"validate: {said['subject']}: the data isn't fit to train on (see {folder}):"]
        raise RefusedError("\n".join([*lines, *(f"- {one}" for one in failures(said))]))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 2 where a step failed, 3 where a verdict says no."""
    parser = argparse.ArgumentParser("python -m ml_pipelines.platforms.local", description=__doc__)
    parser.add_argument("tasks", nargs="+", metavar="TASK", help=f"some of {', '.join(TASKS)}, or `all`")
    parser.add_argument("--to", type=Path, default=Path(".training"), help="where all is written (default: .training)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", type=int, help="how often each candidate is tried (default: the task's own)")
    parser.add_argument(
        "--key", type=Path, help="an Ed25519 key in PEM that signs; without it models are for experiments"
    )
    parser.add_argument("--version", help="of the model (default: the one after the newest)")
    options = parser.parse_args(arguments)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    how = Run(
        options.to,
        Origin(now, code(Path(__file__).parents[1])),
        options.seed,
        options.trials,
        options.key,
        options.version,
    )
    answer = 0
    try:
        for task in [find(name) for name in (TASKS if options.tasks == ["all"] else options.tasks)]:
            try:
                run(task, how)
            except RefusedError as error:
                print(error, file=sys.stderr)
                answer = REFUSED
    except (StepError, LookupError, ManifestError, datasets.DataSetError) as error:
        print(error.args[0] if isinstance(error, LookupError) else error, file=sys.stderr)
        return FAILED
    return answer


if __name__ == "__main__":
    sys.exit(main())
