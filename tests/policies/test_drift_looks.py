"""Looks for drift on AWS that name no endpoint: they read what a queue's answers or a container's own lines hold."""

import json

import pytest
from ml_policies.checks import Undecided, Wrong
from ml_policies.evaluation import Evaluator
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rules import RULES

PLACE = "s3://lake/captured"
ASYNCHRONOUS = {"asyncInferenceConfig": {"outputConfig": {"s3OutputPath": f"{PLACE}/answered"}}}
SERVERLESS = {"productionVariants": [{"serverlessConfig": {"memorySizeInMb": 2048}}]}
ITSELF = {"primaryContainer": {"environment": {"CAPTURED": PLACE}}}
# What holds what is asked: a configuration's answers, or a model's own lines; and the folder that is read.
KEPT = [(ASYNCHRONOUS, {}, f"{PLACE}/answered"), (SERVERLESS, ITSELF, f"{PLACE}/requests")]


def resource(kind, name, properties, *needs):
    return Resource(f"aws:{kind}", name, f"urn:{name}", properties, depends_on=frozenset(f"urn:{one}" for one in needs))


def pipeline(*arguments, name="drift"):
    definition = json.dumps({"Steps": [{"Name": "Look", "Arguments": {"ContainerArguments": [name, *arguments]}}]})
    return resource("sagemaker/pipeline:Pipeline", name, {"pipelineDefinition": definition})


def found(configuration, model, *others):
    endpoint = resource("sagemaker/endpoint:Endpoint", "endpoint", {"name": "fraud"}, "configuration")
    stack = [
        endpoint,
        resource("sagemaker/endpointConfiguration:EndpointConfiguration", "configuration", configuration, "model"),
        resource("sagemaker/model:Model", "model", model),
        *others,
    ]
    findings = Evaluator([RULES["MLB-MOD-001"]]).stack(Stack(stack))
    return [type(one.result) for one in findings]


def every_hour(of="drift"):
    return resource("scheduler/schedule:Schedule", "schedule", {"scheduleExpression": "rate(1 hour)"}, of)


@pytest.mark.parametrize(("configuration", "model", "window"), KEPT)
def test_a_look_at_what_is_kept_watches_the_endpoint(configuration, model, window):
    assert found(configuration, model, pipeline("--window", window), every_hour()) == []


@pytest.mark.parametrize(("configuration", "model", "window"), KEPT)
def test_a_look_elsewhere_or_one_that_nothing_starts_doesnt(configuration, model, window):
    assert found(configuration, model) == [Wrong]
    assert found(configuration, model, pipeline("--window", window)) == [Wrong]
    assert found(configuration, model, pipeline("--window", "s3://lake/predictions"), every_hour()) == [Wrong]
    assert found(configuration, model, pipeline("--window", "s3://lake/captured-2/answered"), every_hour()) == [Wrong]
    training = pipeline("drift_baseline", window, name="training")
    assert found(configuration, model, training, every_hour("training")) == [Wrong]


@pytest.mark.parametrize("place", ["", "/"])
def test_nothing_is_kept_in_no_place(place):
    nowhere = {"primaryContainer": {"environment": {"CAPTURED": place}}}
    assert found(SERVERLESS, nowhere, pipeline("--window", f"{PLACE}/requests"), every_hour()) == [Wrong]


def test_what_isnt_known_yet_is_left_to_the_deployment():
    look = pipeline("--window", f"{PLACE}/answered")
    unknown = {"asyncInferenceConfig": {"outputConfig": {"s3OutputPath": UNKNOWN}}}
    assert found(unknown, {}, look, every_hour()) == [Undecided]
    assert found(SERVERLESS, {"primaryContainer": {"environment": {"CAPTURED": UNKNOWN}}}, look) == [Undecided]
    later = resource("sagemaker/pipeline:Pipeline", "drift", {"pipelineDefinition": UNKNOWN})
    assert found(ASYNCHRONOUS, {}, later, every_hour()) == [Undecided]
