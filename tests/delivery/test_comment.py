"""The comment says what a change leads to: resources, policies, cost and its difference, equivalence, promotions."""

import re

from ml_delivery import comment
from ml_delivery.plan import Change, Plan
from sandbox.stacks import Phase


def outputs(cloud="aws", usd=100, champion="scorecard 3.1.0", budget=800, capabilities=("a", "b"), **layers):
    return {
        "cloud": cloud,
        "architecture": "batch",
        "workload": "credit-scoring",
        "champion": champion,
        "capabilitiesAsked": ["a", "b"],
        "capabilities": {name: ["urn"] for name in capabilities},
        "cost": {"monthlyUsd": usd, "budgetUsd": budget, "layers": layers or {"data": float(usd)}},
    }


def plan(name="aws-batch", *changes, before=None, after=None, **further):
    found = Plan(name, phase=further.pop("phase", Phase.DONE), policies={"MLB-NET-001"}, **further)
    found.planned.extend(changes)
    found.before, found.outputs = before or outputs(), after or outputs()
    return found


BUCKET = "aws:s3/bucket:Bucket"


def cells(text, stack):
    """The row of a stack in the first table, by its heads."""
    lines = text.splitlines()
    heads, row = (next(line for line in lines if line.startswith(start)) for start in ("| stack ", f"| {stack} "))
    names, values = ([cell.strip() for cell in line.split("|")[1:-1]] for line in (heads, row))
    return dict(zip(names, values, strict=True))


def test_a_row_counts_what_happens_and_says_the_difference_in_cost():
    changes = [Change("create", BUCKET, "new", ()), Change("update", BUCKET, "raw", ("tags",))]
    changes += [Change("replace", BUCKET, "other", ("bucket",)), Change("delete", BUCKET, "old", ())]
    text = comment.render([plan("aws-batch", *changes, before=outputs(usd=90), after=outputs(usd=1100))], "main")
    assert cells(text, "aws-batch") == {
        "stack": "aws-batch",
        "create": "1",
        "update": "1",
        "replace": "1",
        "delete": "1",
        "policies": "1 pass",
        "USD a month": "1,100 (+1,010)",
        "capabilities": "2 of 2",
    }
    assert "⚠️ aws-batch: 1,100 USD a month, and the budget is 800." in text
    assert "| data | 1,100.00 | 90.00 |" in text
    assert text.startswith(comment.MARK)


def test_what_is_destroyed_stands_first_in_the_list_of_a_stack():
    changes = [Change("create", BUCKET, "new", ()), Change("delete", BUCKET, "old", ())]
    text = comment.render([plan("aws-batch", *changes)], "main")
    assert text.index("| delete | `aws:s3") < text.index("| create | `aws:s3")


def test_a_promotion_is_told_once_for_all_clouds():
    promoted = outputs(champion="scorecard 3.2.0")
    plans = [plan(f"{cloud}-batch", after=promoted | {"cloud": cloud}) for cloud in ("aws", "gcp")]
    text = comment.render(plans, "main")
    assert text.count("**credit-scoring** promotes scorecard 3.2.0, in place of scorecard 3.1.0.") == 1


def test_clouds_that_do_the_same_are_equivalent_and_one_that_lacks_something_is_named():
    same = [plan(f"{cloud}-batch", after=outputs(cloud)) for cloud in ("aws", "gcp", "azure")]
    assert "credit-scoring (batch): 2 capabilities, the same on aws, gcp, azure." in comment.render(same, "main")
    lacking = [*same[:2], plan("azure-batch", after=outputs("azure", capabilities=("a",)))]
    text = comment.render(lacking, "main")
    assert "⚠️ credit-scoring (batch) is not equivalent: azure lacks b." in text
    assert cells(text, "azure-batch")["capabilities"] == "1 of 2"


def test_a_violation_refuses_the_change_and_is_open_to_read():
    violated = plan("aws-batch", violations=[("MLB-NET-001", "raw", "tags.a is nothing\nit must be set")])
    text = comment.render([plan("gcp-batch"), violated], "main")
    assert "## 1 of 2 stacks change: refused on 1" in text
    assert cells(text, "aws-batch")["policies"] == "**1 violated**"
    assert "<details open><summary>aws-batch</summary>" in text
    assert "| MLB-NET-001 | raw | tags.a is nothing<br>it must be set |" in text


def test_a_preview_that_failed_says_why():
    failed = plan("aws-batch", phase=Phase.FAILED, errors=["stacks/workloads/x.yaml: budget is missing"])
    text = comment.render([failed], "main")
    assert cells(text, "aws-batch")["policies"] == "**failed**"
    assert "- stacks/workloads/x.yaml: budget is missing" in text


def test_a_stack_that_is_gone_is_told_as_something_to_be_done():
    text = comment.render([plan("aws-batch", is_gone=True, phase=Phase.WAITING)], "main")
    assert "the stack is gone: destroy it by hand" in text
    assert "nothing stands against it" in text


def test_what_is_in_a_stack_is_no_markup_of_the_comment():
    hostile = plan("aws-batch", violations=[("R", "a|b", "<img src=x> [click](https://evil) @everybody")])
    text = comment.render([hostile], "main")
    assert "<img" not in text
    assert "a\\|b" in text
    assert "[click](" not in text
    assert "@everybody" not in text


def test_a_comment_is_never_longer_than_github_takes_and_closes_what_it_opened():
    changes = [[Change("update", BUCKET, f"resource-{'x' * 900}-{number}", ("tags",)) for number in range(45)]]
    text = comment.render([plan(f"stack-{number}", *changes[0]) for number in range(9)], "main")
    assert len(text) < 65_536
    assert "The rest is left out" in text
    assert text.count("<details") == text.count("</details>")


def test_more_changes_than_can_be_read_are_counted():
    changes = [Change("update", BUCKET, f"bucket-{number}", ()) for number in range(45)]
    text = comment.render([plan("aws-batch", *changes)], "main")
    assert len(re.findall(r"^\| update ", text, re.MULTILINE)) == 40
    assert "and 5 more" in text
