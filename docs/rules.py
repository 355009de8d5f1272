"""Writes rules.md: each rule with its clouds, the checks of other tools that it covers, and the controls it serves.

`make docs` writes it with the other pages; `python -m docs.rules` writes only this one, for which no stack has to run.
"""

import csv
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from docs.markdown import heads, row, type_name
from ml_policies.framework import frameworks
from ml_policies.resource import cloud_of
from ml_policies.rule import Rule
from ml_policies.rules import GROUPS, RULES

PAGE = Path(__file__).parent / "rules.md"
# The checks on machine learning of other tools, which the tests hold against the rules.
ANCHORS = Path(__file__).parents[1] / "tests" / "policies" / "anchors.csv"
NOT_CHECKABLE = Path(__file__).parents[1] / "policies" / "ml_policies" / "not_checkable.yaml"
CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
TOOLS = {
    "checkov": "Checkov",
    "azure-policy": "Azure Policy",
    "security-hub": "AWS Security Hub",
    "prowler": "Prowler",
    "cdk-nag": "cdk-nag",
    "google-org-policy": "Google organisation policies",
    "trivy": "Trivy",
    "kics": "KICS",
}


def page() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def reasons() -> Mapping[str, str]:
    """By `tool:id`, why infrastructure code can't show what another tool's check looks at."""
    return yaml.safe_load(NOT_CHECKABLE.read_text())


def anchors() -> list[Mapping[str, str]]:
    """The checks on machine learning of other tools: tool, id, cloud, resource and what they look at."""
    with ANCHORS.open(newline="") as file:
        return list(csv.DictReader(file))


def _page() -> Iterator[str]:
    yield from (
        "# Rules",
        "",
        f"The {len(RULES)} rules of the policy pack. `make docs` writes this page from `policies/ml_policies/rules/`, "
        "`frameworks/` and `not_checkable.yaml`; a test compares it. A rule is mandatory, or advisory where its "
        "severity is low; the configuration of the pack can change that.",
        "",
        "## Clouds and tools",
        "",
        "How many rules each cloud has, and how many checks on machine learning other tools have for it: those that a "
        "rule covers, those that infrastructure code can't show, and all. The last column counts every check that a "
        "rule names, on other resources too.",
        "",
    )
    yield from _counts()
    for group, part in GROUPS.items():
        yield from _group(group, [RULES[id_] for id_ in sorted(RULES) if id_.startswith(f"MLB-{part}-")])
    yield from ("", "## What infrastructure code can't show", "")
    yield "Checks of other tools on machine learning that no rule covers, and why."
    yield ""
    yield from heads("check", "reason")
    for check, reason in sorted(reasons().items()):
        yield from row(_check(check), reason)
    yield from ("", "## Frameworks", "")
    yield from heads("framework", "version", "controls", "with rules", "rules")
    for framework in frameworks().values():
        served = sum(bool(control.rules) for control in framework.controls)
        name = f"[{framework.title}]({framework.source}), `{framework.id}`"
        yield from row(name, framework.version, str(len(framework.controls)), str(served), str(len(framework.rules)))


def _counts() -> Iterator[str]:
    covered = {reference for rule in RULES.values() for reference in rule.references}
    yield from heads("", *CLOUDS.values(), "named by rules")
    yield from row(
        "rules of this pack", *(str(sum(cloud in rule.clouds for rule in RULES.values())) for cloud in CLOUDS), ""
    )
    for tool, title in TOOLS.items():
        named = sum(reference.startswith(f"{tool}:") for reference in covered)
        cells = []
        for cloud in CLOUDS:
            checks = {f"{tool}:{one['id']}" for one in anchors() if (one["tool"], one["cloud"]) == (tool, cloud)}
            left = checks - covered
            cells.append(f"{len(checks & covered)} + {len(left & reasons().keys())} of {len(checks)}" if checks else "")
        if named or any(cells):
            yield from row(title, *cells, str(named))


def _group(group: str, rules: list[Rule]) -> Iterator[str]:
    title = group.replace("_", " ").capitalize()
    about = (importlib.import_module(f"ml_policies.rules.{group}").__doc__ or "").partition("\n")[0]
    yield from ("", f"## {title}", "", about, "")
    yield from heads("rule", "what must hold", "severity", *CLOUDS.values(), "checks of other tools", "controls")
    for rule in rules:
        severity = f"{rule.severity}{'' if rule.exemptible else ', never exempted'}"
        types = [", ".join(f"`{type_name(type_)}`" for type_ in _types(rule, cloud)) or "none" for cloud in CLOUDS]
        yield from row(rule.id, rule.sentence, severity, *types, _checks(rule), _controls(rule))
    if parameters := [(rule, name) for rule in rules for name in rule.parameters]:
        yield from ("", f"### {title}: parameters", "")
        yield from heads("rule", "parameter", "default", "meaning")
        for rule, name in parameters:
            parameter = rule.parameters[name]
            yield from row(rule.id, f"`{name}`", f"`{json.dumps(parameter.default)}`", parameter.meaning)
    if any(rule.missing for rule in rules):
        yield from ("", f"### {group.replace('_', ' ').capitalize()}: clouds without a check", "")
        yield from (
            f"- {rule.id}, {CLOUDS[cloud]}: {reason}"
            for rule in rules
            for cloud, reason in sorted(rule.missing.items())
        )
    if any(rule.differs for rule in rules):
        yield from ("", f"### {group.replace('_', ' ').capitalize()}: where we judge otherwise", "")
        yield from (
            f"- {rule.id}, {_check(check)}: {why}" for rule in rules for check, why in sorted(rule.differs.items())
        )


def _types(rule: Rule, cloud: str) -> list[str]:
    return sorted(type_ for type_ in rule.types if cloud_of(type_) == cloud)


def _checks(rule: Rule) -> str:
    """The checks of other tools that a rule covers, by tool."""
    found = {
        title: [f"`{one.partition(':')[2]}`" for one in sorted(rule.references) if one.startswith(f"{tool}:")]
        for tool, title in TOOLS.items()
    }
    return "; ".join(f"{title} {', '.join(checks)}" for title, checks in found.items() if checks)


def _check(reference: str) -> str:
    tool, _, id_ = reference.partition(":")
    return f"{TOOLS[tool]} `{id_}`"


def _controls(rule: Rule) -> str:
    served = {id_: framework.controls_of(rule) for id_, framework in frameworks().items()}
    return "; ".join(f"`{id_}` {', '.join(controls)}" for id_, controls in served.items() if controls)


if __name__ == "__main__":
    PAGE.write_text(page())
