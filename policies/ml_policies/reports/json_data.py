"""The report as JSON: all of it, for programs."""

import json
from collections.abc import Mapping
from typing import Any

from ml_policies.exemption import Exemption
from ml_policies.reports import Checked, Report
from ml_policies.verdict import Judgement


def render(report: Report) -> str:
    """A JSON text; fields may be added to it, and none changes its meaning."""
    content = {
        "passes": report.passes,
        "title": report.title,
        "environment": report.environment,
        "rules": {
            rule.id: {
                "status": report.statuses[rule.id],
                "sentence": rule.sentence,
                "severity": rule.severity,
                "fix": rule.fix,
            }
            for rule in report.rules
        },
        "stacks": [_stack(checked) for checked in report.stacks],
        "frameworks": [
            {
                "id": framework.id,
                "title": framework.title,
                "version": framework.version,
                "source": framework.source,
                "controls": [
                    {
                        "id": one.control.id,
                        "title": one.control.title,
                        "standing": one.standing,
                        "reason": one.reason,
                        "rules": one.rules,
                    }
                    for one in verdicts
                ],
            }
            for framework, verdicts in report.compliance
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def _stack(checked: Checked) -> Mapping[str, Any]:
    verdict = checked.verdict
    return {
        "name": checked.name,
        "passes": verdict.passes,
        "resources": len(verdict.stack.resources),
        "rules": verdict.rules,
        "judgements": [_judgement(one) for one in verdict.judgements],
        "expiredExemptions": [_exemption(one) for one in verdict.expired],
        "expiredExemptionsLevel": verdict.expired_level,
        "unusedExemptions": [_exemption(one) for one in verdict.unused],
    }


def _judgement(judgement: Judgement) -> Mapping[str, Any]:
    return {
        "rule": judgement.rule.id,
        "outcome": judgement.outcome.name.lower(),
        "level": judgement.level,
        "blocks": judgement.blocks,
        "urn": judgement.resource.urn,
        "type": judgement.resource.type,
        "found": [str(result) for result in judgement.results],
        "exemption": _exemption(judgement.exemption) if judgement.exemption else None,
    }


def _exemption(exemption: Exemption) -> Mapping[str, Any]:
    return {
        "rule": exemption.rule,
        "urn": exemption.urn,
        "owner": exemption.owner,
        "reason": exemption.reason,
        "ticket": exemption.ticket,
        "expires": exemption.expires.isoformat(),
    }
