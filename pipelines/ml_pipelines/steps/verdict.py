"""Verdicts: what was checked, what came out, by how much it failed and what would help, as JSON and as JUnit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ml_pipelines.steps.files import json_text

VERDICT, JUNIT = "verdict.json", "verdict.xml"
# What an evaluation leaves beside its verdict.
METRICS, REPORT, CARD = "metrics.json", "report.html", "model_card.md"


@dataclass(frozen=True)
class Check:
    """One thing that was checked. `value` and `bound` are in the unit that `said` names; `remedy` is for failures."""

    gate: str
    name: str
    passed: bool
    said: str
    value: float | None = None
    bound: float | None = None
    remedy: str = ""

    @property
    def short_by(self) -> float | None:
        """By how much it failed; None where it passed or no number tells."""
        if self.passed or self.value is None or self.bound is None:
            return None
        return abs(self.value - self.bound)


@dataclass(frozen=True)
class Verdict:
    """All that was checked of a model, or of data."""

    subject: str
    checks: Sequence[Check] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and something was checked."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failures(self) -> list[Check]:
        """What failed."""
        return [check for check in self.checks if not check.passed]

    def as_json(self) -> dict[str, Any]:
        """For files."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "failed": len(self.failures),
            "checks": [{**asdict(check), "short_by": check.short_by} for check in self.checks],
        }

    def junit(self) -> str:
        """The same as JUnit XML, which CI servers show: a suite for each gate, a case for each check."""
        suites = ElementTree.Element("testsuites", name=self.subject)
        for gate in dict.fromkeys(check.gate for check in self.checks):
            cases = [check for check in self.checks if check.gate == gate]
            failed = sum(not check.passed for check in cases)
            suite = ElementTree.SubElement(suites, "testsuite", name=gate, tests=str(len(cases)), failures=str(failed))
            for check in cases:
                case = ElementTree.SubElement(suite, "testcase", classname=gate, name=check.name)
                if check.passed:
                    ElementTree.SubElement(case, "system-out").text = check.said
                else:
                    by = "" if check.short_by is None else f" (by {check.short_by:.4g})"
                    failure = ElementTree.SubElement(case, "failure", message=check.said + by, type=gate)
                    failure.text = check.remedy
        ElementTree.indent(suites)
        return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"

    def write(self, folder: Path) -> None:
        """Write verdict.json and verdict.xml."""
        (folder / VERDICT).write_text(json_text(self.as_json()), encoding="utf-8")
        (folder / JUNIT).write_text(self.junit(), encoding="utf-8")


def failures(said: Mapping[str, Any]) -> list[str]:
    """What failed, a line for each check, of what verdict.json says."""
    return [f"{one['gate']}, {one['name']}: {one['said']}" for one in said["checks"] if not one["passed"]]
