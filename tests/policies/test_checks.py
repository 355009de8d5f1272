"""The declarations that rules are made of."""

from ml_policies.checks import Scope, Undecided, Wrong, equals, judged, outside_experiments
from ml_policies.resource import UNKNOWN, Resource


def found(check, properties, **parameters):
    """What a check finds on a resource with these properties."""
    resource = Resource("aws:s3/bucket:Bucket", "bucket", "urn:bucket", properties)
    return list(check(Scope(resource, properties, parameters=parameters)))


def test_judged_asks_a_function_which_gets_the_parameters():
    check = judged("days", lambda value, parameters: "more" if value < parameters["least"] else None, default=1)
    assert found(check, {"days": 7}, least=7) == []
    assert found(check, {"days": 6}, least=7) == [Wrong("days", 6, "more")]
    assert isinstance(found(check, {}, least=7)[0], Wrong)
    assert found(check, {}, least=1) == []
    assert found(check, {"days": UNKNOWN}, least=7) == [Undecided("days")]


def test_outside_experiments_leaves_alone_what_says_that_it_is_an_experiment():
    check = outside_experiments("tags", equals("forceDestroy", False, default=False))
    assert found(check, {"forceDestroy": True, "tags": {"environment": "experiment"}}) == []
    for tags in ({"environment": "production"}, {"environment": "staging"}, {}, None):
        (wrong,) = found(check, {"forceDestroy": True, "tags": tags})
        assert isinstance(wrong, Wrong)
    # Whether it is one is only known after a deployment.
    unsure = {"forceDestroy": True, "tags": {"environment": UNKNOWN}}
    assert found(check, unsure) == [Undecided("tags.environment")]
    assert found(check, {"forceDestroy": False, "tags": {"environment": UNKNOWN}}) == []
