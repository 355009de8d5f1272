"""What the command lines of all steps have in common: a task, a seed, words for nothing and now, errors in one line."""

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ml_pipelines.steps.errors import StepError

# What a step answers when a gate, or the validation of data, says no; apart from 2, when it could not do its work.
REFUSED = 3

# What a pipeline says for an option that it isn't given: parameters of pipelines are never empty.
NOTHING = "none"
_NOW = "now"


def parser(step: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments that each step has."""
    made = argparse.ArgumentParser(prog=f"python -m ml_pipelines.steps.{step}", description=description)
    made.add_argument("--task", required=True, help="what the model is for, such as `churn`")
    made.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default: 1)")
    return made


def moment(text: str) -> int:
    """Milliseconds since 1970 of a time in ISO 8601, in UTC unless it says otherwise; `now` is now."""
    found = datetime.datetime.now(datetime.UTC) if text == _NOW else datetime.datetime.fromisoformat(text)
    return int(found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp() * 1000)


def given(arguments: Sequence[str]) -> list[str]:
    """The arguments without the options whose value is `none`."""
    kept: list[str] = []
    for argument in arguments:
        if argument == NOTHING and kept and kept[-1].startswith("--"):
            kept.pop()
        elif not (argument.startswith("--") and argument.endswith(f"={NOTHING}")):
            kept.append(argument)
    return kept


def run(
    made: argparse.ArgumentParser,
    step: Callable[[argparse.Namespace], Any],
    refused: Callable[[Any], Sequence[str]] | None = None,
) -> None:
    """Run a step with the command line's arguments, print what it answers as JSON, and end the process.

    refused: what the step's verdict says no to, of its answer; nothing where it says yes. It is told on standard error.
    Exit codes: 0; 2 where the step could not do its work; 3 where it did, and says no. Pipelines that branch on the
    verdict ask for 0 then, too, with `--branch`.
    """
    if refused:
        made.add_argument("--branch", action="store_true", help="end with 0 where the verdict says no, too")
    options = made.parse_args(given(sys.argv[1:]))
    try:
        answer = step(options)
    except (StepError, LookupError) as error:
        print(error.args[0] if isinstance(error, LookupError) else error, file=sys.stderr)
        sys.exit(2)
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    failed = refused(answer) if refused else ()
    for one in failed:
        print(f"{made.prog.rpartition('.')[2]}: {one}", file=sys.stderr)
    sys.exit(REFUSED if failed and not options.branch else 0)
