"""Caption files next to images: `<stem>.txt`, and `<stem>.json` with further values."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from poolwright.core.columns import TEXT
from poolwright.pools.readers.paths import join, map_files, open_file

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
    root: str, images: Sequence[str], captions: CaptionFiles, keys: Sequence[str], json_keys: Mapping[str, str]
) -> dict[str, list[str | None]]:
    """Return `text`, and further columns from JSON, of images by their relative paths.

    Args:
        root: folder or URL that all names are relative to.
        captions: from `caption_files`.
        keys: keys under which a JSON file may have its caption; the first that is present counts.
        json_keys: JSON key for each further column.

    Raises:
        OSError: a caption file cannot be opened.
    """

    def look(image: str) -> list[str | None]:
        files = captions.get(posixpath.splitext(image)[0], {})
        text = read_text(join(root, files[".txt"])) if ".txt" in files else None
        values = read_json(join(root, files[".json"])) if ".json" in files else {}
        if ".txt" not in files:
            text = _caption(values, keys)
        return [text, *(as_text(values.get(key)) for key in json_keys.values())]

    rows = map_files(look, images, root)
    return {name: [row[index] for row in rows] for index, name in enumerate([TEXT, *json_keys])}


def read_text(path: str) -> str | None:
    """Read a caption file and strip white space; None if it is empty or not UTF-8."""
    with open_file(path) as file:
        data = file.read()
    try:
        return data.decode("utf-8-sig").strip() or None
    except UnicodeDecodeError:
        return None


def read_json(path: str) -> Mapping[str, Any]:
    """Read the object in a JSON file; empty if the file is not a JSON object."""
    with open_file(path) as file:
        data = file.read()
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str | None:
    """Return a JSON value as text: a string as it is, anything else as JSON; None for null."""
    if value is None:
        return None
    return whole_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def whole_text(text: str) -> str:
    """Return a text in which U+FFFD stands for each half of a surrogate pair, such as an emoji that was cut."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _caption(values: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    texts = (as_text(values.get(key)) for key in keys)
    return next((text.strip() for text in texts if text and text.strip()), None)
