"""Candidates become models: inputs are turned into a matrix by blocks, and a head predicts from it.

Each block and head does its work twice, in numpy for training and as nodes of an ONNX graph for serving, side by side
so that they can be compared. Everything is computed in 64 bits on both sides: in 32 bits a value that lies at a tree's
threshold may go the other way (docs/decisions/0010-onnx-graphs-of-our-own.md).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from onnx import ModelProto, helper, numpy_helper
from onnx import TensorProto as Tensors

from ml_pipelines.steps.examples import Arrays
from ml_pipelines.tasks.task import Candidate, Family, Input, Kind, Parameter, Predicts

if TYPE_CHECKING:
    from threadpoolctl import threadpool_limits

# The newest that ONNX Runtime 1.23 takes; TreeEnsemble with 64 bits came with version 5 of ai.onnx.ml.
OPSETS = {"": 21, "ai.onnx.ml": 5}
IR_VERSION = 10

# scikit-learn's threads spin while they wait, which makes training ten times as slow where others use the processors.
# It is read when OpenMP is loaded, which is why scikit-learn is imported where it is used.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

OUTPUT = "score"

THREADED_ROWS = 100_000
RARE_WORDS = 10
EFFECT_FOLDS = 5
EFFECT_WEIGHT = 8.0
_LEAST_SPREAD = 1e-9


class Graph:
    """Nodes and constants of an ONNX graph in the order in which they are added; names are numbers in that order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *arguments: str, domain: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(arguments), [output], domain=domain, **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """Add a constant; returns its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def lookup(self, word: str, words: Sequence[str], table: np.ndarray) -> str:
        """A row of `table` for each word; the last row is for words that aren't among them."""
        place = self.add(
            "LabelEncoder",
            word,
            domain="ai.onnx.ml",
            keys_strings=list(words),
            values_int64s=list(range(len(words))),
            default_int64=len(words),
        )
        found = self.add("Gather", self.constant(table), place, axis=0)
        return self.add("Squeeze", found, self.constant([1], np.int64))


def believed(values: np.ndarray) -> tuple[float, float]:
    """The lowest and highest number that may be true: no further out of those seen than these are apart."""
    seen = values[np.isfinite(values)]
    return (
        (2 * float(seen.min()) - float(seen.max()), 2 * float(seen.max()) - float(seen.min())) if len(seen) else (0, 0)
    )


@dataclass
class Numbers:
    """Numbers as they are, for trees, which have a way for what is missing; what can't be true is missing, too."""

    names: Sequence[str]
    bounds: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))

    def fit(self, arrays: Arrays, outcomes: np.ndarray) -> np.ndarray:
        """Learn what is believed."""
        self.bounds = np.array([believed(arrays[name]) for name in self.names]).T
        return self.transform(arrays)

    def transform(self, arrays: Arrays) -> np.ndarray:
        """A column for each number."""
        matrix = np.column_stack([arrays[name] for name in self.names])
        return np.where((matrix >= self.bounds[0]) & (matrix <= self.bounds[1]), matrix, np.nan)

    def nodes(self, graph: Graph) -> list[str]:
        """The same in ONNX, for all numbers at once."""
        matrix = graph.add("Concat", *self.names, axis=1)
        above = graph.add("GreaterOrEqual", matrix, graph.constant(self.bounds[:1]))
        below = graph.add("LessOrEqual", matrix, graph.constant(self.bounds[1:]))
        return [graph.add("Where", graph.add("And", above, below), matrix, graph.constant(np.nan))]


