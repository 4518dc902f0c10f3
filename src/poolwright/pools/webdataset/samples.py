"""Read the files of a WebDataset sample: a picture, a JSON object, texts, classes and arrays, by their extensions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from poolwright.core.images.formats import IMAGE_EXTENSIONS, extension_of_name
from poolwright.core.images.image_files import Limits
from poolwright.core.texts.text_files import decode, load_json

KEY = "__key__"
"""The key of a sample, among the values of its files."""

Place = tuple[int, int]
"""Offset and size of a file in a tar."""
ReadFile = Callable[[str], bytes]
"""Returns the content of a file of a sample by its extension."""

_MARKED = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
"""Byte order marks: the text is not plain UTF-8."""

Kind = Literal["image", "json", "text", "class", "array", "other"]

_KINDS: Mapping[Kind, tuple[str, ...]] = {
    "text": ("txt", "text", "transcript", "caption", "url", "md", "html", "xml", "csv", "tsv", "yaml", "yml"),
    "class": ("cls", "cls2", "class", "count", "index", "inx", "id"),
    "json": ("json", "jsn"),
    "array": ("npy",),
}
"""Kinds by the last part of an extension, as the decoders of the webdataset library have them; no pickles."""

_KIND_OF: dict[str, Kind] = {ending: kind for kind, endings in _KINDS.items() for ending in endings}


@lru_cache(maxsize=4_096)
def kind_of(extension: str) -> Kind:
    """Return what a file of a sample holds, by its extension in lower case. A picture has a single one, as 'jpg'."""
    if "." not in extension and extension_of_name(f"key.{extension}") in IMAGE_EXTENSIONS:
        return "image"
    return _KIND_OF.get(extension.rpartition(".")[2], "other")


def is_document(extension: str) -> bool:
    """Whether the values of a file are those of a whole sample, rather than one value of it, such as 'seg.json'."""
    return extension in _KINDS["json"]


@dataclass(frozen=True)
class Wanted:
    """What is read of every sample.

    Attributes:
        image: extension of the picture; '' for the only one that is an image.
        last: whether keys end at the last dot of a name rather than at the first.
        shadowed: extensions whose files are not read, since the JSON of samples has a value of that name.
    """

    image: str = ""
    last: bool = False
    shadowed: frozenset[str] = frozenset()

    def gives_value(self, extension: str) -> bool:
        """Whether a file of an extension gives a value of its own."""
        if is_document(extension) or extension in (self.image, *self.shadowed):
            return False
        return kind_of(extension) not in ("image", "other")

    def is_read(self, extension: str) -> bool:
        """Whether a file of an extension gives anything."""
        is_picture = extension == self.image or (not self.image and kind_of(extension) == "image")
        return is_picture or is_document(extension) or extension in self.shadowed or self.gives_value(extension)

    def pictures(self, files: Collection[str]) -> list[str]:
        """Return the extensions of the pictures of a sample: one, unless it is ambiguous."""
        if self.image:
            return [self.image] if self.image in files else []
        return [extension for extension in files if kind_of(extension) == "image"]

    def values(
        self, files: Collection[str], read: ReadFile, only: Collection[str] | None = None
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the values of files as JSON has them, by extension, without those of the sample's own JSON.

        Args:
            only: extensions to read; None for all.

        Returns:
            The values, and the extensions of files that are not what their extension says, whose value is None.
        """
        found: dict[str, Any] = {}
        unread: list[str] = []
        for extension in files:
            if self.gives_value(extension) and (only is None or extension in only):
                try:
                    found[extension] = _value(kind_of(extension), read(extension))
                except ValueError:
                    found[extension] = None
                    unread.append(extension)
        return found, unread


def document_of(files: Collection[str], read: ReadFile) -> bytes:
    """Return the JSON of a sample on one line; '{}' if it has none."""
    extension = next(filter(is_document, files), None)
    if extension is None:
        return b"{}"
    data = read(extension)
    data = decode(data).encode() if data.startswith(_MARKED) else data
    return data.replace(b"\n", b" ").replace(b"\r", b" ").strip()


def joined(values: Mapping[str, Any], document: bytes) -> bytes:
    """Return the JSON of a sample with further values before its own; JSON that is no object is left as it is."""
    body = document[1:-1].strip()
    if not document.startswith(b"{") or not document.endswith(b"}"):
        return document
    more = json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"%b, %b}" % (more[:-1], body) if body and values else document if body else more


def image_problem(place: Place | None) -> str | None:
    """Return the reason why a picture cannot be read, by its place; None if it can."""
    if place is None:
        return "missing_file"
    if not place[1]:
        return "empty_file"
    return "too_many_bytes" if place[1] > Limits.max_bytes else None


def _value(kind: Kind, data: bytes) -> Any:
    """Return the value of a file.

    Raises:
        ValueError: it is no UTF-8 text, no JSON, or no array of numbers with at most one dimension.
    """
    if kind == "array":
        return _array(data)
    text = decode(data).strip()
    if not text:
        return None
    if kind == "json":
        return load_json(text)
    if kind == "class" and text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
        return int(text)
    return text


def _array(data: bytes) -> Any:
    import numpy as np

    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(array, np.ndarray) or array.ndim > 1 or array.dtype.kind not in "biuf":
        raise ValueError("it is no array of numbers with at most one dimension")
    if array.dtype.kind == "f":  # JSON has no NaN
        return np.where(np.isfinite(array), array, np.array(None, object)).tolist()
    return array.tolist()
