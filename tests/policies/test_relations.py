"""Finders and relations, and the checks that look inside of lists and texts."""

import pytest
from ml_policies.checks import Scope, Undecided, Wrong, equals, mentions, present, some
from ml_policies.relations import (
    anywhere,
    belonging,
    chain,
    dependencies,
    dependents,
    either,
    naming,
    one_relation,
    related,
    where,
)
from ml_policies.resource import UNKNOWN, Resource, Stack


def resource(name, properties=None, needs=()):
    return Resource(f"t:{name}", name, f"urn:{name}", properties or {}, depends_on=frozenset(f"urn:{n}" for n in needs))


ENDPOINT = resource("endpoint", {"name": "fraud"})
ALARM = resource("alarm", {"dimensions": {"EndpointName": "fraud"}}, needs=["topic"])
TOPIC = resource("topic", {"owner": UNKNOWN})
SCALING = resource("scaling", needs=["endpoint"])
STACK = Stack((ENDPOINT, ALARM, TOPIC, SCALING))


def scope(properties):
    return Scope(ENDPOINT, properties)


@pytest.mark.parametrize(
    ("finder", "names"),
    [
        (dependents(), ["scaling"]),
        (dependencies(), []),
        (anywhere("t:topic", "t:endpoint"), ["topic"]),
        (naming("t:alarm", "dimensions", "name"), ["alarm"]),
        (belonging("t:alarm", "dimensions", "name"), ["alarm"]),
        (belonging("t:scaling", "resourceId", "name"), ["scaling"]),
        (naming("t:alarm", "dimensions", "unknown"), []),
        (either(dependents(), dependents("t:scaling")), ["scaling"]),
        (chain(naming("t:alarm", "dimensions.EndpointName", "name"), dependencies("t:topic")), ["topic"]),
    ],
)
def test_a_finder_finds_what_counts(finder, names):
    assert [one.name for one in finder(ENDPOINT, STACK)] == names


def test_a_name_inside_of_another_name_is_not_meant():
    other = resource("alarm", {"dimensions": {"EndpointName": "fraud-detection"}})
    assert not list(naming("t:alarm", "dimensions", "name")(ENDPOINT, Stack((ENDPOINT, other))))


def results(relation):
    return list(relation(ENDPOINT, STACK, {}))


def test_one_related_resource_that_passes_is_enough():
    assert not results(related(anywhere("t:alarm", "t:scaling"), "nothing", present("dimensions")))


def test_what_is_lacking_is_told():
    [wrong] = results(related(dependents("t:topic"), "no topic"))
    assert str(wrong) == "no topic"


def test_an_unknown_value_of_what_is_related_leaves_it_open():
    [open_] = results(related(anywhere("t:topic"), "no topic", present("owner")))
    assert open_ == Undecided("topic: owner")


def test_what_may_be_elsewhere_passes_only_if_nothing_is_here():
    assert not results(related(dependents("t:topic"), "none", elsewhere=True))
    assert results(related(dependents("t:scaling"), "none", present("name"), elsewhere=True))


def test_a_relation_of_what_is_related_counts():
    has_topic = related(dependencies("t:topic"), "no topic")
    assert not results(related(anywhere("t:alarm"), "no alarm", then=has_topic))
    assert results(related(anywhere("t:scaling"), "no alarm", then=related(dependents("t:topic"), "no topic")))


def test_a_relation_counts_only_where_its_condition_holds():
    never = related(dependents("t:topic"), "no topic")
    assert not results(where(equals("name", "other"), never))
    assert isinstance(results(where(equals("name", "fraud"), never))[0], Wrong)


def test_one_of_several_relations_is_enough():
    never, always = related(dependents("t:topic"), "no topic"), related(dependents("t:scaling"), "no scaling")
    assert not results(one_relation(never, always))
    assert [str(found) for found in results(one_relation(never, never))] == ["no topic"]
    open_ = related(anywhere("t:topic"), "no topic", present("owner"))
    assert isinstance(results(one_relation(never, open_))[0], Undecided)


@pytest.mark.parametrize(
    ("items", "kind"),
    [
        ([{"a": 2}, {"a": 1}], None),
        ([{"a": 2}], Wrong),
        ([], Wrong),
        (None, Wrong),
        ([{"a": UNKNOWN}], Undecided),
        (UNKNOWN, Undecided),
        ([{"a": 2}, UNKNOWN], Undecided),
        ([UNKNOWN, {"a": 1}], None),
    ],
)
def test_some_item_is_right(items, kind):
    found = list(some("items[]", equals("a", 1), "an item with a of 1")(scope({"items": items})))
    assert [type(one) for one in found] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("about drift", None),
        ({"deep": [{"drift": 1}]}, None),
        (["", 3, None], Wrong),
        (None, Wrong),
        ("DRIFT", Wrong),
        (UNKNOWN, Undecided),
        ({"a": UNKNOWN, "b": "drift"}, None),
        ({"a": UNKNOWN, "b": "x"}, Undecided),
    ],
)
def test_a_text_is_found_however_deep(value, kind):
    found = list(mentions("value", r"\bdrift\b", "drift")(scope({"value": value})))
    assert [type(one) for one in found] == ([kind] if kind else [])
