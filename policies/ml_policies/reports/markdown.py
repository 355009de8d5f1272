"""The report as Markdown, for a pull request or a job's summary."""

import html
import re
from collections.abc import Iterator

from ml_policies.reports import Checked, Report, counted, ordered, summed

# A summary has room for a megabyte; what blocks comes first.
_MOST_ROWS = 200


def render(report: Report) -> str:
    """The verdict as the heading, then one section for each stack and each framework."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_escaped(report.title)}"
    yield ""
    yield f"Rules: {', '.join(f'{count} {status}' for status, count in report.counts().items())}."
    for checked in report.stacks:
        yield from _stack(report, checked)
    for framework, verdicts in report.compliance:
        yield from ("", f"## [{_escaped(framework.title)} {framework.version}]({framework.source})", "")
        yield from (f"{summed(verdicts)}.", "", "| control | | standing | why |", "| --- | --- | --- | --- |")
        for one in verdicts:
            yield _row(one.control.id, one.control.title, one.standing, one.reason)


def _stack(report: Report, checked: Checked) -> Iterator[str]:
    verdict = checked.verdict
    yield from ("", f"## {_escaped(checked.name)}", "", f"{counted(len(verdict.stack.resources), 'resource')}.")
    for heading, judgements in ordered(verdict):
        yield from ("", f"### {heading}: {len(judgements)}", "")
        yield from ("| rule | severity | resource | found | to do |", "| --- | --- | --- | --- | --- |")
        for one in judgements[:_MOST_ROWS]:
            uri = report.help_of(one.rule)
            rule = f"[{one.rule.id}]({uri})" if uri else one.rule.id
            name = f"{_escaped(one.resource.type)}<br>{_escaped(one.resource.name)}"
            found = f"{_escaped(one.rule.sentence)}<br>{_escaped(one.message)}"
            yield f"| {rule} | {one.rule.severity} | {name} | {found} | {_escaped(one.rule.fix)} |"
        if len(judgements) > _MOST_ROWS:
            yield from ("", f"{len(judgements) - _MOST_ROWS} more are in the other formats.")
    for heading, exemptions in (
        (f"Exemptions past their date ({verdict.expired_level})", verdict.expired),
        ("Exemptions that nothing needs", verdict.unused),
    ):
        if exemptions:
            yield from ("", f"### {heading}: {len(exemptions)}", "", "| rule | resources | |", "| --- | --- | --- |")
            yield from (_row(one.rule, one.urn, str(one)) for one in exemptions)


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """A text that means itself: what is in a stack can't become markup of a report."""
    escaped = re.sub(r"([\\|*_\[\]`#])", r"\\\1", html.escape(text, quote=False))
    return escaped.replace("\r", "").replace("\n", "<br>").replace("@", "@\u200b")
