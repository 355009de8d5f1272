"""Scores from an exported model by ONNX Runtime, as serving has them: one thread, inputs by name."""

from pathlib import Path

import numpy as np
import onnxruntime

from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import Arrays
from ml_pipelines.steps.manifest import MODEL

_ROWS = 65_536


class Scorer:
    """A model that is ready to score. `kinds` says of each input whether it takes words."""

    def __init__(self, model: bytes) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        self.takes_words = {item.name: item.type == "tensor(string)" for item in self.session.get_inputs()}

    @classmethod
    def load(cls, step: str, folder: Path) -> "Scorer":
        """The model of a folder. Raises StepError where there is none that can be read."""
        file = folder / MODEL
        if not file.exists():
            raise StepError(step, str(file), "there is no such file")
        try:
            return cls(file.read_bytes())
        except Exception as error:  # ONNX Runtime's errors have no common type of their own.
            raise StepError(step, str(file), f"can't be loaded: {error}") from error

    def score(self, arrays: Arrays) -> np.ndarray:
        """A score for each row; missing numbers are NaN, missing words empty. Raises KeyError for a missing input."""
        size = len(next(iter(arrays.values())))
        parts = [np.zeros(0)]
        for start in range(0, size, _ROWS):
            fed = {name: arrays[name][start : start + _ROWS].reshape(-1, 1) for name in self.takes_words}
            parts.append(np.ravel(np.asarray(self.session.run(None, fed)[0])))
        return np.concatenate(parts)
