"""The report as plain text, for a terminal."""

from collections.abc import Iterator

from ml_policies.reports import Checked, Report, counted, ordered, summed


def render(report: Report) -> str:
    """One paragraph for each stack and framework, the verdict last; what no rule could ever show is only counted."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    for checked in report.stacks:
        yield from _stack(checked)
    for framework, verdicts in report.compliance:
        yield f"{framework.title} {framework.version}: {summed(verdicts)}"
        for one in (one for one in verdicts if not one.control.not_checkable):
            yield f"  {one.control.id}  {one.standing}  {one.control.title}{f' ({one.reason})' if one.reason else ''}"
        yield ""
    yield f"Rules: {', '.join(f'{count} {status}' for status, count in report.counts().items())}"
    yield report.title


def _stack(checked: Checked) -> Iterator[str]:
    verdict = checked.verdict
    yield f"{checked.name}: {counted(len(verdict.stack.resources), 'resource')}"
    for heading, judgements in ordered(verdict):
        yield f"  {heading}"
        for one in judgements:
            yield f"    {one.rule.id} {one.rule.severity}  {one.resource.type} {one.resource.name}"
            yield f"      {one.rule.sentence}"
            yield f"      {one.message}"
            if one.violates:
                yield f"      {one.rule.fix}"
    if verdict.expired:
        yield f"  Exemptions past their date ({verdict.expired_level})"
        yield from (f"    {one.rule} on {one.urn}: {one}" for one in verdict.expired)
    if verdict.unused:
        yield "  Exemptions that nothing needs"
        yield from (f"    {one.rule} on {one.urn}: {one}" for one in verdict.unused)
    yield ""
