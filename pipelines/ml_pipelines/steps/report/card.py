"""The model card: what the model is for, what it was made of, how good it is and where it isn't, as Markdown."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ml_pipelines.steps.report.page import NAMES, board, headline, moment, number, reached

if TYPE_CHECKING:
    from ml_pipelines.steps.evaluate import Evaluation


def markdown(found: "Evaluation") -> str:
    """The card of an evaluated model (after Mitchell et al. 2019, https://doi.org/10.1145/3287560.3287596)."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: "Evaluation") -> Iterator[str]:
    task, manifest, split = found.task, found.manifest, found.split
    verdict = (
        "passed all gates" if found.verdict.passed else f"failed {len(found.verdict.failures)} checks of the gates"
    )
    yield from (
        f"# {manifest['candidate']} for {task.name}",
        "",
        f"{task.sentence} The model {verdict}.",
        "",
        headline(found),
        "",
    )
    yield from (
        "## What it is",
        "",
        f"- **Kind**: {manifest['candidate']}: {task.candidate(manifest['candidate']).sentence.lower()}.",
    )
    if board(found):
        others = [f"{trial['candidate']} {number(trial['value'])}" for trial in board(found)]
        yield f"- **Chosen among**, by {NAMES[task.metric]} on folds of the training data: {', '.join(others)}."
    yield f"- **Inputs**: {', '.join(f'`{item.name}`' for item in task.inputs)}."
    answers = "a probability" if task.predicts == "class" else f"a number, {task.outcome}"
    yield f"- **Answer**: {answers}, from `model.onnx`, within {manifest['onnx_difference']:.1g} of what was fitted."
    if manifest["threshold"] is not None:
        yield f"- **Threshold**: {number(manifest['threshold'])}, above which about {task.selected:.1%} of cases lie."
    yield from ("", "## What it learned from", "", f"Data set `{task.data_set}`. {split['reason']}", "")
    for name, part in (("Trained on", split["train"]), ("Held back", split["test"])):
        yield (
            f"- **{name}**: {part['rows']:,} examples of {part['entities']:,} entities, "
            f"{moment(part['since'])} to {moment(part['until'])}, mean outcome {number(part['mean_outcome'])}."
        )
    yield from ("", "## How good it is", "", "| metric | " + " | ".join(found.metrics) + " |")
    yield "|---|" + "---:|" * len(found.metrics)
    for name in found.metrics["model"]:
        cells = [found.metrics[who][name] for who in found.metrics]
        shown = [f"{number(one.value)} ({number(one.low)} to {number(one.high)})" for one in cells]
        yield f"| {NAMES[name]} | {' | '.join(shown)} |"
    yield from ("", f"In brackets the 95% interval. The goal of {task.goal:g} is {reached(found)}.", "")
    top = list(found.importance.items())[:5]
    yield f"What it relies on most: {', '.join(f'`{name}` ({number(value)})' for name, value in top)}."
    yield from ("", "## Where it isn't good, and what was checked", "")
    for check in found.verdict.failures:
        yield f"- **Failed**, {check.gate}, {check.name}: {check.said}. {check.remedy}"
    for check in found.verdict.checks:
        if check.passed and check.gate in ("fairness", "robustness", "calibration"):
            yield f"- {check.gate}, {check.name}: {check.said}."
    for note in task.notes:
        yield f"- {note}"
    yield from ("", "## Where it comes from", "")
    yield f"Code `{manifest['code']}`, seed {manifest['seed']}, made {manifest['created_at']}."
    if manifest["contract"]:
        contract = manifest["contract"]
        yield f"Contract {contract['name']} version {contract['version']} (`{contract['fingerprint']}`)."
    yield f"`model.onnx` has SHA-256 `{manifest['files']['model.onnx']}`."
