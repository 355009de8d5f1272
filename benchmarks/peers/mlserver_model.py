"""The model in MLServer, as a runtime of one's own, with its defaults and one process."""

import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Scored(MLModel):
    async def load(self) -> bool:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], settings, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        columns = {item.name: np.array(item.data.root, dtype=np.float64).reshape(-1, 1) for item in payload.inputs}
        scores = self.session.run(None, columns)[0].ravel().tolist()
        output = ResponseOutput(name="score", shape=[len(scores)], datatype="FP64", data=scores)
        return InferenceResponse(model_name=self.name, outputs=[output])
