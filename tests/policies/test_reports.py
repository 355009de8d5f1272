"""Reports: each format holds what was found, in the shape that its readers expect, whatever a stack is named."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from ml_policies.configuration import Configuration
from ml_policies.framework import Control, Framework
from ml_policies.reports import FORMATS, Checked, Report, render
from ml_policies.resource import Stack
from ml_policies.verdict import Judge
from tests.policies.samples import BUCKET, RULES, STACK, TODAY, exemption, resource

NASTY = "<script>alert(1)</script>|\x00[a](javascript:b)\n@all"
SMALL = Framework(
    "small",
    "A small framework",
    "2",
    "https://example.com/small",
    (Control("1", "Keys", ("MLB-ENC-001",)), Control("2", "People", (), "People show it.")),
)
DOCUMENTATION = "https://example.com/docs/rules.md"


def report(content=None, stack=STACK, name="export.json", lines=None):
    judge = Judge(Configuration.load(content or {}, rules=RULES), RULES.values(), TODAY)
    checked = Checked(name, judge.stack(stack), {} if lines is None else lines)
    return Report((checked,), judge.rules, "production", (SMALL,), DOCUMENTATION)


EXEMPTIONS = {
    "settings": {
        "exemptions": [
            exemption(),
            exemption(urn="*::jobs", rule="MLB-DAT-001", expires="2026-01-01", ticket="OLD-1"),
            exemption(urn="*::nowhere", ticket="UNUSED-1"),
        ]
    }
}


@pytest.fixture(params=FORMATS)
def format_(request):
    return request.param


def test_every_format_tells_what_was_found(format_):
    text = render(report(EXEMPTIONS), format_)
    for word in ("MLB-NET-001", "MLB-ENC-001", "bare", "jobs", "open", "OLD-1", "ml-platform", "decided at deployment"):
        assert word in text


def test_every_format_but_those_of_tools_tells_the_title_and_the_frameworks(format_):
    text = render(report(EXEMPTIONS), format_)
    if format_ in ("sarif", "junit"):
        return
    assert "Failed in production: 3 mandatory violations; 1 stack, 4 resources" in text
    assert "A small framework" in text
    assert "UNUSED-1" in text
    assert "1 not checkable here" in text or format_ == "json"


def test_a_pass_is_told_as_one(format_):
    text = render(report(stack=Stack(STACK.resources[:1])), format_)
    if format_ not in ("sarif", "junit"):
        assert "Passed in production: no mandatory violation; 1 stack, 1 resource" in text


def test_every_format_holds_any_name(format_):
    text = render(report(stack=Stack((resource(BUCKET, NASTY, key=NASTY, public=NASTY),)), name=NASTY), format_)
    if format_ == "html":
        assert "<script" not in text
    elif format_ == "markdown":
        assert "<script" not in text
        assert "@all" not in text
        assert "](javascript" not in text.replace("\\]", "")
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert all(len(re.findall(r"(?<!\\)\|", line)) == 6 for line in tables if "MLB" in line)
    elif format_ == "junit":
        ElementTree.fromstring(text)  # noqa: S314 (our own)
    elif format_ in ("json", "sarif"):
        json.loads(text)


def test_sarif_has_the_required_fields():
    content = json.loads(render(report(EXEMPTIONS), "sarif"))
    (run,) = content["runs"]
    assert content["version"] == "2.1.0"
    driver = run["tool"]["driver"]
    assert driver["name"] == "ml-policies"
    assert [rule["id"] for rule in driver["rules"]] == [*RULES, "MLB-EXEMPTION-EXPIRED"]
    for rule in driver["rules"][:-1]:
        assert re.fullmatch(rf"{DOCUMENTATION}#(encryption|network|data|supply-chain)", rule["helpUri"])
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"warning", "error"}
        assert 0 < float(rule["properties"]["security-severity"]) < 10
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in {"none", "warning", "error"}
        place = result["locations"][0]["physicalLocation"]
        assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("export.json", 1)
    fingerprints = [tuple(result["partialFingerprints"].values()) for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_sarif_tells_outcomes_apart():
    results = json.loads(render(report(EXEMPTIONS), "sarif"))["runs"][0]["results"]
    found = {
        (one["ruleId"], one["locations"][0].get("logicalLocations", [{"name": ""}])[0]["name"]): one for one in results
    }
    assert (found["MLB-ENC-001", "open"]["kind"], found["MLB-ENC-001", "open"]["level"]) == ("open", "none")
    (suppression,) = found["MLB-ENC-001", "bare"]["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert "ml-platform" in suppression["justification"]
    assert found["MLB-NET-001", "bare"]["level"] == "error"
    assert found["MLB-EXEMPTION-EXPIRED", ""]["level"] == "error"
    assert "suppressions" not in found["MLB-DAT-001", "jobs"]


def test_sarif_points_at_the_line_of_the_resource():
    lines = {one.urn: number for number, one in enumerate(STACK.resources, 10)}
    results = json.loads(render(report(lines=lines), "sarif"))["runs"][0]["results"]
    assert [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in results] == [11, 11, 12, 13]


def test_sarif_keeps_its_fingerprints_when_a_message_changes():
    def fingerprints(content):
        results = json.loads(render(report(content), "sarif"))["runs"][0]["results"]
        return [one["partialFingerprints"] for one in results if one["ruleId"] == "MLB-NET-002"]

    assert fingerprints({"MLB-NET-002": {"regions": ["eu-west-1"]}}) == fingerprints(
        {"MLB-NET-002": {"regions": ["eu-west-1", "eu-west-2"], "enforcementLevel": "mandatory"}}
    )


def test_a_stack_points_at_its_configuration_file():
    assert Checked("org/shop/prod", report().stacks[0].verdict).file == "Pulumi.prod.yaml"


def test_junit_counts_and_explains():
    content = {"MLB-DAT-001": "advisory", "settings": {"enforcementLevel": "advisory"}}
    root = ElementTree.fromstring(render(report(content), "junit"))  # noqa: S314
    (suite,) = root
    assert [root.get(name) for name in ("tests", "failures", "skipped")] == ["6", "2", "2"]
    cases = {case.get("name").partition(" ")[0]: case for case in suite}
    assert "urn:pulumi:prod::shop::aws:s3/bucket:Bucket::bare" in cases["MLB-ENC-001"].find("failure").text
    assert cases["MLB-SUP-001"].find("skipped").get("message") == "not applicable"
    assert cases["MLB-DAT-001"].find("skipped").get("message") == "advisory: violated"
    assert len(cases["MLB-NET-002"]) == 0


def test_junit_fails_for_an_expired_exemption():
    root = ElementTree.fromstring(render(report(EXEMPTIONS), "junit"))  # noqa: S314
    assert "OLD-1" in root[0][-1].find("failure").text


def test_json_holds_everything():
    content = json.loads(render(report(EXEMPTIONS), "json"))
    assert (content["passes"], content["environment"]) == (False, "production")
    assert content["rules"]["MLB-SUP-001"]["status"] == "not applicable"
    (stack,) = content["stacks"]
    assert {one["outcome"] for one in stack["judgements"]} == {"violation", "undecided", "exempted", "expired"}
    assert [one["ticket"] for one in stack["expiredExemptions"]] == ["OLD-1"]
    assert [one["ticket"] for one in stack["unusedExemptions"]] == ["UNUSED-1"]
    standings = [one["standing"] for one in content["frameworks"][0]["controls"]]
    assert standings == ["decided at deployment", "not checkable here"]


class Outline(HTMLParser):
    """What a page is made of: its tags, and what it would fetch."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.fetched, self.ids, self.labels = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.seen.append((tag, given))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe") or "src" in given:
            self.fetched.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        self.labels += [given["aria-labelledby"]] if "aria-labelledby" in given else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_accessible():
    outline = Outline()
    outline.feed(render(report(EXEMPTIONS), "html"))
    assert outline.open == []
    assert outline.fetched == []
    assert ("html", {"lang": "en"}) in outline.seen
    assert len(set(outline.ids)) == len(outline.ids)
    assert set(outline.labels) <= set(outline.ids)
    tags = [tag for tag, _ in outline.seen]
    assert (tags.count("h1"), tags.count("main")) == (1, 1)
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in given for tag, given in outline.seen if tag == "th")


def test_a_long_markdown_table_is_cut_and_says_so():
    many = Stack(tuple(resource(BUCKET, f"b{index}", public=True, key="k") for index in range(250)))
    text = render(report(stack=many), "markdown")
    assert "### Mandatory violations: 250" in text
    assert "50 more are in the other formats." in text


def test_an_unknown_format_is_an_error():
    with pytest.raises(KeyError):
        render(report(), "pdf")
