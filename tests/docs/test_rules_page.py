"""The page of rules: that it is fresh, and that it says everything that the rules say."""

import pytest
from docs import rules
from ml_policies.framework import frameworks
from ml_policies.resource import CLOUDS
from ml_policies.rules import RULES


@pytest.fixture(scope="module")
def page() -> str:
    return rules.page()


def rows(page: str) -> dict[str, list[str]]:
    """The cells of the first row of each rule."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        if line.startswith("| MLB-"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            found.setdefault(cells[0], cells)
    return found


def test_the_page_is_fresh(page):
    assert rules.PAGE.read_text() == page, "docs/rules.md is stale: `python -m docs.rules` writes it anew"


def test_every_rule_has_a_row_with_all_clouds(page):
    listed = rows(page)
    assert listed.keys() == RULES.keys()
    for id_, (_, sentence, severity, *clouds, tools, controls) in listed.items():
        rule = RULES[id_]
        assert sentence == rule.sentence
        assert severity.startswith(rule.severity)
        assert [cell != "none" for cell in clouds] == [cloud in rule.clouds for cloud in CLOUDS.values()]
        assert all(f"`{reference.partition(':')[2]}`" in tools for reference in rule.references)
        assert any(f"`{framework}`" in controls for framework in frameworks())


def test_what_a_rule_lacks_or_does_otherwise_is_told(page):
    for rule in RULES.values():
        for why in (*rule.missing.values(), *rule.differs.values()):
            assert why in page
        for name, parameter in rule.parameters.items():
            assert f"| {rule.id} | `{name}` |" in page
            assert parameter.meaning in page


def test_what_cannot_be_checked_is_told_with_its_reason(page):
    for check, reason in rules.reasons().items():
        assert f"`{check.partition(':')[2]}` | {reason} |" in page


def test_every_framework_is_told_with_its_source(page):
    for framework in frameworks().values():
        assert f"]({framework.source}), `{framework.id}` |" in page
