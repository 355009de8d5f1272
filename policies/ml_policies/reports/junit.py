"""The report as JUnit XML: a suite for each stack, a case for each rule."""

import re
from collections import defaultdict
from xml.etree import ElementTree

from ml_policies.reports import Checked, Report
from ml_policies.rule import Level, Rule
from ml_policies.verdict import Judgement, Status

# What XML 1.0 can't hold, whichever way it is written.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render(report: Report) -> str:
    """An XML text. Only what is mandatory fails; what is advisory, or not shown either way, is skipped and says why."""
    root = ElementTree.Element("testsuites", name="ml-policies")
    suites = [_suite(report, checked) for checked in report.stacks]
    root.extend(suites)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _suite(report: Report, checked: Checked) -> ElementTree.Element:
    by_rule = defaultdict(list)
    for judgement in checked.verdict.judgements:
        by_rule[judgement.rule.id].append(judgement)
    cases = [_case(rule, checked, by_rule[rule.id]) for rule in report.rules]
    cases.append(_expired(checked))
    suite = ElementTree.Element("testsuite", name=_clean(checked.name), tests=str(len(cases)), errors="0")
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.extend(cases)
    return suite


def _case(rule: Rule, checked: Checked, judgements: list[Judgement]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=_clean(checked.name), name=f"{rule.id} {rule.sentence}")
    status = checked.verdict.rules[rule.id]
    blocking = [one for one in judgements if one.blocks]
    if blocking:
        failure = ElementTree.SubElement(case, "failure", type=rule.severity, message=rule.sentence)
        failure.text = _told(blocking, rule.fix)
    elif status is not Status.PASSED:
        reason = f"advisory: {status}" if status is Status.VIOLATED else status.value
        ElementTree.SubElement(case, "skipped", message=reason)
    if rest := [one for one in judgements if not one.blocks]:
        ElementTree.SubElement(case, "system-out").text = _told(rest)
    return case


def _expired(checked: Checked) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=_clean(checked.name), name="No exemption is past its date.")
    if checked.verdict.expired:
        advisory = checked.verdict.expired_level is Level.ADVISORY
        found = ElementTree.SubElement(case, "skipped" if advisory else "failure", message="past their date")
        found.text = _clean("\n".join(f"{one.rule} on {one.urn}: {one}" for one in checked.verdict.expired))
    return case


def _told(judgements: list[Judgement], *more: str) -> str:
    lines = (f"{one.resource.urn}: {one.outcome}: {one.message}" for one in judgements)
    return _clean("\n".join((*lines, *more)))


def _clean(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
