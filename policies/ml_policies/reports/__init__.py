"""Reports: what was checked and found, in the formats that people and their tools read."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ml_policies.compliance import ControlVerdict, Standing, combined, controls
from ml_policies.framework import Framework
from ml_policies.rule import Rule
from ml_policies.rules import GROUPS
from ml_policies.verdict import Judgement, Outcome, Status, Verdict

# Format -> the module of this package whose `render(report)` writes it.
FORMATS: Mapping[str, str] = {
    "text": "text",
    "json": "json_data",
    "sarif": "sarif",
    "junit": "junit",
    "markdown": "markdown",
    "html": "html_page",
}


@dataclass(frozen=True)
class Checked:
    """A stack with its verdict. name: of the file or the stack. lines: by URN, its line in the file, if it is one."""

    name: str
    verdict: Verdict
    lines: Mapping[str, int] | None = None

    @property
    def file(self) -> str:
        """The file to point at: the export or, for a stack, its configuration as Pulumi names it."""
        return self.name if self.lines is not None else f"Pulumi.{self.name.rpartition('/')[2]}.yaml"


@dataclass(frozen=True)
class Report:
    """Everything that a report tells. documentation: where the page with the rules is, if it is anywhere."""

    stacks: tuple[Checked, ...]
    rules: tuple[Rule, ...]
    environment: str = ""
    frameworks: tuple[Framework, ...] = ()
    documentation: str = ""

    @property
    def passes(self) -> bool:
        """Whether nothing mandatory is violated in any stack."""
        return all(checked.verdict.passes for checked in self.stacks)

    @cached_property
    def statuses(self) -> Mapping[str, Status]:
        """How each rule stands over all stacks."""
        return combined(checked.verdict.rules for checked in self.stacks)

    @cached_property
    def compliance(self) -> list[tuple[Framework, list[ControlVerdict]]]:
        """How the controls of each framework stand over all stacks."""
        return [(framework, controls(framework, self.statuses)) for framework in self.frameworks]

    @property
    def title(self) -> str:
        """The verdict in a sentence."""
        blocking = sum(checked.verdict.blocking for checked in self.stacks)
        resources = sum(len(checked.verdict.stack.resources) for checked in self.stacks)
        what = counted(blocking, "mandatory violation") if blocking else "no mandatory violation"
        where = f" in {self.environment}" if self.environment else ""
        size = f"{counted(len(self.stacks), 'stack')}, {counted(resources, 'resource')}"
        return f"{'Passed' if self.passes else 'Failed'}{where}: {what}; {size}"

    def help_of(self, rule: Rule) -> str:
        """The address of what is written about a rule: its group's part of the page; empty where none is published."""
        group = next(group for group, part in GROUPS.items() if rule.id.startswith(f"MLB-{part}-"))
        return f"{self.documentation}#{group.replace('_', '-')}" if self.documentation else ""

    def counts(self) -> Mapping[str, int]:
        """How many rules stand how, over all stacks."""
        found = list(self.statuses.values())
        return {status.value: found.count(status) for status in Status if status in found}


def render(report: Report, format_: str) -> str:
    """A report in a format. Raises KeyError for an unknown one."""
    return importlib.import_module(f"ml_policies.reports.{FORMATS[format_]}").render(report)


def ordered(verdict: Verdict) -> Iterator[tuple[str, list[Judgement]]]:
    """The judgements of a stack under their headings, what blocks first; within, by severity and rule."""
    severities = ["critical", "high", "medium", "low"]
    ranked = sorted(verdict.judgements, key=lambda one: (severities.index(one.rule.severity), one.rule.id))
    headings = {
        "Mandatory violations": [one for one in ranked if one.blocks],
        "Advisory violations": [one for one in ranked if one.violates and not one.blocks],
        "Decided at deployment": [one for one in ranked if one.outcome is Outcome.UNDECIDED],
        "Exempted": [one for one in ranked if one.outcome is Outcome.EXEMPTED],
    }
    yield from ((heading, judgements) for heading, judgements in headings.items() if judgements)


def summed(verdicts: list[ControlVerdict]) -> str:
    """How many controls stand how, as words."""
    found = [one.standing for one in verdicts]
    return ", ".join(f"{found.count(standing)} {standing}" for standing in Standing if standing in found)


def counted(count: int, what: str) -> str:
    """A count of things, in words."""
    return f"{count} {what}{'s' * (count != 1)}"
