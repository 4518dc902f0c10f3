"""Cut large text files between rows, so that several workers read them; the cuts are stored next to each file."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import BinaryIO

from poolwright.core.errors import MissingExtra, is_installed
from poolwright.core.files import write_text
from poolwright.core.remote.schemes import is_url
from poolwright.core.runtime.packed import is_packed
from poolwright.core.texts.text_files import encoding_of
from poolwright.core.wording import some
from poolwright.pools.readers.line_index import index_folder, stamp
from poolwright.pools.readers.paths import DAMAGE, base_name, open_text
from poolwright.pools.readers.random_access import SeekableFile, can_seek, open_window
from poolwright.pools.text.csv_quotes import QuoteWatch
from poolwright.pools.text.dialects import Dialect

CUT_BYTES = 1 << 25
"""Least size of the unpacked content between two cuts."""

LEAST_BYTES, LEAST_PACKED = 1 << 27, 1 << 25
"""Least size of a file that is cut; of a packed one."""

_LONE = re.compile(rb"\r(?!\n)")
_QUOTED = re.compile(rb'"[^"]*"')
_FILLED = re.compile(rb"(?m)^(?!\r?$)")


@dataclass(frozen=True)
class RowCut:
    """Whole rows of a text file.

    Attributes:
        begin: first byte of its content, which is unpacked.
        end: byte after the last.
        rows: rows of data before `begin`.
        lines: lines before `begin`.
        index: index of a packed file; '' if it is not packed.
    """

    begin: int
    end: int
    rows: int
    lines: int
    index: str = ""


def row_cuts(file: str, dialect: Dialect | None, encoding: str, folder: str | None) -> list[RowCut]:
    """Return where a file is cut; at least two cuts, or none if it is read whole.

    It is read once to find them, unless they are known. A file is read whole if it is small, behind a URL, packed so
    that reading cannot begin within it, in an encoding other than UTF-8, damaged, or if quote marks in it are not where
    RFC 4180 has them.

    Args:
        file: path or URL.
        dialect: how its rows are written; None for JSON Lines.
        encoding: of a text without a byte order mark.
        folder: folder of indexes; None for next to the file.
    """
    try:
        if encoding != "utf-8" or not _is_large(file) or not can_seek(file):
            return []
        said = hashlib.sha256(repr((CUT_BYTES, dialect)).encode()).hexdigest()[:8]
        known = index_folder(file, folder) / f"{stamp(file)}-{said}.rows.json"
        index = index_folder(file, folder) / f"{stamp(file)}.index" if is_packed(file) else None
        if known.is_file() and (index is None or index.is_file()):
            return [RowCut(*cut) for cut in json.loads(known.read_text(encoding="utf-8"))]
        known.parent.mkdir(parents=True, exist_ok=True)
        found = _found(file, dialect, index)
        write_text(known, json.dumps([astuple(cut) for cut in found]))
        return found
    except DAMAGE:
        return []  # reading it whole shows what is wrong, if it is the file and not the folder


def one_worker(files: list[str]) -> list[str]:
    """Return a sentence on large packed files that only one worker can read at a time."""
    slow = [file for file in files if not is_url(file) and is_packed(file) and _is_large(file) and not can_seek(file)]
    if not slow:
        return []
    named = some([base_name(file) for file in slow], 3)
    if all(file.lower().endswith((".xz", ".zst")) for file in slow) or is_installed("rapidgzip"):
        return [f"each of {named} is unpacked by one worker; several read what is packed with gzip or bzip2"]
    return [f"each of {named} is unpacked by one worker: {MissingExtra('rapidgzip', 'cutting it')}"]


def _is_large(file: str) -> bool:
    return not is_url(file) and os.path.getsize(file) >= (LEAST_PACKED if is_packed(file) else LEAST_BYTES)


def open_rows(file: str, encoding: str, cut: RowCut | None) -> BinaryIO:
    """Open the text of a file, or the rows of a cut, in UTF-8. The caller closes it."""
    return open_text(file, encoding) if cut is None else open_window(file, cut.begin, cut.end, cut.index or None)


def _found(file: str, dialect: Dialect | None, index: Path | None) -> list[RowCut]:
    raw = SeekableFile(file) if index else None
    with io.BufferedReader(raw, 1 << 20) if raw else open(file, "rb") as source:
        begin = lines = 0
        rows = 0 if dialect is None or dialect.names else -1  # the line of names is no row
        found: list[RowCut] = []
        for block in _blocks(source, dialect):
            if block is None or (not begin and encoding_of(block[:4], "utf-8") not in ("utf-8", "utf-8-sig")):
                return []
            found.append(RowCut(begin, begin + len(block), max(rows, 0), lines, str(index or "")))
            begin, lines = begin + len(block), lines + block.count(b"\n")
            rows += _rows(block, dialect)
        if raw is not None and index is not None:
            raw.save_index(index)
    return found if len(found) > 1 else []


def _blocks(source: BinaryIO, dialect: Dialect | None) -> Iterator[bytes | None]:
    """Yield runs of whole rows; None if it is not clear where rows end."""
    while block := source.read(CUT_BYTES):
        block += source.readline()
        if dialect is not None and dialect.quoted:
            while block.count(b'"') % 2 and (more := source.readline()):
                block += more
            watch = QuoteWatch(io.BytesIO(block), dialect.delimiter)
            while watch.read(1 << 20):
                pass
            if watch.doubtful:
                yield None
        if dialect is not None and _LONE.search(block):
            yield None
        yield block


def _rows(block: bytes, dialect: Dialect | None) -> int:
    if dialect is None:
        return sum(1 for line in block.split(b"\n") if line.strip())
    if not dialect.quoted or b'"' not in block:
        return sum(1 for _ in _FILLED.finditer(dialect.delimited(block).removesuffix(b"\n")))
    return sum(1 for _ in _FILLED.finditer(_QUOTED.sub(b'"', block).removesuffix(b"\n")))
