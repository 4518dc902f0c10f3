"""Read the class names that Hugging Face `datasets` keeps in the schema of a Parquet file (ClassLabel), and compare."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.wording import some

_METADATA_KEY = b"huggingface"


def class_labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes by index, for every column of indices, or of lists of them, that has names."""
    document = (schema.metadata or {}).get(_METADATA_KEY)
    try:
        features = json.loads(document)["info"]["features"] if document else {}
        found = {name: _names(features[name]) for name in schema.names if name in features}
    except (ValueError, KeyError, TypeError, AttributeError):  # not written by `datasets`
        return {}
    return {name: names for name, names in found.items() if names and named_type(schema.field(name).type)}


def named_type(dtype: pa.DataType) -> pa.DataType | None:
    """Return the type of a column of indices with names instead: text, or lists of it; None if it holds no indices."""
    if pa.types.is_dictionary(dtype):
        return named_type(dtype.value_type)
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype):
        return pa.list_(pa.string()) if pa.types.is_integer(dtype.value_type) else None
    return pa.string() if pa.types.is_integer(dtype) else None


def names_of_labels(indices: pa.Array | pa.ChunkedArray, names: tuple[str, ...]) -> pa.Array | pa.ChunkedArray:
    """Return the class name of each index.

    Args:
        indices: integers (n,), or lists of them.
        names: class names by index.

    Returns:
        text (n,), or lists of it; null for an index that is null or of no class (-1 is a missing label in `datasets`).
    """
    if isinstance(indices, pa.ChunkedArray):
        kind = named_type(indices.type)
        return pa.chunked_array([names_of_labels(chunk, names) for chunk in indices.chunks], kind)
    if pa.types.is_dictionary(indices.type):
        return names_of_labels(indices.dictionary_decode(), names)
    if not pa.types.is_integer(indices.type):
        lists = indices.cast(pa.list_(indices.type.value_type))
        named = names_of_labels(lists.values, names)
        return pa.ListArray.from_arrays(lists.offsets, named, mask=lists.is_null() if lists.null_count else None)
    known = pc.and_(pc.greater_equal(indices, 0), pc.less(indices, len(names)))
    return pc.take(pa.array(names, pa.string()), pc.if_else(known, indices, pa.scalar(None, indices.type)))


def look_alikes(names: Iterable[str]) -> list[str]:
    """Return a note, to follow 'names that', on names that differ by white space, case, '_', '-' or Unicode form alone.

    Empty if there are none.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        plain = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()
        alike[unicodedata.normalize("NFKC", plain)].append(name)
    groups = sorted(" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1)
    return [f"differ by white space, case or Unicode form alone: {some(groups, 5)}"] if groups else []


def _names(feature: Any) -> tuple[str, ...]:
    """Return the names of a ClassLabel, or of the items of a list of them; () for anything else."""
    if isinstance(feature, list) and len(feature) == 1:  # how older releases of `datasets` write a list
        return _names(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") in ("List", "LargeList", "Sequence"):
        inner = feature.get("feature")
        return _names(inner) if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else ()
    names = feature.get("names")
    return tuple(map(str, names)) if feature.get("_type") == "ClassLabel" and isinstance(names, list) else ()
