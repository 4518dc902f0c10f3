"""Journal: what is known of a shard that is not finished, written row by row, so that a kill loses nothing.

00000.jsonl   the rows that are to be fetched, then one outcome a line
00000.bytes   the images, one after the other

Both are only appended to. A line is written after its bytes, so a whole line means whole bytes, unless the machine
itself went down: what is read back is checked against its SHA-256.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from poolwright.fetch.outcome import FetchOutcome


class Journal:
    """Outcomes of the rows of one shard, kept on disk.

    Args:
        folder: where the two files lie.
        shard: number of the shard.
        pending: rows to fetch; None for all. What the journal on disk says counts, where there is one.

    Attributes:
        pending: rows to fetch; None for all.
        outcomes: by row, of those that are done.
    """

    def __init__(self, folder: Path, shard: int, pending: Sequence[int] | None = None) -> None:
        self._lines_path, self._bytes_path = journal_files(folder, shard)
        self.pending = list(pending) if pending is not None else None
        self.outcomes: dict[int, FetchOutcome] = {}
        self._ranges: dict[int, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._bytes: BinaryIO = self._bytes_path.open("a+b")
        self._end = self._bytes.seek(0, 2)
        kept = self._load() if self._lines_path.exists() else 0
        self._lines: BinaryIO = self._lines_path.open("r+b" if kept else "w+b")
        self._lines.truncate(kept)
        self._lines.seek(kept)
        if not kept:
            self._write_line({"pending": self.pending})

    def _load(self) -> int:
        """Read what is there up to the first line that is not whole; returns where that begins."""
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
        """Note an outcome, with the image if there is one."""
        at = None
        if data is not None:
            at = self._end
            self._bytes.write(data)
            self._bytes.flush()
            self._end += len(data)
            self._ranges[outcome.row] = at, len(data)
        self.outcomes[outcome.row] = outcome
        self._write_line({**vars(outcome), "at": at, "size": len(data) if data is not None else 0})

    def read(self, row: int) -> bytes:
        """The image of a row."""
        at, size = self._ranges[row]
        with self._bytes_path.open("rb") as file:
            file.seek(at)
            return file.read(size)

    def has_image(self, row: int) -> bool:
        return row in self._ranges

    def close(self) -> None:
        self._lines.close()
        self._bytes.close()

    def remove(self) -> None:
        """Remove the journal, as the shard is finished. The lines go first: bytes alone mean nothing."""
        self.close()
        for path in (self._lines_path, self._bytes_path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _write_line(self, values: dict[str, Any]) -> None:
        self._lines.write(json.dumps(values).encode() + b"\n")
        self._lines.flush()


def journal_files(folder: Path, shard: int) -> tuple[Path, Path]:
    """The two files of the journal of a shard."""
    return folder / f"{shard:05d}.jsonl", folder / f"{shard:05d}.bytes"


def journal_begun(folder: Path, shard: int) -> bool:
    """Whether there is a journal that says at least which rows are to be fetched."""
    path = journal_files(folder, shard)[0]
    if not path.exists():
        return False
    with path.open("rb") as lines:
        return _parsed(lines.readline()) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove images whose journal is gone, as their shard was finished just before a kill."""
    for path in folder.glob("[0-9]*.bytes"):
        if not path.with_suffix(".jsonl").exists():
            path.unlink()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line of the journal; None where it is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        return dict(json.loads(line))
    except ValueError:
        return None
