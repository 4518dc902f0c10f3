"""Some samples of a tar: the JSON of their values, their pictures, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR
from poolwright.core.runtime.noting import note
from poolwright.pools.readers.paths import Unreadable
from poolwright.pools.webdataset.samples import Place, Wanted, document_of, image_problem, joined


class SampleBatch:
    """Consecutive samples of a tar.

    Args:
        name: of the tar, for messages.
        file: the tar, open and unpacked.
        wanted: what is read of samples.
        rows: of the index of the tar.
    """

    def __init__(self, name: str, file: BinaryIO, wanted: Wanted, rows: Sequence[Mapping[str, Any]]) -> None:
        self._name, self._file, self._wanted = name, file, wanted
        self._keys = [str(row["key"]) for row in rows]
        self._files: list[dict[str, Place]] = [
            {found["extension"]: (found["offset"], found["size"]) for found in row["files"]} for row in rows
        ]

    def __len__(self) -> int:
        return len(self._keys)

    def place(self, at: int) -> str:
        """Return the name of a sample for errors."""
        return f"'{self._keys[at]}' in {self._name}"

    @property
    def keys(self) -> pa.Array:
        """The keys of the samples."""
        return pa.array(self._keys, pa.string())

    def lines(self, only: Collection[str] | None, documents: Collection[str]) -> list[bytes]:
        """Return the values of each sample as one JSON object, without its key.

        Args:
            only: names of the values; None for all.
            documents: names that may be in the JSON of samples.
        """
        lines: list[bytes] = []
        unread: dict[str, list[int]] = {}
        has_document = only is None or not set(only).isdisjoint(documents)
        for at, files in enumerate(self._files):
            read = partial(self._read, files)
            values, failed = self._wanted.values(files, read, only)
            for extension in failed:
                unread.setdefault(extension, []).append(at)
            lines.append(joined(values, document_of(files, read) if has_document else b"{}"))
        for extension, rows in unread.items():
            self._note(f"samples have a file '.{extension}' that is no UTF-8 text, JSON or array of numbers", rows)
        return lines

    def images(self) -> dict[str, pa.Array]:
        """Return the pictures, and why there are none, as the columns `image` and `image_error`.

        Raises:
            Unreadable: the tar is cut off.
        """
        images: list[bytes | None] = []
        errors: list[str | None] = []
        for files in self._files:
            picture = next(iter(self._wanted.pictures(files)), "")
            error = image_problem(files.get(picture))
            images.append(self._read(files, picture) if error is None else None)
            errors.append(error)
        return {IMAGE: pa.array(images, pa.binary()), IMAGE_ERROR: pa.array(errors, pa.string())}

    def problems(self) -> pa.Array:
        """Return what is wrong with samples as a whole: those with several pictures."""
        found = [self._wanted.pictures(files) for files in self._files]
        return pa.array([None if len(several) < 2 else self._several(at, several) for at, several in enumerate(found)],
                        pa.string())  # fmt: skip

    def note_unread(self, others: tuple[int, str]) -> None:
        """Count the samples with files that are not read.

        Args:
            others: number of files of the tar that are of no sample, and the name of the first.
        """
        unread: dict[str, list[int]] = {}
        for at, files in enumerate(self._files):
            for extension in files:
                if not self._wanted.is_read(extension):
                    unread.setdefault(extension, []).append(at)
        for extension, rows in unread.items():
            self._note(f"samples have a file '.{extension}', which was not read", rows)
        if others[0]:
            more = f" and {others[0] - 1:,} more" if others[0] > 1 else ""
            words = "samples are of tars with files of no sample, which were not read"
            self._note(words, range(len(self)), f"'{others[1]}'{more} in {self._name}")

    def _several(self, at: int, extensions: Sequence[str]) -> str:
        shown = " and ".join(f"'.{extension}'" for extension in extensions)
        return f"{self.place(at)}: has several pictures, {shown}; 'image' names the one to read"

    def _note(self, words: str, rows: Sequence[int], example: str = "") -> None:
        mask = np.zeros(len(self), bool)
        mask[list(rows)] = True
        note(words, mask, example or self.place(rows[0]))

    def _read(self, files: Mapping[str, Place], extension: str) -> bytes:
        offset, size = files[extension]
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) < size:
            raise Unreadable(self._name, f"{self._name} is cut off at byte {offset + len(data):,}")
        return data
