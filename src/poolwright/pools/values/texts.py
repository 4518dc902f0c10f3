"""Read the captions of rows that have several."""

from __future__ import annotations

import pyarrow as pa

from poolwright.core.runtime.noting import note

SEVERAL = "rows have several captions, of which 'text' is the first"


def is_texts(dtype: pa.DataType) -> bool:
    """Whether values of this type are lists of strings."""
    is_list = pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype)
    return bool(is_list and (pa.types.is_string(dtype.value_type) or pa.types.is_large_string(dtype.value_type)))


def first_texts(lists: pa.Array) -> pa.Array:
    """Return the first text of each list that is not blank; rows with several are noted."""
    texts = [[text for text in value or () if text and text.strip()] for value in lists.to_pylist()]
    several = [len(found) > 1 for found in texts]
    if any(several):
        note(SEVERAL, several, repr(texts[several.index(True)][0][:60]))
    return pa.array([found[0] if found else None for found in texts], pa.string())
