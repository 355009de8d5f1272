"""Run the loop on this machine, and write its report: `make loop`, or `python -m ml_pipelines.loop`."""

import argparse
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

    shutil.rmtree(options.to, ignore_errors=True)
    try:
        outcome = run(options.to, Plan(Scenario(options.seed)), say)
    except (LoopError, ProcessError, StepError) as error:
        print(f"loop: {error}", file=sys.stderr)
        return 1
    (options.to / REPORT).write_text(html(outcome), encoding="utf-8")
    calm = sum(seen.report.rows for seen in outcome.calm)
    say(f"drift from event {outcome.plan.scenario.drift_at:,} on was told after {outcome.detection_delay:,} events")
    say(f"{outcome.false_alarms} false alarms in the {len(outcome.calm)} windows ({calm:,} events) before it")
    say(f"{outcome.asked:,} rows asked, {outcome.failed} failed; {outcome.counts.said() if outcome.counts else ''}")
    say(f"report: {options.to / REPORT}")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
