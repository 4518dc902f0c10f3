"""Read the values of a column of images: bytes, Base64 texts, and files that a struct of Hugging Face names."""

from __future__ import annotations

import base64
import binascii
import os

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import IMAGE
from poolwright.core.errors import RecipeError
from poolwright.core.images.formats import extension_of_bytes
from poolwright.core.images.image_files import read_bytes
from poolwright.core.runtime.noting import note_unread

_SHOWN = 40


def from_base64(text: str | None) -> bytes | None:
    """Return the bytes that a text is in Base64, perhaps as a 'data:' URL; None if it is not."""
    if text is None:
        return None
    data = text.partition(",")[2] if text.startswith("data:") else text
    data = "".join(data.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def images_of_texts(texts: pa.Array) -> pa.Array:
    """Decode images in Base64; null for what is not."""
    return pa.array([from_base64(text) for text in texts.to_pylist()], pa.binary())


def check_base64(texts: pa.Array, where: str) -> None:
    """Check that texts are images in Base64, not names of files.

    Raises:
        RecipeError: none of them is.
    """
    found = [from_base64(text) for text in texts.to_pylist()]
    if found and not any(data is not None and extension_of_bytes(data) for data in found):
        raise RecipeError(
            f"{where}: '{IMAGE}' is binary, or Base64 in text, but none of the first {len(found)} values is an image, "
            f"such as {texts[0].as_py()[:_SHOWN]!r}; map paths with 'columns: {{image_path: NAME}}'"
        )


def images_of_structs(structs: pa.Array, root: str) -> pa.Array:
    """Return the images of {bytes, path}: the bytes, perhaps in Base64, or the file at the path if there are none.

    Args:
        structs: structs with 'bytes', and perhaps 'path'.
        root: folder that paths are relative to; a path that leads out of it is not followed.
    """
    fields = structs.flatten()
    images = fields[structs.type.get_field_index("bytes")]
    if not (pa.types.is_null(images.type) or pa.types.is_binary(images.type) or pa.types.is_large_binary(images.type)):
        images = _decoded(images)
    at = structs.type.get_field_index("path")
    if at < 0 or not images.null_count or fields[at].null_count == len(images):
        return images
    paths = fields[at].to_pylist()
    found = [
        image if image is not None or path is None else read_bytes(root, _inside(path, root))
        for image, path in zip(images.to_pylist(), paths, strict=True)
    ]
    outside = [item == "outside_root" for item in found]
    if any(outside):
        first = paths[outside.index(True)]
        note_unread(IMAGE, outside, f"{first!r}, which is not in the folder of 'images' or of the table")
    return pa.array([item if isinstance(item, bytes) else None for item in found], pa.binary())


def _decoded(texts: pa.Array) -> pa.Array:
    found = images_of_texts(texts)
    unread = pc.and_(texts.is_valid(), found.is_null())
    if pc.any(unread).as_py():
        example = repr(texts.filter(unread)[0].as_py())[:_SHOWN]
        note_unread(IMAGE, unread.to_numpy(zero_copy_only=False), example)
    return found


def _inside(path: str, root: str) -> str:
    """Return an absolute path below a root as a relative one; any other as it is."""
    if os.path.isabs(path) and "://" not in root:
        relative = os.path.relpath(path, os.path.abspath(root))
        return path if relative.startswith("..") else relative
    return path
