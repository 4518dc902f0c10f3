"""Read heads, small networks that turn a vector into scores, from .safetensors, .npz or .onnx files."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError, MissingExtra
from poolwright.kernels.similarity.row_stable_matmul import even_product
from poolwright.models.classifiers.onnx_classifier import OnnxClassifier

Hidden = Literal["none", "relu"]
"""What is done to values between two layers."""

ENDINGS = (".safetensors", ".npz", ".onnx")

_ROWS = 128

Floating = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]


class ScoringHead(Protocol):
    """Turns vectors into scores; those of a row do not depend on the other rows.

    Attributes:
        width: dimensions of the vectors.
        outputs: number of scores.
    """

    width: int
    outputs: int

    def scores(self, vectors: Floating) -> Float64:
        """Return the scores (n, outputs) of vectors (n, width)."""
        ...

    def words(self) -> str:
        """Describe the head."""
        ...


def read_head(content: bytes, name: str, hidden: Hidden) -> ScoringHead:
    """Read a head from the content of a file.

    Args:
        name: of the file; its ending says what it is.
        hidden: what is done between the layers of weights; an ONNX graph says so itself.

    Raises:
        RecipeError, InputError: it is no head, or the shapes of its layers do not fit together; names both.
        MissingExtra: the library that reads it is not installed.
    """
    if name.lower().endswith(".onnx"):
        return _OnnxHead(content, name)
    if name.lower().endswith(".safetensors"):
        return _Layers(_chained(_from_safetensors(content, name), name), hidden)
    if name.lower().endswith(".npz"):
        return _Layers(_chained(_from_npz(content, name), name), hidden)
    raise InputError(
        f"{name}: a head is a file {', '.join(ENDINGS)}; save a .pth of torch as .safetensors, as docs/quality.md shows"
    )


class _OnnxHead:
    def __init__(self, content: bytes, name: str) -> None:
        self._graph = OnnxClassifier(content, name)
        self._single = self._graph.single
        self.width, self.outputs = self._graph.width, 1 if self._single else len(self._graph.classes)

    def scores(self, vectors: Floating) -> Float64:
        found, _, _ = self._graph.decide(vectors)
        return found[:, 1:] if self._single else found

    def words(self) -> str:
        return f"ONNX graph, {self.width} to {self.outputs}"


@dataclass(frozen=True)
class _Layer:
    name: str
    weight: Float64  # (out, in)
    bias: Float64  # (out,)


class _Layers:
    """Linear layers. Those with nothing between them are one, which is multiplied out."""

    def __init__(self, layers: list[_Layer], hidden: Hidden) -> None:
        self.width, self.outputs = layers[0].weight.shape[1], len(layers[-1].bias)
        self._count, self._hidden = len(layers), hidden
        self._layers = [_multiplied(layers)] if hidden == "none" else layers

    def scores(self, vectors: Floating) -> Float64:
        *inner, last = self._layers
        found = np.empty((len(vectors), self.outputs))
        for start in range(0, len(vectors), _ROWS):
            some = vectors[start : start + _ROWS]
            rows = np.zeros((_ROWS, self.width))  # always as many, so that products do not depend on their number
            rows[: len(some)] = some
            for layer in inner:
                rows = np.maximum(even_product(rows, layer.weight.T) + layer.bias, 0)
            sums = np.stack([np.vecdot(rows, weights) for weights in last.weight], axis=1)
            found[start : start + _ROWS] = (sums + last.bias)[: len(some)]
        return found

    def words(self) -> str:
        kind = "linear head" if self._hidden == "none" else f"MLP with {self._hidden}"
        return f"{kind}, {self.width} to {self.outputs} in {self._count} layer{'s' if self._count > 1 else ''}"


def _multiplied(layers: list[_Layer]) -> _Layer:
    weight, bias = layers[0].weight, layers[0].bias
    for layer in layers[1:]:
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
    return _Layer("", weight, bias)


def _chained(arrays: Mapping[str, Floating], file: str) -> list[_Layer]:
    """Return the layers of a file by the names that torch gives them: NAME.weight (out, in) and NAME.bias (out,)."""
    found: dict[str, dict[str, Floating]] = {}
    for key, array in arrays.items():
        layer, _, part = key.rpartition(".")
        if part not in ("weight", "bias") or not np.issubdtype(array.dtype, np.floating):
            raise InputError(
                f"{file}: '{key}' ({array.dtype} {array.shape}) is no part of a linear layer, whose parts are "
                "NAME.weight and NAME.bias of floats; export other networks as ONNX"
            )
        found.setdefault(layer, {})[part] = array
    layers = [_layer(name, found[name], file) for name in sorted(found, key=_as_numbered)]
    if not layers:
        raise InputError(f"{file}: holds no arrays; a layer has NAME.weight and NAME.bias")
    for one, other in pairwise(layers):
        if len(one.bias) != other.weight.shape[1]:
            raise InputError(
                f"{file}: '{other.name}weight' is {other.weight.shape}, but '{one.name}weight' before it is "
                f"{one.weight.shape} and gives {len(one.bias)} values; layers come in the order of their numbers"
            )
    return layers


def _layer(name: str, parts: Mapping[str, Floating], file: str) -> _Layer:
    prefix = f"{name}." if name else ""
    weight, bias = parts.get("weight"), parts.get("bias")
    if weight is None or weight.ndim != 2 or not weight.size:
        is_ = "missing" if weight is None else f"of shape {weight.shape}"
        raise InputError(f"{file}: '{prefix}weight' is {is_}; a linear layer has one of shape (out, in)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(
            f"{file}: '{prefix}bias' has shape {bias.shape}, but '{prefix}weight' {weight.shape} needs "
            f"{weight.shape[:1]}"
        )
    wide = np.asarray(weight, np.float64), np.zeros(len(weight)) if bias is None else np.asarray(bias, np.float64)
    if not all(np.isfinite(values).all() for values in wide):
        raise InputError(f"{file}: '{prefix}weight' or its bias has values that are not finite")
    return _Layer(prefix, *wide)


def _as_numbered(name: str) -> list[tuple[int, int, str]]:
    """Sort key: numbers by value, so that layers.10 follows layers.9."""
    parts: Iterable[str] = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def _from_npz(content: bytes, name: str) -> Mapping[str, Floating]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {key: found[key] for key in found.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{name}: not an .npz file of arrays: {error}") from None


def _from_safetensors(content: bytes, name: str) -> Mapping[str, Floating]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load
    except ModuleNotFoundError:
        raise MissingExtra("safetensors", f"the head {name}") from None
    try:
        return dict(load(content))
    except (SafetensorError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{name}: not a safetensors file that can be read: {error}; save it as float32") from None
