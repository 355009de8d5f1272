"""The pack's configuration: what counts, and how everything that is wrong is told at once."""

import json
import re

import pytest
from ml_policies import json_schema
from ml_policies.configuration import Configuration
from ml_policies.configuration_file import SETTINGS_SCHEMA, ConfigurationError
from ml_policies.rule import Level
from ml_policies.rules import RULES as REAL_RULES
from tests.policies.samples import KEY, PUBLIC, REGION, RULES, SCANNED, STACK, TODAY, exemption

GOOD, BARE, OPEN, JOBS = STACK.resources


def load(content, environment="", frameworks=()):
    return Configuration.load(content, environment, frameworks, RULES)


def with_settings(**settings):
    return {"settings": settings}


def exempted(**changes):
    return with_settings(exemptions=[exemption(**changes)])


def test_without_configuration_the_severity_decides():
    configuration = load({})
    assert configuration.level(KEY) is Level.MANDATORY
    assert configuration.level(REGION) is Level.ADVISORY
    assert configuration.parameters()[REGION.id] == {}
    assert configuration.exemption(KEY, BARE, TODAY) is None
    assert configuration.expired_level is Level.MANDATORY


def test_a_file_is_read(tmp_path):
    file = tmp_path / "policies.json"
    file.write_text(json.dumps({"MLB-ENC-001": "advisory"}))
    assert load(file).level(KEY) is Level.ADVISORY


def test_an_empty_file_is_no_configuration_as_for_the_engine(tmp_path):
    file = tmp_path / "policies.json"
    file.write_text(" \n")
    assert load(file) == load({})


@pytest.mark.parametrize(
    "content",
    [
        {"MLB-ENC-001": "disabled"},
        {"MLB-ENC-001": {"enforcementLevel": "disabled"}},
        {"all": "disabled"},
        {"all": {"enforcementLevel": "disabled"}},
        {"all": "advisory", "MLB-ENC-001": "disabled"},
        {"version": 2, "policies": {"MLB-ENC-001": "disabled"}, "environments": ["esc/environment"]},
        {"environments": ["esc/environment"], "MLB-ENC-001": "disabled"},
    ],
)
def test_the_shapes_that_the_engine_reads_are_read(content):
    assert load(content).level(KEY) is Level.DISABLED


def test_what_is_said_for_the_environment_counts_first():
    levels = {
        "staging": {"all": "advisory", "MLB-N*": "disabled", "MLB-NET-*": "remediate", "MLB-NET-002": "mandatory"},
        "production": {"MLB-NET-001": {"enforcementLevel": "mandatory"}},
    }
    content = {"all": "disabled", "MLB-ENC-001": "mandatory", "settings": {"levels": levels}}
    staging, production = load(content, "staging"), load(content, "production")
    assert [staging.level(rule) for rule in (KEY, PUBLIC, REGION)] == ["advisory", "remediate", "mandatory"]
    assert [production.level(rule) for rule in (KEY, PUBLIC, REGION)] == ["mandatory", "mandatory", "disabled"]
    assert production.level(KEY, "staging") is Level.ADVISORY


def test_parameters_are_by_rule_and_environment():
    levels = {"production": {"MLB-NET-002": {"regions": ["eu-west-1"]}}}
    content = {"MLB-NET-002": {"regions": ["us-east-1"], "days": 5.0}, "settings": {"levels": levels}}
    assert load(content, "staging").parameters()[REGION.id] == {"regions": ["us-east-1"], "days": 5}
    assert load(content, "production").parameters()[REGION.id] == {"regions": ["eu-west-1"], "days": 5}
    assert isinstance(load(content, "staging").parameters()[REGION.id]["days"], int)


def test_environments_may_have_names_of_their_own():
    content = with_settings(environments=["dev", "live"], environment="live", levels={"live": {"all": "advisory"}})
    assert load(content).level(KEY) is Level.ADVISORY


def test_a_framework_selects_its_rules(monkeypatch):
    monkeypatch.setattr(
        "ml_policies.configuration_file.frameworks", lambda: {"small": type("F", (), {"rules": {KEY.id}})}
    )
    for configuration in (load(with_settings(frameworks=["small"])), load({}, frameworks=("small",))):
        assert configuration.frameworks == ("small",)
        assert configuration.level(KEY) is Level.MANDATORY
        assert configuration.level(PUBLIC) is Level.DISABLED


def test_an_exemption_counts_for_what_it_names_until_its_day_is_over():
    configuration = load(exempted(expires="2026-06-01"))
    found = configuration.exemption(KEY, BARE, TODAY)
    assert not found.expired(TODAY)
    assert found.expired(TODAY.replace(day=2))
    assert str(found) == "exemption of ml-platform until 2026-06-01, ML-1: Moves in May."
    assert configuration.exemption(KEY, GOOD, TODAY) is None
    assert configuration.exemption(SCANNED, BARE, TODAY) is None


