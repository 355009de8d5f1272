"""Autoscaling on Azure: instances of each deployment follow its load, between the workload's bounds."""

import pytest
from ml_blueprints.azure import autoscaling, facts

SETTING = "azure-native:monitor:AutoscaleSetting"
ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"


def profile(setting) -> dict:
    (found,) = setting.inputs["profiles"]
    return found


@pytest.mark.parametrize(
    ("platform", "minimum", "maximum"), [("streaming", "2", "8"), ("hybrid", "2", "4"), ("hybrid_house", "2", "4")]
)
def test_each_deployment_scales_between_the_workloads_bounds(request, platform, minimum, maximum):
    built = request.getfixturevalue(platform)
    targets = {setting.name: setting.inputs["targetResourceUri"] for setting in built.of_type(SETTING)}
    assert targets == {deployment.name: deployment.id for deployment in built.of_type(DEPLOYMENT)}
    for setting in built.of_type(SETTING):
        assert setting.inputs["enabled"] is True
        assert profile(setting)["capacity"] == {"minimum": minimum, "maximum": maximum, "default": minimum}


def test_an_instance_is_added_when_there_are_many_requests_or_little_time_and_taken_away_when_there_is_much_of_both(
    streaming,
):
    most = autoscaling.requests_per_minute(streaming.platform.context)
    for setting in streaming.of_type(SETTING):
        rules = [
            (
                rule["scaleAction"]["direction"],
                rule["metricTrigger"]["metricName"],
                rule["metricTrigger"]["operator"],
                rule["metricTrigger"]["threshold"],
            )
            for rule in profile(setting)["rules"]
        ]
        assert rules == [
            ("Increase", "RequestsPerMinute", "GreaterThan", most),
            ("Increase", "CpuUtilizationPercentage", "GreaterThan", 70),
            ("Decrease", "RequestsPerMinute", "LessThan", round(most * 0.4)),
            ("Decrease", "CpuUtilizationPercentage", "LessThan", 30),
        ]


def test_requests_are_those_that_an_instance_answers_within_its_latency(streaming):
    context = streaming.platform.context
    instance = context.instance
    assert autoscaling.requests_per_minute(context) == round(instance.requests_per_second * context.sizing.load * 60)
    # Of two instances that have 40% each, the one that is left isn't full.
    assert 2 * facts.SCALE_IN_SHARE < 1


def test_requests_are_counted_for_each_instance_of_one_deployment(hybrid):
    endpoints = {found.inputs["endpointName"]: found.id for found in hybrid.of_type(ENDPOINT)}
    deployments = {found.id: found.inputs for found in hybrid.of_type(DEPLOYMENT)}
    for setting in hybrid.of_type(SETTING):
        deployment = deployments[setting.inputs["targetResourceUri"]]
        for rule in profile(setting)["rules"]:
            trigger = rule["metricTrigger"]
            assert trigger["timeGrain"] == "PT1M"
            if trigger["metricName"] == "RequestsPerMinute":
                # https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-metrics
                assert trigger["metricResourceUri"] == endpoints[deployment["endpointName"]]
                named = {"dimensionName": "deployment", "operator": "Equals", "values": [deployment["deploymentName"]]}
                assert (trigger["dimensions"], trigger["dividePerInstance"]) == ([named], True)
            else:
                assert trigger["metricResourceUri"] == setting.inputs["targetResourceUri"]


def test_instances_are_taken_away_more_slowly_than_added(streaming):
    for setting in streaming.of_type(SETTING):
        waits = [
            (rule["scaleAction"]["direction"], rule["scaleAction"]["cooldown"]) for rule in profile(setting)["rules"]
        ]
        assert set(waits) == {("Increase", "PT5M"), ("Decrease", "PT10M")}


def test_batch_has_nothing_to_scale(batch):
    assert not batch.of_type(SETTING)
