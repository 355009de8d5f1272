"""Run the loop on this machine, and write its report: `make loop`, or `python -m ml_pipelines.loop`."""

import argparse
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ml_pipelines.loop.demonstration import LoopError, Plan, run
from ml_pipelines.loop.report import html
from ml_pipelines.loop.stream import Scenario
from ml_pipelines.serving.process import ProcessError
from ml_pipelines.steps.errors import StepError

REPORT = "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where the loop doesn't show what it should."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.loop", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path(".loop"), help="where all is written anew (default: .loop)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {text}", flush=True)

    # What the watch warns of is told with all else.
    logging.basicConfig(level=logging.ERROR)
    shutil.rmtree(options.to, ignore_errors=True)
    try:
        outcome = run(options.to, Plan(Scenario(options.seed)), say)
    except (LoopError, ProcessError, StepError) as error:
        print(f"loop: {error}", file=sys.stderr)
        return 1
    (options.to / REPORT).write_text(html(outcome), encoding="utf-8")
    calm = sum(seen.report.rows for seen in outcome.calm)
    at = outcome.plan.scenario.drift_at
    for who, delay, early in (
        ("monitor", outcome.detection_delay, outcome.false_alarms),
        ("watch over the stream", outcome.shift_delay, outcome.early_shifts),
    ):
        said = "wasn't told" if delay is None else f"was told after {delay:,} events"
        say(f"{who}: drift from event {at:,} on {said}; {early} false alarms in the {calm:,} events before it")
    say(f"{outcome.asked:,} rows asked, {outcome.failed} failed; {outcome.counts.said() if outcome.counts else ''}")
    say(f"report: {options.to / REPORT}")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
