"""The life of a stack on the real engine: up, no change, changes in place, replacement, drift, import.

How stacks end, test_nine_stacks.py tells.
"""

import json

import pytest
from sandbox.stacks import Phase

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"


def test_up_creates_everything_once_and_a_second_up_changes_nothing(playground, standing):
    first = standing("aws-batch")
    assert first.phase is Phase.DONE, first.errors
    assert first.changes.keys() == {"create"}
    # The engine counts its components and the stack itself, which no cloud sees.
    assert 0 < len(playground.things()) < first.changes["create"]
    before = playground.things()
    second = playground.up("aws-batch")
    assert second.changes == {"same": first.changes["create"]}
    assert playground.things() == before


def test_outputs_say_what_was_built(playground, standing):
    standing("gcp-batch")
    outputs = json.loads(playground.pulumi("stack", "output", "--json", "--stack", "gcp-batch"))
    assert (outputs["cloud"], outputs["architecture"], outputs["workload"]) == ("gcp", "batch", "credit-scoring")
    assert outputs["champion"] == "scorecard 3.1.0"
    assert set(outputs["capabilitiesAsked"]) <= outputs["capabilities"].keys()
    in_state = playground.state("gcp-batch")
    assert all(urn in in_state for urns in outputs["capabilities"].values() for urn in urns)


def test_what_can_change_in_place_does(playground):
    playground.edit_workload("credit_scoring", lambda workload: workload["budget"].update(monthly_usd=800))
    playground.up("aws-batch")
    playground.edit_workload("credit_scoring", lambda workload: workload["budget"].update(monthly_usd=900))
    (before,) = playground.things("aws:budgets/budget:Budget")
    changed = playground.up("aws-batch")
    assert changed.changes.keys() == {"same", "update"}
    # The budget, and how much spending must be unlike before, which is a share of it.
    assert changed.changes["update"] == 2
    (after,) = playground.things("aws:budgets/budget:Budget")
    assert (before.id, before.inputs["limitAmount"], after.inputs["limitAmount"]) == (after.id, "800", "900")


def test_a_new_champion_is_a_new_model_and_the_old_one_goes(playground, standing):
    standing("aws-hybrid")
    playground.edit_workload("delivery_eta", promote)
    assert playground.up("aws-hybrid").phase is Phase.DONE
    models = playground.things("aws:sagemaker/model:Model")
    champions = [model for model in models if model.inputs["tags"]["role"] == "champion"]
    # One is the tenant's that has instances of its own.
    assert [model.inputs["tags"]["version"] for model in champions] == ["3.2.0", "3.2.0"]


def test_a_new_champion_is_what_the_batch_pipeline_scores_with(playground, standing):
    standing("aws-batch")
    playground.edit_workload("credit_scoring", promote)
    assert playground.up("aws-batch").phase is Phase.DONE
    pipelines = playground.things("aws:sagemaker/pipeline:Pipeline")
    (scoring,) = [one for one in pipelines if "-batch-" in one.inputs["pipelineName"]]
    assert "/3.2.0/" in scoring.inputs["pipelineDefinition"]
    assert "/3.1.0/" not in scoring.inputs["pipelineDefinition"]


def promote(workload):
    """Another version of the champion."""
    workload["models"][0]["version"] = "3.2.0"


def test_refresh_notices_what_was_deleted_behind_pulumis_back_and_up_brings_it_back(playground, standing):
    standing("aws-batch")
    (topic,) = playground.things("aws:sns/topic:Topic")
    code, out, _ = playground.command("delete", "aws", topic.id, "--type", topic.type)
    assert code == 0
    assert topic.id in out
    assert not playground.things("aws:sns/topic:Topic")
    playground.pulumi("refresh", "--yes", "--skip-preview", "--stack", "aws-batch")
    assert topic.urn not in playground.state("aws-batch")
    healed = playground.up("aws-batch")
    assert healed.phase is Phase.DONE, healed.errors
    assert len(playground.things("aws:sns/topic:Topic")) == 1
    assert playground.up("aws-batch").changes.keys() == {"same"}


def test_refresh_notices_what_was_edited_behind_pulumis_back_and_up_puts_it_right(playground, standing):
    standing("gcp-batch")
    key = playground.things("gcp:kms/cryptoKey:CryptoKey")[0]
    # What the nightly workflows run (delivery/): it says nothing, or fails, and changes nothing either way.
    nightly = ("refresh", "--preview-only", "--expect-no-changes", "--stack", "gcp-batch")
    playground.pulumi(*nightly)
    assert playground.command("edit", "gcp", key.id, "rotationPeriod=99999999s")[0] == 0
    assert "rotationPeriod" in playground.pulumi(*nightly, "--diff", fails=True)
    printed = playground.pulumi("refresh", "--yes", "--skip-preview", "--diff", "--stack", "gcp-batch")
    assert "99999999s" in printed
    healed = playground.up("gcp-batch")
    assert healed.changes["update"] == 1
    assert playground.things("gcp:kms/cryptoKey:CryptoKey")[0].inputs == key.inputs


@pytest.mark.parametrize(
    ("owner", "adopter", "type_"),
    [
        ("aws-batch", "aws-hybrid", "aws:sns/topic:Topic"),
        ("gcp-batch", "gcp-hybrid", "gcp:pubsub/topic:Topic"),
        ("azure-batch", "azure-hybrid", "azure-native:managedidentity:UserAssignedIdentity"),
    ],
)
def test_what_exists_is_imported(playground, standing, owner, adopter, type_):
    standing(owner)
    existing = playground.things(type_)[0]
    playground.pulumi("stack", "init", adopter, "--no-select")
    printed = playground.pulumi(
        "import", type_, "adopted", existing.id, "--yes", "--generate-code=false", "--stack", adopter
    )
    (urn,) = [urn for urn in playground.state(adopter) if urn.endswith(f"{type_}::adopted")]
    assert playground.state(adopter)[urn]["id"] == existing.id, printed
    assert "adopted" in printed


def test_importing_what_does_not_exist_fails_in_words(playground, standing, no_traceback):
    standing("aws-batch")
    arn = "arn:aws:sns:eu-west-1:000000000000:nothing"
    printed = playground.pulumi(
        "import", "aws:sns/topic:Topic", "nothing", arn, "--yes", "--stack", "aws-batch", fails=True
    )
    assert "does not exist" in printed
    no_traceback(printed)


def test_all_but_serving_can_come_first_so_that_images_and_models_have_a_place(playground):
    playground.pulumi("stack", "init", "aws-hybrid", "--no-select")
    up = ("up", "--yes", "--skip-preview", "--stack", "aws-hybrid")
    playground.pulumi(*up, "--exclude", "**Serving**", "--exclude-dependents")
    assert playground.things("aws:ecr/repository:Repository")
    assert not playground.things(ENDPOINT)
    playground.pulumi(*up)
    assert playground.things(ENDPOINT)