@dataclass
class Scaled:
    """A number for weighted sums: held within what was seen, by its logarithm if skewed, centred and scaled.

    What is missing stands in the middle, and a second column says so.
    """

    name: str
    skewed: bool
    low: float = 0.0
    high: float = 0.0
    fill: float = 0.0
    mean: float = 0.0
    spread: float = 1.0

    def fit(self, arrays: Arrays, outcomes: np.ndarray) -> np.ndarray:
        """Learn the bounds, the middle and the spread."""
        values = arrays[self.name]
        seen = values[np.isfinite(values)]
        if len(seen):
            self.low, self.high, self.fill = float(seen.min()), float(seen.max()), float(np.median(seen))
        held = self._held(values)
        self.mean, self.spread = float(held.mean()), max(float(held.std()), _LEAST_SPREAD)
        return self.transform(arrays)

    def transform(self, arrays: Arrays) -> np.ndarray:
        """The scaled number, and whether it is missing."""
        values = arrays[self.name]
        scaled = (self._held(values) - self.mean) / self.spread
        return np.column_stack([scaled, np.isnan(values).astype(np.float64)])

    def _held(self, values: np.ndarray) -> np.ndarray:
        held = np.clip(np.where(np.isnan(values), self.fill, values), self.low, self.high)
        return np.log(held - self.low + 1.0) if self.skewed else held

    def nodes(self, graph: Graph) -> list[str]:
        """The same in ONNX."""
        missing = graph.add("IsNaN", self.name)
        filled = graph.add("Where", missing, graph.constant(self.fill), self.name)
        held = graph.add("Min", graph.add("Max", filled, graph.constant(self.low)), graph.constant(self.high))
        if self.skewed:
            above = graph.add("Sub", held, graph.constant(self.low))
            held = graph.add("Log", graph.add("Add", above, graph.constant(1.0)))
        scaled = graph.add("Div", graph.add("Sub", held, graph.constant(self.mean)), graph.constant(self.spread))
        return [scaled, graph.add("Cast", missing, to=Tensors.DOUBLE)]


@dataclass
class Ranges:
    """A number as the ranges that it lies above, for scorecards: what is missing lies above none and says so."""

    name: str
    bins: int
    edges: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def fit(self, arrays: Arrays, outcomes: np.ndarray) -> np.ndarray:
        """Learn the edges, with as many examples between each two of them."""
        values = arrays[self.name]
        seen = values[np.isfinite(values)]
        shares = np.arange(1, self.bins) / self.bins
        edges = np.unique(np.quantile(seen, shares, method="inverted_cdf")) if len(seen) else np.zeros(0)
        self.edges = edges[edges < seen.max()] if len(edges) else edges
        return self.transform(arrays)

    def transform(self, arrays: Arrays) -> np.ndarray:
        """A column for each edge, and one for what is missing."""
        values = arrays[self.name][:, None]
        return np.column_stack([values > self.edges[None, :], np.isnan(values)]).astype(np.float64)

    def nodes(self, graph: Graph) -> list[str]:
        """The same in ONNX."""
        missing = graph.add("Cast", graph.add("IsNaN", self.name), to=Tensors.DOUBLE)
        if not len(self.edges):
            return [missing]
        above = graph.add("Greater", self.name, graph.constant(self.edges[None, :]))
        return [graph.add("Cast", above, to=Tensors.DOUBLE), missing]


@dataclass
class Words:
    """A column for each frequent word; rare words, new ones and none at all have no column of their own."""

    name: str
    rare: int = RARE_WORDS
    words: list[str] = field(default_factory=list)

    def fit(self, arrays: Arrays, outcomes: np.ndarray) -> np.ndarray:
        """Learn which words are frequent."""
        found, counts = np.unique(arrays[self.name].astype(str), return_counts=True)
        self.words = [str(word) for word, count in zip(found, counts, strict=True) if count >= self.rare]
        return self.transform(arrays)

    def transform(self, arrays: Arrays) -> np.ndarray:
        """1 in the column of the word."""
        return self._table()[_places(arrays[self.name], self.words)]

    def _table(self) -> np.ndarray:
        return np.vstack([np.eye(len(self.words)), np.zeros((1, len(self.words)))])

    def nodes(self, graph: Graph) -> list[str]:
        """The same in ONNX."""
        return [graph.lookup(self.name, self.words, self._table())] if self.words else []


