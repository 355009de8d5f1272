"""The policies on what we deploy: each of the nine stacks passes all rules, and each rule can fail on them."""

import pytest
from ml_policies.configuration import Configuration
from ml_policies.state import read_state
from ml_policies.verdict import Judge
from sandbox import project
from tests.policies.mutations import unproved
from tests.stacks.test_nine_stacks import REPOSITORY

pytestmark = pytest.mark.xdist_group("nine")
STACKS = project.stack_names(REPOSITORY)


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_passes_the_whole_pack_with_nothing_left_open(nine, stack):
    verdict = Judge(Configuration()).stack(read_state(nine.exports[stack]))
    assert [f"{one.rule.id} {one.outcome} {one.resource.name}: {one.message}" for one in verdict.judgements] == []


def test_each_rule_fails_where_the_property_that_it_guards_is_broken(nine):
    open_, proved = unproved({stack: read_state(file) for stack, file in nine.exports.items()})
    assert open_ == []
    assert proved


def test_the_engine_finds_no_violation_either(nine):
    code, printed = nine.policies
    assert code == 0, printed
    assert f"{len(STACKS)} of {len(STACKS)} pass" in printed
