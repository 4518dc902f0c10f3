"""Read the class names that Hugging Face `datasets` keeps in the schema of a Parquet file (ClassLabel), and compare."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.wording import some

_METADATA_KEY = b"huggingface"


def class_labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes by index, for every integer column of a schema that has them."""
    document = (schema.metadata or {}).get(_METADATA_KEY)
    try:
        features = json.loads(document)["info"]["features"] if document else {}
        return {
            name: tuple(map(str, feature["names"]))
            for name, feature in features.items()
            if isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and isinstance(feature.get("names"), list)
            and name in schema.names
            and pa.types.is_integer(schema.field(name).type)
        }
    except (ValueError, KeyError, TypeError, AttributeError):  # not written by `datasets`
        return {}


def names_of_labels(indices: pa.Array | pa.ChunkedArray, names: tuple[str, ...]) -> pa.Array | pa.ChunkedArray:
    """Return the class name of each index.

    Args:
        indices: integers (n,).
        names: class names by index.

    Returns:
        text (n,); null where the index is null or of no class (-1 is a missing label in `datasets`).
    """
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
