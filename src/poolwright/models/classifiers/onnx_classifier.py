"""Classifiers as ONNX graphs, run by onnxruntime: one output of scores, or labels and scores as scikit-learn's have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.kernels.similarity.unit_length import has_direction
from poolwright.models.encoders.onnx_graph import parse_graph

_TILE = 128
_FLOATS: Mapping[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}
_LABELS = ("tensor(int64)", "tensor(int32)", "tensor(string)")
_KEEPS_VALUES = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten")
_SUM_ERROR = 1e-3

Floating = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class OnnxClassifier:
    """A classifier by an ONNX graph. What it says of a row does not depend on the other rows.

    Args:
        content: the file.
        name: name of the file, for errors.
        classes: names of the classes in the order of the scores; default those in the graph, else 0, 1, ...

    Attributes:
        classes: names of the classes.
        width: dimensions of the vectors.
        single: whether the graph gives one number per row.

    Raises:
        RecipeError: the content is not ONNX.
        InputError: the graph does not turn a matrix of vectors into scores of two classes or more.
    """

    def __init__(self, content: bytes, name: str, classes: Sequence[str] | None = None) -> None:
        graph = parse_graph(content, name)
        if graph.external:
            raise InputError(f"{name}: its weights are in {min(graph.external)}; save the model as one file")
        self._name, self._session = name, _session(content, name)
        self._input, self._type, self._rows, self.width = self._read_input()
        self._label, self._scores = self._read_outputs()
        made = self._scores
        while graph.makers.get(made, ("", ""))[0] in _KEEPS_VALUES:
            made = graph.makers[made][1]
        self._sigmoid = graph.makers.get(made, ("", ""))[0] == "Sigmoid"
        scores, labels = self._run(np.full((1, self.width), 1.0))
        self.single, count = scores.shape[1] == 1, max(scores.shape[1], 2)
        self.classes = tuple(classes or graph.labels or map(str, range(count)))
        if len(self.classes) != count or len(set(self.classes)) != count:
            raise InputError(
                f"{name} scores {count} classes, but the {'recipe' if classes else 'file'} names "
                f"{len(set(self.classes))}: {', '.join(self.classes)}; set 'classes', in the order of its scores"
            )
        # Labels are numbers or names; those in the graph count alone if it has any.
        known = [graph.labels] if graph.labels else [map(str, range(count)), self.classes]
        self._index = {label: at for names in known for at, label in enumerate(names)}
        self._indices(labels or [])

    def decide(self, vectors: Floating) -> tuple[Float64, Float64, Integers]:
        """Return scores and probabilities (n, classes) and class indices (n,); NaN and -1 without a direction.

        The scores are those of the graph; one number per row becomes two, 0 and the number, or 1 - p and p of a
        sigmoid. Scores that are not negative and add up to 1 are probabilities; other rows have none (NaN). The
        class is that of the graph's label if it has one; else of the largest score, ties to the first.

        Raises:
            InputError: the graph cannot be run, or gives a label that is none of its classes.
            ValueError: vectors of another width.
        """
        if vectors.shape[1] != self.width:
            raise ValueError(f"vectors {vectors.shape} must be (n, {self.width}), as {self._name} takes")
        usable = np.flatnonzero(has_direction(vectors))
        scores = np.full((len(vectors), len(self.classes)), np.nan)
        predicted = np.full(len(vectors), -1, np.int64)
        for start in range(0, len(usable), self._rows):
            rows = usable[start : start + self._rows]
            found, labels = self._run(vectors[rows])
            if self.single:
                found = np.hstack([1 - found if self._sigmoid else np.zeros_like(found), found])
            scores[rows] = found
            predicted[rows] = found.argmax(axis=1) if labels is None else self._indices(labels)
        shares = (scores >= 0).all(axis=1) & (np.abs(scores.sum(axis=1) - 1) < _SUM_ERROR)
        shares &= self._sigmoid or not self.single
        return scores, np.where(shares[:, None], scores, np.nan), predicted

    def _run(self, rows: Floating) -> tuple[Float64, list[str] | None]:
        """Return scores (n, classes or 1) and labels of at most `self._rows` rows."""
        # Tiles are of one size: in another shape BLAS may add in another order.
        tile = np.pad(rows, ((0, self._rows - len(rows)), (0, 0)), mode="edge").astype(self._type)
        try:
            found = self._session.run([name for name in (self._scores, self._label) if name], {self._input: tile})
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise InputError(f"{self._name}: onnxruntime cannot run it: {str(error).splitlines()[0]}") from None
        first = found[0]
        if isinstance(first, list):  # of ZipMap: a mapping of classes to scores for each row
            first = [[row[key] for key in first[0]] for row in first]
        scores = np.asarray(first, np.float64)
        if scores.size % self._rows or scores.shape[:1] != (self._rows,):
            raise InputError(
                f"{self._name}: the output '{self._scores}' has shape {scores.shape}, not one row for each"
            )
        labels = [str(label) for label in np.ravel(found[1])[: len(rows)]] if self._label else None
        return scores.reshape(self._rows, -1)[: len(rows)], labels

    def _indices(self, labels: list[str]) -> Integers:
        unknown = next((label for label in labels if label not in self._index), None)
        if unknown is not None:
            raise InputError(
                f"{self._name} gives the label '{unknown}', which is none of its classes ({', '.join(self._index)}); "
                "set 'classes', in the order of its scores"
            )
        return np.array([self._index[label] for label in labels], np.int64)

    def _read_input(self) -> tuple[str, type[np.floating[Any]], int, int]:
        """Return name and type of the only input, rows per tile and width."""
        inputs = self._session.get_inputs()
        listed = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        one = inputs[0]
        if len(inputs) != 1 or one.type not in _FLOATS or len(one.shape) != 2 or not isinstance(one.shape[1], int):
            raise InputError(
                f"{self._name}: its inputs are {listed}; a classifier takes one matrix of floats, (rows, dimensions)"
            )
        return one.name, _FLOATS[one.type], one.shape[0] if isinstance(one.shape[0], int) else _TILE, one.shape[1]

    def _read_outputs(self) -> tuple[str | None, str]:
        """Return the names of the output with labels, if there is one, and of that with scores."""
        outputs = self._session.get_outputs()
        labels = [one.name for one in outputs if one.type in _LABELS]
        scores = [one.name for one in outputs if one.type in _FLOATS or one.type.startswith("seq(map(")]
        if len(scores) != 1 or len(labels) > 1:
            listed = ", ".join(f"{one.name} {one.type} {one.shape}" for one in outputs)
            raise InputError(
                f"{self._name}: its outputs are {listed}; a classifier gives scores of the classes, with or without "
                "labels"
            )
        return (labels[0] if labels else None), scores[0]


def _session(content: bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise InputError(f"{name}: onnxruntime cannot load it: {str(error).splitlines()[0]}") from None
