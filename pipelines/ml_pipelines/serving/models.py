"""Models of the registry as they serve: only what a signed manifest vouches for is loaded.

Beside signature and hashes, the inputs of the graph are held against those of the manifest, and the model has to score
a row of which nothing is known. A model that fails any of it is refused, and what ran before goes on.
"""

import copy
import hashlib
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ml_pipelines.derivations import DerivationError, named
from ml_pipelines.serving.inputs import ONNX_TYPES, Columns, Schema
from ml_pipelines.serving.kinds import KINDS
from ml_pipelines.serving.trust import ModelError, Trust
from ml_pipelines.steps import manifest
from ml_pipelines.steps.manifest import MODEL

# What answers within a millisecond is asked where the request is, since handing it to a thread costs as much.
QUICK_SECONDS = 0.001
QUICK_ROWS = 16
# Requests that a slow model is at, at a time, and those that wait for it.
THREADS, WAITING = 2, 64
_WARM_UPS = 5


class ScoreError(Exception):
    """A model that has no score for a request that is right."""


class Model:
    """A version that is ready to score. Several threads may use it."""

    def __init__(self, name: str, version: str, said: dict[str, Any], content: bytes):
        """`said` is a manifest that was verified, `content` the graph. Raises ModelError where they don't fit."""
        self.name, self.version, self.key = name, version, f"{name}/{version}"
        self.said, self.task, self.threshold = said, said["task"], said["threshold"]
        where = f"model {self.key}"
        try:
            inputs = [(item["name"], item["kind"]) for item in said["inputs"]]
        except (KeyError, TypeError) as error:
            raise ModelError(f"{where}: the manifest doesn't say its inputs: {error!r}") from error
        if unknown := {kind for _, kind in inputs} - set(KINDS):
            raise ModelError(f"{where}: an input is of kind `{min(unknown)}`, which isn't known")
        try:
            self.derivations = named(said.get("derivations", ()))
        except DerivationError as error:
            raise ModelError(f"{where}: {error}") from error
        if strange := {one.name for one in self.derivations} - {name for name, _ in inputs}:
            raise ModelError(f"{where}: `{min(strange)}` is derived, and no input of the manifest")
        self.schema = Schema(inputs)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        # Arenas keep what the largest request took, for each model of many.
        settings.enable_cpu_mem_arena = False
        settings.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common type of their own.
            raise ModelError(f"{where}: {MODEL} can't be loaded: {error}") from error
        takes = {item.name: item.type for item in self._session.get_inputs()}
        if takes != (wanted := {name: ONNX_TYPES[kind] for name, kind in inputs}):
            differs = min(set(takes.items()) ^ set(wanted.items()))[0]
            raise ModelError(f"{where}: input `{differs}` isn't in {MODEL} what the manifest says")
        self._outputs = [self._session.get_outputs()[0].name]
        self._pool: ThreadPoolExecutor | None = None
        self.waiting = 0
        self.seconds = self._warm_up()
        self.quick = self.seconds < QUICK_SECONDS

    def _warm_up(self) -> float:
        """Seconds of the fastest of some rows of which nothing is known."""
        columns, _ = self.schema.columns([{}])
        times = []
        for _ in range(_WARM_UPS):
            started = time.perf_counter()
            try:
                self.score(columns)
            except ScoreError as error:
                raise ModelError(f"model {self.key}: {error}") from error
            times.append(time.perf_counter() - started)
        return min(times)

    def score(self, columns: Columns) -> list[float]:
        """A score for each row. Raises ScoreError."""
        try:
            scores = np.ravel(np.asarray(self._session.run(self._outputs, columns)[0]))
        except Exception as error:  # As above.
            raise ScoreError(f"can't score: {error}") from error
        if not np.isfinite(scores).all():
            raise ScoreError("a score isn't a finite number")
        return scores.tolist()

    def beside(self, names: Collection[str]) -> "Model":
        """The same model, for requests that may bring further names."""
        other = copy.copy(self)
        other.schema = Schema(self.schema.inputs, names)
        return other

    def selected(self, score: float) -> bool | None:
        """Whether a score is one that is acted upon; None where the model has no threshold."""
        return None if self.threshold is None else score > self.threshold

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads of this model alone, so that one that hangs keeps no other from answering."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, f"model-{self.name}")
        return self._pool


def load(name: str, version: str, folder: Path, trust: Trust) -> Model:
    """The version in a folder. Raises ModelError where it is missing, changed, not signed, or another one."""
    try:
        said = manifest.verify(folder, trust.keys, trust.unsigned)
        content = (folder / MODEL).read_bytes()
    except (manifest.ManifestError, OSError) as error:
        raise ModelError(f"model {name}/{version}: {error}") from error
    # What is loaded are these bytes, whatever becomes of the file after it was verified.
    if hashlib.sha256(content).hexdigest() != said["files"].get(MODEL):
        raise ModelError(f"model {name}/{version}: {folder / MODEL} was changed while it was read")
    if (found := (said.get("name"), said.get("version"))) != (name, version):
        raise ModelError(f"model {name}/{version}: {folder} holds {found[0]}/{found[1]}")
    for needed in ("task", "threshold", "inputs"):
        if needed not in said:
            raise ModelError(f"model {name}/{version}: {folder / manifest.MANIFEST}: `{needed}` is missing")
    return Model(name, version, said, content)
