"""Budget: the model answers in time and is small enough to be loaded quickly."""

import time
from collections.abc import Iterator

import numpy as np

from ml_pipelines.steps.examples import rows
from ml_pipelines.steps.gates.evidence import Evidence
from ml_pipelines.steps.verdict import Check

GATE = "budget"
CALLS = 500
_WARM = 20
_MEGABYTE = 1e6


def check(evidence: Evidence) -> Iterator[Check]:
    """The 99th percentile of single answers, and the size of the file.

    Time is that of the thread on a processor: what else the machine does isn't held against the model.
    """
    bounds = evidence.task.bounds
    asked = [rows(evidence.test.arrays, np.array([number % len(evidence.test)])) for number in range(CALLS + _WARM)]
    spent = []
    for one in asked:
        started = time.thread_time()
        evidence.score(one)
        spent.append((time.thread_time() - started) * 1000)
    slowest = float(np.quantile(spent[_WARM:], 0.99))
    yield Check(
        GATE,
        "latency",
        slowest <= bounds.latency_ms,
        f"99% of {CALLS} single answers take {slowest:.2f} ms of a processor or less; at most {bounds.latency_ms:g}",
        slowest,
        bounds.latency_ms,
        "Fewer iterations or leaves: the time of trees grows with both.",
    )
    if evidence.model_file is not None:
        size = evidence.model_file.stat().st_size / _MEGABYTE
        yield Check(
            GATE,
            "size",
            size <= bounds.megabytes,
            f"the model has {size:.2f} MB; at most {bounds.megabytes:g}",
            size,
            bounds.megabytes,
            "Fewer trees, or drop words of which each has an entry of its own.",
        )
