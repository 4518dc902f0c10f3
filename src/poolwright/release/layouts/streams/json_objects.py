"""Write JSON objects of any size entry by entry, and turn rows into such entries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import IMAGE, UID, is_vector
from poolwright.core.errors import StepError
from poolwright.core.rows import Rows

PUBLISHED = {
    "uid": "ID",
    "user_nsid": "USER_ID",
    "author": "NICKNAME",
    "taken": "DATE_TAKEN",
    "uploaded_at": "DATE_UPLOADED",
    "capture_device": "DEVICE",
    "title": "TITLE",
    "description": "DESCRIPTION",
    "user_tags": "USER_TAGS",
    "machine_tags": "MACHINE_TAGS",
    "longitude": "LON",
    "latitude": "LAT",
    "accuracy": "GEO_ACCURACY",
    "page_url": "PAGE_URL",
    "url": "DOWNLOAD_URL",
    "license_name": "LICENSE_NAME",
    "license_url": "LICENSE_URL",
    "server": "SERVER_ID",
    "farm": "FARM_ID",
    "secret": "SECRET",
    "original_secret": "SECRET_ORIGINAL",
    "extension": "EXT",
    "media": "IMG_OR_VIDEO",
    "autotags": "AUTO_TAG_SCORES",
    "line_number": "LINE_NUM",
    "hash": "HASH_VALUE",
    "exif": "EXIF",
}
"""CLEAR's names of columns of YFCC100M. Other columns keep their names."""
EXT, IMG_PATH, IMG_DIR = "EXT", "IMG_PATH", "IMG_DIR"

_MEDIA = {"photo": 0, "video": 1}


class JsonObjects:
    """Files in a folder, each one JSON object, with one entry per line, so that files of any size can be read by lines.

    Files are opened anew for each batch, as there may be more than a process may hold open.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, int] = {}

    def add(self, path: str, entries: Iterable[tuple[str, str]]) -> None:
        """Add entries, (key, JSON text of the value), to the object at a path."""
        file = self.folder / path
        lines = [f"{json.dumps(key, ensure_ascii=False)}: {text}" for key, text in entries]
        if path not in self.counts:
            file.parent.mkdir(parents=True, exist_ok=True)
            self.counts[path] = 0
            file.write_text("{", encoding="utf-8", newline="\n")
        if lines:
            lead = ",\n" if self.counts[path] else "\n"
            with file.open("a", encoding="utf-8", newline="\n") as out:
                out.write(lead + ",\n".join(lines))
            self.counts[path] += len(lines)

    def finish(self) -> dict[str, int]:
        """Close the objects; return the number of entries of each by its path."""
        for path in self.counts:
            with (self.folder / path).open("a", encoding="utf-8", newline="\n") as out:
                out.write("\n}\n")
        return self.counts


class MetadataEntries:
    """Rows as entries of JSON objects: id, and all columns except images, vectors and other bytes.

    Columns of YFCC100M have CLEAR's names; null stays null, and numbers that are not finite become null.

    Raises:
        StepError: two columns would have the same name.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.columns = [field.name for field in schema if field.name != IMAGE and not _is_bulk(field.type)]
        self.names = [PUBLISHED.get(name, name) for name in self.columns]
        for name in self.names:
            if self.names.count(name) > 1 or name in (IMG_PATH, IMG_DIR):
                raise StepError(f"the metadata of CLEAR has a key '{name}' of its own; rename that column in a step")

    def of(self, rows: Rows, more: Sequence[Mapping[str, Any]] | None = None) -> Iterator[tuple[str, str]]:
        """Yield (id, JSON text) of each row.

        Args:
            more: further keys of each row; they override its columns of the same name.
        """
        table = pa.table([_json_values(name, rows.column(name)) for name in self.columns], names=self.names)
        dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(", ", ": "), default=str).encode
        ids = rows.strings(UID)
        for number, values in enumerate(table.to_pylist()):
            yield str(ids[number]), dump({**values, **more[number]} if more else values)


def _is_bulk(dtype: pa.DataType) -> bool:
    is_bytes = pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_fixed_size_binary(dtype)
    return is_vector(dtype) or bool(is_bytes)


def _json_values(name: str, values: pa.Array) -> pa.Array:
    """Return the values in types that JSON has."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if name == "media" and pa.types.is_string(values.type):
        known = pc.index_in(values, value_set=pa.array(list(_MEDIA)))
        return known if known.null_count == values.null_count else values
    if pa.types.is_timestamp(values.type):
        if name == "uploaded_at":
            return values.cast(pa.timestamp("s", tz=values.type.tz), safe=False).cast(pa.int64())
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        exact = values.cast(pa.float64())
        return pc.if_else(pc.is_finite(exact), exact, None)
    return values