@dataclass
class Effect:
    """A word as the mean outcome that it had, drawn towards the mean of all the more, the rarer it is.

    In training each example sees the mean of others only: of other fifths of the data.
    """

    name: str
    words: list[str] = field(default_factory=list)
    table: np.ndarray = field(default_factory=lambda: np.zeros((1, 2)))

    def fit(self, arrays: Arrays, outcomes: np.ndarray) -> np.ndarray:
        """Learn the effects of all data; returns those of others."""
        words = arrays[self.name]
        self.words = sorted(set(words.tolist()))
        places = _places(words, self.words)
        self.table = self._effects(places, outcomes)
        apart = np.empty((len(words), 2))
        # Neighbours in time are apart, so that a sitting's own outcomes tell nothing.
        part = np.arange(len(words)) * EFFECT_FOLDS // max(len(words), 1)
        for number in range(EFFECT_FOLDS):
            others = part != number
            apart[~others] = self._effects(places[others], outcomes[others])[places[~others]]
        return apart

    def _effects(self, places: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
        size = len(self.words) + 1
        counts = np.bincount(places, minlength=size).astype(np.float64)
        sums = np.bincount(places, weights=outcomes, minlength=size)
        mean = float(outcomes.mean()) if len(outcomes) else 0.0
        return np.column_stack([(sums + EFFECT_WEIGHT * mean) / (counts + EFFECT_WEIGHT), np.log1p(counts)])

    def transform(self, arrays: Arrays) -> np.ndarray:
        """The effect, and the logarithm of how often the word was seen."""
        return self.table[_places(arrays[self.name], self.words)]

    def nodes(self, graph: Graph) -> list[str]:
        """The same in ONNX."""
        return [graph.lookup(self.name, self.words, self.table)]


def _places(words: np.ndarray, known: Sequence[str]) -> np.ndarray:
    """Where each word stands among the known ones; their number for those that aren't known."""
    place = {word: number for number, word in enumerate(known)}
    return np.fromiter((place.get(word, len(known)) for word in words), dtype=np.int64, count=len(words))


Block = Numbers | Scaled | Ranges | Words | Effect


@dataclass
class Constant:
    """The same prediction for everybody."""

    value: float = 0.0

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The constant, for each row."""
        return np.full(len(matrix), self.value)

    def nodes(self, graph: Graph, matrix: str) -> str:
        """Zero times a column would be NaN for NaN: the rows are counted instead."""
        shape = graph.add("Slice", graph.add("Shape", matrix), *(graph.constant([n], np.int64) for n in (0, 1)))
        shape = graph.add("Concat", shape, graph.constant([1], np.int64), axis=0)
        return graph.add("Expand", graph.constant([[self.value]]), shape)


@dataclass
class Sum:
    """A weighted sum of the columns; by the logistic function for a class."""

    weights: np.ndarray
    intercept: float
    logistic: bool

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The sum."""
        total = matrix @ self.weights + self.intercept
        return _logistic(total) if self.logistic else total

    def nodes(self, graph: Graph, matrix: str) -> str:
        """The same in ONNX."""
        product = graph.add("MatMul", matrix, graph.constant(self.weights[:, None]))
        total = graph.add("Add", product, graph.constant(self.intercept))
        return graph.add("Sigmoid", total) if self.logistic else total


@dataclass
class Trees:
    """Boosted trees: the sum of a leaf of each; by the logistic function for a class."""

    fitted: Any
    logistic: bool

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The sum of the leaves, as scikit-learn has it."""
        with _threads(len(matrix)):
            return self.fitted.predict_proba(matrix)[:, 1] if self.logistic else self.fitted.predict(matrix)

    def nodes(self, graph: Graph, matrix: str) -> str:
        """The same in ONNX, from the nodes of scikit-learn's trees."""
        trees = [predictors[0].nodes for predictors in self.fitted._predictors]
        total = graph.add("TreeEnsemble", matrix, domain="ai.onnx.ml", **_ensemble(trees))
        total = graph.add("Add", total, graph.constant(float(np.ravel(self.fitted._baseline_prediction)[0])))
        return graph.add("Sigmoid", total) if self.logistic else total


def _ensemble(trees: Sequence[np.ndarray]) -> dict[str, Any]:
    """The attributes of TreeEnsemble (ai.onnx.ml 5), which numbers splits and leaves apart, over all trees."""
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("splits", "featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs", "missing")
    }
    weights: list[float] = []
    roots = []
    for tree in trees:
        first_split, first_leaf = len(columns["splits"]), len(weights)
        is_leaf = tree["is_leaf"].astype(bool)
        number = np.where(is_leaf, first_leaf + np.cumsum(is_leaf) - 1, first_split + np.cumsum(~is_leaf) - 1)
        weights.extend(tree["value"][is_leaf].tolist())
        roots.append(first_split)
        splits = tree[~is_leaf]
        if not len(splits):
            # A tree of a single leaf is a split with that leaf on both sides.
            for name, value in zip(columns, (0.0, 0, first_leaf, first_leaf, 1, 1, 0), strict=True):
                columns[name].append(value)
            continue
        columns["splits"].extend(splits["num_threshold"].tolist())
        columns["featureids"].extend(splits["feature_idx"].tolist())
        for side, child in (("true", "left"), ("false", "right")):
            columns[f"{side}nodeids"].extend(number[splits[child]].tolist())
            columns[f"{side}leafs"].extend(is_leaf[splits[child]].astype(int).tolist())
        columns["missing"].extend(splits["missing_go_to_left"].astype(int).tolist())
    return {
        "aggregate_function": 1,
        "n_targets": 1,
        "post_transform": 0,
        "tree_roots": roots,
        "nodes_modes": numpy_helper.from_array(np.zeros(len(columns["splits"]), dtype=np.uint8)),
        "nodes_splits": numpy_helper.from_array(np.array(columns["splits"], dtype=np.float64)),
        "nodes_missing_value_tracks_true": columns["missing"],
        "leaf_targetids": [0] * len(weights),
        "leaf_weights": numpy_helper.from_array(np.array(weights, dtype=np.float64)),
        **{
            f"nodes_{name}": columns[name]
            for name in ("featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
        },
    }


def _logistic(values: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))


