"""The feature job on Azure's serverless Spark: its size, and that it is a job which Azure takes."""

import pytest
from ml_blueprints.azure import facts, feature_job


@pytest.mark.parametrize(
    ("events", "executors"), [(1, 1), (2_000, 1), (2_001, 2), (40_000, 20), (64_000, 32), (100_000, 32)]
)
def test_a_job_has_an_executor_for_every_two_thousand_events_a_second(events, executors):
    assert feature_job.executors(events) == executors


def test_driver_and_executors_fit_the_nodes(streaming):
    (schedule,) = [
        found
        for found in streaming.of_type("azure-native:machinelearningservices:Schedule")
        if found.inputs["name"] == "features"
    ]
    conf = schedule.inputs["properties"]["action"]["jobDefinition"]["conf"]
    for role in ("driver", "executor"):
        # https://learn.microsoft.com/azure/virtual-machines/sizes/memory-optimized/esv3-series: 4 processors, 32 GiB.
        assert conf[f"spark.{role}.cores"] == "4"
        assert int(conf[f"spark.{role}.memory"].removesuffix("g")) < 32
    assert conf["spark.dynamicAllocation.maxExecutors"] == "1"
    assert conf["spark.sql.session.timeZone"] == "UTC"
    assert facts.SPARK_INSTANCE_TYPE == "standard_e4s_v3"
