"""What the command lines of all steps have in common: a task, a seed, and errors in one line."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from ml_pipelines.steps.errors import StepError

# What a step answers when a gate, or the validation of data, says no; apart from 2, when it could not do its work.
REFUSED = 3


def parser(step: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments that each step has."""
    made = argparse.ArgumentParser(prog=f"python -m ml_pipelines.steps.{step}", description=description)
    made.add_argument("--task", required=True, help="what the model is for, such as `churn`")
    made.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default: 1)")
    return made


def run(
    made: argparse.ArgumentParser,
    step: Callable[[argparse.Namespace], Any],
    refused: Callable[[Any], bool] = lambda _: False,
) -> None:
    """Run a step with the command line's arguments, print what it answers as JSON, and end the process.

    Exit codes: 0; 2 where the step could not do its work; 3 where it did, and says no.
    """
    options = made.parse_args()
    try:
        answer = step(options)
    except (StepError, LookupError) as error:
        print(error.args[0] if isinstance(error, LookupError) else error, file=sys.stderr)
        sys.exit(2)
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    sys.exit(REFUSED if refused(answer) else 0)