@dataclass
class Offset:
    """Inputs to the first of which a model adds, the next where one is missing or far out of what was seen.

    `bounds` has the lowest and highest value of each name that are believed; `fill` stands where none is.
    """

    bounds: Mapping[str, tuple[float, float]]
    fill: float

    @classmethod
    def seen(cls, names: Sequence[str], arrays: Arrays, fill: float) -> "Offset":
        """Believes what `believed` says of the values seen."""
        bounds = {name: believed(arrays[name]) for name in names}
        return cls(bounds, fill)

    def values(self, arrays: Arrays) -> np.ndarray:
        """The offset of each row."""
        found: Any = self.fill
        for name, (low, high) in reversed(list(self.bounds.items())):
            found = np.where((arrays[name] >= low) & (arrays[name] <= high), arrays[name], found)
        return found

    def nodes(self, graph: Graph) -> str:
        """The same in ONNX."""
        found = graph.constant(self.fill)
        for name, (low, high) in reversed(list(self.bounds.items())):
            above, below = (
                graph.add(operator, name, graph.constant(bound))
                for operator, bound in (("GreaterOrEqual", low), ("LessOrEqual", high))
            )
            found = graph.add("Where", graph.add("And", above, below), name, found)
        return found


@dataclass
class Model:
    """A fitted candidate."""

    inputs: Sequence[Input]
    blocks: Sequence[Block]
    head: Constant | Sum | Trees
    offset: Offset | None

    def predict(self, arrays: Arrays) -> np.ndarray:
        """A score for each row: a probability, or the number itself."""
        size = len(next(iter(arrays.values())))
        matrix = np.column_stack([np.zeros((size, 0)), *(block.transform(arrays) for block in self.blocks)])
        scores = self.head.predict(matrix)
        return scores + self.offset.values(arrays) if self.offset else scores

    def graph(self, about: Mapping[str, str]) -> ModelProto:
        """The same model as an ONNX graph: an input for each name, of one column; one output, `score`."""
        graph = Graph()
        parts = [name for block in self.blocks for name in block.nodes(graph)]
        if not parts:
            # A head without blocks counts the rows of any input.
            parts = [next(item.name for item in self.inputs if item.kind is not Kind.CATEGORY)]
        score = self.head.nodes(graph, graph.add("Concat", *parts, axis=1))
        if self.offset:
            score = graph.add("Add", score, self.offset.nodes(graph))
        graph.nodes.append(helper.make_node("Identity", [score], [OUTPUT]))
        taken = [
            helper.make_tensor_value_info(
                item.name, Tensors.STRING if item.kind is Kind.CATEGORY else Tensors.DOUBLE, ["rows", 1]
            )
            for item in self.inputs
        ]
        given = [helper.make_tensor_value_info(OUTPUT, Tensors.DOUBLE, ["rows", 1])]
        made = helper.make_model(
            helper.make_graph(graph.nodes, "model", taken, given, graph.constants),
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
            ir_version=IR_VERSION,
            producer_name="ml-pipelines",
        )
        helper.set_model_props(made, dict(about))
        return made


