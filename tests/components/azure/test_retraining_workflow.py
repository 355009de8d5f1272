"""The logic app on Azure that starts training: what starts it, how it proves itself, and what it asks for."""

import pytest
from ml_blueprints.azure import retraining_workflow

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/ml"
JOB = {"properties": {"jobType": "Pipeline"}}


@pytest.fixture
def workflow(resolved):
    """A workflow as Azure gets it."""
    return resolved(lambda: retraining_workflow.definition(WORKSPACE, "/identities/monitoring", JOB))


def branches(workflow) -> tuple[dict, dict, dict]:
    """The question that the workflow asks of an event, and what it does then and else."""
    (event,) = workflow["actions"].values()
    assert event["type"] == "If"
    (then,), (otherwise,) = event["actions"].values(), event["else"]["actions"].values()
    return event["expression"], then, otherwise


def test_a_request_starts_it(workflow):
    assert workflow["$schema"].endswith("/2016-06-01/workflowdefinition.json#")
    assert workflow["triggers"] == {
        retraining_workflow.TRIGGER: {"type": "Request", "kind": "Http", "inputs": {"schema": {}}}
    }


def test_it_answers_event_grids_question_with_the_code_that_was_sent(workflow):
    question, answer, _ = branches(workflow)
    validation = "Microsoft.EventGrid.SubscriptionValidationEvent"
    assert question == {"equals": ["@triggerBody()?[0]?['eventType']", validation]}
    assert answer["type"] == "Response"
    assert answer["inputs"] == {
        "statusCode": 200,
        "body": {"validationResponse": "@triggerBody()?[0]?['data']?['validationCode']"},
    }


def test_any_other_event_starts_a_job_with_a_name_of_its_own(workflow):
    _, _, start = branches(workflow)
    assert start["type"] == "Http"
    assert start["inputs"]["method"] == "PUT"
    address, _, query = start["inputs"]["uri"].partition("?")
    assert address == f"https://management.azure.com{WORKSPACE}/jobs/drift-@{{guid()}}"
    assert query == "api-version=2025-12-01"
    assert start["inputs"]["body"] == JOB


def test_it_asks_under_its_identity_and_holds_no_key(workflow):
    _, _, start = branches(workflow)
    assert start["inputs"]["authentication"] == {
        "type": "ManagedServiceIdentity",
        "identity": "/identities/monitoring",
        "audience": "https://management.azure.com/",
    }
