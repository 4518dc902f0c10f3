"""Write and read the files of a finished shard, in the layout of img2dataset.

00000.tar             key.jpg, key.txt, key.json of every image (WebDataset); or the folder 00000 of the same files
00000.parquet         one row per row of the input, with its outcome
00000_stats.json      counts
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from poolwright.core.files import PARTIAL, remove, sync_folder, write_atomically, write_text
from poolwright.core.images.formats import extension_of
from poolwright.core.images.tar import END, tar_member
from poolwright.core.parquet import write_parquet
from poolwright.fetch.outcome import SUCCESS, FetchOutcome
from poolwright.fetch.shards.records import caption_of, make_key, metadata, plain_texts, records, statistics

ReadImage = Callable[[FetchOutcome], bytes]
"""Returns the image of a row that has one."""

_IN_TAR = "jpg"
"""Extension of every image in a tar, as in img2dataset: `datasets` makes a column of each extension, of those of the
first five samples alone. Readers know the format by the bytes."""

_SYNCED_AT_ONCE = 8
_BATCH_ROWS = 1_000
"""Rows of which all values are in memory at once."""

Entry = tuple[str, bytes]

Place = tuple[int, int]
"""Offset and size of an image in a tar."""


def shard_name(shard: int) -> str:
    """Return the name of a shard, such as '00012'."""
    return f"{shard:05d}"


class ShardFiles:
    """The files of one shard.

    Args:
        folder: folder of the shards.
        shard: number of the shard.
        layout: 'webdataset' or 'files'.
        shard_rows: rows of a full shard, which decides the width of keys.
    """

    def __init__(self, folder: Path, shard: int, layout: str, shard_rows: int) -> None:
        self.shard, self.shard_rows, self.layout = shard, shard_rows, layout
        name = shard_name(shard)
        self.data = folder / (f"{name}.tar" if layout == "webdataset" else name)
        self.parquet = folder / f"{name}.parquet"
        self.stats = folder / f"{name}_stats.json"

    def write(self, rows: pa.Table, outcomes: list[FetchOutcome], image: ReadImage, begun: float, ended: float) -> None:
        """Write all files, each atomically, the images first.

        Args:
            rows: n rows of the source.
            outcomes: n outcomes in the order of the rows.
            image: returns the bytes of a success.
            begun, ended: seconds since 1970.
        """
        table = records(rows, outcomes, self.shard, self.shard_rows)
        entries = self._entries(table, outcomes, image)
        write = self._write_tar if self.layout == "webdataset" else self._write_folder
        write(entries)
        write_parquet(self.parquet, table)
        write_text(self.stats, json.dumps(statistics(outcomes, begun, ended), indent=4) + "\n")

    def sizes(self) -> dict[str, int]:
        """Return the size of every file by name; -1 for an existing folder of images, which is not walked."""
        found = {}
        for path in (self.data, self.parquet, self.stats):
            if path.exists():
                found[path.name] = -1 if path.is_dir() else path.stat().st_size
        return found

    def reader(self, images: Mapping[str, Place] | None = None) -> ReadImage:
        """Return a function that reads images of the shard from disk.

        Args:
            images: places in the tar by key, if they are known; else all of it is looked through.
        """
        if self.layout == "files":
            return lambda outcome: (self.data / self._image_name(outcome)).read_bytes()
        images = self._images() if images is None else images

        def read(outcome: FetchOutcome) -> bytes:
            at, size = images[self._key(outcome)]
            with self.data.open("rb") as tar:
                tar.seek(at)
                return tar.read(size)

        return read

    def places(self, rows: Sequence[int]) -> dict[str, Place]:
        """Return offset and size in the tar of the images of some rows, by key; nothing in a folder of files."""
        if not rows or self.layout == "files":
            return {}
        images = self._images()
        keys = [make_key(self.shard, row, self.shard_rows) for row in rows]
        return {key: images[key] for key in keys if key in images}

    def _images(self) -> dict[str, Place]:
        """Return offset and size of the images of a tar by key, whatever their extension."""
        with tarfile.open(self.data) as tar:
            found = {member.name.partition("."): (member.offset_data, member.size) for member in tar}
        return {key: place for (key, _, extension), place in found.items() if extension not in ("txt", "json")}

    def _key(self, outcome: FetchOutcome) -> str:
        return make_key(self.shard, outcome.row, self.shard_rows)

    def _image_name(self, outcome: FetchOutcome) -> str:
        extension = extension_of(outcome.format) if self.layout == "files" else _IN_TAR
        return f"{self._key(outcome)}.{extension}"

    def _entries(self, table: pa.Table, outcomes: list[FetchOutcome], image: ReadImage) -> Iterator[Entry]:
        texts = plain_texts(table.schema)
        rows = (row for batch in table.to_batches(_BATCH_ROWS) for row in batch.to_pylist())
        for outcome, row in zip(outcomes, rows, strict=True):
            if outcome.status != SUCCESS:
                continue
            key, caption = self._key(outcome), caption_of(row)
            yield self._image_name(outcome), image(outcome)
            if caption is not None:
                yield f"{key}.txt", caption
            yield f"{key}.json", metadata(row, texts)

    def _write_tar(self, entries: Iterator[Entry]) -> None:
        def write(out: BinaryIO) -> None:
            size = len(END)
            for name, data in entries:
                size += out.write(b"".join(tar_member(name, data)))
            out.write(END + bytes(-size % tarfile.RECORDSIZE))

        write_atomically(self.data, write)

    def _write_folder(self, entries: Iterator[Entry]) -> None:
        """Write a new folder next to the old one, then replace the old one."""
        fresh = self.data.with_name(f"{self.data.name}{PARTIAL}")
        remove(fresh)
        fresh.mkdir(parents=True)
        with ThreadPoolExecutor(_SYNCED_AT_ONCE) as threads:  # a disk syncs many files at once as fast as one
            while some := list(islice(entries, 64)):
                list(threads.map(lambda entry: _write_synced(fresh / entry[0], entry[1]), some))
        sync_folder(fresh)
        self._take_folder(fresh)

    def _take_folder(self, fresh: Path) -> None:
        """Rename a folder of images into place, and remove the one that was there."""
        old = self.data.with_name(f"{self.data.name}.old{PARTIAL}")
        if self.data.exists():
            remove(old)
            self.data.rename(old)
        fresh.rename(self.data)
        sync_folder(self.data.parent)
        remove(old)

    def move(self, to: ShardFiles) -> None:
        """Move the files to where those of another folder on the same disk are, the images first."""
        if self.layout == "files":
            to._take_folder(self.data)
        else:
            os.replace(self.data, to.data)
        os.replace(self.parquet, to.parquet)
        os.replace(self.stats, to.stats)
        sync_folder(to.parquet.parent)

    def recover(self) -> None:
        """Restore the old folder of images if a kill came between removing it and adding the new one."""
        old = self.data.with_name(f"{self.data.name}.old{PARTIAL}")
        if old.exists() and not self.data.exists():
            old.rename(self.data)
        remove(old)
        remove(self.data.with_name(f"{self.data.name}{PARTIAL}"))


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
