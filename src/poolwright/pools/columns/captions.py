"""Caption files next to images: `<stem>.txt`, and `<stem>.json` with further values."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolwright.core.columns import TEXT
from poolwright.core.remote.files import open_file
from poolwright.core.runtime.noting import note
from poolwright.core.texts.text_files import decode, load_json, whole_text
from poolwright.pools.readers.paths import join, map_files
from poolwright.pools.values.texts import SEVERAL

DEFAULT_KEYS = ("text", "caption")
"""Keys of a JSON file under which a caption is looked for."""

CaptionFiles = Mapping[str, Mapping[str, str]]
"""Relative path without extension -> extension -> caption file."""


def caption_files(names: Iterable[str]) -> CaptionFiles:
    """Group caption files by the stem they share with their images, then by their extension in lower case."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        stem, extension = posixpath.splitext(name)
        found.setdefault(stem, {}).setdefault(extension.lower(), name)
    return found


def caption_columns(
    root: str,
    images: Sequence[str],
    captions: CaptionFiles,
    keys: Sequence[str],
    json_keys: Mapping[str, str],
    encoding: str = "utf-8",
) -> dict[str, list[str | None]]:
    """Return `text`, and further columns from JSON, of images by their relative paths.

    Args:
        root: folder or URL that all names are relative to.
        captions: from `caption_files`.
        keys: keys under which a JSON file may have its caption; the first that is present counts.
        json_keys: JSON key for each further column.
        encoding: of files without a byte order mark.

    Raises:
        OSError: a caption file cannot be opened.
    """

    def look(image: str) -> _Found:
        files = captions.get(posixpath.splitext(image)[0], {})
        text = read_text(join(root, files[".txt"]), encoding) if ".txt" in files else None
        values = read_json(join(root, files[".json"]), encoding) if ".json" in files else {}
        number = 1
        unread = files[".txt"] if ".txt" in files and text is None else files[".json"] if values is None else ""
        if ".txt" not in files:
            text, number = caption_of(values or {}, keys)
        others = (as_text((values or {}).get(key)) for key in json_keys.values())
        return _Found((text or None, *others), unread, number)

    rows = map_files(look, images, root)
    unread = next((row.unread for row in rows if row.unread), None)
    if unread is not None:
        words = f"caption files are not {encoding.upper()}, or no JSON object, and were not read"
        note(words, [bool(row.unread) for row in rows], f"{unread}; 'encoding' names another encoding")
    several = next((image for image, row in zip(images, rows, strict=True) if row.number > 1), None)
    if several is not None:
        note(SEVERAL, [row.number > 1 for row in rows], several)
    return {name: [row.values[index] for row in rows] for index, name in enumerate([TEXT, *json_keys])}


@dataclass(frozen=True)
class _Found:
    """The captions of an image: values of the columns, the file that cannot be read, and the number of captions."""

    values: tuple[str | None, ...]
    unread: str
    number: int


def read_text(path: str, encoding: str = "utf-8") -> str | None:
    """Read a caption file and strip white space; None if it is not in that encoding."""
    with open_file(path) as file:
        text = decoded(file.read(), encoding)
    return text.strip() if text is not None else None


def read_json(path: str, encoding: str = "utf-8") -> Mapping[str, Any] | None:
    """Read the object in a JSON file; None if the file is not a JSON object."""
    with open_file(path) as file:
        return json_object(decoded(file.read(), encoding))


def json_object(text: str | None) -> Mapping[str, Any] | None:
    """Return the JSON object that a text is; None if it is none."""
    try:
        value = load_json(text or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def decoded(data: bytes, encoding: str) -> str | None:
    """Return bytes as text: by their byte order mark, else in an encoding; None if they are not valid in it."""
    try:
        return decode(data, encoding)
    except UnicodeDecodeError:
        return None


def as_text(value: Any) -> str | None:
    """Return a JSON value as text: a string as it is, anything else as JSON; None for null."""
    if value is None:
        return None
    return whole_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def caption_of(values: Mapping[str, Any], keys: Sequence[str]) -> tuple[str | None, int]:
    """Return the caption of a JSON object, and how many it has: a list of captions gives the first."""
    for key in keys:
        value = values.get(key)
        several = value if isinstance(value, list) and all(isinstance(one, str) for one in value) else [value]
        texts = [text.strip() for text in map(as_text, several) if text and text.strip()]
        if texts:
            return texts[0], len(texts)
    return None, 0
