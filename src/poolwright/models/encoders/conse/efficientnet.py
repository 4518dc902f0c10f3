"""Write EfficientNet-Lite as an ONNX graph, from the tensors of its checkpoint.

EfficientNet-Lite is EfficientNet (Tan and Le, ICML 2019, arXiv 1905.11946) without squeeze-and-excitation, with ReLU6
and with a stem and a head of fixed width. The layers and their widths are those of the tensors; only strides are not,
which are those of the architecture. Batch normalisation is folded into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Weights = Mapping[str, Float32]

_EPSILON = 1e-3
"""Of batch normalisation, as the weights were trained."""

_STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Stride of the first block of each stage; a stage is the blocks of one output width."""


@dataclass
class GraphWriter:
    """Collects the nodes and constants of an ONNX graph.

    Attributes:
        nodes: in the order in which they run.
        constants: arrays by name.
    """

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add an array under a name, and return the name."""
        self.constants[name] = values
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return the output's name."""
        from onnx import helper

        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def unit_length(self, rows: str, output: str = "") -> str:
        """Divide rows (n, d) by their length."""
        return self.add("LpNormalization", rows, output=output, axis=1, p=2)


def add_features(graph: GraphWriter, image: str, weights: Weights) -> str:
    """Add the layers up to the pooled features.

    Args:
        graph: receives the nodes.
        image: input, float32 (n, 3, h, w).
        weights: the tensors by their name in the checkpoint.

    Returns:
        The output: features (n, 1280).
    """
    graph.constant("zero", np.array(0, np.float32))
    graph.constant("six", np.array(6, np.float32))
    found = _convolution(graph, image, weights, "_conv_stem", "_bn0", stride=2, active=True)
    for block, stride in enumerate(_strides(weights)):
        found = _block(graph, found, weights, f"_blocks.{block}.", stride)
    found = _convolution(graph, found, weights, "_conv_head", "_bn1", active=True)
    return graph.add("Flatten", graph.add("GlobalAveragePool", found), axis=1)


def add_probabilities(graph: GraphWriter, features: str, weights: Weights) -> str:
    """Add the classifier: features (n, 1280) to probabilities of the classes (n, 1000)."""
    weight, bias = graph.constant("fc.weight", weights["_fc.weight"]), graph.constant("fc.bias", weights["_fc.bias"])
    return graph.add("Softmax", graph.add("Gemm", features, weight, bias, transB=1), axis=1)


def _strides(weights: Weights) -> list[int]:
    """Return the stride of each block's depthwise convolution."""
    widths: list[int] = []
    while (name := f"_blocks.{len(widths)}._project_conv.weight") in weights:
        widths.append(len(weights[name]))
    stages = iter(_STAGE_STRIDES)
    return [next(stages) if width != before else 1 for before, width in zip([0, *widths], widths, strict=False)]


def _block(graph: GraphWriter, given: str, weights: Weights, block: str, stride: int) -> str:
    """Add an inverted bottleneck; its input is added to its output where shapes are equal."""
    found = given
    if f"{block}_expand_conv.weight" in weights:
        found = _convolution(graph, found, weights, f"{block}_expand_conv", f"{block}_bn0", active=True)
    depthwise, projection = f"{block}_depthwise_conv", f"{block}_project_conv"
    groups = len(weights[f"{depthwise}.weight"])
    found = _convolution(graph, found, weights, depthwise, f"{block}_bn1", stride=stride, groups=groups, active=True)
    found = _convolution(graph, found, weights, projection, f"{block}_bn2")
    expanded = weights.get(f"{block}_expand_conv.weight")
    width = groups if expanded is None else expanded.shape[1]
    same = stride == 1 and width == len(weights[f"{projection}.weight"])
    return graph.add("Add", found, given) if same else found


def _convolution(
    graph: GraphWriter,
    given: str,
    weights: Weights,
    name: str,
    norm: str,
    stride: int = 1,
    groups: int = 1,
    active: bool = False,
) -> str:
    """Add a convolution with its batch normalisation, padded as TensorFlow does, and ReLU6 if it is `active`."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(_EPSILON))
    kernel = weights[f"{name}.weight"] * scale[:, None, None, None]
    shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    inputs = [given, graph.constant(f"{name}.weight", kernel), graph.constant(f"{name}.bias", shift)]
    found = graph.add("Conv", *inputs, auto_pad="SAME_UPPER", strides=[stride] * 2, group=groups)
    return graph.add("Clip", found, "zero", "six") if active else found
