"""Workloads: the six of the stacks are read as they are written, and every mistake is told where it was made."""

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.workload import ArchitectureKind, Mode, Role, Workload

WORKLOADS = Path(__file__).parents[2] / "stacks" / "workloads"
STEMS = ("churn", "credit_scoring", "delivery_eta", "demand_forecasting", "fraud_detection", "personalization")
REMOVED = object()


def definition(stem: str, directory: Path) -> dict[str, Any]:
    """What a workload file says, with its contract and its feature job beside it under `directory`."""
    content = yaml.safe_load((WORKLOADS / f"{stem}.yaml").read_text())
    contract = content["data"]["contract"]
    (directory / "contract.avsc").write_text((WORKLOADS / contract["path"]).read_text())
    contract["path"] = "contract.avsc"
    (directory / "job.py").write_text((WORKLOADS / content["features"]["job"]).read_text())
    content["features"]["job"] = "job.py"
    content["pipelines"] = str(WORKLOADS / content["pipelines"])
    return content


def changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The same definition with other values at some paths, such as `models.0.traffic`."""
    content = copy.deepcopy(content)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = content
        for part in parents:
            place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return content


def the_problem(file: Path) -> Problem:
    """The one thing that is wrong with a file."""
    with pytest.raises(BlueprintError) as refused:
        Workload.load(file)
    assert refused.value.source == str(file)
    assert len(refused.value.problems) == 1, str(refused.value)
    assert str(refused.value) == f"{file}: {refused.value.problems[0]}"
    return refused.value.problems[0]


TYPES = [
    # changes; the field; what was found; a part of what would be right
    ({"name": 7}, "name", "`7`", "text is expected; put it in quotes"),
    ({"name": None}, "name", "`null`", "text is expected"),
    ({"description": date(2026, 1, 2)}, "description", '`"2026-01-02"`', "put it in quotes"),
    ({"description": ["a"]}, "description", '`["a"]`', "text is expected"),
    ({"models.0.version": 1.2}, "models[0].version", "`1.2`", "text is expected; put it in quotes"),
    ({"data": "lake"}, "data", '`"lake"`', "fields are expected here"),
    ({"data.contract": "contract.avsc"}, "data.contract", '`"contract.avsc"`', "fields are expected here"),
    ({"data.retention_days": "400"}, "data.retention_days", '`"400"`', "a whole number is expected"),
    ({"data.retention_days": 1.5}, "data.retention_days", "`1.5`", "a whole number is expected"),
    ({"data.retention_days": True}, "data.retention_days", "`true`", "a whole number is expected"),
    ({"features.definitions": "all"}, "features.definitions", '`"all"`', "a list is expected"),
    ({"features.definitions": ["a"]}, "features.definitions[0]", '`"a"`', "fields are expected here"),
    ({"models": {"name": "a"}}, "models", '`{"name": "a"}`', "a list is expected"),
    ({"serving.scale_to_zero": 1}, "serving.scale_to_zero", "`1`", "`true` or `false`"),
    ({"serving.replicas": 2}, "serving.replicas", "`2`", "fields are expected here"),
    ({"monitoring.drift.threshold": "0.2"}, "monitoring.drift.threshold", '`"0.2"`', "a number is expected"),
    ({"monitoring.drift.threshold": True}, "monitoring.drift.threshold", "`true`", "a number is expected"),
    ({"monitoring.drift.threshold": float("inf")}, "monitoring.drift.threshold", "`Infinity`", "a finite number"),
    ({"budget.alert_percent": 80}, "budget.alert_percent", "`80`", "a list is expected"),
]

FIELDS = [
    ({"nmae": "x"}, "nmae", '`"x"`', "no such field"),
    ({"data.entty": "x"}, "data.entty", '`"x"`', "no such field"),
    ({"data.contract.format": "avro"}, "data.contract.format", '`"avro"`', "no such field"),
    ({"features.definitions.1.unit": "EUR"}, "features.definitions[1].unit", '`"EUR"`', "no such field"),
    ({"models.1.weight": 3}, "models[1].weight", "`3`", "no such field"),
    ({"serving.replicas.min": 3}, "serving.replicas.min", "`3`", "no such field"),
    ({"monitoring.drift.window": 3}, "monitoring.drift.window", "`3`", "no such field"),
    ({"name": REMOVED}, "name", "nothing", "required"),
    ({"owner": REMOVED}, "owner", "nothing", "required"),
    ({"data": REMOVED}, "data", "nothing", "required"),
    ({"data.contract.path": REMOVED}, "data.contract.path", "nothing", "required"),
    ({"models.1.role": REMOVED}, "models[1].role", "nothing", "required"),
    ({"serving.mode": REMOVED}, "serving.mode", "nothing", "required"),
    ({"budget.monthly_usd": REMOVED}, "budget.monthly_usd", "nothing", "required"),
]

VALUES = [
    ({"name": "Fraud"}, "name", '`"Fraud"`', "lower case letters and digits, in parts joined by `-`"),
    ({"name": "fraud_detection"}, "name", '`"fraud_detection"`', "in parts joined by `-`"),
    ({"name": "fraud-"}, "name", '`"fraud-"`', "in parts joined by `-`"),
    ({"name": ""}, "name", '`""`', "lower case letters"),
    ({"name": "f" * 41}, "name", f'`"{"f" * 41}"`', "at most 40 characters are expected, not 41"),
    ({"owner": "risk team"}, "owner", '`"risk team"`', "an e-mail address"),
    ({"architecture": "lambda"}, "architecture", '`"lambda"`', "'streaming', 'batch' or 'hybrid'"),
    ({"data.classification": "secret"}, "data.classification", '`"secret"`', "'confidential' or 'restricted'"),
    ({"data.contract.compatibility": "NONE"}, "data.contract.compatibility", '`"NONE"`', "'FULL_ALL'"),
    ({"data.retention_days": 0}, "data.retention_days", "`0`", "1 or more"),
    ({"data.retention_days": 4000}, "data.retention_days", "`4000`", "3650 or less"),
    ({"data.entity": "Card-Id"}, "data.entity", '`"Card-Id"`', "lower case letters, digits and `_`"),
    ({"features.definitions": []}, "features.definitions", "`[]`", "at least 1"),
    ({"features.definitions.0.type": "int"}, "features.definitions[0].type", '`"int"`', "'integer', 'float'"),
    ({"models": []}, "models", "`[]`", "at least 1"),
    (
        {"models.0.role": "main"},
        "models[0].role",
        '`"main"`',
        "'champion', 'canary', 'shadow', 'challenger' or 'member'",
    ),
    ({"models.0.version": "1.2"}, "models[0].version", '`"1.2"`', "a version as in `1.4.2`"),
    ({"models.0.version": "v1.2.0"}, "models[0].version", '`"v1.2.0"`', "a version as in `1.4.2`"),
    ({"models.0.version": "1.02.0"}, "models[0].version", '`"1.02.0"`', "a version as in `1.4.2`"),
    ({"models.0.version": "1.1٢.0"}, "models[0].version", '`"1.1٢.0"`', "a version as in `1.4.2`"),
    ({"models.0.version": "1.0." + "9" * 30}, "models[0].version", f'`"1.0.{"9" * 30}"`', "at most 20 characters"),
    ({"models.1.traffic": 101}, "models[1].traffic", "`101`", "100 or less"),
    ({"models.1.traffic": -1}, "models[1].traffic", "`-1`", "0 or more"),
    ({"serving.mode": "online"}, "serving.mode", '`"online"`', "'stream', 'real_time' or 'batch'"),
    ({"serving.size": "xl"}, "serving.size", '`"xl"`', "'small', 'medium', 'large' or 'cheapest'"),
    ({"serving.replicas.maximum": 0}, "serving.replicas.maximum", "`0`", "1 or more"),
    ({"monitoring.drift.metric": "psi"}, "monitoring.drift.metric", '`"psi"`', "'jensen_shannon' or 'wasserstein'"),
    ({"monitoring.drift.threshold": 0}, "monitoring.drift.threshold", "`0`", "a number above 0"),
    ({"monitoring.drift.schedule": "*/5 * * * *"}, "monitoring.drift.schedule", '`"*/5 * * * *"`', "(hourly)"),
    ({"monitoring.drift.schedule": "0 3 * * 1"}, "monitoring.drift.schedule", '`"0 3 * * 1"`', "(daily)"),
    ({"monitoring.error_rate_objective": 1}, "monitoring.error_rate_objective", "`1`", "a number below 1"),
    ({"monitoring.latency_objective_ms": 0}, "monitoring.latency_objective_ms", "`0`", "1 or more"),
    ({"retraining.trigger": "never"}, "retraining.trigger", '`"never"`', "'drift', 'schedule' or"),
    ({"budget.monthly_usd": -1}, "budget.monthly_usd", "`-1`", "a number above 0"),
    ({"budget.monthly_usd": 0}, "budget.monthly_usd", "`0`", "a number above 0"),
    ({"budget.alert_percent": [50, 120]}, "budget.alert_percent[1]", "`120`", "100 or less"),
    ({"budget.alert_percent": []}, "budget.alert_percent", "`[]`", "at least 1"),
]

CRON = [
    ({"retraining.schedule": "60 2 * * 0"}, "retraining.schedule", '`"60 2 * * 0"`', "the minute of a cron"),
    ({"retraining.schedule": "0 24 * * 0"}, "retraining.schedule", '`"0 24 * * 0"`', "the hour of a cron"),
    ({"retraining.schedule": "0 2 0 * *"}, "retraining.schedule", '`"0 2 0 * *"`', "the day of month of a cron"),
    ({"retraining.schedule": "0 2 * 13 *"}, "retraining.schedule", '`"0 2 * 13 *"`', "the month of a cron"),
    ({"retraining.schedule": "0 2 * * 8"}, "retraining.schedule", '`"0 2 * * 8"`', "the day of week of a cron"),
    ({"retraining.schedule": "0 2 1 * 1"}, "retraining.schedule", '`"0 2 1 * 1"`', "not both"),
    ({"retraining.schedule": "@daily"}, "retraining.schedule", '`"@daily"`', "has 5 fields"),
    ({"retraining.schedule": 5}, "retraining.schedule", "`5`", "text is expected; put it in quotes"),
]

GBM = "gradient-boosting"
VOTE = {"method": "vote", "members": [GBM, "sequence-network"]}
MEMBER = {"models.1.role": "member", "models.1.traffic": 0}

TOGETHER = [
    ({"models.0.traffic": 90}, "models", "traffic of 90", "adds up to 100"),
    ({"models.1.role": "champion"}, "models", "gradient-boosting 1.2.0 and sequence-network 0.3.0", "exactly one"),
    (
        {"models.0.role": "challenger", "models.0.traffic": 0},
        "models",
        "none",
        "exactly one model has the role champion",
    ),
    ({"models.1.traffic": 0}, "models[1].traffic", "`0`", "a shadow needs traffic from 1 to 100"),
    ({"models.1.traffic": REMOVED}, "models[1].traffic", "`0`", "a shadow needs traffic from 1 to 100"),
    ({"models.1.role": "challenger"}, "models[1].traffic", "`20`", "a challenger takes no traffic"),
    (
        {"models.1.role": "canary", "models.1.traffic": 0},
        "models[1].traffic",
        "`0`",
        "a canary needs traffic from 1 to 100",
    ),
    (
        {"models.1.name": "gradient-boosting", "models.1.version": "1.2.0"},
        "models",
        "`gradient-boosting 1.2.0` 2 times",
        "each version of a model is listed once",
    ),
    ({"serving.mode": "batch"}, "serving.mode", "`batch`", "is served by real_time or stream"),
    ({"serving.schedule": "0 3 * * *"}, "serving.schedule", "`0 3 * * *`", "remove the schedule"),
    ({"serving.replicas.minimum": 9}, "serving.replicas.minimum", "`9`", "at most the maximum, which is 8"),
    ({"serving.replicas.minimum": 0}, "serving.replicas.minimum", "`0`", "scale_to_zero: true"),
    ({"serving.scale_to_zero": True}, "serving.scale_to_zero", "`true`", "minimum is 2"),
    (
        {"models.1.role": "challenger", "models.1.traffic": 0, "serving.ensemble": VOTE | {"members": [GBM, "forest"]}},
        "serving.ensemble.members[1]",
        "`forest`",
        "gradient-boosting, sequence-network",
    ),
    (
        {"serving.ensemble": VOTE | {"members": [GBM]}},
        "serving.ensemble.members",
        '`["gradient-boosting"]`',
        "at least 2",
    ),
    (
        {"models.1.role": "challenger", "models.1.traffic": 0, "serving.ensemble": VOTE | {"members": [GBM, GBM]}},
        "serving.ensemble.members",
        "`gradient-boosting` 2 times",
        "once",
    ),
    (
        {"serving.ensemble": VOTE},
        "serving.ensemble",
        "`vote` beside a canary or a shadow",
        "answers as a whole",
    ),
    ({**MEMBER, "serving.ensemble": VOTE | {"least": 3}}, "serving.ensemble.least", "`3`", "at most 2"),
    ({**MEMBER, "serving.ensemble": VOTE | {"band": [0.8, 0.2]}}, "serving.ensemble.band", "`[0.8, 0.2]`", "a lower"),
    (
        {**MEMBER, "serving.ensemble": VOTE | {"weights": {"tree": 1}}},
        "serving.ensemble.weights.tree",
        "a weight",
        "only",
    ),
    (
        {**MEMBER, "serving.ensemble": VOTE | {"weights": {GBM: 0, "sequence-network": 0}}},
        "serving.ensemble.weights",
        "0 for all",
        "some member has more",
    ),
    ({**MEMBER, "serving.ensemble": VOTE | {"method": "stacked"}}, "serving.ensemble.stacker", "nothing", "has one"),
    ({**MEMBER, "serving.ensemble": VOTE | {"stacker": GBM}}, "serving.ensemble.stacker", f"`{GBM}`", "no other has"),
    (
        {**MEMBER, "serving.ensemble": VOTE | {"method": "stacked", "stacker": "top"}},
        "serving.ensemble.stacker",
        "`top`",
        "gradient-boosting, sequence-network",
    ),
    (MEMBER, "models[1].role", "`member`", "the ensemble has no models, and not sequence-network"),
    (
        {**MEMBER, "models.1.traffic": 5, "serving.ensemble": VOTE},
        "models[1].traffic",
        "`5`",
        "a member takes no traffic",
    ),
    (
        {"models.1.tenant": "web", "serving.tenants": [{"name": "web", "requests_per_second": 1}]},
        "models",
        "none of tenant web",
        "exactly one",
    ),
    (
        {"models.1.tenant": "web", "models.1.role": "champion", "models.1.traffic": 100},
        "models[1].tenant",
        "`web`",
        "a tenant of the workload: it has none",
    ),
    (
        {"serving.inference": "asynchronous", "models.1.role": "challenger", "models.1.traffic": 0},
        "serving.inference",
        "`asynchronous`",
        "events wait for their score",
    ),
    ({"serving.inference": "serverless"}, "serving.inference", "`serverless`", "a canary and a shadow need"),
    (
        {
            "serving.inference": "serverless",
            "models.1.role": "challenger",
            "models.1.traffic": 0,
            "serving.tenants": [{"name": "web", "requests_per_second": 1, "placement": "dedicated"}],
        },
        "serving.tenants[0].placement",
        "`dedicated` with `serverless`",
        "make it `shared`",
    ),
    (
        {"serving.size": "cheapest", "monitoring.latency_objective_ms": REMOVED},
        "monitoring.latency_objective_ms",
        "nothing",
        "the size `cheapest` is the one that keeps it",
    ),
    (
        {"serving.tenants": [{"name": "web", "requests_per_second": 1}, {"name": "web", "requests_per_second": 2}]},
        "serving.tenants",
        "`web` 2 times",
        "each tenant is listed once",
    ),
    ({"data.entity": "customer"}, "data.entity", "`customer`", "contract.avsc has the fields event_id, card_id"),
    ({"data.event_time": "time"}, "data.event_time", "`time`", "contract.avsc has the fields event_id, card_id"),
    ({"features.definitions.1.name": "transactions_1h"}, "features.definitions", "`transactions_1h` 2 times", "once"),
    ({"features.definitions.1.name": "card_id"}, "features.definitions[1].name", "`card_id`", "remove it"),
    ({"retraining.schedule": REMOVED}, "retraining.schedule", "nothing", "`drift_or_schedule` needs a cron schedule"),
    (
        {"retraining": {"trigger": "schedule"}},
        "retraining.schedule",
        "nothing",
        "trigger `schedule` needs a cron schedule",
    ),
    ({"retraining.trigger": "drift"}, "retraining.schedule", "`0 2 * * 0`", "follows no schedule"),
    ({"budget.alert_percent": [80, 80]}, "budget.alert_percent", "`80` 2 times", "once"),
]


@pytest.mark.parametrize(("changes", "field", "found", "right"), [*TYPES, *FIELDS, *VALUES, *CRON, *TOGETHER])
def test_one_mistake_in_a_workload_is_one_problem_with_field_value_and_remedy(tmp_path, changes, field, found, right):
    file = tmp_path / "workload.yaml"
    file.write_text(yaml.safe_dump(changed(definition("fraud_detection", tmp_path), changes), allow_unicode=True))
    problem = the_problem(file)
    assert (problem.field, problem.found) == (field, found)
    assert right in problem.right


@pytest.mark.parametrize(
    ("stem", "changes", "field", "found", "right"),
    [
        (
            "credit_scoring",
            {"serving.schedule": REMOVED},
            "serving.schedule",
            "nothing",
            "a batch workload needs a cron",
        ),
        (
            "delivery_eta",
            {"serving.schedule": REMOVED},
            "serving.schedule",
            "nothing",
            "a hybrid workload needs a cron",
        ),
        ("credit_scoring", {"serving.mode": "real_time"}, "serving.mode", "`real_time`", "is served by batch"),
        ("delivery_eta", {"serving.mode": "stream"}, "serving.mode", "`stream`", "is served by real_time"),
        (
            "delivery_eta",
            {
                "serving.inference": "asynchronous",
                "models.0.traffic": 100,
                "models.1.role": "challenger",
                "models.1.traffic": 0,
                "serving.tenants.1.placement": "shared",
            },
            "serving.tenants",
            "some, with `asynchronous`",
            "nobody holds tenants to a rate",
        ),
        (
            "credit_scoring",
            {"models.0.traffic": 90, "models.1.role": "canary", "models.1.traffic": 10},
            "models[1].role",
            "`canary`",
            "needs live requests; in a batch workload make it a challenger",
        ),
        (
            "credit_scoring",
            {"models.1.role": "shadow", "models.1.traffic": 10},
            "models[1].role",
            "`shadow`",
            "needs live requests; in a batch workload make it a challenger",
        ),
    ],
)
def test_what_does_not_suit_an_architecture_is_refused(tmp_path, stem, changes, field, found, right):
    file = tmp_path / "workload.yaml"
    file.write_text(yaml.safe_dump(changed(definition(stem, tmp_path), changes)))
    problem = the_problem(file)
    assert (problem.field, problem.found) == (field, found)
    assert right in problem.right


@pytest.mark.parametrize(
    ("content", "field", "found", "right"),
    [
        (b"", "(file)", "nothing", "a YAML mapping that begins with `name:`"),
        (b"- a\n- b\n", "(file)", "a list", "a YAML mapping that begins with `name:`"),
        (b"fraud\n", "(file)", "a single value", "a YAML mapping that begins with `name:`"),
        (b"name: a\nowner: b\nname: c\n", "line 3", "the field `name` a second time", "each field once"),
        (
            b"name: a\ndata:\n  entity: a\n  entity: b\n",
            "line 4",
            "the field `entity` a second time",
            "each field once",
        ),
        (b"name: [a\n", "line 2", "expected ',' or ']', but got '<stream end>'", "a workload is YAML"),
        (b"name: a\n\tb: c\n", "line 2", "found character '\\t' that cannot start any token", "a workload is YAML"),
        (b"name: !!python/name:os.system\n", "line 1", "tag:yaml.org,2002:python/name:os.system", "a workload is YAML"),
        (b"? [a]\n: b\n", "line 1", "found unhashable key", "a workload is YAML"),
        (b"name: \xff\n", "(file)", "byte 6 is not UTF-8", "in UTF-8"),
        (b"name: \x01\n", "(file)", "unacceptable character #x0001", "a workload is YAML"),
        (b"name: 2026-02-31\n", "(file)", "day is out of range for month", "a workload is YAML"),
        (b"name: !!int ''\n", "(file)", "index out of range", "a workload is YAML"),
        (b"name: !!timestamp x\n", "(file)", "NoneType", "a workload is YAML"),
        (b"name: " + b"9" * 5000 + b"\n", "(file)", "Exceeds the limit", "a workload is YAML"),
        (b"name: " + b"[" * 5000 + b"\n", "(file)", "recursion", "a workload is YAML"),
    ],
)
def test_a_file_that_is_no_workload_is_refused(tmp_path, content, field, found, right):
    file = tmp_path / "workload.yaml"
    file.write_bytes(content)
    problem = the_problem(file)
    assert problem.field == field
    assert found in problem.found
    assert right in problem.right


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("absent.yaml", "no such file or directory"),
        ("", "is a directory"),
        ("x" * 300, "file name too long"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_path_without_a_file_is_refused(tmp_path, name, found):
    problem = the_problem(tmp_path / name)
    assert problem.field == "(file)"
    assert found in problem.found
    assert problem.right == "a workload file is expected here"


RECORD = {"type": "record", "name": "Payment", "fields": [{"name": "card_id", "type": "string"}]}


def with_field(**field: Any) -> str:
    """A contract with one more field."""
    return json.dumps(RECORD | {"fields": [*RECORD["fields"], field]})


@pytest.mark.parametrize(
    ("contract", "right"),
    [
        ("{", "an Avro schema is JSON"),
        ("[" * 100_000, "an Avro schema is JSON"),
        ("[]", '`type` is "record"'),
        ('"string"', '`type` is "record"'),
        (json.dumps(RECORD | {"type": "enum"}), '`type` is "record"'),
        (json.dumps(RECORD | {"name": "card payment"}), "a `name` of letters, digits and `_`"),
        (json.dumps(RECORD | {"fields": []}), "a list of `fields`, with at least one"),
        (json.dumps(RECORD | {"fields": {"card_id": "string"}}), "a list of `fields`, with at least one"),
        (json.dumps(RECORD | {"fields": ["card_id"]}), "a `name` and a `type`, fields[0] has not"),
        (with_field(name="a"), "a `name` and a `type`, fields[1] has not"),
        (with_field(name=7, type="string"), "a `name` and a `type`, fields[1] has not"),
        (with_field(name="card_id", type="string"), "`card_id` is not"),
        (with_field(name="a", type="string", doc=7), "the `doc` of field `a` is text"),
        (with_field(name="a", type="varchar"), "field `a` has a type that Avro doesn't have"),
        (with_field(name="a", type="int", default="1"), "the default of field `a` is of its type"),
        (with_field(name="a", type=["null", "int"], default=1), "in a union of its first branch"),
        (with_field(name="a", type=["null"]), "field `a` has a type that Avro doesn't have"),
        (with_field(name="a", type=[]), "field `a` has a type that Avro doesn't have"),
        (with_field(name="a", type={"type": "array"}), "field `a` has a type that Avro doesn't have"),
        (with_field(name="a", type={"type": "long", "logicalType": 7}), "field `a` has a type that Avro doesn't have"),
        (with_field(name="a", type={"type": "record", "name": "B"}), "field `a` has a type that Avro doesn't have"),
        (with_field(name="a", type={"type": "map", "values": 7}), "field `a` has a type that Avro doesn't have"),
    ],
)
def test_a_contract_that_is_no_avro_record_is_refused(tmp_path, contract, right):
    file = tmp_path / "workload.yaml"
    file.write_text(yaml.safe_dump(definition("fraud_detection", tmp_path)))
    (tmp_path / "contract.avsc").write_text(contract)
    problem = the_problem(file)
    assert (problem.field, problem.found) == ("data.contract.path", "`contract.avsc`")
    assert right in problem.right


def test_a_contract_that_is_not_there_or_not_text_is_refused(tmp_path):
    file = tmp_path / "workload.yaml"
    file.write_text(yaml.safe_dump(definition("fraud_detection", tmp_path)))
    (tmp_path / "contract.avsc").write_bytes(b"\xff")
    assert "an Avro schema is JSON" in the_problem(file).right
    (tmp_path / "contract.avsc").unlink()
    assert the_problem(file) == Problem(
        "data.contract.path", "`contract.avsc`", f"no file is at {tmp_path / 'contract.avsc'}"
    )


def test_a_feature_job_that_is_not_there_or_not_text_is_refused(tmp_path):
    file = tmp_path / "workload.yaml"
    file.write_text(yaml.safe_dump(definition("fraud_detection", tmp_path)))
    assert Workload.load(file).features.job_source == (tmp_path / "job.py").read_text()
    (tmp_path / "job.py").write_bytes(b"\xff")
    assert the_problem(file) == Problem("features.job", "`job.py`", f"{tmp_path / 'job.py'} is not UTF-8 at byte 0")
    (tmp_path / "job.py").unlink()
    assert the_problem(file) == Problem("features.job", "`job.py`", f"no file is at {tmp_path / 'job.py'}")


@pytest.mark.parametrize(
    "avro",
    [
        "string",
        ["null", "double"],
        {"type": "long", "logicalType": "timestamp-millis"},
        {"type": "array", "items": "float"},
        {"type": "map", "values": ["null", "int"]},
        {"type": "enum", "name": "Colour", "symbols": ["RED"]},
        {"type": "fixed", "name": "Hash", "size": 16},
        {"type": "record", "name": "Place", "fields": [{"name": "latitude", "type": "double"}]},
    ],
)
def test_a_contract_may_have_each_of_avros_types(tmp_path, avro):
    content = definition("fraud_detection", tmp_path)
    record = json.loads((tmp_path / "contract.avsc").read_text())
    record["fields"].append({"name": "extra", "type": avro})
    (tmp_path / "contract.avsc").write_text(json.dumps(record))
    file = tmp_path / "workload.yaml"
    file.write_text(yaml.safe_dump(content))
    contract = Workload.load(file).data.contract
    assert contract.record == record
    assert contract.columns[-1] == "extra"


def test_all_mistakes_are_told_at_once(tmp_path):
    file = tmp_path / "workload.yaml"
    changes = {
        "models.1.traffic": 0,
        "serving.mode": "batch",
        "data.entity": "customer",
        "retraining.schedule": REMOVED,
    }
    file.write_text(yaml.safe_dump(changed(definition("fraud_detection", tmp_path), changes)))
    with pytest.raises(BlueprintError) as refused:
        Workload.load(file)
    fields = [problem.field for problem in refused.value.problems]
    assert fields == ["models[1].traffic", "serving.mode", "data.entity", "retraining.schedule"]


def places(value: Any, path: tuple = ()):
    """The paths of everything in a definition, leaves and branches."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


