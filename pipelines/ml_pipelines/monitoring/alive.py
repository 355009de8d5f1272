"""Alive: whether a monitor still reports. One that has stopped finds no drift, as one does that looks and finds none.

    python -m ml_pipelines.monitoring.alive drift.json --within-minutes 90

Exit codes: 0; 3 where the report is missing, older than that, or can't be read.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_pipelines.monitoring.report import WINDOW, Finding, Kind, Report, Verdict
from ml_pipelines.steps import command

REPORT = "report_age_ms"
_MINUTE_MS = 60_000


def alive(file: Path, within: int, now: int) -> Finding:
    """What is found about the newest report: an alarm where it isn't of the last `within` ms before `now`."""

    def finding(said: str, verdict: Verdict = Verdict.ALARM, age: float | None = None, rows: int = 0) -> Finding:
        return Finding(Kind.ABSENCE, WINDOW, REPORT, verdict, said, rows, found=age, threshold=float(within))

    try:
        report = Report.from_json(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return finding(f"{file}: there is no report")
    except (ValueError, AttributeError) as error:
        return finding(f"{file}: can't be read: {error}")
    if report.as_of is None:
        return finding(f"{file}: doesn't say when it was made")
    age = now - report.as_of
    said = f"{file}: was made {age / _MINUTE_MS:,.0f} minutes ago; {within / _MINUTE_MS:,.0f} are allowed"
    return finding(said, Verdict.ALARM if age > within else Verdict.OK, float(age), report.rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; says what it found."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.monitoring.alive", description=__doc__)
    parser.add_argument("report", type=Path, help="the newest drift.json")
    parser.add_argument("--within-minutes", type=float, required=True, help="how old it may be")
    options = parser.parse_args(arguments)
    found = alive(options.report, round(options.within_minutes * _MINUTE_MS), command.moment("now"))
    failed = found.verdict is Verdict.ALARM
    print(f"alive: {found.reason}", file=sys.stderr if failed else sys.stdout)
    return command.REFUSED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