def test_a_pattern_never_covers_a_rule_that_is_never_exempted():
    configuration = load(exempted(rule="MLB-NET-*", urn="*"))
    assert configuration.exemption(REGION, BARE, TODAY)
    assert configuration.exemption(PUBLIC, BARE, TODAY) is None


def test_of_two_exemptions_the_one_that_lasts_counts():
    both = [exemption(expires="2026-01-01", ticket="OLD"), exemption(ticket="NEW")]
    for order in (both, both[::-1]):
        assert load(with_settings(exemptions=order)).exemption(KEY, BARE, TODAY).ticket == "NEW"


def test_expired_exemptions_have_the_level_of_settings():
    assert load({"all": "advisory"}).expired_level is Level.ADVISORY
    assert load({"all": "advisory", "settings": "mandatory"}).expired_level is Level.MANDATORY
    assert load({"settings": {"enforcementLevel": "disabled"}}).expired_level is Level.DISABLED


BAD = [
    (["a list"], 'the whole: `["a list"]` was found; expected is an object'),
    ({"MLB-ENC-999": "advisory"}, 'MLB-ENC-999: `"advisory"` was found; expected is the id of a rule, all or settings'),
    ({"mlb-enc-001": "advisory"}, "MLB-ENC-001 is near"),
    ({"MLB-NET-*": "advisory"}, "MLB-NET-*: "),
    ({"MLB-ENC-001": "strict"}, '`"strict"` was found; expected is one of advisory, mandatory, remediate, disabled'),
    ({"MLB-ENC-001": "Mandatory"}, '`"Mandatory"` was found'),
    ({"MLB-ENC-001": 3}, "MLB-ENC-001: `3` was found; expected is a level"),
    ({"MLB-ENC-001": None}, "MLB-ENC-001: `null` was found; expected is a level"),
    ({"MLB-ENC-001": {"enforcementLevel": ["advisory"]}}, 'MLB-ENC-001.enforcementLevel: `["advisory"]` was found'),
    (
        {"MLB-ENC-001": {"level": "advisory"}},
        'MLB-ENC-001.level: `"advisory"` was found; expected is one of enforcementLevel',
    ),
    (
        {"MLB-NET-002": {"region": []}},
        "MLB-NET-002.region: `[]` was found; expected is one of enforcementLevel, regions, days",
    ),
    ({"MLB-NET-002": {"regions": "eu"}}, 'MLB-NET-002.regions: `"eu"` was found; expected is a list'),
    ({"MLB-NET-002": {"regions": ["eu", 1]}}, "MLB-NET-002.regions[1]: `1` was found; expected is a text"),
    ({"MLB-NET-002": {"days": 0}}, "MLB-NET-002.days: `0` was found; expected is 1 or more"),
    ({"MLB-NET-002": {"days": 1.5}}, "MLB-NET-002.days: `1.5` was found; expected is a whole number"),
    ({"MLB-NET-002": {"days": True}}, "MLB-NET-002.days: `true` was found; expected is a whole number"),
    ({"all": "none"}, 'all: `"none"` was found'),
    ({"all": {"regions": []}}, "all.regions: `[]` was found; expected is one of enforcementLevel"),
    ({"settings": []}, "settings: `[]` was found; expected is a level"),
    ({"settings": "off"}, 'settings: `"off"` was found'),
    (with_settings(enforcementLevel="off"), 'settings.enforcementLevel: `"off"` was found'),
    (with_settings(exemption=[]), "settings.exemption: `[]` was found; expected is one of the fields environment,"),
    (with_settings(environment="prod"), '`"prod"` was found; expected is one of experiment, staging, production'),
    (with_settings(environment=1), "settings.environment: `1` was found; expected is the name of the environment"),
    (with_settings(environments=[]), "settings.environments: `[]` was found; expected is a list of 1 or more"),
    (with_settings(environments=["a", "a"]), "expected is a list without repetition"),
    (with_settings(environments=["live"], environment="staging"), "expected is one of live"),
    (with_settings(levels={"production": {}}), "settings.environment: nothing was found; expected is one of"),
    (
        with_settings(environment="staging", levels={"prod": {}}),
        "settings.levels.prod: `{}` was found; expected is an env",
    ),
    (with_settings(environment="staging", levels={"staging": "advisory"}), "settings.levels.staging: "),
    (
        with_settings(environment="staging", levels={"staging": {"MLB-XYZ-*": "advisory"}}),
        "settings.levels.staging.MLB-XYZ-*: ",
    ),
    (
        with_settings(environment="staging", levels={"production": {"MLB-ENC-001": "hard"}}),
        'settings.levels.production.MLB-ENC-001: `"hard"` was found',
    ),
    (with_settings(frameworks=["nist"]), 'settings.frameworks: `"nist"` was found; expected is one of'),
    (with_settings(frameworks="soc-2"), 'settings.frameworks: `"soc-2"` was found; expected is a list'),
    (with_settings(exemptions={}), "settings.exemptions: `{}` was found; expected is a list"),
    (with_settings(exemptions=["MLB-ENC-001"]), "settings.exemptions[0]: "),
    (exempted(owner=None), "settings.exemptions[0].owner: nothing was found; expected is who answers for it"),
    (exempted(reason=None), "settings.exemptions[0].reason: nothing was found"),
    (exempted(ticket=None), "settings.exemptions[0].ticket: nothing was found"),
    (exempted(expires=None), "settings.exemptions[0].expires: nothing was found; expected is its last day"),
    (exempted(urn=None), "settings.exemptions[0].urn: nothing was found"),
    (exempted(owner="  "), 'settings.exemptions[0].owner: `"  "` was found'),
    (exempted(reason=""), 'settings.exemptions[0].reason: `""` was found'),
    (
        exempted(expires="31.12.2026"),
        'settings.exemptions[0].expires: `"31.12.2026"` was found; expected is its last day',
    ),
    (
        exempted(expires="2026-02-30"),
        'settings.exemptions[0].expires: `"2026-02-30"` was found; expected is a day that exists',
    ),
    (exempted(expires="20261231"), "settings.exemptions[0].expires: "),
    (exempted(expires=20261231), "settings.exemptions[0].expires: `20261231` was found"),
    (exempted(expires="never"), 'settings.exemptions[0].expires: `"never"` was found'),
    (
        exempted(rule="MLB-ENC-01"),
        'settings.exemptions[0].rule: `"MLB-ENC-01"` was found; expected is the id of a rule',
    ),
    (exempted(rule="MLB-NET-001"), "expected is a rule that may be exempted; this one never is"),
    (exempted(until="2026-12-31"), "settings.exemptions[0].until: "),
    ({"version": 3, "policies": {}}, "version: `3` was found; expected is 2"),
    ({"version": 2, "policies": []}, "policies: "),
    (
        {"version": 2, "exceptions": {"a": {}}},
        "expected is none: exemptions with owner, ticket and expiry are in settings",
    ),
    ({"version": 2, "MLB-ENC-001": "advisory"}, 'MLB-ENC-001: `"advisory"` was found; expected is version, policies'),
    ({"version": 2, "policies": {"MLB-ENC-1": "advisory"}}, "policies.MLB-ENC-1: "),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_wrong_is_refused_with_its_place(content, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        load(content)
    assert all(re.match(r"configuration: .+: .+ was found; expected is .+", one) for one in caught.value.problems)


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    file = tmp_path / "policies.json"
    file.write_text(
        json.dumps(
            {
                "MLB-ENC-01": "advisory",
                "MLB-NET-002": {"days": "3"},
                "settings": {
                    "environment": "prod",
                    "frameworks": ["nist"],
                    "exemptions": [exemption(owner=None, ticket=None, rule="MLB-NET-001")],
                },
            }
        )
    )
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert len(caught.value.problems) == 7
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)


def test_what_was_chosen_outside_of_the_file_is_not_laid_on_it():
    with pytest.raises(ConfigurationError, match=r"the chosen environment: `\"prod\"` was found"):
        load({}, "prod")
    with pytest.raises(ConfigurationError, match=r"the chosen frameworks: `\"nist\"` was found"):
        load({}, frameworks=("nist",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("MLB-ENC-001: advisory", "is no JSON"),
        ('{"all": "advisory", "all": "mandatory"}', "all is there twice"),
        ('{"settings": {"exemptions": [{"rule": "a", "rule": "b"}]}}', "rule is there twice"),
        (b"\xff", "is no JSON"),
    ],
)
def test_a_file_that_is_no_json_is_refused(tmp_path, text, message):
    file = tmp_path / "policies.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=message):
        load(file)


def test_a_file_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.json can't be read: No such file"):
        load(tmp_path / "none.json")


def test_the_schemas_of_all_parameters_are_understood():
    for rule in REAL_RULES.values():
        for name, parameter in rule.parameters.items():
            assert list(json_schema.problems(parameter.default, parameter.schema, f"{rule.id}.{name}")) == []
    assert list(json_schema.problems({}, SETTINGS_SCHEMA)) == []


def test_a_schema_with_unknown_keywords_is_an_error_of_its_author():
    with pytest.raises(ValueError, match="oneOf"):
        list(json_schema.problems(1, {"oneOf": []}))
