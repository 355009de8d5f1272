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
    """The 99th percentile of single answers on one thread, and the size of the file."""
    bounds = evidence.task.bounds
    asked = [rows(evidence.test.arrays, np.array([number % len(evidence.test)])) for number in range(CALLS + _WARM)]
    spent = []
    for one in asked:
        started = time.perf_counter()
        evidence.score(one)
        spent.append((time.perf_counter() - started) * 1000)
    slowest = float(np.quantile(spent[_WARM:], 0.99))
    yield Check(
        GATE,
        "latency",
        slowest <= bounds.latency_ms,
        f"99% of {CALLS} single answers take at most {slowest:.2f} ms on one thread; at most {bounds.latency_ms:g} ms",
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