def fit(
    candidate: Candidate,
    parameters: Mapping[str, Parameter],
    taken: Sequence[Input],
    predicts: Predicts,
    arrays: Arrays,
    outcomes: np.ndarray,
    seed: int,
) -> Model:
    """A model of the candidate with these parameters. Rows are in order of time."""
    parameters = {**candidate.defaults, **parameters}
    is_class = predicts is Predicts.CLASS
    middle = float(np.mean(outcomes) if is_class or candidate.offset else np.median(outcomes))
    if candidate.family is Family.CONSTANT:
        return Model(taken, [], Constant(middle), None)
    offset = Offset.seen(candidate.offset, arrays, middle) if candidate.offset else None
    if candidate.family is Family.INPUT:
        return Model(taken, [], Constant(0.0), offset)
    blocks = list(_blocks(candidate, parameters, taken))
    matrix = np.column_stack([block.fit(arrays, outcomes) for block in blocks])
    wanted = outcomes - offset.values(arrays) if offset else outcomes
    return Model(taken, blocks, _HEADS[candidate.family](parameters, matrix, wanted, is_class, seed), offset)


def _blocks(candidate: Candidate, parameters: Mapping[str, Parameter], taken: Sequence[Input]) -> list[Block]:
    words = [item.name for item in taken if item.kind is Kind.CATEGORY and item.name not in candidate.effects]
    numbers = [item for item in taken if item.kind is not Kind.CATEGORY]
    rare = int(parameters.get("rare", RARE_WORDS))
    blocks: list[Block] = []
    if candidate.family is Family.BOOSTING:
        blocks.append(Numbers([item.name for item in numbers]))
    elif candidate.family is Family.LINEAR:
        blocks.extend(Scaled(item.name, item.skewed) for item in numbers)
    else:
        blocks.extend(Ranges(item.name, int(parameters["bins"])) for item in numbers)
    blocks.extend(Words(name, rare) for name in words)
    blocks.extend(Effect(name) for name in candidate.effects)
    return blocks


def _boosted(
    parameters: Mapping[str, Parameter], matrix: np.ndarray, outcomes: np.ndarray, is_class: bool, seed: int
) -> Trees:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings = {
        "max_iter": int(parameters["iterations"]),
        "learning_rate": float(parameters["learning_rate"]),
        "max_leaf_nodes": int(parameters["leaves"]),
        "min_samples_leaf": int(parameters["samples_per_leaf"]),
        "l2_regularization": float(parameters["l2"]),
        "early_stopping": False,
        "random_state": seed,
    }
    with _threads(len(matrix)):
        if is_class:
            return Trees(HistGradientBoostingClassifier(**settings).fit(matrix, outcomes.astype(int)), True)
        return Trees(
            HistGradientBoostingRegressor(**cast(Any, {**settings, "loss": parameters["loss"]})).fit(matrix, outcomes),
            False,
        )


def _threads(size: int) -> "threadpool_limits":
    """One thread for small data, which wait for one another longer than they work; trees are the same with more."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if size < THREADED_ROWS else None)


def _weighted(
    parameters: Mapping[str, Parameter], matrix: np.ndarray, outcomes: np.ndarray, is_class: bool, seed: int
) -> Sum:
    from sklearn.linear_model import LogisticRegression, Ridge
    from threadpoolctl import threadpool_limits

    strength = float(parameters["strength"])
    # Sums of many threads depend on how many there are.
    with threadpool_limits(1):
        if is_class:
            fitted = LogisticRegression(C=strength, max_iter=1000, tol=1e-6).fit(matrix, outcomes.astype(int))
        else:
            fitted = Ridge(alpha=1 / strength, solver="cholesky").fit(matrix, outcomes)
    return Sum(np.ravel(fitted.coef_).astype(np.float64), float(np.ravel(fitted.intercept_)[0]), is_class)


_HEADS: Mapping[Family, Callable[..., Sum | Trees]] = {
    Family.BOOSTING: _boosted,
    Family.LINEAR: _weighted,
    Family.SCORECARD: _weighted,
}
