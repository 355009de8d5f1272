"""The page of the pipelines: it is fresh, and each step of each graph is found on each platform."""

from pathlib import Path

import pytest
from docs import pipelines
from ml_pipelines.platforms.graph import Pipeline, graph
from ml_pipelines.tasks import TASKS

PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"
WORKLOADS = [name for name, task in TASKS.items() if task.workload]


def test_it_is_fresh():
    assert PAGE.read_text() == pipelines.page(), "docs/pipelines.md is stale: `make docs` writes it anew"


@pytest.mark.parametrize("platform", pipelines.PLATFORMS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_each_platform_has_each_step_of_each_pipeline(platform, workload):
    for pipeline in Pipeline:
        found = graph(TASKS[workload], pipeline)
        ways = dict(pipelines.ways(platform, workload, pipeline))
        assert {step.name for step in found.steps} <= set(ways)
        # What is searched is searched by the platform's tuner, and by nothing else.
        for step in found.steps:
            assert bool(step.trials) == any(word in ways[step.name] for word in ("tuning", "sweep")), step.name


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_cached_step_is_cached_on_each_platform_and_no_other_is(workload):
    for pipeline in Pipeline:
        for step in graph(TASKS[workload], pipeline).steps:
            for platform in pipelines.PLATFORMS:
                way = dict(pipelines.ways(platform, workload, pipeline))[step.name]
                # Of a search, Azure caches the trials.
                if not (platform == "azureml" and step.trials):
                    assert way.endswith(", cached") == step.cached, f"{platform}, {pipeline}, {step.name}"
