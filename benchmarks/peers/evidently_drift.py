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
from evidently.presets import DataDriftPreset  # noqa: E402

imported = time.perf_counter() - begun
reference, current, *methods = sys.argv[1:]
found = {}
for method in methods:
    begun = time.perf_counter()
    # Reading is part of it, as it is of ours.
    before, after = pd.read_parquet(reference), pd.read_parquet(current)
    answer = Report([DataDriftPreset(method=method)]).run(after, before).dict()
    seconds = time.perf_counter() - begun
    values = {
        one["config"]["column"]: float(one["value"])
        for one in answer["metrics"]
        if one["config"]["type"].endswith("ValueDrift")
    }
    found[method] = {
        **{"seconds": seconds, "values": values},
        "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
print(json.dumps({"import": imported, "methods": found}))
