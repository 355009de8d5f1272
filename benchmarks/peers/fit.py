"""Fits the same trees with the scikit-learn of a peer's environment: `python fit.py FILE`, for what loads no ONNX."""

import sys

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

INPUTS, TREES, LEAVES = 20, 100, 8

draw = np.random.default_rng(7)
matrix = draw.normal(size=(4000, INPUTS))
level = matrix[:, :5].sum(axis=1) + matrix[:, 5] * matrix[:, 6]
outcomes = level + draw.normal(size=4000) > 0
model = HistGradientBoostingClassifier(max_iter=TREES, max_leaf_nodes=LEAVES, early_stopping=False)
joblib.dump(model.fit(matrix, outcomes), sys.argv[1])
