"""The rules as a whole: ids, sentences, clouds and types."""

import re

import pytest
from ml_blueprints.dynamic.vertex_ai import VertexDeployment, VertexModel, VertexTraffic
from ml_policies.resource import CLOUDS
from ml_policies.rule import Level, Severity
from ml_policies.rules import GROUPS, RULES
from sandbox import schema

REFERENCE = re.compile(r"(checkov|azure-policy|security-hub|prowler|cdk-nag|google-org-policy|trivy|kics):[\w.-]+")

_DYNAMIC = {f"pulumi-python:{made._resource_type_name}" for made in (VertexModel, VertexDeployment, VertexTraffic)}


@pytest.fixture(params=RULES.values(), ids=RULES.keys())
def rule(request):
    return request.param


def test_an_id_is_of_its_group_and_numbered(rule):
    assert re.fullmatch(rf"MLB-({'|'.join(GROUPS.values())})-\d{{3}}", rule.id)


def test_a_rule_speaks_to_people(rule):
    assert re.fullmatch(r"[A-Z].{10,160}\.", rule.sentence)
    assert rule.fix.endswith(".")


def test_a_rule_guards_types_that_the_sdks_have(rule):
    for type_ in rule.types:
        made_by_programs = type_.startswith("pulumi-python:")
        known = _DYNAMIC if made_by_programs else schema.package(type_.partition(":")[0]).tokens
        assert type_ in known


def test_a_cloud_without_a_check_has_a_reason(rule):
    assert rule.clouds | rule.missing.keys() == set(CLOUDS.values())
    assert not rule.clouds & rule.missing.keys()
    assert all(re.fullmatch(r"[A-Z].{10,}\.", reason) for reason in rule.missing.values())


def test_references_name_a_tool_and_a_check(rule):
    assert all(REFERENCE.fullmatch(reference) for reference in (*rule.references, *rule.differs))
    assert len(set(rule.references)) == len(rule.references)


def test_only_rules_of_little_harm_are_advisory(rule):
    assert (rule.level is Level.ADVISORY) == (rule.severity is Severity.LOW)


def test_parameters_have_a_meaning_and_a_default_of_their_schema(rule):
    for parameter in rule.parameters.values():
        assert parameter.meaning.endswith(".")
        assert parameter.schema["type"] in {"array", "boolean", "integer", "number", "string", "object"}


def test_sentences_are_told_apart():
    sentences = [rule.sentence for rule in RULES.values()]
    assert len(set(sentences)) == len(sentences)
