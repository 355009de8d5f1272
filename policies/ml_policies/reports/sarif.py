"""The report as SARIF 2.1.0, which code scanning reads: https://docs.oasis-open.org/sarif/sarif/v2.1.0/"""

import hashlib
import importlib.metadata
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_policies.reports import Checked, Report
from ml_policies.rule import Level, Rule, Severity
from ml_policies.verdict import Judgement, Outcome

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# The rule of what the configuration itself does wrong.
EXPIRED = "MLB-EXEMPTION-EXPIRED"
# How code scanning ranks alerts: over 9 is critical, from 7 high, from 4 medium.
_MOST_TAGS = 20
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}


def render(report: Report) -> str:
    """A SARIF text with one run. Exempted results are suppressed, undecided ones are open."""
    content = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "ml-policies",
                        **_version(),
                        "rules": [*(_rule(report, rule) for rule in report.rules), _expired_rule()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [result for checked in report.stacks for result in _results(report, checked)],
            }
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def _version() -> Mapping[str, str]:
    try:
        return {"version": importlib.metadata.version("ml-policies")}
    except importlib.metadata.PackageNotFoundError:
        # It runs from a folder, as policies/run starts it.
        return {}


def _rule(report: Report, rule: Rule) -> Mapping[str, Any]:
    controls = [f"{one.id}/{control}" for one in report.frameworks for control in one.controls_of(rule)]
    described = {
        "id": rule.id,
        "name": rule.id,
        "shortDescription": {"text": rule.sentence},
        "fullDescription": {"text": rule.sentence},
        "help": {"text": rule.fix, "markdown": rule.fix},
        "defaultConfiguration": {"level": _level(rule.level)},
        "properties": {
            "precision": "very-high",
            "problem.severity": _level(rule.level),
            "security-severity": _SCORES[rule.severity],
            "tags": ["security", *controls, *rule.references][:_MOST_TAGS],
        },
    }
    return {**described, "helpUri": report.help_of(rule)} if report.documentation else described


def _expired_rule() -> Mapping[str, Any]:
    text = "An exemption is taken away, or renewed with a reason, once its last day is over."
    return {
        "id": EXPIRED,
        "name": EXPIRED,
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "help": {"text": "Take the exemption out of the configuration, or give it another day and say why."},
        "defaultConfiguration": {"level": "error"},
    }


def _results(report: Report, checked: Checked) -> Iterator[Mapping[str, Any]]:
    places = {rule.id: index for index, rule in enumerate(report.rules)}
    for judgement in checked.verdict.judgements:
        yield _result(judgement, checked, places[judgement.rule.id])
    for exemption in checked.verdict.expired:
        yield {
            "ruleId": EXPIRED,
            "ruleIndex": len(places),
            "level": _level(checked.verdict.expired_level),
            "message": {"text": f"{exemption.rule} on {exemption.urn}: {exemption}"},
            "locations": [{"physicalLocation": _place(checked, "")}],
            "partialFingerprints": {"exemption/v1": _hash(exemption.rule, exemption.urn, exemption.ticket)},
        }


def _result(judgement: Judgement, checked: Checked, index: int) -> Mapping[str, Any]:
    resource = judgement.resource
    undecided = judgement.outcome is Outcome.UNDECIDED
    result: dict[str, Any] = {
        "ruleId": judgement.rule.id,
        "ruleIndex": index,
        "kind": "open" if undecided else "fail",
        "level": "none" if undecided else _level(judgement.level),
        "message": {"text": f"{judgement.rule.sentence} {resource.type} {resource.name}: {judgement.message}"},
        "locations": [
            {
                "physicalLocation": _place(checked, resource.urn),
                "logicalLocations": [
                    {"name": resource.name, "fullyQualifiedName": resource.urn, "kind": "resource"},
                ],
            }
        ],
        "partialFingerprints": {"ruleAndResource/v1": _hash(judgement.rule.id, resource.urn)},
    }
    if judgement.outcome is Outcome.EXEMPTED:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": str(judgement.exemption)}]
    return result


def _place(checked: Checked, urn: str) -> Mapping[str, Any]:
    file = Path(checked.file)
    uri = file.as_uri() if file.is_absolute() else urllib.parse.quote(file.as_posix())
    return {"artifactLocation": {"uri": uri}, "region": {"startLine": (checked.lines or {}).get(urn, 1)}}


def _level(level: Level) -> str:
    return "warning" if level is Level.ADVISORY else "error"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
