"""Cut large files of lines into ranges, and store the cuts next to them: finding them means reading a file once."""

from __future__ import annotations

import json
import os
from dataclasses import astuple
from pathlib import Path

from poolwright.core.files import write_text
from poolwright.pools.readers import line_blocks
from poolwright.pools.readers.line_blocks import Range, ranges
from poolwright.pools.readers.line_index import index_folder, stamp

REMEMBERED_BYTES = 1 << 28
"""Least size of a file whose cuts are stored; a smaller one is read in a moment."""


def cuts(file: str, folder: str | None) -> list[Range]:
    """Return the ranges of a local file, as `ranges` cuts it.

    Args:
        file: not packed.
        folder: folder of indexes; None for next to the file. If it cannot be written, nothing is stored.

    Raises:
        OSError: the file cannot be read.
    """
    if os.path.getsize(file) < REMEMBERED_BYTES:
        return ranges(file)
    path = index_folder(file, folder) / f"{stamp(file)}-{line_blocks.CUT_BYTES}.cuts.json"
    found = _read(path)
    if not found:
        found = ranges(file)
        _write(path, found)
    return found


def _read(path: Path) -> list[Range]:
    try:
        return [Range(*row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []  # only a cache: the file is read again


def _write(path: Path, found: list[Range]) -> None:
    try:
        for old in path.parent.glob("*.cuts.json"):
            old.unlink()
        write_text(path, json.dumps([astuple(some) for some in found]))
    except OSError:
        return  # only a cache, and the data may be read-only
