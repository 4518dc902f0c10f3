"""Describe lists of image paths and class indices, for layouts with images or with paths of the user's images."""

from __future__ import annotations

import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_PATH, SHA256, UID, is_text
from poolwright.core.errors import StepError
from poolwright.release.data.features import CLASS_ID, FILE_NAME, plain_field, require
from poolwright.release.data.images import image_columns

LIST_BATCH_ROWS = 8_192
"""Rows per batch if no images are read."""


def listed_columns(schema: pa.Schema, layout: str, copied: bool) -> tuple[str, ...]:
    """Return the column that images are read from if they are copied, else the column of the listed paths.

    Raises:
        StepError: there is no such column, or it has another type.
    """
    if copied:
        return image_columns(schema, layout)
    require(IMAGE_PATH, schema, "'images: none'")
    if not is_text(schema.field(IMAGE_PATH).type):
        raise StepError(f"'image_path' has type {schema.field(IMAGE_PATH).type}; the lists hold its text")
    return (IMAGE_PATH,)


def listed_schema(table: pa.Schema, left_out: tuple[str, ...], copied: bool) -> pa.Schema:
    """Return the schema of the metadata: path, uid and class index, then the columns of the table.

    Args:
        left_out: columns that are released elsewhere, such as vectors.
        copied: whether images are copied, so that their SHA-256 is known.
    """
    gone = {UID, IMAGE, IMAGE_PATH, *left_out}
    fields = [plain_field(table.field(name)) for name in table.names if name not in gone]
    if copied:
        hashed = pa.field(SHA256, pa.string())
        fields = [hashed if field.name == SHA256 else field for field in fields]
        fields += [hashed] if SHA256 not in table.names else []
    front = [pa.field(FILE_NAME, pa.string()), plain_field(table.field(UID)), pa.field(CLASS_ID, pa.int64())]
    return pa.schema([*front, *fields])


def listed_meanings(folder: str | None) -> dict[str, str]:
    """Return the meanings of the columns of the lists.

    Args:
        folder: which folder the paths are relative to, such as 'in the folder of the release'; None if the images are
            not copied.
    """
    start = folder or "in the user's folder of images"
    return {
        FILE_NAME: f"Path of the image file {start}",
        CLASS_ID: "Class of the row, as an index into the class names",
    }
