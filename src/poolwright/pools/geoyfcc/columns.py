"""Make the columns of the pool `geoyfcc` from those of its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import COUNTRY, IMAGE, IMAGE_ERROR, IMAGE_PATH, ROW_ERROR, UID, WELL_KNOWN
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.rows import cast_or_null
from poolwright.pools.columns import image_paths
from poolwright.pools.columns.casting import as_given, given_type, plain, plain_type
from poolwright.pools.geoyfcc.frame import LABELS, METADATA, ROW_ID
from poolwright.pools.yfcc import lines as yfcc_lines
from poolwright.pools.yfcc.fields import fields_of
from poolwright.pools.yfcc.zips import IMAGE_FIELDS

METADATA_ERROR = "metadata_error"
_MISSING = "no yfcc_metadata"

_OWN = {
    ROW_ID: pa.int64(),
    "label_ids": LABELS,
    "in_5k_label_ids": LABELS,
    COUNTRY: WELL_KNOWN[COUNTRY].type,
    "country_id": pa.int32(),
    "is_train": pa.bool_(),
}
"""Columns of GeoYFCC, without its metadata."""

_FIELDS = [name for name in yfcc_lines.FIELDS if name not in (UID, "line_number")]
"""Columns from the metadata; the number of the line is `yfcc_row_id`."""

_MADE = (UID, ROW_ERROR, IMAGE, IMAGE_ERROR)
"""Never taken from the source."""


def is_named(name: str) -> bool:
    """Whether a column of indices of classes is given by their names, unlike `label_ids` and other numbers."""
    own = _OWN.get(name) or (yfcc_lines.FIELDS[name].type if name in yfcc_lines.FIELDS else pa.string())
    return name not in _MADE and pa.types.is_string(own)


def is_free(name: str) -> bool:
    """Whether a column has the type of its source: neither one of GeoYFCC nor a well-known one."""
    return name not in (*_OWN, *yfcc_lines.FIELDS, METADATA, *_MADE, *WELL_KNOWN)


def check_source(
    source: pa.Schema, where: str, images: str | None, template: str | None, zips: bool = False
) -> pa.Schema:
    """Return the columns to give from a source.

    A field of the metadata that the source has as a column, as converted Parquet does, is that column.

    Raises:
        RecipeError: there is no `yfcc_row_id`, a column has a type it cannot have, or image paths cannot be made.
    """
    if ROW_ID not in source.names:
        raise RecipeError(
            f"{where}: no column '{ROW_ID}', so it is not GeoYFCC; {did_you_mean(ROW_ID, source.names)}"
            if source.names
            else f"{where}: no columns"
        )
    given = {UID: WELL_KNOWN[UID].type}
    given.update((name, _own_type(source.field(name), where)) for name in _OWN if name in source.names)
    if METADATA in source.names:
        given.update((name, yfcc_lines.FIELDS[name].type) for name in _FIELDS)
        given.update({METADATA_ERROR: pa.string(), METADATA: pa.string()})
    for field in source:
        if field.name not in (*given, *_MADE, IMAGE_PATH):
            given[field.name] = _other_type(field, where)
    if zips:
        _check_zips(list(given), where)
        given.update((field.name, field.type) for field in IMAGE_FIELDS)
    elif images is not None:
        if template is not None:
            image_paths.check(template, given)
        given[IMAGE_PATH] = WELL_KNOWN[IMAGE_PATH].type
    return pa.schema({**given, ROW_ERROR: WELL_KNOWN[ROW_ERROR].type})


def _own_type(field: pa.Field, where: str) -> pa.DataType:
    wanted = _OWN[field.name]
    try:
        _column(field.name, pa.nulls(1, field.type), wanted)
    except pa.ArrowNotImplementedError:
        raise RecipeError(f"{where}: column '{field.name}' is {field.type}, but {wanted} is expected") from None
    return wanted


def _other_type(field: pa.Field, where: str) -> pa.DataType:
    if field.name in yfcc_lines.FIELDS:
        return yfcc_lines.FIELDS[field.name].type
    return given_type(field.name, field.type, f"{where}: column '{field.name}'")


def _check_zips(names: Sequence[str], where: str) -> None:
    if not zip_keys(names):
        raise RecipeError(
            f"{where}: zip files of images have members by hash, and there is neither 'hash' nor 'url' nor '{METADATA}'"
        )


def own_columns(names: Sequence[str], template: str | None, given: Sequence[str], zips: bool = False) -> list[str]:
    """Return the columns to make for `names`: instead of the image path or the image, those that it is found by."""
    made = {field.name for field in IMAGE_FIELDS} if zips else set()
    if made & set(names):
        return list(dict.fromkeys([*(name for name in names if name not in made), *zip_keys(given)]))
    if IMAGE_PATH not in names or template is None:
        return list(names)
    return list(dict.fromkeys([*(name for name in names if name != IMAGE_PATH), *image_paths.columns(template)]))


def zip_keys(given: Sequence[str]) -> list[str]:
    """Return the columns that images in zip files are found by."""
    return [name for name in ("hash", "url") if name in given]


def sources_of(names: Sequence[str], source: pa.Schema) -> list[str]:
    """Return the columns of the source that the columns `names` are made of."""
    found = {name for name in names if name in source.names and name not in _MADE}
    found.update(ROW_ID for name in names if name in (UID, ROW_ERROR))
    found.update(METADATA for name in names if _is_parsed(name, source.names))
    return [name for name in source.names if name in found]


def _is_parsed(name: str, there: Sequence[str]) -> bool:
    return name not in there and (name in _FIELDS or name == METADATA_ERROR)


def make_columns(
    names: Sequence[str], arrays: Mapping[str, pa.Array], given: pa.Schema, start: int, rows: int
) -> dict[str, pa.Array]:
    """Make the columns of some rows.

    Args:
        arrays: columns of the source, those of `sources_of`.
        given: types of all columns.
        start: number of the first row in its file, for errors.
    """
    found = _parsed([name for name in names if _is_parsed(name, list(arrays))], arrays)
    if UID in names or ROW_ERROR in names:
        found.update(_identity(arrays[ROW_ID], start, rows))
    for name in names:
        if name not in found:
            found[name] = _column(name, arrays[name], given.field(name).type)
    return found


def _column(name: str, values: pa.Array, wanted: pa.DataType) -> pa.Array:
    values = plain(values)
    if name == METADATA:
        return _lines(values)[1]
    if name == ROW_ID:
        return _whole(values)
    if values.type == wanted:
        return values
    if wanted == LABELS and pa.types.is_integer(values.type):
        ends = pa.array(range(len(values) + 1), pa.int32())
        return pa.ListArray.from_arrays(ends, values.cast(pa.int64()), mask=pc.is_null(values))
    return as_given(values, name, wanted) if name in WELL_KNOWN else cast_or_null(values, wanted)


def _parsed(names: Sequence[str], arrays: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Make the columns that come from the metadata."""
    if not names:
        return {}
    lines, _ = _lines(plain(arrays[METADATA]))
    found, errors = yfcc_lines.parse(lines, [name for name in names if name != METADATA_ERROR])
    if METADATA_ERROR in names:
        found[METADATA_ERROR] = pc.if_else(pc.is_null(lines), _MISSING, errors)
    return found


