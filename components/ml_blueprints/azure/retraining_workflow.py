"""The logic app that starts a training job when Event Grid tells of drift, as data.

The format is that of workflow definitions (https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-definition-language).
"""

from typing import Any

import pulumi

from ml_blueprints.azure import facts

SCHEMA = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"

# Name of the request that starts the workflow.
TRIGGER = "drift"


def definition(workspace: pulumi.Input[str], identity: pulumi.Input[str], job: dict[str, Any]) -> dict[str, Any]:
    """A workflow that starts a job in a workspace (its id) under an identity (its resource id).

    Event Grid first asks whether the address wants events at all; the answer is the code that it sent
    (https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema).
    """
    start = {
        "type": "Http",
        "inputs": {
            "method": "PUT",
            "uri": pulumi.Output.concat(
                facts.MANAGEMENT_URL, workspace, "/jobs/drift-@{guid()}?api-version=", facts.ML_API_VERSION
            ),
            "body": job,
            "authentication": {
                "type": "ManagedServiceIdentity",
                "identity": identity,
                "audience": f"{facts.MANAGEMENT_URL}/",
            },
        },
    }
    answer = {
        "type": "Response",
        "kind": "Http",
        "inputs": {
            "statusCode": 200,
            "body": {"validationResponse": "@triggerBody()?[0]?['data']?['validationCode']"},
        },
    }
    asked = {"equals": ["@triggerBody()?[0]?['eventType']", "Microsoft.EventGrid.SubscriptionValidationEvent"]}
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "triggers": {TRIGGER: {"type": "Request", "kind": "Http", "inputs": {"schema": {}}}},
        "actions": {
            "event": {
                "type": "If",
                "expression": asked,
                "actions": {"answer": answer},
                "else": {"actions": {"start": start}},
            }
        },
    }
