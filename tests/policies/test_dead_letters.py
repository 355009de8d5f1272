"""What takes dead letters, where a preview doesn't know yet what is handed over to whom."""

import pytest
from ml_policies.checks import Undecided
from ml_policies.evaluation import Evaluator
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rules import RULES

ALARM = Resource(
    "aws:cloudwatch/metricAlarm:MetricAlarm", "alarm", "urn:alarm", {}, depends_on=frozenset({"urn:queue"})
)


def queue(properties):
    return Resource("aws:sqs/queue:Queue", "queue", "urn:queue", properties)


def source(properties, needs=("urn:queue",)):
    type_ = "aws:lambda/eventSourceMapping:EventSourceMapping"
    return Resource(type_, "source", "urn:source", properties, depends_on=frozenset(needs))


def results(*resources):
    found = Evaluator([RULES["MLB-LOG-009"]]).stack(Stack(resources))
    return [one.result for one in found]


@pytest.mark.parametrize("properties", [{"name": "dead-letters"}, {"name": UNKNOWN}, {}])
def test_what_may_be_handed_over_is_left_to_the_deployment(properties):
    sender = source({"destinationConfig": {"onFailure": {"destinationArn": UNKNOWN}}})
    assert [type(result) for result in results(queue(properties), sender)] == [Undecided]
    assert results(queue(properties), sender, ALARM) == []


def test_a_queue_that_is_only_read_takes_no_dead_letters():
    sender = source({"eventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:events"})
    assert results(queue({"name": "events"}), sender) == []


def test_a_name_within_another_is_not_the_queue():
    sender = source({"destinationConfig": {"onFailure": {"destinationArn": "arn:aws:sqs:::other-letters"}}})
    assert results(queue({"name": "letters"}), sender) == []


def test_a_redrive_policy_names_a_queue_inside_of_its_text():
    policy = '{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:letters", "maxReceiveCount": 3}'
    other = Resource("aws:sqs/queue:Queue", "other", "urn:other", {"name": "other", "redrivePolicy": policy})
    assert len(results(queue({"name": "letters"}), other)) == 1
