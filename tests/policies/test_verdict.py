"""Verdicts: what findings mean under levels and exemptions, and how the rules stand."""

import pytest
from ml_policies.checks import Scope
from ml_policies.configuration import Configuration
from ml_policies.rule import Level, Rule, Severity
from ml_policies.verdict import Judge, Outcome, Status
from tests.policies.samples import BUCKET, KEY, RULES, STACK, TODAY, exemption


def judge(content=None):
    return Judge(Configuration.load(content or {}, rules=RULES), RULES.values(), TODAY)


def outcomes(verdict):
    return {(one.rule.id, one.resource.name): one.outcome for one in verdict.judgements}


def test_each_rule_has_its_outcome_on_each_resource():
    verdict = judge().stack(STACK)
    assert outcomes(verdict) == {
        ("MLB-ENC-001", "bare"): Outcome.VIOLATION,
        ("MLB-NET-001", "bare"): Outcome.VIOLATION,
        ("MLB-ENC-001", "open"): Outcome.UNDECIDED,
        ("MLB-DAT-001", "jobs"): Outcome.VIOLATION,
    }
    assert (verdict.passes, verdict.blocking) == (False, 3)


def test_each_rule_stands_as_its_worst_outcome():
    assert judge({"MLB-DAT-001": "disabled"}).stack(STACK).rules == {
        "MLB-ENC-001": Status.VIOLATED,
        "MLB-NET-001": Status.VIOLATED,
        "MLB-NET-002": Status.PASSED,
        "MLB-DAT-001": Status.DISABLED,
        "MLB-SUP-001": Status.NOT_APPLICABLE,
    }


def test_a_rule_that_is_open_somewhere_has_not_passed():
    content = {"settings": {"exemptions": [exemption()]}}
    assert judge(content).stack(STACK).rules["MLB-ENC-001"] is Status.UNDECIDED


def test_advisory_violations_stop_nothing():
    verdict = judge({"all": "advisory"}).stack(STACK)
    assert len(verdict.of(Outcome.VIOLATION)) == 3
    assert verdict.passes


def test_what_remediation_left_broken_stops_a_deployment():
    verdict = judge({"all": "disabled", "MLB-ENC-001": "remediate"}).stack(STACK)
    assert verdict.blocking == 1


def test_an_exemption_takes_a_violation_away_and_is_told():
    verdict = judge({"settings": {"exemptions": [exemption()]}}).stack(STACK)
    (exempted,) = verdict.of(Outcome.EXEMPTED)
    assert (exempted.rule.id, exempted.resource.name, exempted.violates) == ("MLB-ENC-001", "bare", False)
    assert "exemption of ml-platform until 2026-12-31, ML-1: Moves in May." in exempted.message
    assert verdict.unused == ()


def test_an_exempted_rule_passes_with_exemptions():
    content = {"settings": {"exemptions": [exemption(urn="*::bare"), exemption(urn="*::open")]}}
    assert judge(content).stack(STACK).rules["MLB-ENC-001"] is Status.EXEMPTED


def test_an_expired_exemption_is_a_violation_of_its_own():
    verdict = judge({"settings": {"exemptions": [exemption(expires="2026-05-31")]}}).stack(STACK)
    assert outcomes(verdict)["MLB-ENC-001", "bare"] is Outcome.EXPIRED
    assert [one.ticket for one in verdict.expired] == ["ML-1"]
    assert verdict.blocking == 4
    assert "until 2026-05-31" in verdict.of(Outcome.EXPIRED)[0].message


def test_an_expired_exemption_that_nothing_needs_is_one_all_the_same():
    content = {"all": "advisory", "settings": {"enforcementLevel": "mandatory"}}
    content["settings"] |= {"exemptions": [exemption(urn="*::gone", expires="2026-05-31")]}
    verdict = judge(content).stack(STACK)
    assert (verdict.blocking, len(verdict.expired), verdict.unused) == (1, 1, ())


def test_expired_exemptions_are_advisory_or_silent_where_settings_say_so():
    for level, count in (("advisory", 1), ("disabled", 0)):
        content = {"all": "advisory"}
        content["settings"] = {"enforcementLevel": level, "exemptions": [exemption(expires="2026-05-31")]}
        verdict = judge(content).stack(STACK)
        assert (verdict.passes, len(verdict.expired)) == (True, count)


def test_a_valid_exemption_that_nothing_needs_is_told():
    verdict = judge({"settings": {"exemptions": [exemption(urn="*::good")]}}).stack(STACK)
    assert [one.urn for one in verdict.unused] == ["*::good"]


def test_a_rule_that_is_never_exempted_stays_violated():
    content = {"settings": {"exemptions": [exemption(rule="MLB-*", urn="*")]}}
    verdict = judge(content).stack(STACK)
    assert [one.rule.id for one in verdict.judgements if one.violates] == ["MLB-NET-001"]


def test_parameters_reach_the_rules():
    verdict = judge({"MLB-NET-002": {"regions": ["eu-west-1"]}}).stack(STACK)
    assert [one.resource.name for one in verdict.judgements if one.rule.id == "MLB-NET-002"] == ["bare"]
    assert verdict.rules["MLB-NET-002"] is Status.VIOLATED


def test_one_resource_and_the_relations_together_are_the_stack():
    parts = [one for resource in STACK.resources for one in judge().resource(resource)]
    assert [*parts, *judge().relations(STACK)] == list(judge().stack(STACK).judgements)


def test_a_rule_that_fails_itself_stops_a_deployment_at_any_level():
    def crash(scope: Scope):
        yield scope.value["nothing"]["there"]

    broken = Rule("MLB-ENC-001", "It crashes.", Severity.LOW, "Mend it.", checks={BUCKET: crash})
    configuration = Configuration.load({"all": "advisory"}, rules={broken.id: broken})
    verdict = Judge(configuration, [broken], TODAY).stack(STACK)
    assert verdict.rules == {broken.id: Status.VIOLATED}
    assert verdict.blocking == 3
    assert "error in ml-policies" in verdict.judgements[0].message


def test_today_is_a_day_of_the_real_calendar():
    content = {"settings": {"exemptions": [exemption(expires="2020-01-01")]}}
    assert len(Judge(Configuration.load(content, rules=RULES), RULES.values()).expired) == 1


@pytest.mark.parametrize("level", list(Level))
def test_a_level_is_what_the_configuration_says(level):
    assert judge({KEY.id: level.value}).level(KEY) is level
