"""Identifies inputs: size, mtime and a content hash of every file that a run reads, cached in the run folder.

A file whose size, times and inode are as cached is trusted; any other is hashed again. Only contents count, so a
touched but unchanged file is not a change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE_PATH
from poolwright.core.errors import BadPart, InputError
from poolwright.core.files import digest_file
from poolwright.core.images.image_files import local_image, roots_of
from poolwright.core.parquet import write_parquet
from poolwright.core.pool import Part
from poolwright.core.remote.files import open_file
from poolwright.core.remote.listing import KEPT_DIGESTS, forget, info_of, infos_of
from poolwright.core.table import InputFile, OutputPart, Table
from poolwright.run.sources.grown import GrownSource
from poolwright.run.sources.source import Source, local, path_of
from poolwright.run.sources.union import UnionSource

CACHE = "inputs.parquet"
_CHUNK = 256
_FEW = 4
"""A part of more files than this is a single entry in the record."""

Mapped = Callable[[Callable[[int], Any], Sequence[int]], Mapping[int, Any]]
"""Runs a function over units on the engine."""


@dataclass(frozen=True)
class Seen:
    """One file as it was seen.

    `mtime` is its times of content and of status in nanoseconds and its inode, since a program can set back the first;
    for remote files a text such as an ETag.
    """

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
    """The files of a run's pools, as they are now.

    Args:
        cache: the file that remembers digests from run to run.
        hide: puts names of variables in place of their values, in the names of files that are kept.
        trusted: whether a remembered digest is taken for a file that looks the same; else every file is read.
        saved: whether new digests are remembered.
    """

    def __init__(self, cache: Path, hide: Callable[[str], str] = str, trusted: bool = True, saved: bool = True) -> None:
        self.cache, self.hide, self.trusted, self.saved = cache, hide, trusted, saved
        self.known = _load(cache)
        self.changed: set[str] = set()
        self.seen: dict[str, Seen] = {}

    def look(self, files: Sequence[str], run: Mapped) -> dict[str, Seen]:
        """Return the state of `files` now. Files that differ from an earlier look are remembered in `changed`.

        Args:
            files: paths or URLs.
            run: runs a function over units on the engine.

        Raises:
            InputError: a file is gone or may not be read.
        """
        stats = _stats(files)
        stale = tuple(file for file, now in stats.items() if not self._trusts(file, now))
        hashed = {file: stats[file][1] for file in stale if stats[file][1].startswith(KEPT_DIGESTS)}
        unknown = tuple(file for file in stale if file not in hashed)
        for part in run(HashFiles(unknown), range(-(-len(unknown) // _CHUNK))).values():
            hashed.update(part)
        for file in stale:
            seen, key = Seen(*stats[file], hashed[file]), self.hide(file)
            if key in self.known and self.known[key].digest != seen.digest:
                self.changed.add(key)
            self.known[key] = seen
        if stale and self.saved:
            _save(self.cache, self.known)
        found = {file: self.known[self.hide(file)] for file in files}
        self.seen |= found
        return found

    def _trusts(self, file: str, now: tuple[int, str]) -> bool:
        known = self.seen.get(file) or (self.known.get(self.hide(file)) if self.trusted else None)
        return known is not None and (known.size, known.mtime) == now

    def changed_since(self) -> list[str]:
        """List the files whose content is no longer what `look` saw, or that are gone."""
        forget(file for file in self.seen if not local(file))
        try:
            now = _stats(list(self.seen))
        except InputError:  # one is gone: which?
            now = {}
        return [file for file, seen in self.seen.items() if not _unchanged(file, seen, now.get(file))]


def _unchanged(file: str, seen: Seen, now: tuple[int, str] | None) -> bool:
    try:
        return (now or _stats([file])[file]) == (seen.size, seen.mtime) or _hash(file) == seen.digest
    except (InputError, OSError):
        return False


def inputs_of(
    source: Source, open_table: Callable[[str], Table], looked: Inputs, run: Mapped, folder: Path, images: bool
) -> list[list[InputFile]]:
    """Return the files that each part of a source comes from, as the record shows them.

    Args:
        source: the rows that a table is made from.
        open_table: opens the finished table that they are, if they are one: its files are known.
        looked: looks at the files.
        run: runs a function over units.
        folder: folder of the recipe.
        images: whether image files that rows name are read, so that they are inputs too.
    """
    if isinstance(source, GrownSource):
        all_files = inputs_of(source.now, open_table, looked, run, folder, images)
        return [all_files[at] for at in source.order]
    if isinstance(source, UnionSource):
        each = (inputs_of(one.source, open_table, looked, run, folder, images) for one in source.members)
        return [files for found in each for files in found]
    if source.pool is None:
        table = open_table(source.name.removeprefix("tables."))
        found = [[_part_of(table, part)] for part in table.record.parts]
    else:
        seen = looked.look(sorted({file for part in source.parts for file in part.files}), run)
        found = [input_files(part, seen, folder) for part in source.parts]
    if images and source.virtual_image and any(local(root or "") for root in roots_of(source.image_root)):
        listed = {file for part in source.parts for file in part.files}
        named = [_images_of(source, part, listed) for part in source.parts]
        seen = looked.look(sorted({file for part in named for file in part.files}), run)
        for files, part in zip(found, named, strict=True):
            files += input_files(part, seen, folder)
    return found


def first_files(source: Source, folder: Path) -> list[str]:
    """Return for each part the first of its files as the record shows it, or its name if it is a run of small files."""
    if isinstance(source, GrownSource):
        now = first_files(source.now, folder)
        return [now[at] for at in source.order]
    if isinstance(source, UnionSource):
        return [file for one in source.members for file in first_files(one.source, folder)]
    single = source.pool is not None
    return [
        _shown(part.files[0], folder) if single and 0 < len(part.files) <= _FEW else part.name for part in source.parts
    ]


def _part_of(table: Table, part: OutputPart) -> InputFile:
    with table.reading(part.file) as path:
        size = path.stat().st_size
    return InputFile(path=f"{table.name}/{part.file}", size=size, digest=part.digest)


def _images_of(source: Source, part: Part, listed: set[str]) -> Part:
    """Return the local image files that a part's rows name, as a part of these files; those listed are left out."""
    found: dict[str, None] = {}
    with suppress(BadPart):  # the run finds the part again, and quarantines it
        for table in source.read(part, [IMAGE_PATH], 65_536):
            paths = (local_image(source.image_root, path) for path in table.column(IMAGE_PATH).to_pylist() if path)
            found |= dict.fromkeys(path for path in paths if path and path not in listed and os.path.isfile(path))
    return part.model_copy(update={"name": f"{part.name}: images", "files": tuple(found)})


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


def _stats(files: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return size and state of files, see `Seen`."""
    try:
        remote = infos_of(file for file in files if not local(file))
        return {file: (remote[file].size, remote[file].state) if file in remote else _stat(file) for file in files}
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: the file is gone; put it back, or change the pool's path") from None
    except PermissionError as error:
        raise InputError(f"{error.filename}: no permission to read it; change its mode or run as its owner") from None


def _stat(file: str) -> tuple[int, str]:
    found = os.stat(path_of(file))
    return found.st_size, f"{found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _hash(file: str) -> str:
    from xxhash import xxh3_128

    try:
        if local(file):
            return digest_file(path_of(file))
        if known := info_of(file).digest:
            return known
        digest = xxh3_128()
        with open_file(file) as source:
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
