"""Drift by evidently, in its own environment: `python evidently_drift.py REFERENCE CURRENT METHOD...`, to JSON."""

import json
import resource
import sys
import time
import warnings

warnings.filterwarnings("ignore")
begun = time.perf_counter()
import pandas as pd  # noqa: E402 (the import is measured)
from evidently import Report  # noqa: E402
from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test  # noqa: E402
from evidently.legacy.core import ColumnType  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402

# Statistics alone, without a report.
FUNCTIONS = {"jensenshannon alone": jensenshannon_stat_test, "wasserstein alone": wasserstein_stat_test}

imported = time.perf_counter() - begun
reference, current, *methods = sys.argv[1:]
found = {}
for method in methods:
    begun, spent = time.perf_counter(), time.process_time()
    # Reading is part of it, as it is of ours.
    before, after = pd.read_parquet(reference), pd.read_parquet(current)
    if method in FUNCTIONS:
        values = {
            name: float(FUNCTIONS[method](before[name], after[name], ColumnType.Numerical, 0.1).drift_score)
            for name in before
        }
    else:
        answer = Report([DataDriftPreset(method=method)]).run(after, before).dict()
        values = {
            one["config"]["column"]: float(one["value"])
            for one in answer["metrics"]
            if one["config"]["type"].endswith("ValueDrift")
        }
    seconds, processor = time.perf_counter() - begun, time.process_time() - spent
    found[method] = {
        **{"seconds": seconds, "processor": processor, "values": values},
        "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
print(json.dumps({"import": imported, "methods": found}))
