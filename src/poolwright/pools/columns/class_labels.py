"""Read the names of classes that Hugging Face stores in the metadata of Parquet files, next to columns of indices."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.pools.columns.casting import plain_type


def classes_of(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes by column, from the `ClassLabel` features that Hugging Face writes to Parquet."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        labels = {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
        integers = {field.name for field in schema if pa.types.is_integer(plain_type(field.type))}
        return {name: tuple(map(str, names)) for name, names in labels.items() if names and name in integers}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def class_names(indices: pa.Array, names: Sequence[str]) -> pa.Array:
    """Return the names of classes by index; null for an index that has none, such as -1."""
    inside = pc.and_(pc.greater_equal(indices, 0), pc.less(indices, len(names)))
    return pa.array(names, pa.string()).take(pc.if_else(inside, indices, None))