def _lines(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return metadata as lines to parse, and as the original text, null if it was not text."""
    if pa.types.is_string(values.type):
        return values, values
    if pa.types.is_struct(values.type):
        lists = [None if record is None else fields_of(record) for record in values.to_pylist()]
    elif pa.types.is_list(values.type) and pa.types.is_string(plain_type(values.type.value_type)):
        lists = values.to_pylist()
    elif pa.types.is_binary(values.type):
        return values, pa.nulls(len(values), pa.string())
    else:
        texts = pa.nulls(len(values), pa.string()) if pa.types.is_null(values.type) else values.cast(pa.string())
        return texts, texts
    lines = [None if fields is None else _line(fields) for fields in lists]
    texts = [fields[0] if fields is not None and len(fields) == 1 else None for fields in lists]
    return pa.array(lines, pa.string()), pa.array(texts, pa.string())


def _line(fields: Sequence[str | None]) -> str:
    if len(fields) == 1:
        return fields[0] or ""
    return "\t".join((field or "").replace("\t", " ").replace("\n", " ") for field in fields)


def _identity(ids: pa.Array, start: int, rows: int) -> dict[str, pa.Array]:
    """Make `uid` and the errors. A row whose id is not a whole number from 0 on has its position as uid."""
    numbers = _whole(plain(ids))
    numbers = pc.if_else(pc.greater_equal(numbers, 0), numbers, None)
    texts = numbers.cast(pa.string())
    if not texts.null_count:
        return {UID: texts, ROW_ERROR: pa.nulls(rows, pa.string())}
    errors: list[str | None] = [None] * rows
    uids = texts.to_pylist()
    for row in pc.indices_nonzero(pc.is_null(texts)).to_pylist():
        shown = ids[row].as_py()
        errors[row] = f"row {start + row}: {ROW_ID} " + (
            "is missing" if shown is None else f"is {str(shown)[:40]!r}, no whole number"
        )
        uids[row] = f"row:{start + row}"
    return {UID: pa.array(uids, pa.string()), ROW_ERROR: pa.array(errors, pa.string())}


def _whole(values: pa.Array) -> pa.Array:
    """Return whole numbers as int64; null for anything else."""
    if pa.types.is_boolean(values.type):
        return pa.nulls(len(values), pa.int64())
    if pa.types.is_string(values.type):
        values = pc.utf8_trim_whitespace(values)
    return cast_or_null(values, pa.int64())
