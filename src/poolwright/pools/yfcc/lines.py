"""Parse lines of YFCC100M metadata: tab-separated fields, those with free text URL-encoded.

Format: readme of the Yahoo Webscope release. 23 fields from the photo id to the marker of videos. The later dump has
25: the number of the line first, and a hash after the photo id. Lines with only one of the two, so with 24 fields,
exist as well: GeoYFCC keeps its metadata as lines without the number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from poolwright.core.columns import (
    ATTRIBUTION,
    AUTHOR,
    LATITUDE,
    LICENSE,
    LONGITUDE,
    TAKEN_AT,
    TITLE,
    UPLOADED_AT,
    URL,
    WELL_KNOWN,
)
from poolwright.pools.yfcc.fields import split_lines
from poolwright.pools.yfcc.values import Values


def _known(name: str) -> pa.Field:
    return pa.field(name, WELL_KNOWN[name].type)


FIELDS: dict[str, pa.Field] = {
    field.name: field
    for field in (
        pa.field("line_number", pa.int64()),
        pa.field("photo_id", pa.int64()),
        pa.field("hash", pa.string()),
        pa.field("user_nsid", pa.string()),
        _known(AUTHOR),
        _known(TAKEN_AT),
        pa.field("taken", pa.string()),
        _known(UPLOADED_AT),
        pa.field("capture_device", pa.string()),
        _known(TITLE),
        pa.field("description", pa.string()),
        pa.field("user_tags", pa.list_(pa.string())),
        pa.field("machine_tags", pa.list_(pa.string())),
        _known(LONGITUDE),
        _known(LATITUDE),
        pa.field("accuracy", pa.int8()),
        pa.field("page_url", pa.string()),
        _known(URL),
        _known(LICENSE),
        pa.field("license_name", pa.string()),
        pa.field("license_url", pa.string()),
        pa.field("server", pa.int32()),
        pa.field("farm", pa.int32()),
        pa.field("secret", pa.string()),
        pa.field("original_secret", pa.string()),
        pa.field("extension", pa.string()),
        pa.field("media", pa.string()),
        _known(ATTRIBUTION),
    )
}
"""All columns of a line, in order.

`line_number` is the one written in the line. `hash` is as in the line: some dumps drop leading zeros. `author` is
the nickname. `taken_at` is the wall time of the camera, whose zone is unknown, read as UTC, and null if it is not a
valid time; `taken` is its text. `url` is the download URL. `media` is 'photo' or 'video'.
Coordinates beyond 180 and 90 degrees are null, as are invalid numbers. `attribution` names title, author,
source and licence.
"""


def parse(lines: pa.Array, names: Sequence[str]) -> tuple[dict[str, pa.Array], pa.Array]:
    """Parse lines into columns.

    Args:
        lines: strings or bytes (n,), without the line end; null where there is no line.
        names: columns of `FIELDS` to make. Only these are decoded.

    Returns:
        The columns, each (n,) of its type in `FIELDS`, null if the line is null or bad. And the errors, strings (n,),
        such as '12 fields where 23, 24 or 25 are expected'; null for good lines and for null.
    """
    texts, errors = _as_texts(lines)
    fields, rows, wrong = split_lines(texts)
    errors.update(wrong)
    values = Values(fields)
    columns = {name: _spread(values.column(name), rows, len(lines)) for name in names}
    return columns, _sparse(errors, len(lines))


def _as_texts(lines: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Convert lines to strings; those that cannot be become null, with an error by row."""
    if pa.types.is_string(lines.type):
        return lines, {}
    try:
        return lines.cast(pa.string()), {}
    except pa.ArrowInvalid:
        texts = [_text(line) for line in lines.to_pylist()]
    errors = {row: "not UTF-8" for row, text in enumerate(texts) if text is None and lines[row].is_valid}
    return pa.array(texts, pa.string()), errors


def _text(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        return None


def _sparse(texts: dict[int, str], rows: int) -> pa.Array:
    if not texts:
        return pa.nulls(rows, pa.string())
    return pa.array([texts.get(row) for row in range(rows)], pa.string())


def _spread(values: pa.Array, rows: np.ndarray, count: int) -> pa.Array:
    """Spread the values of some rows over a column of `count` rows."""
    if len(rows) == count:
        return values
    positions = np.full(count, -1, np.int64)
    positions[rows] = np.arange(len(rows))
    return values.take(pa.array(positions, mask=positions < 0))
