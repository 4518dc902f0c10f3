"""Cuts of large files of lines, remembered beside them: to find them means to read a file once."""

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
"""Least size of a file whose cuts are remembered; a smaller one is read in a moment."""


def cuts(file: str, folder: str | None) -> list[Range]:
    """Ranges of a local file, as `ranges` cuts it.

    Args:
        file: not packed.
        folder: where indexes are kept; None for beside the file. Where nothing may be written, nothing is remembered.

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
        return []  # only a memory: the file is read again


def _write(path: Path, found: list[Range]) -> None:
    try:
        for old in path.parent.glob("*.cuts.json"):
            old.unlink()
        write_text(path, json.dumps([astuple(some) for some in found]))
    except OSError:
        return  # only a memory, and the data may be read-only
