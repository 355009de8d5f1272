"""Autoscaling on Azure: instances of each deployment follow its load, between the workload's bounds."""

import pytest

SETTING = "azure-native:monitor:AutoscaleSetting"
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


def test_an_instance_is_added_under_load_and_taken_away_when_there_is_little(streaming):
    for setting in streaming.of_type(SETTING):
        more, less = profile(setting)["rules"]
        assert (more["metricTrigger"]["operator"], more["metricTrigger"]["threshold"]) == ("GreaterThan", 70)
        assert (more["scaleAction"]["direction"], more["scaleAction"]["value"]) == ("Increase", "1")
        assert (less["metricTrigger"]["operator"], less["metricTrigger"]["threshold"]) == ("LessThan", 30)
        assert (less["scaleAction"]["direction"], less["scaleAction"]["value"]) == ("Decrease", "1")


def test_the_load_is_the_deployments_own(streaming):
    for setting in streaming.of_type(SETTING):
        for rule in profile(setting)["rules"]:
            trigger = rule["metricTrigger"]
            assert trigger["metricResourceUri"] == setting.inputs["targetResourceUri"]
            # https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-deployments-metrics
            assert trigger["metricName"] == "CpuUtilizationPercentage"
            assert trigger["timeGrain"] == "PT1M"


def test_instances_are_taken_away_more_slowly_than_added(streaming):
    for setting in streaming.of_type(SETTING):
        more, less = profile(setting)["rules"]
        assert (more["scaleAction"]["cooldown"], less["scaleAction"]["cooldown"]) == ("PT5M", "PT10M")


def test_batch_has_nothing_to_scale(batch):
    assert not batch.of_type(SETTING)
