"""The drift check on AWS: our step looks at what was captured, and the pipeline fails where somebody is to be told."""

from collections.abc import Iterator
from typing import Any

import pulumi

from ml_blueprints import looks, routing
from ml_blueprints.aws import facts
from ml_blueprints.aws.scheduled_step import INPUTS, OUTPUTS, Step
from ml_blueprints.layers import Context
from ml_blueprints.workload import Model

# The step that looks, and those at which a run ends: what was asked has drifted, or has and training begins, or data
# are broken or absent.
LOOK, DRIFTED, RETRAIN, BROKEN = "Drift", "Drifted", "Retrain", "Broken"
REPORT = "drift.json"
_CHAMPION, _REPORT = "champion", "report"


def step(
    context: Context,
    champion: Model,
    models: pulumi.Input[str],
    window: pulumi.Input[str],
    labels: pulumi.Input[str],
    reports: pulumi.Input[str],
    scoring: str | None,
    alone: bool,
    trail: pulumi.Input[str] | None,
) -> Step:
    """The look at a window, the URI of what was captured or scored, beside what a champion was trained on.

    models, labels, reports: URIs of folders; scoring: when batches are scored, where nobody asks; alone: whether only
    what this champion answered is looked at; trail: where it is told why training began or didn't, None where this look
    starts none. Each run leaves its report in a folder of its own.
    """
    options: dict[str, pulumi.Input[str]] = {
        **looks.drift(context.workload, context.settings, champion, scoring, alone, labels, trail),
        "baseline": f"{INPUTS}/{_CHAMPION}",
        "window": window,
        "to": f"{OUTPUTS}/{_REPORT}/{REPORT}",
    }
    run = {"Std:Join": {"On": "", "Values": [reports, "/run=", {"Get": "Execution.PipelineExecutionId"}]}}
    return Step(
        LOOK,
        facts.COMMANDS["drift"],
        [*looks.words(options), "--branch"],
        # With the last slash, as the beginning of keys is what is copied.
        inputs={_CHAMPION: pulumi.Output.concat(models, "/", routing.artifact_path(champion), "/")},
        outputs={_REPORT: run},
        verdicts={_REPORT: REPORT},
        then=list(_ends(context.workload.name)),
    )


def _ends(workload: str) -> Iterator[dict[str, Any]]:
    """How a run ends that says no; SageMaker knows no condition within a condition, so that each stands for itself.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html#step-type-condition
    """
    where = {"Get": f"Steps.{LOOK}.ProcessingOutputConfig.Outputs['{_REPORT}'].S3Output.S3Uri"}
    said = {
        DRIFTED: "what is asked has drifted",
        RETRAIN: "what is asked has drifted, and training begins",
        BROKEN: "what is asked is broken or absent",
    }
    for end, conditions in {
        DRIFTED: [_is("drifted", True), _is("retrain", False)],
        RETRAIN: [_is("retrain", True)],
        BROKEN: [_is("drifted", False), _is("passed", False)],
    }.items():
        message = {"Std:Join": {"On": "", "Values": [f"{workload}: {said[end]}, and why in ", where, f"/{REPORT}"]}}
        yield {
            "Name": f"Is{end}",
            "Type": "Condition",
            "Arguments": {
                "Conditions": conditions,
                "IfSteps": [{"Name": end, "Type": "Fail", "Arguments": {"ErrorMessage": message}}],
                "ElseSteps": [],
            },
        }


def _is(field: str, value: bool) -> dict[str, Any]:
    found = {"PropertyFile": {"Get": f"Steps.{LOOK}.PropertyFiles.{_REPORT}"}, "Path": field}
    return {"Type": "Equals", "LeftValue": {"Std:JsonGet": found}, "RightValue": value}
