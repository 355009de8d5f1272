"""The way back from a canary on Azure: what is watched, and what is then written."""

import pytest
from pulumi.runtime import rpc

WORKFLOW = "azure-native:logic:Workflow"
ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
PART = "delivery-eta-rollback"


@pytest.fixture
def written(hybrid, named) -> dict:
    """The step that writes the endpoint."""
    definition = named(hybrid, WORKFLOW, PART).inputs["definition"]
    (step,) = definition["actions"]["fired"]["actions"].values()
    return step["inputs"]


def test_the_champion_gets_all_requests_and_all_else_of_the_endpoint_stays(hybrid, named, written):
    endpoint = named(hybrid, ENDPOINT, "delivery-eta-endpoint")
    assert written["method"] == "PUT"
    assert written["uri"].startswith(f"https://management.azure.com{endpoint.id}?api-version=")
    body = written["body"]
    assert body["properties"].pop("traffic") == {"gradient-boosting-4-0-0": 100}
    assert body["properties"].pop("mirrorTraffic") == {}
    assert body["properties"] == endpoint.inputs["properties"]
    assert body["location"] == endpoint.inputs["location"]
    assert list(body["identity"]["userAssignedIdentities"]) == endpoint.inputs["identity"]["userAssignedIdentities"]


def test_an_alert_that_ends_changes_nothing(hybrid, named):
    action = named(hybrid, WORKFLOW, PART).inputs["definition"]["actions"]["fired"]
    assert action["type"] == "If"
    assert action["expression"]["equals"][1] == "Fired"
    assert "else" not in action


def test_the_canary_is_held_to_what_the_workload_promises(hybrid, named):
    canary = f"{PART}-gradient-boosting-4-1-0"
    (errors,) = named(hybrid, "azure-native:monitor:ScheduledQueryRule", canary).inputs["criteria"]["allOf"]
    assert errors["threshold"] == 0.01
    assert errors["dimensions"] == [
        {"name": "DeploymentName", "operator": "Include", "values": ["gradient-boosting-4-1-0"]}
    ]
    (latency,) = named(hybrid, "azure-native:monitor:MetricAlert", canary).inputs["criteria"]["allOf"]
    assert latency["threshold"] == 80
    assert latency["dimensions"][0]["values"] == ["gradient-boosting-4-1-0"]


def test_its_alerts_start_the_workflow(hybrid, named):
    group = named(hybrid, "azure-native:monitor:ActionGroup", PART)
    # Its address holds a signature.
    receivers = group.inputs["logicAppReceivers"]
    assert rpc.is_rpc_secret(receivers)
    (receiver,) = rpc.unwrap_rpc_secret(receivers)
    assert receiver["resourceId"] == named(hybrid, WORKFLOW, PART).id
    assert receiver["useCommonAlertSchema"] is True
    canary = f"{PART}-gradient-boosting-4-1-0"
    rule = named(hybrid, "azure-native:monitor:ScheduledQueryRule", canary).inputs
    assert rule["actions"]["actionGroups"] == [group.id]
    alert = named(hybrid, "azure-native:monitor:MetricAlert", canary).inputs
    assert alert["actions"] == [{"actionGroupId": group.id}]


def test_its_identity_writes_this_endpoint_and_nothing_else(hybrid, granted):
    assert granted(hybrid, "rollback") == {
        ("roll back", "OnlineEndpoint endpoint"),
        ("Managed Identity Operator", "UserAssignedIdentity serving"),
    }


def test_without_a_canary_nothing_rolls_back(streaming):
    assert not [found for found in streaming.of_type(WORKFLOW) if "rollback" in found.name]
