"""Convert the embeddings of a source to float16 of unit length and one fixed width; null if there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from poolwright.core.columns import MODEL_KEY, WEIGHTS_KEY, is_vector, vector_field, vector_type
from poolwright.core.rows import vector_array
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

LEAST_WIDTH = 16
"""Lists of fewer numbers are boxes and colours, not embeddings."""

BATCH_BYTES = 1 << 23
"""Batches of vectors are cut at about this many bytes: larger ones take memory and are no faster."""

_UNIT = 2e-3  # tolerance of the squared length: float16 is not more precise
_BLOCK = 256  # rows whose squares fit in the cache
_HALF_TO_SINGLE = np.float32(2.0**112)  # between the exponents of float16 and float32


class MadeBy(BaseModel):
    """The encoder that made a column of vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    model: str | None = Field(
        default=None,
        description="name of the encoder that made the vectors, such as 'OpenAI ViT-B/32'; "
        "columns that name different encoders are never compared",
    )
    weights: str = Field(default="", description="digest or name of the encoder's weights")


def field_of(name: str, width: int, made_by: MadeBy | None, source: pa.Field | None = None) -> pa.Field:
    """Return the field of a vector column, with the encoder from the recipe, or else from the source's field."""
    if made_by is not None and made_by.model:
        return vector_field(name, width, made_by.model, made_by.weights)
    known = {key: value for key, value in _metadata(source).items() if key in (MODEL_KEY, WEIGHTS_KEY)}
    return pa.field(name, vector_type(width), metadata=known or None)


def _metadata(field: pa.Field | None) -> dict[bytes, bytes]:
    return dict(field.metadata or {}) if field is not None else {}


def fewer_rows(batch_rows: int, fields: Sequence[pa.Field]) -> int:
    """Return `batch_rows`, or fewer if the vector columns among `fields` would exceed `BATCH_BYTES`."""
    row_bytes: int = sum(2 * field.type.list_size for field in fields if is_vector(field.type))
    return max(1, min(batch_rows, BATCH_BYTES // max(row_bytes, 1)))


def is_list_of_floats(dtype: pa.DataType) -> bool:
    """Whether values of this type are lists of float16, float32 or float64."""
    is_list = pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype)
    return bool(is_list and pa.types.is_floating(dtype.value_type))


def width_of(values: pa.Array) -> int | None:
    """Return the width of lists; None if they differ or there are none but empty ones."""
    if pa.types.is_fixed_size_list(values.type):
        return int(values.type.list_size)
    lengths = pc.unique(pc.list_value_length(values).drop_null())
    lengths = lengths.filter(pc.greater(lengths, 0))
    return int(lengths[0].as_py()) if len(lengths) == 1 else None


def vectors_of_lists(values: pa.Array, width: int) -> pa.Array:
    """Convert lists of floats to unit vectors; a list of another width, or with a null in it, gives null."""
    valid = pc.fill_null(pc.equal(pc.list_value_length(values), width), False).to_numpy(zero_copy_only=False)
    lists = values if valid.all() else values.filter(pa.array(valid))
    flat = lists.flatten()
    matrix = np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(lists), width)
    if flat.null_count:  # pyarrow has made them NaN
        matrix = matrix.astype(np.float64)
    if valid.all():
        return unit_vectors(matrix)
    whole = np.zeros((len(values), width), matrix.dtype)
    whole[valid] = matrix
    return unit_vectors(whole)


def unit_vectors(matrix: npt.NDArray[np.floating]) -> pa.Array:
    """Convert vectors (n, d) to a fixed-size-list array of float16 with unit length.

    float16 vectors that are of unit length within their rounding stay as they are, bit by bit. A vector with NaN,
    infinity or no length is null.
    """
    if matrix.dtype == np.float16:
        off = np.abs(_half_squares(matrix) - 1) > _UNIT
        if not off.any():
            return vector_array(matrix)
        scaled = matrix.copy()
    else:
        off = np.ones(len(matrix), bool)
        scaled = np.zeros(matrix.shape, np.float16)
    valid = ~off
    rows = np.flatnonzero(off)
    valid[rows] = has_direction(matrix[rows])
    scaled[rows] = np.where(valid[rows, None], unit_rows(matrix[rows], np.float16), 0)
    return vector_array(scaled, None if valid.all() else valid)


def _half_squares(matrix: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """Return the squared lengths of float16 vectors (n, d) as float32 (n,); above 4e9 for NaN or infinity.

    NumPy widens float16 value by value; moving the bits into place as integers is three times as fast. NaN and
    infinity come out as 65536 or more, past any float16.
    """
    n, d = matrix.shape
    squares = np.empty(n, np.float32)
    bits = np.ascontiguousarray(matrix).view(np.uint16)
    space = np.empty((min(n, _BLOCK), d), np.uint32)
    for at in range(0, n, _BLOCK):
        block = bits[at : at + _BLOCK]
        wide = space[: len(block)]
        np.copyto(wide, block)
        np.bitwise_and(wide, 0x7FFF, out=wide)
        np.left_shift(wide, 13, out=wide)
        values = wide.view(np.float32)
        np.multiply(values, _HALF_TO_SINGLE, out=values)
        np.einsum("ij,ij->i", values, values, out=squares[at : at + len(block)])
    return squares
