"""Identifies inputs: size, mtime and a content hash of every file that a run reads, cached in the run folder.

A file whose size and mtime are as cached is trusted; any other is hashed again. Only contents count, so a
touched but unchanged file is not a change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.errors import InputError
from poolwright.core.files import digest_file
from poolwright.core.parquet import write_parquet
from poolwright.core.pool import Part
from poolwright.core.table import InputFile
from poolwright.run.source import local, path_of

CACHE = "inputs.parquet"
_CHUNK = 256
_FEW = 4
"""A part of more files than this is a single entry in the record."""


@dataclass(frozen=True)
class Seen:
    """One file as it was seen: `mtime` in nanoseconds, or a text such as an ETag for remote files."""

    size: int
    mtime: str
    digest: str


@dataclass(frozen=True)
class HashFiles:
    """The function that a unit runs to hash its share of the files."""

    files: tuple[str, ...]

    def __call__(self, unit: int) -> dict[str, str]:
        return {file: _hash(file) for file in self.files[unit * _CHUNK : (unit + 1) * _CHUNK]}


class Inputs:
    """The files of a run's pools, as they are now."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.known = _load(cache)
        self.changed: set[str] = set()

    def look(
        self, files: Sequence[str], run: Callable[[Callable[[int], Any], Sequence[int]], Mapping[int, Any]]
    ) -> dict[str, Seen]:
        """Return the state of `files` now. Files that differ from an earlier look are remembered in `changed`.

        Args:
            files: paths or URLs.
            run: runs a function over units on the engine.

        Raises:
            InputError: a file is gone or may not be read.
        """
        stats = {file: _stat(file) for file in files}
        stale = tuple(
            file
            for file, (size, mtime) in stats.items()
            if file not in self.known or (self.known[file].size, self.known[file].mtime) != (size, mtime)
        )
        hashed: dict[str, str] = {}
        for part in run(HashFiles(stale), range(-(-len(stale) // _CHUNK))).values():
            hashed.update(part)
        for file in stale:
            seen = Seen(*stats[file], hashed[file])
            if file in self.known and self.known[file].digest != seen.digest:
                self.changed.add(file)
            self.known[file] = seen
        if stale:
            _save(self.cache, self.known)
        return {file: self.known[file] for file in files}


def input_files(part: Part, seen: Mapping[str, Seen], folder: Path) -> list[InputFile]:
    """Make the record of a part's files: one entry each, or one for a run of many small ones."""
    if len(part.files) <= _FEW:
        return [
            InputFile(path=_shown(file, folder), size=seen[file].size, digest=seen[file].digest) for file in part.files
        ]
    from xxhash import xxh3_128

    listing = "".join(f"{seen[file].digest}  {_shown(file, folder)}\n" for file in part.files)
    size = sum(seen[file].size for file in part.files)
    return [InputFile(path=part.name, size=size, digest=xxh3_128(listing.encode()).hexdigest())]


def _shown(file: str, folder: Path) -> str:
    """Return a path as the record shows it: relative to the recipe's folder if it is inside."""
    if not local(file):
        return file
    path = path_of(file)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _stat(file: str) -> tuple[int, str]:
    try:
        if local(file):
            found = os.stat(path_of(file))
            return found.st_size, str(found.st_mtime_ns)
        import fsspec

        system, path = fsspec.core.url_to_fs(file)
        info = system.info(path)
    except FileNotFoundError:
        raise InputError(f"{file}: the file is gone; put it back, or change the pool's path") from None
    except PermissionError:
        raise InputError(f"{file}: no permission to read it; change its mode or run as its owner") from None
    return int(info.get("size") or 0), str(info.get("ETag") or info.get("mtime") or info.get("LastModified") or "")


def _hash(file: str) -> str:
    try:
        if local(file):
            return digest_file(path_of(file))
        import fsspec
        from xxhash import xxh3_128

        digest = xxh3_128()
        with fsspec.open(file, "rb") as source:
            while block := source.read(1 << 20):
                digest.update(block)
    except PermissionError:
        raise InputError(f"{file}: no permission to read it; change its mode or run as its owner") from None
    return str(digest.hexdigest())


def _load(cache: Path) -> dict[str, Seen]:
    if not cache.exists():
        return {}
    try:
        rows = pq.read_table(cache).to_pylist()
    except (OSError, pa.ArrowException):
        return {}  # only a cache: everything is hashed again
    return {row["file"]: Seen(row["size"], row["mtime"], row["digest"]) for row in rows}


def _save(cache: Path, known: Mapping[str, Seen]) -> None:
    files = sorted(known)
    table = pa.table(
        {
            "file": pa.array(files, pa.string()),
            "size": pa.array([known[file].size for file in files], pa.int64()),
            "mtime": pa.array([known[file].mtime for file in files], pa.string()),
            "digest": pa.array([known[file].digest for file in files], pa.string()),
        }
    )
    write_parquet(cache, table)
