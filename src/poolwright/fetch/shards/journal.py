"""Keep the outcomes of an unfinished shard on disk, row by row, so that a kill loses nothing.

00000.jsonl   the rows that are to be fetched, then one outcome per line
00000.bytes   the images, one after the other

Both are append-only. A line is written after its bytes, so a whole line means whole bytes, unless the machine itself
crashed: bytes that are read back are compared with their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from poolwright.core.files import PARTIAL, sync_folder
from poolwright.fetch.outcome import FetchOutcome

_TO_JSON = json.JSONEncoder().encode


class Journal:
    """Outcomes of the rows of one shard, kept on disk.

    Args:
        folder: folder of the two files.
        shard: number of the shard.
        pending: rows to fetch; None for all. A journal on disk takes precedence.

    Attributes:
        pending: rows to fetch; None for all.
        outcomes: outcomes of the finished rows, by row.
    """

    def __init__(self, folder: Path, shard: int, pending: Sequence[int] | None = None) -> None:
        self._lines_path, self._bytes_path = journal_files(folder, shard)
        self.pending = list(pending) if pending is not None else None
        self.outcomes: dict[int, FetchOutcome] = {}
        self._ranges: dict[int, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._bytes: BinaryIO = self._bytes_path.open("a+b")
        self._read: BinaryIO = self._bytes_path.open("rb")
        self._end = self._bytes.seek(0, 2)
        kept = self._load() if self._lines_path.exists() else 0
        self._lines: BinaryIO = self._lines_path.open("r+b" if kept else "w+b")
        self._lines.truncate(kept)
        self._lines.seek(kept)
        if not kept:
            self._write_line({"pending": self.pending})

    def _load(self) -> int:
        """Read the lines up to the first that is not whole; return the offset of that one."""
        kept = 0
        with self._lines_path.open("rb") as lines:
            for number, line in enumerate(lines):
                values = _parsed(line)
                if values is None or (number and not self._accept(values)):
                    break
                if not number:
                    self.pending = values["pending"]
                kept += len(line)
        return kept

    def _accept(self, values: dict[str, Any]) -> bool:
        at, size = values.pop("at"), values.pop("size")
        outcome = FetchOutcome(**values)
        if at is not None:
            self._bytes.seek(at)
            if hashlib.sha256(self._bytes.read(size)).hexdigest() != outcome.sha256:
                return False
            self._ranges[outcome.row] = at, size
        self.outcomes[outcome.row] = outcome
        return True

    def add(self, outcome: FetchOutcome, data: bytes | None) -> None:
        """Record an outcome, with the image if there is one."""
        at = None
        if data is not None:
            at = self._end
            self._bytes.write(data)
            self._bytes.flush()
            self._end += len(data)
            self._ranges[outcome.row] = at, len(data)
        self.outcomes[outcome.row] = outcome
        values = {name: value for name, value in vars(outcome).items() if value is not None}
        self._write_line({**values, "at": at, "size": 0 if data is None else len(data)})

    def read(self, row: int) -> bytes:
        """Read the image of a row. One thread at a time may."""
        at, size = self._ranges[row]
        self._read.seek(at)
        return self._read.read(size)

    def has_image(self, row: int) -> bool:
        """Whether the journal has the image of a row."""
        return row in self._ranges

    def sync(self) -> None:
        """Flush the files to disk, so that the machine itself may crash."""
        for file in (self._bytes, self._lines):
            os.fsync(file.fileno())
        sync_folder(self._lines_path.parent)

    def close(self) -> None:
        """Close the files."""
        for file in (self._lines, self._bytes, self._read):
            file.close()

    def _write_line(self, values: dict[str, Any]) -> None:
        self._lines.write(f"{_TO_JSON(values)}\n".encode())
        self._lines.flush()


def journal_files(folder: Path, shard: int) -> tuple[Path, Path]:
    """Return the two files of the journal of a shard."""
    return folder / f"{shard:05d}.jsonl", folder / f"{shard:05d}.bytes"


def journal_begun(folder: Path, shard: int) -> bool:
    """Whether there is a journal with at least the list of rows to fetch."""
    path = journal_files(folder, shard)[0]
    if not path.exists():
        return False
    with path.open("rb") as lines:
        return _parsed(lines.readline()) is not None


def remove_journal(folder: Path, shard: int) -> None:
    """Remove the journal of a finished shard. The lines go first, as bytes alone have no meaning."""
    for path in journal_files(folder, shard):
        path.unlink(missing_ok=True)


def detach_journal(folder: Path, shard: int) -> None:
    """Copy a journal to files of its own, so that a process that was taken for lost cannot write into them."""
    for path in reversed(journal_files(folder, shard)):  # a line whose bytes were not copied is not accepted
        if path.exists():
            partial = path.with_name(path.name + PARTIAL)
            shutil.copyfile(path, partial)
            os.replace(partial, path)


def remove_leftovers(folder: Path) -> None:
    """Remove what is left of journals without their first line: of shards that were finished, or not begun."""
    for path in (*folder.glob("[0-9]*.bytes"), *folder.glob("[0-9]*.jsonl")):
        if not journal_begun(folder, int(path.stem)):
            path.unlink()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Parse a line of the journal; None if it is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        return dict(json.loads(line))
    except ValueError:
        return None
