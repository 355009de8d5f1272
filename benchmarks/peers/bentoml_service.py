"""The model in BentoML, with its defaults and one worker: an ONNX graph, or what scikit-learn fitted."""

import os

import bentoml
import joblib
import numpy as np
import onnxruntime


@bentoml.service(workers=1, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Scored:
    def __init__(self) -> None:
        file = os.environ["MODEL"]
        self.trees = joblib.load(file) if file.endswith(".joblib") else None
        if self.trees is None:
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = settings.inter_op_num_threads = 1
            self.session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
            self.names = [item.name for item in self.session.get_inputs()]

    @bentoml.api
    def score(self, features: dict) -> dict:
        if self.trees is not None:
            return {"score": float(self.trees.predict_proba([list(features.values())])[0, 1])}
        columns = {name: np.array([[features[name]]], dtype=np.float64) for name in self.names}
        return {"score": float(self.session.run(None, columns)[0][0, 0])}
