"""Make the index of a file of lines: scan it once, then sort some millions of lines at a time."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from poolwright.core.errors import InputError
from poolwright.core.files import PARTIAL, sync_folder
from poolwright.core.remote.schemes import is_url
from poolwright.core.runtime.packed import is_packed
from poolwright.pools.readers.line_blocks import whole_lines
from poolwright.pools.readers.paths import DAMAGE, first_line, open_text, raise_if_unreachable

ARRAYS = {"ids": np.int64, "offsets": np.int64, "lengths": np.int32}
DATA = "lines.data"
SORTED_AT_ONCE = 1 << 23
"""Lines sorted in memory at once: about 50 bytes each."""

_FIRST_LINES = 20
_MOST_DIGITS = 18
_ABANDONED = 86_400  # seconds after which an unfinished index is assumed to be from a killed process


def is_copied(file: str) -> bool:
    """Whether an index holds the file itself, unpacked."""
    return is_packed(file) or is_url(file)


def check_first_lines(file: str) -> None:
    """Check the first lines of a file, so that a wrong file is reported before a run; damage, when it is indexed.

    Raises:
        InputError: a line has no tab or no number, or the file cannot be opened.
    """
    try:
        with open_text(file) as source:
            lines = [source.readline(1 << 20) for _ in range(_FIRST_LINES)]
    except DAMAGE as error:
        raise_if_unreachable(error, file)
        return
    data = b"".join(line for line in lines if line.endswith(b"\n")).rstrip(b"\r\n")
    if data:
        _Block(file, data, 0)


def make_index(file: str, path: Path) -> None:
    """Write an index under another name, then rename it: if two machines do so, the first to finish wins."""
    partial = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
    partial.mkdir()
    try:
        _scan(file, partial)
        _sort(partial)
        sync_folder(partial)
        _put(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put(partial: Path, path: Path) -> None:
    try:
        os.rename(partial, path)
    except OSError:
        if not path.is_dir():
            raise
    for other in path.parent.iterdir():
        left = other.name.endswith(PARTIAL) and time.time() - other.stat().st_mtime < _ABANDONED
        if other.is_dir() and other != path and not left:  # of the file as it was, or of a process that was killed
            shutil.rmtree(other, ignore_errors=True)
    sync_folder(path.parent)


def _scan(file: str, folder: Path) -> None:
    """Write the content of the lines as raw arrays in file order, and the unpacked file if it is needed."""
    at = lines = 0
    with ExitStack() as files:
        raw = {name: files.enter_context((folder / f"{name}.raw").open("wb")) for name in ARRAYS}
        copy = files.enter_context((folder / DATA).open("wb")) if is_copied(file) else None
        for block in _blocks(file):
            found = _Block(file, block, lines)
            for name, values in (("ids", found.ids), ("offsets", found.begins + at), ("lengths", found.lengths)):
                raw[name].write(values.astype(ARRAYS[name]).tobytes())
            if copy is not None:
                copy.write(block + b"\n")
            at, lines = at + len(block) + 1, lines + len(found.ids)


def _blocks(file: str) -> Iterator[bytes]:
    try:
        yield from whole_lines(file)
    except DAMAGE as error:
        raise_if_unreachable(error, file)
        raise InputError(f"{file}: cannot be read: {first_line(error)}; fetch it again") from None


class _Block:
    """Lines of a block: their numbers (n,), and the offsets and lengths of their values in the block."""

    def __init__(self, file: str, block: bytes, before: int) -> None:
        self.file, self.before = file, before
        data = np.frombuffer(block, np.uint8)
        breaks = np.flatnonzero(data == ord("\n"))
        starts, ends = np.append(0, breaks + 1), np.append(breaks, len(data))
        ends = ends - ((ends > starts) & (data[ends - 1] == ord("\r")))
        tabs = np.append(np.flatnonzero(data == ord("\t")), len(data))
        tabs = tabs[np.searchsorted(tabs, starts)]
        self._check(tabs < ends, "has no tab")
        self.ids, sound = _numbers(data, starts, tabs)
        self._check(sound, "does not begin with a photo id")
        self.begins, self.lengths = tabs + 1, ends - tabs - 1

    def _check(self, sound: np.ndarray, message: str) -> None:
        if not sound.all():
            line = self.before + int(np.argmin(sound)) + 1
            raise InputError(
                f"{self.file}: line {line} {message}; each line is a photo id, a tab and a value: repair or remove it"
            )


def _numbers(data: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the decimal numbers in bytes `starts` to `stops` (n,), and whether there is one."""
    widths = stops - starts
    sound = (widths > 0) & (widths <= _MOST_DIGITS)
    numbers = np.zeros(len(starts), np.int64)
    for at in range(min(int(widths.max()), _MOST_DIGITS)):
        inside = at < widths
        digits = data[np.minimum(starts + at, len(data) - 1)].astype(np.int64) - ord("0")
        sound &= ~inside | ((digits >= 0) & (digits <= 9))
        numbers = np.where(inside, numbers * 10 + digits, numbers)
    return numbers, sound


def _sort(folder: Path) -> None:
    """Write the raw arrays in the order of the numbers, some millions at a time; lines of one number stay in order."""
    rows = (folder / "ids.raw").stat().st_size // 8
    raw = {name: _raw(folder / f"{name}.raw", dtype, rows) for name, dtype in ARRAYS.items()}
    out = {name: _new(folder / f"{name}.npy", dtype, rows) for name, dtype in ARRAYS.items()}
    at = 0
    for low, high in pairwise(_bounds(raw["ids"])):
        positions = _between(raw["ids"], low, high)
        positions = positions[np.argsort(raw["ids"][positions], kind="stable")]
        for name in ARRAYS:
            out[name][at : at + len(positions)] = raw[name][positions]
        at += len(positions)
    for name in ARRAYS:
        out[name].flush()
        (folder / f"{name}.raw").unlink()


def _raw(file: Path, dtype: Any, rows: int) -> np.ndarray:
    return np.memmap(file, dtype, "r", shape=(rows,)) if rows else np.zeros(0, dtype)


def _new(file: Path, dtype: Any, rows: int) -> np.memmap:
    return np.lib.format.open_memmap(file, "w+", dtype, (rows,))


def _bounds(ids: np.ndarray) -> list[int]:
    """Return bounds with about `SORTED_AT_ONCE` numbers between each two."""
    sample = np.sort(ids[:: max(1, len(ids) // 100_000)])
    count = -(-len(ids) // SORTED_AT_ONCE)
    inner = sample[np.arange(1, count) * len(sample) // count] if count > 1 else sample[:0]
    return [-1, *np.unique(inner).tolist(), 10**_MOST_DIGITS]


def _between(ids: np.ndarray, low: int, high: int) -> np.ndarray:
    found = [np.zeros(0, np.int64)]
    for at in range(0, len(ids), SORTED_AT_ONCE):
        some = ids[at : at + SORTED_AT_ONCE]
        found.append(at + np.flatnonzero((some >= low) & (some < high)))
    return np.concatenate(found)
