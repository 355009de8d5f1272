"""A plan is read from the engine's events: changes, replacements once, outputs before and after."""

from ml_delivery.plan import Change, Plan
from sandbox.stacks import Phase


def step(op, type_, name, **further):
    urn = f"urn:pulumi:test::ml-blueprints::{type_}::{name}"
    return {"resOutputsEvent": {"metadata": {"op": op, "type": type_, "urn": urn, **further}}}


def test_each_resource_is_told_with_its_step_and_what_differs():
    plan = Plan("aws-batch")
    plan.take(step("update", "aws:s3/bucket:Bucket", "raw", detailedDiff={"tags.b": {}, "tags.a": {}}))
    plan.take(step("delete", "aws:s3/bucket:Bucket", "old"))
    plan.take(step("same", "aws:s3/bucket:Bucket", "kept"))
    assert plan.planned == [
        Change("update", "aws:s3/bucket:Bucket", "raw", ("tags.a", "tags.b")),
        Change("delete", "aws:s3/bucket:Bucket", "old", ()),
    ]


def test_a_replacement_is_one_change_not_three():
    plan = Plan("aws-batch")
    for op in ("create-replacement", "replace", "delete-replaced"):
        plan.take(step(op, "aws:s3/bucket:Bucket", "raw", diffs=["bucket"]))
    assert plan.planned == [Change("replace", "aws:s3/bucket:Bucket", "raw", ("bucket",))]


def test_components_and_providers_are_not_told_as_what_they_are_none_of():
    plan = Plan("aws-batch")
    plan.take(step("create", "ml-blueprints:aws:Data", "data"))
    plan.take(step("create", "pulumi:providers:aws", "default"))
    assert plan.planned == []


def test_outputs_before_and_after_give_the_costs_and_what_is_missing():
    plan = Plan("aws-batch")
    before = {"outputs": {"cost": {"monthlyUsd": 100}}}
    after = {
        "outputs": {"cost": {"monthlyUsd": 120}, "capabilitiesAsked": ["a", "b"], "capabilities": {"a": ["urn"]}},
    }
    plan.take(step("same", "pulumi:pulumi:Stack", "stack", old=before, new=after))
    assert (plan.usd_before, plan.usd) == (100, 120)
    assert plan.missing == ["b"]


def test_a_violation_or_a_failed_preview_stands_against_a_change_and_a_stack_that_is_gone_does_not():
    assert not Plan("one", phase=Phase.DONE).against
    assert Plan("one", phase=Phase.FAILED).against
    assert Plan("one", phase=Phase.DONE, violations=[("MLB-NET-001", "bucket", "open")]).against
    assert not Plan("one", is_gone=True).against
