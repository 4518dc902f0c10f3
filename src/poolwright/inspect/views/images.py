"""Reads the image file and all values of one row of a view."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, is_vector
from poolwright.core.images.image_files import read_bytes
from poolwright.inspect.views.build import PLACE, RANK
from poolwright.inspect.views.view import View
from poolwright.run.sources.source import Piece, Source, table_source


def source_of(view: View, dropped: bool) -> Source:
    """Return the source that a kept or a dropped row is read from."""
    return view.run.source(view.name) if dropped else table_source(view.table)


def image_of(view: View, position: int) -> bytes | str:
    """Return the image file of a row, or the reason why there is none, of `core.images.image`."""
    segment, row = view.locate(position)
    source = source_of(view, segment.dropped)
    if source.virtual_image:
        path = view.read([position], [IMAGE_PATH])[0][IMAGE_PATH]
        return "missing_file" if path is None else read_bytes(source.image_root, path)
    if source.schema.get_field_index(IMAGE) < 0:
        return "missing_file"
    (table,) = source.read_piece(Piece(segment.part, row, row + 1), [IMAGE], 256)
    return table.column(IMAGE)[0].as_py() or "missing_file"


def values_of(view: View, position: int) -> dict[str, Any]:
    """Return all values of a row by column: those of the index, and others, such as lists, that it does not hold.

    Vectors and bytes are described by their size.
    """
    values = view.read([position])[0]
    segment, _ = view.locate(position)
    source = source_of(view, segment.dropped)
    seen = {*values, IMAGE, IMAGE_ERROR, PLACE, RANK}
    rest = [field for field in source.schema if field.name not in seen]
    plain = [field.name for field in rest if not is_vector(field.type) and not pa.types.is_binary(field.type)]
    values |= _one_row(view, position, plain) if plain else {}
    return values | {field.name: f"vector of {field.type.list_size}" for field in rest if is_vector(field.type)}


def _one_row(view: View, position: int, columns: list[str]) -> dict[str, Any]:
    segment, row = view.locate(position)
    if segment.dropped:
        (table,) = view.run.source(view.name).read_piece(Piece(segment.part, row, row + 1), columns, 8_192)
        return dict(table.to_pylist()[0])
    with view.table.reading(view.table.record.parts[segment.part].file) as path, pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                return dict(file.read_row_group(group, columns=columns).slice(row, 1).to_pylist()[0])
            row -= rows
    return {}
