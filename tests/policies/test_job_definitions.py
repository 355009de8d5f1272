"""Jobs inside of texts: each step of a pipeline and each job that a workflow starts is checked, wherever it is."""

import json

import pytest
from ml_policies.checks import Scope, Undecided, Wrong, present
from ml_policies.job_definitions import each_spark_batch, each_step, each_vertex_job
from ml_policies.resource import Resource

STEPS = each_step("definition", {"Training": present("Key")})
JOBS = each_vertex_job("source", present("key"))
BATCHES = each_spark_batch("source", present("key"))
URL = "https://dataproc.googleapis.com/v1/projects/p/locations/l/batches"
CALL = "googleapis.aiplatform.v1.projects.locations.customJobs.create"


def found(check, **properties):
    return list(check(Scope(Resource("t:t", "name", "urn", properties), properties)))


def test_steps_inside_of_conditions_are_steps():
    inner = {"Name": "inner", "Type": "Training", "Arguments": {}}
    outer = {"Name": "outer", "Type": "Condition", "Arguments": {"IfSteps": [], "ElseSteps": [inner]}}
    (result,) = found(STEPS, definition=json.dumps({"Steps": [outer]}))
    assert isinstance(result, Wrong)
    assert result.path == "definition.inner.Key"


@pytest.mark.parametrize("definition", ['{"Steps": 1}', '{"Steps": ["text", {"Type": "Other"}]}', "[]", "1"])
def test_what_has_no_such_steps_passes(definition):
    assert found(STEPS, definition=definition) == []


def test_what_cant_be_read_is_left_open():
    assert [type(result) for result in found(STEPS, definition="{")] == [Undecided]
    assert [type(result) for result in found(JOBS, source=f"a: [{CALL}")] == [Undecided]


@pytest.mark.parametrize("args", ["{}", "{body: null}", "{body: {key: ''}}", "text"])
def test_a_job_is_found_in_branches_of_a_workflow(args):
    source = f"main:\n  steps:\n  - a:\n      switch:\n      - steps:\n        - b: {{call: {CALL}, args: {args}}}"
    (result,) = found(JOBS, source=source)
    assert result.path == "source.customJobs.create.key"


def test_other_calls_and_mere_mentions_are_no_jobs():
    assert found(JOBS, source="main: {steps: [{a: {call: http.get}}]}") == []
    assert found(JOBS, source=f"main: {{steps: [{{a: {{assign: [{{x: '{CALL} is meant'}}]}}}}]}}") == []


@pytest.mark.parametrize("body", ["", ", body: {}", ", body: {key: ''}"])
def test_a_batch_of_spark_is_found_by_where_it_is_posted_to(body):
    source = f"main:\n  steps:\n  - a:\n      call: http.post\n      args: {{url: '{URL}'{body}}}"
    (result,) = found(BATCHES, source=source)
    assert result.path == "source.batches.create.key"


def test_looking_at_a_batch_and_posting_elsewhere_start_none():
    look = f"{{a: {{call: http.get, args: {{url: '{URL}/b'}}}}}}"
    post = "{b: {call: http.post, args: {url: 'https://workflows.googleapis.com/v1/x'}}}"
    assert found(BATCHES, source=f"main: {{steps: [{look}, {post}]}}") == []
    assert [type(result) for result in found(BATCHES, source=f"a: [{URL}")] == [Undecided]
