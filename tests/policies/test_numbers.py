"""The engine sends every number as a float: what is right stays right."""

from dataclasses import replace

from ml_policies.resource import Stack
from tests.policies.test_cases import findings


def as_the_engine_sends(value):
    """A value with its whole numbers as floats."""
    if isinstance(value, dict):
        return {name: as_the_engine_sends(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_the_engine_sends(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_what_is_right_passes_with_the_numbers_of_the_engine(passing):
    resources = tuple(
        replace(resource, properties=as_the_engine_sends(resource.properties)) for resource in passing.stack.resources
    )
    assert [found.message for found in findings(replace(passing, stack=Stack(resources)))] == []
