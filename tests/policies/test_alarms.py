"""MLB-LOG-008: which topics alarms go to, and which they only depend on."""

import pytest
from ml_policies.evaluation import Evaluator
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rules import RULES

ARN = "arn:aws:sns:eu-west-1:123456789012:"
TOPIC = "aws:sns/topic:Topic"


def topic(name, properties):
    return Resource(TOPIC, name, f"urn:{name}", properties)


def alarm(actions, needs):
    type_ = "aws:cloudwatch/metricAlarm:MetricAlarm"
    properties = {"alarmActions": actions}
    return Resource(type_, "alarm", "urn:alarm", properties, depends_on=frozenset(needs))


def unheard(*resources):
    """The topics that nobody hears."""
    found = Evaluator([RULES["MLB-LOG-008"]]).stack(Stack(resources))
    return [one.resource.name for one in found if one.resource.type == TOPIC]


@pytest.mark.parametrize("actions", [[ARN + "alerts"], [UNKNOWN], UNKNOWN])
def test_a_topic_that_an_alarm_goes_to_is_heard(actions):
    assert unheard(topic("alerts", {"name": "alerts"}), alarm(actions, {"urn:alerts"})) == ["alerts"]


def test_a_topic_on_which_an_alarm_depends_through_its_endpoint_is_none_of_its_own():
    answers, alerts = topic("answers", {"name": "answers"}), topic("alerts", {"name": "alerts"})
    configuration = Resource(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        *("configuration", "urn:configuration", {}),
        depends_on=frozenset({"urn:answers"}),
    )
    for actions in ([ARN + "alerts"], [UNKNOWN]):
        found = unheard(answers, alerts, configuration, alarm(actions, {"urn:alerts", "urn:configuration"}))
        assert found == ["alerts"]


def test_a_name_within_another_is_not_the_topic():
    assert unheard(topic("alerts", {"name": "alerts"}), alarm([ARN + "other-alerts"], {"urn:alerts"})) == []
