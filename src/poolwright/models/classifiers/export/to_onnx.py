"""Convert trained classifiers to ONNX graphs that compute in double precision: vectors in, label and scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from poolwright.core.errors import InputError
from poolwright.kernels.classifiers.parameters import Classifier

OPSET, ML_OPSET, IR = 17, 3, 9
"""Versions of the operators and of the format, as of ONNX 1.13 (2022)."""


class _Graph:
    """Nodes and constants in the order in which they were added. Methods return the name of a value."""

    def __init__(self, classifier: Classifier) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._classifier = classifier

    def constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def doubles(self, name: str, transposed: bool = False) -> str:
        array = np.asarray(self._classifier.arrays[name], np.float64)
        return self.constant(array.T if transposed else array)

    def add(self, operator: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = out or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name


def to_onnx(classifier: Classifier, threshold: float = 0.0) -> bytes:
    """Return the ONNX file of a classifier.

    The input `vectors` is float32 (n, d). Outputs are `label`, the names of the classes (n,), and `scores`, double:
    (n, 1) of two classes, the decision less the threshold, above 0 for the second; else (n, classes).

    Raises:
        InputError: there is no graph of the same decisions for this kind.
    """
    from onnx import TensorProto, helper

    rule = _RULES.get(classifier.kind)
    if rule is None or (classifier.kind == "svm" and not classifier.binary):
        several = "" if classifier.binary else " of several classes"
        raise InputError(f"a classifier '{classifier.kind}'{several} has no ONNX graph; name a file .skops instead")
    graph = _Graph(classifier)
    decisions = rule(graph, classifier, graph.add("Cast", "vectors", to=TensorProto.DOUBLE))
    graph.add("Sub", decisions, graph.constant(np.full(1, threshold if classifier.binary else 0.0)), out="scores")
    if classifier.binary:
        above = graph.add("Greater", "scores", graph.constant(np.zeros(1)))
        number = graph.add("Cast", graph.add("Squeeze", above, graph.constant(np.ones(1, np.int64))), to=_INT64)
    else:
        number = graph.add("ArgMax", "scores", axis=1, keepdims=0)
    names, keys = list(classifier.classes), list(range(len(classifier.classes)))
    graph.add("LabelEncoder", number, out="label", domain=_ML, keys_int64s=keys, values_strings=names)
    columns = 1 if classifier.binary else len(names)
    made = helper.make_graph(
        graph.nodes,
        "classifier",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [None, classifier.width])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
            helper.make_tensor_value_info("scores", TensorProto.DOUBLE, [None, columns]),
        ],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_ML, ML_OPSET)]
    model = helper.make_model(made, producer_name="poolwright", opset_imports=opsets, ir_version=IR)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


_ML, _INT64 = "ai.onnx.ml", 7
"""Domain of the operators for labels, and the number of the type of whole numbers."""


def _mean(graph: _Graph, classifier: Classifier, rows: str) -> str:
    """Subtract the squared distance to centre 1 from that to centre 0; of several classes, minus each."""
    axis = graph.constant(np.ones(1, np.int64))
    squares = []
    for centre in np.asarray(classifier.arrays["centres"], np.float64):
        difference = graph.add("Sub", rows, graph.constant(centre))
        squares.append(graph.add("ReduceSum", graph.add("Mul", difference, difference), axis, keepdims=1))
    if classifier.binary:
        return graph.add("Sub", *squares)
    return graph.add("Neg", graph.add("Concat", *squares, axis=1))


def _linear(graph: _Graph, classifier: Classifier, rows: str) -> str:
    return graph.add("Add", graph.add("MatMul", rows, graph.doubles("coef", True)), graph.doubles("intercept"))


def _mlp(graph: _Graph, classifier: Classifier, rows: str) -> str:
    layers = sum(name.startswith("weight_") for name in classifier.arrays)
    for layer in range(layers):
        rows = graph.add("MatMul", rows, graph.doubles(f"weight_{layer}"))
        rows = graph.add("Add", rows, graph.doubles(f"bias_{layer}"))
        rows = graph.add("Relu", rows) if layer < layers - 1 else rows
    return rows


def _svm(graph: _Graph, classifier: Classifier, rows: str) -> str:
    kernel = _kernel(graph, classifier, rows)
    return graph.add("Add", graph.add("MatMul", kernel, graph.doubles("dual_coef", True)), graph.doubles("intercept"))


def _kernel(graph: _Graph, classifier: Classifier, rows: str) -> str:
    """Compute the kernel of every row with every support vector, (n, m)."""
    values = classifier.values
    products = graph.add("MatMul", rows, graph.doubles("support", True))
    if values["kernel"] == "linear":
        return products
    gamma = graph.constant(np.full(1, float(values["gamma"])))
    if values["kernel"] == "poly":
        base = graph.add("Mul", products, gamma)
        base = graph.add("Add", base, graph.constant(np.full(1, float(values["coef0"]))))
        power = base
        for _ in range(int(values["degree"]) - 1):
            power = graph.add("Mul", power, base)
        return power
    lengths = np.square(np.asarray(classifier.arrays["support"], np.float64)).sum(axis=1)
    own = graph.add("ReduceSum", graph.add("Mul", rows, rows), graph.constant(np.ones(1, np.int64)), keepdims=1)
    sums = graph.add("Add", own, graph.constant(lengths))
    distances = graph.add("Sub", sums, graph.add("Add", products, products))
    return graph.add("Exp", graph.add("Neg", graph.add("Mul", distances, gamma)))


_RULES: Mapping[str, Callable[[_Graph, Classifier, str], str]] = {
    "mean": _mean,
    "logistic": _linear,
    "linear_svm": _linear,
    "mlp": _mlp,
    "svm": _svm,
}
