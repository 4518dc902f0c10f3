"""Read the inputs, outputs and class labels of an ONNX file without loading its weights.

Follows the protobuf encoding of onnx.proto; the numbers are those of its fields.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from poolwright.core.errors import RecipeError

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_WEIGHTS, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGERS, _ATTRIBUTE_STRINGS = 1, 8, 9
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TENSOR_EXTERNAL = 13

Shape = tuple[int | None, ...]
Bytes = bytes | mmap.mmap


@dataclass
class Graph:
    """What an ONNX file says of its graph.

    Attributes:
        inputs: shapes by name, None where free.
        outputs: likewise.
        external: files of weights.
        labels: of a classifier's operators (`classlabels_*` of ai.onnx.ml, `values_strings` of its LabelEncoder), in
            the order of its scores.
        makers: operator and first input of each value.
    """

    inputs: dict[str, Shape] = field(default_factory=dict)
    outputs: dict[str, Shape] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)
    labels: list[str] = field(default_factory=list)
    makers: dict[str, tuple[str, str]] = field(default_factory=dict)


def read_graph(path: Path) -> Graph:
    """Read the graph of an ONNX file.

    Raises:
        RecipeError: the file is not ONNX.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse_graph(data, str(path))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: not an ONNX model that can be read: {error}") from None


def parse_graph(data: Bytes, name: str) -> Graph:
    """Read the graph of the content of an ONNX file.

    Raises:
        RecipeError: the content is not ONNX; names `name`.
    """
    graph = Graph()
    try:
        for number, value in _fields(data, 0, len(data)):
            if number == _MODEL_GRAPH and isinstance(value, range):
                _read(data, value, graph)
    except (ValueError, IndexError) as error:
        raise RecipeError(f"{name}: not an ONNX model that can be read: {error}") from None
    if not graph.inputs or not graph.outputs:
        raise RecipeError(f"{name}: not an ONNX model: it has no inputs and outputs")
    return graph


def _read(data: Bytes, span: range, graph: Graph) -> None:
    for number, value in _fields(data, span.start, span.stop):
        if number == _GRAPH_INPUT:
            graph.inputs.update([_value(data, value)])
        elif number == _GRAPH_OUTPUT:
            graph.outputs.update([_value(data, value)])
        elif number == _GRAPH_WEIGHTS:
            graph.external.update(_locations(data, value))
        elif number == _GRAPH_NODE:
            _read_node(data, value, graph)


def _read_node(data: Bytes, span: int | range, graph: Graph) -> None:
    values = list(_inside(data, span))
    first = {number: _text(data, value) for number, value in reversed(values) if number != _NODE_ATTRIBUTE}
    for number, value in values:
        if number == _NODE_OUTPUT:
            graph.makers[_text(data, value)] = first.get(_NODE_OPERATOR, ""), first.get(_NODE_INPUT, "")
        elif number == _NODE_ATTRIBUTE:
            graph.labels = _labels(data, value) or graph.labels


def _labels(data: Bytes, span: int | range) -> list[str]:
    """Return the class labels of an AttributeProto; [] if it is another one."""
    values = list(_inside(data, span))
    name = next((_text(data, value) for number, value in values if number == _ATTRIBUTE_NAME), "")
    if not name.startswith("classlabels_") and name != "values_strings":
        return []
    found = []
    for number, value in values:
        if number == _ATTRIBUTE_STRINGS:
            found.append(_text(data, value))
        elif number == _ATTRIBUTE_INTEGERS:
            whole = _packed(data, value) if isinstance(value, range) else [value]
            found += [str(label - (label >> 63 << 64)) for label in whole]  # varints hold negative numbers modulo 2^64
    return found


def _packed(data: Bytes, span: range) -> Iterator[int]:
    at = span.start
    while at < span.stop:
        value, at = _varint(data, at)
        yield value


def _value(data: Bytes, span: int | range) -> tuple[str, Shape]:
    """Return name and shape of a ValueInfoProto: type -> tensor_type (1) -> shape (2) -> dim (1) -> dim_value (1)."""
    name, shape = "", []
    for number, value in _inside(data, span):
        if number == _VALUE_NAME:
            name = _text(data, value)
        elif number == _VALUE_TYPE:
            shape = [
                next((size for key, size in _inside(data, dim) if key == 1 and isinstance(size, int)), None)
                for of_type, tensor in _inside(data, value)
                if of_type == 1
                for of_tensor, dims in _inside(data, tensor)
                if of_tensor == 2
                for of_shape, dim in _inside(data, dims)
                if of_shape == 1
            ]
    return name, tuple(shape)


def _locations(data: Bytes, span: int | range) -> Iterator[str]:
    """Yield file names among the external data of a TensorProto, which are pairs of key (1) and value (2)."""
    for number, value in _inside(data, span):
        if number == _TENSOR_EXTERNAL:
            pair = {key: _text(data, text) for key, text in _inside(data, value)}
            if pair.get(1) == "location":
                yield pair.get(2, "")


def _inside(data: Bytes, span: int | range) -> Iterator[tuple[int, int | range]]:
    if not isinstance(span, range):
        raise ValueError("a message is missing")
    return _fields(data, span.start, span.stop)


def _text(data: Bytes, span: int | range) -> str:
    return data[span.start : span.stop].decode() if isinstance(span, range) else ""


def _fields(data: Bytes, at: int, end: int) -> Iterator[tuple[int, int | range]]:
    """Yield (field number, integer or span of bytes) of a protobuf message."""
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("the file is cut off")
            yield number, range(at, at + length)
            at += length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("not protobuf")


def _varint(data: Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("not protobuf")
