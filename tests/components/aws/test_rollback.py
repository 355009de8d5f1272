"""Automatic rollback on AWS: a canary that fails at any time loses its share."""

import json

MACHINE = "aws:sfn/stateMachine:StateMachine"
RULE = "aws:cloudwatch/eventRule:EventRule"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
GRANT = "aws:iam/rolePolicy:RolePolicy"


def statements(built, name: str) -> dict[str, list[str]]:
    """The resources of each action that a role may do."""
    document = json.loads(built.named(GRANT, name).inputs["policy"])
    return {action: one["Resource"] for one in document["Statement"] for action in one["Action"]}


def test_alarms_of_the_canary_alone_start_what_gives_the_champion_all_requests(hybrid):
    (machine,) = hybrid.of_type(MACHINE)
    rule = hybrid.named(RULE, "delivery-eta-rollback").inputs
    pattern = json.loads(rule["eventPattern"])
    canary = {
        alarm.inputs["metricName"]: alarm
        for alarm in hybrid.of_type(ALARM)
        if "-rollback-" in alarm.name and alarm.inputs["dimensions"]["VariantName"] == "canary"
    }
    assert set(canary) == {"Invocation5XXErrors", "ModelLatency"}
    assert len(pattern["resources"]) == 2
    assert all(any(alarm.name in arn for arn in pattern["resources"]) for alarm in canary.values())
    assert pattern["detail"] == {"state": {"value": ["ALARM"]}}
    target = hybrid.named("aws:cloudwatch/eventTarget:EventTarget", "delivery-eta-rollback").inputs
    assert target["arn"] == machine.id
    assert target["roleArn"].endswith(hybrid.named("aws:iam/role:Role", "delivery-eta-rollback-start").id)


def test_the_workflow_sets_the_shares_and_tries_again_while_the_endpoint_is_updated(hybrid):
    (machine,) = hybrid.of_type(MACHINE)
    definition = json.loads(machine.inputs["definition"])
    (state,) = definition["States"].values()
    endpoint = hybrid.named("aws:sagemaker/endpoint:Endpoint", "delivery-eta-endpoint")
    assert state["Parameters"] == {
        "EndpointName": endpoint.inputs["name"],
        "DesiredWeightsAndCapacities": [
            {"VariantName": "champion", "DesiredWeight": 1},
            {"VariantName": "canary", "DesiredWeight": 0},
        ],
    }
    assert state["Retry"][0]["MaxAttempts"] * state["Retry"][0]["IntervalSeconds"] >= 1800


def test_the_workflow_may_change_the_shares_of_this_endpoint_and_nothing_else(hybrid):
    may = statements(hybrid, "delivery-eta-rollback")
    (endpoint,) = may["sagemaker:UpdateEndpointWeightsAndCapacities"]
    assert ":endpoint/delivery-eta-" in endpoint
    assert [action for action in may if action.startswith("sagemaker:")] == [
        "sagemaker:UpdateEndpointWeightsAndCapacities"
    ]
    (machine,) = hybrid.of_type(MACHINE)
    assert statements(hybrid, "delivery-eta-rollback-start")["states:StartExecution"] == [machine.id]


def test_what_has_no_canary_has_nothing_to_roll_back(streaming):
    assert not streaming.of_type(MACHINE)