LOOP: list[Any] = []
LOOP.append(LOOP)
NONSENSE = (
    None, [], {}, "", "x", -1, 0, 10**30, 1e999, float("nan"), True, "x" * 5000, "\u2028", b"a", date(2026, 1, 2),
    {"a": 1}, {1: 2}, {date(2026, 1, 2): 1}, [None], [[]], [{}], LOOP,
)  # fmt: skip


@pytest.mark.parametrize("stem", ["credit_scoring", "personalization"])
def test_nonsense_anywhere_is_refused_or_taken_but_never_a_traceback(tmp_path, stem):
    good = definition(stem, tmp_path)
    file = tmp_path / "workload.yaml"
    refused = []
    for path in places(good):
        for value in NONSENSE:
            spoiled = changed(good, {".".join(map(str, path)): value})
            file.write_text(yaml.dump(spoiled, Dumper=yaml.CSafeDumper, allow_unicode=True))
            try:
                Workload.load(file)
            except BlueprintError as error:
                refused.append(error)
    assert len(refused) > 500
    for error in refused:
        assert all(problem.field and problem.found and problem.right for problem in error.problems), str(error)
        assert "input should" not in str(error).lower(), str(error)
        assert "instance of" not in str(error), str(error)


@pytest.mark.parametrize(
    ("stem", "architecture", "mode", "champion", "others"),
    [
        ("churn", "batch", "batch", "gradient-boosting 1.4.2", []),
        ("credit_scoring", "batch", "batch", "scorecard 3.1.0", ["challenger"]),
        ("delivery_eta", "hybrid", "real_time", "gradient-boosting 4.0.0", ["canary"]),
        ("demand_forecasting", "batch", "batch", "seasonal-boosting 2.2.0", ["challenger"]),
        ("fraud_detection", "streaming", "stream", "gradient-boosting 1.2.0", ["shadow"]),
        ("personalization", "streaming", "real_time", "two-tower 2.0.1", ["canary"]),
    ],
)
def test_the_workloads_of_the_stacks_are_read_as_written(stem, architecture, mode, champion, others):
    workload = Workload.load(WORKLOADS / f"{stem}.yaml")
    assert workload.name == stem.replace("_", "-")
    assert workload.architecture is ArchitectureKind(architecture)
    assert workload.serving.mode is Mode(mode)
    assert f"{workload.champion.name} {workload.champion.version}" == champion
    assert [model.role for model in workload.models_in(*set(Role) - {Role.CHAMPION})] == others
    assert {workload.data.entity, workload.data.event_time} <= set(workload.data.contract.columns)


