"""Shares are kept, an entity stays with its version, and few entities move when shares change."""

from collections import Counter

import pytest
from ml_pipelines.serving.router import Router
from ml_pipelines.serving.table import Entry, Role, Table, TableError

from .conftest import table

ENTITIES = [f"card-{number}" for number in range(20_000)]


def router(champion, canary):
    return Router([Entry("trees", "1.0.0", Role.CHAMPION, champion), Entry("trees", "1.1.0", Role.CANARY, canary)])


def test_shares_are_those_of_the_table():
    counts = Counter(router(90, 10).pick(entity).version for entity in ENTITIES)
    assert counts["1.1.0"] / len(ENTITIES) == pytest.approx(0.1, abs=0.01)


def test_an_entity_stays_with_its_version():
    first, second = router(70, 30), router(70, 30)
    assert [first.pick(entity) for entity in ENTITIES] == [second.pick(entity) for entity in ENTITIES]


def test_entities_move_only_to_what_has_grown():
    before, after = router(90, 10), router(70, 30)
    moves = Counter((before.pick(entity).version, after.pick(entity).version) for entity in ENTITIES)
    assert moves["1.1.0", "1.0.0"] == 0
    assert moves["1.0.0", "1.1.0"] / len(ENTITIES) == pytest.approx(0.2, abs=0.015)


def test_without_an_entity_shares_hold_too():
    split = router(50, 50)
    counts = Counter(split.pick(None).version for _ in range(5000))
    assert counts["1.1.0"] / 5000 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("role", [Role.CANARY, Role.SHADOW])
def test_a_version_that_is_alone_answers_whatever_its_role(role):
    alone = Router([Entry("trees", "1.1.0", role, 10)])
    assert alone.pick("card-1").version == "1.1.0"
    assert alone.shadows == ()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"models": []}, "models"),
        ({"models": [{"name": "a", "version": "1", "role": "king"}]}, "models[0].role"),
        ({"models": [{"name": "../a", "version": "1", "role": "champion"}]}, "models[0].name"),
        ({"models": [{"name": "a", "version": "1", "role": "champion", "traffic": -1}]}, "models[0].traffic"),
        ({"models": [{"name": "a", "version": "1", "role": "champion", "tenant": "x"}]}, "models[0].tenant"),
        ({"tenants": {"shop": "many"}}, "tenants.shop.requests_per_second"),
        ({"tenants": {"shop": {"requests_per_second": 1, "namespace": "a/b"}}}, "tenants.shop.namespace"),
        ({"ensemble": {"method": "mean", "members": ["trees", "x"]}}, "ensemble.method"),
        ({"ensemble": {"method": "vote", "members": ["trees"]}}, "ensemble.members"),
        ({"ensemble": {"method": "vote", "members": ["trees", "x"]}}, "ensemble.members"),
        ({"guard": {"error_rate": "low"}}, "guard.error_rate"),
    ],
)
def test_a_wrong_table_is_refused_by_its_field(changed, field):
    import json
    import re

    with pytest.raises(TableError, match=re.escape(field)):
        Table.parse(json.dumps(table() | changed))


def test_what_the_stacks_write_is_taken():
    import json

    from ml_blueprints import routing
    from ml_blueprints.workload import Workload
    from sandbox import home

    for file in sorted((home.REPOSITORY / "stacks" / "workloads").glob("*.yaml")):
        workload = Workload.load(file)
        parsed = Table.parse(json.dumps(routing.document(workload, routing.deployed(workload))))
        assert parsed.workload == workload.name
        assert len(parsed.models) == len(routing.deployed(workload))
