"""Find, check, cut and read the files of lines of YFCC100M."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.errors import RecipeError
from poolwright.core.pool import Part
from poolwright.core.remote.schemes import is_url
from poolwright.core.runtime.packed import is_packed
from poolwright.pools.readers.line_blocks import line_blocks
from poolwright.pools.readers.line_ranges import cuts
from poolwright.pools.readers.paths import DAMAGE, base_name, find_files, open_text, raise_if_unreachable
from poolwright.pools.yfcc import lines as yfcc_lines
from poolwright.pools.yfcc.database import line_batches

SUFFIXES = ("", "tsv", "txt")
_NAME = "yfcc100m_"
_DATASET = "yfcc100m_dataset"
_FIRST_LINES = 100


def find_datasets(paths: Sequence[str]) -> list[str]:
    """Find the files of metadata: of a folder those with the name of the dataset, else all but expansion packs."""
    found: list[str] = []
    for path in paths:
        files = find_files([path], SUFFIXES)
        if files != [path] and not glob.has_magic(path):
            named = [file for file in files if base_name(file).startswith(_DATASET)]
            files = named or [file for file in files if not base_name(file).startswith(_NAME)]
            if not files:
                raise RecipeError(f"{path}: no file here is called {_DATASET}; name the files of metadata")
        found += files
    return find_files(found, SUFFIXES)  # reports a file that is named twice


def cut_lines(file: str, folder: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the position of each part of a file."""
    if is_url(file) or is_packed(file):
        yield base_name(file), {}
        return
    try:
        cut = cuts(file, folder)
    except OSError as error:
        raise_if_unreachable(error, file)
        raise
    for some in cut:
        shown = f" lines {some.before + 1}-{some.before + some.lines}" if len(cut) > 1 else ""
        detail = {"begin": some.begin, "end": some.end}
        yield base_name(file) + shown, {"start": some.before, "rows": some.lines, "detail": detail}


def check_lines(files: Sequence[str]) -> None:
    """Check that the first lines of one file are of this format, so that a wrong file is reported before a run.

    Raises:
        RecipeError: none of them is.
        InputError: a file may not be read.
    """
    for file in files:
        try:
            with open_text(file) as source:
                lines = [source.readline(1 << 20).rstrip(b"\r\n") for _ in range(_FIRST_LINES)]
        except DAMAGE as error:
            raise_if_unreachable(error, file)
            continue  # the run quarantines it
        lines = [line for line in lines if line]
        _, errors = yfcc_lines.parse(pa.array(lines, pa.binary()), [])
        if lines and errors.null_count == 0:
            raise RecipeError(
                f"{file}: holds no metadata of YFCC100M: none of the first {len(lines)} lines is of its format "
                f"(the first: {errors[0]})"
            )
        return


def numbered_lines(part: Part, batch_rows: int, hashes: bool) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """Yield int64 (n,) numbers of lines or row ids, and the lines of a part, in batches."""
    begin, end = part.detail.get("begin", 0), part.detail.get("end")
    if part.detail.get("database"):
        yield from line_batches(part.files[0], begin, part.detail["end"], batch_rows, hashes)
        return
    line = part.start + 1
    for block in line_blocks(part.files[0], begin, end):
        for at in range(0, len(block), batch_rows):
            lines = block.slice(at, batch_rows)
            yield np.arange(line, line + len(lines)), lines
            line += len(lines)