def test_every_workload_of_the_stacks_is_among_these():
    assert sorted(file.stem for file in WORKLOADS.iterdir()) == list(STEMS)


def test_what_a_workload_leaves_out_has_a_default(tmp_path):
    file = tmp_path / "workload.yaml"
    left_out = {
        "data.contract.compatibility": REMOVED,
        "data.events_per_second": REMOVED,
        "features.online_ttl_hours": REMOVED,
        "serving": {"mode": "stream"},
        "monitoring": REMOVED,
        "features.definitions": [{"name": "amount_1h", "type": "float"}],
    }
    file.write_text(yaml.safe_dump(changed(definition("fraud_detection", tmp_path), left_out)))
    workload = Workload.load(str(file))
    assert workload.data.contract.compatibility == "BACKWARD"
    assert workload.data.events_per_second == 100
    assert workload.features.online_ttl_hours == 168
    assert workload.features.schedule == "0 0 * * *"
    assert workload.features.definitions[0].description == ""
    serving = workload.serving
    assert (serving.size, serving.replicas.minimum, serving.replicas.maximum) == ("small", 1, 2)
    assert (serving.scale_to_zero, serving.schedule, serving.ensemble, serving.tenants) == (False, None, None, ())
    drift = workload.monitoring.drift
    assert (drift.metric, drift.threshold, drift.schedule) == ("population_stability_index", 0.2, "0 * * * *")
    assert (workload.monitoring.latency_objective_ms, workload.monitoring.error_rate_objective) == (None, 0.01)
    assert workload.budget.alert_percent == (50, 80, 100)


def test_models_are_found_by_role_in_the_order_of_the_file():
    workload = Workload.load(WORKLOADS / "personalization.yaml")
    found = workload.models_in(Role.CANARY, Role.CHAMPION)
    assert [(model.version, model.traffic) for model in found] == [("2.0.1", 90), ("2.1.0", 10)]
    assert workload.models_in(Role.SHADOW) == ()


def test_a_schedule_is_kept_with_single_spaces(tmp_path):
    file = tmp_path / "workload.yaml"
    changes = {"retraining.schedule": " 0  2\t* * 0 "}
    file.write_text(yaml.safe_dump(changed(definition("fraud_detection", tmp_path), changes)))
    assert Workload.load(file).retraining.schedule == "0 2 * * 0"


def test_a_workload_does_not_change_after_it_was_read():
    workload = Workload.load(WORKLOADS / "churn.yaml")
    with pytest.raises(ValueError, match="frozen"):
        workload.name = "other"
