"""Changes by river, in its own environment: `python river_drift.py FILE.npz`, a stream in each array, answers as JSON.

An array has a row for each event and a column for each value that is watched. It answers where changes were told.
"""

import json
import sys
import time

import numpy as np
from river import drift

DETECTORS = {
    "ADWIN": lambda: drift.ADWIN(),
    "ADWIN, delta 5e-6": lambda: drift.ADWIN(delta=5e-6),
    "Page-Hinkley": lambda: drift.PageHinkley(),
}

streams = np.load(sys.argv[1])
found, seconds, values = {}, dict.fromkeys(DETECTORS, 0.0), 0
for name in streams.files:
    matrix = streams[name]
    values += matrix.size
    found[name] = {}
    for detector, make in DETECTORS.items():
        places = []
        for column in matrix.T:
            one = make()
            listed = column.tolist()
            begun = time.perf_counter()
            for place, value in enumerate(listed):
                one.update(value)
                if one.drift_detected:
                    places.append(place)
            seconds[detector] += time.perf_counter() - begun
        found[name][detector] = sorted(places)
print(json.dumps({"found": found, "microseconds": {name: 1e6 * took / values for name, took in seconds.items()}}))
