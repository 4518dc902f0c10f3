"""Read images out of the zip files that the package `yfcc100m` writes, without unpacking them.

Format: https://pypi.org/project/yfcc100m/ 1.0.1. `0a1.zip` has the photos whose hash begins with '0a1', as
'data/images/0a1/2b3/<hash>.jpg', or with the extension of the photo; `0a1_missing.zip` has those that `--check` found
later. The hash is the MD5 of the download URL, each byte without its leading zero: 16 to 32 digits.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from types import TracebackType
from typing import BinaryIO

import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR, WELL_KNOWN
from poolwright.core.errors import RecipeError
from poolwright.core.images.image_files import Limits
from poolwright.core.pool import Part
from poolwright.core.remote.files import open_file
from poolwright.core.remote.schemes import is_url
from poolwright.core.runtime.noting import note
from poolwright.pools.readers.paths import base_name, files_below, first_line, join, raise_if_unreachable

IMAGE_FIELDS = tuple(pa.field(name, WELL_KNOWN[name].type) for name in (IMAGE, IMAGE_ERROR))
IMAGE_ROWS = 256
"""Rows per batch when image bytes are read."""

_NAME = re.compile(r"([0-9a-f]{3})(_missing)?\.zip")
_FOLDER = "data/images/"
_MOST_OPEN = 32
_MOST_MEMBERS = 200_000
"""Members of all open zips together: about 100 MB of directories."""
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, UnicodeDecodeError)


def find_zips(folder: str) -> dict[str, tuple[str, ...]]:
    """Return the zip files of a folder by the first three digits of their hashes.

    Raises:
        RecipeError: there is none.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in _zips_in(folder):
        name = _NAME.fullmatch(base_name(file))
        if name is not None:
            found[name[1]].append(file)
    if not found:
        raise RecipeError(
            f"{folder}: 'images' needs 'image_path', such as image_path: '{{photo_id}}.jpg', unless the folder has the "
            "zip files of the package yfcc100m, such as 0a1.zip"
        )
    return {digits: tuple(files) for digits, files in found.items()}


def _zips_in(folder: str) -> list[str]:
    if not is_url(folder) and not os.path.isdir(folder):
        raise RecipeError(f"{folder}: no such folder of images")
    return sorted(join(folder, name) for name in files_below(folder, lambda name: _NAME.fullmatch(name) is not None))


def hash_of(url: str) -> str:
    """Return the hash of a photo or video by its download URL: MD5, bytes below 16 as one digit."""
    return "".join(f"{byte:x}" for byte in md5(url.encode(), usedforsecurity=False).digest())


def with_zips(parts: Sequence[Part], zips: Mapping[str, Sequence[str]]) -> list[Part]:
    """Return parts whose images may be in any of the zips: they are files of each."""
    files = tuple(file for some in zips.values() for file in some)
    return [part.model_copy(update={"files": (*part.files, *files)}) for part in parts]


@dataclass
class _Open:
    """An open zip: its file, and its images by hash. `damage` says why it cannot be read."""

    members: Mapping[str, zipfile.ZipInfo]
    file: BinaryIO | None = None
    archive: zipfile.ZipFile | None = None
    damage: str = ""

    def close(self) -> None:
        if self.archive is not None:
            self.archive.close()
        if self.file is not None:
            self.file.close()


class ZipImages:
    """Reads the images of rows from the zips. A context manager; for one thread.

    Args:
        zips: as `find_zips` returns them.
    """

    def __init__(self, zips: Mapping[str, Sequence[str]]) -> None:
        self._zips = zips
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def __enter__(self) -> ZipImages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for found in self._open.values():
            found.close()

    def of(self, hashes: pa.Array, urls: pa.Array) -> dict[str, pa.Array]:
        """Return `image` and `image_error` of rows (n,), by their hash, or that of their URL if they have none.

        Each zip is opened once for all rows. A row whose zip is damaged has the reason 'unreadable_file', and the zip
        is noted.
        """
        keys = [
            key or (None if url is None else hash_of(url))
            for key, url in zip(hashes.to_pylist(), urls.to_pylist(), strict=True)
        ]
        found: list[bytes | str] = ["missing_file"] * len(keys)
        damaged, example = [False] * len(keys), ""
        for row in sorted((row for row, key in enumerate(keys) if key is not None), key=lambda row: str(keys[row])):
            found[row], damage = self._read(str(keys[row]))
            damaged[row], example = bool(damage), example or damage
        if example:
            note("images could not be read from their zip files", damaged, example)
        images = [item if isinstance(item, bytes) else None for item in found]
        errors = [item if isinstance(item, str) else None for item in found]
        made = zip(IMAGE_FIELDS, (images, errors), strict=True)
        return {field.name: pa.array(values, field.type) for field, values in made}

    def _read(self, key: str) -> tuple[bytes | str, str]:
        """Return the bytes of an image, or the reason why there are none; and the damage of its zips."""
        damage = ""
        for file in self._zips.get(key[:3], ()):
            opened = self._opened(file)
            if key in opened.members:
                return _read_member(opened, opened.members[key], base_name(file))
            damage = damage or opened.damage
        return ("unreadable_file" if damage else "missing_file"), damage

    def _opened(self, file: str) -> _Open:
        found = self._open.pop(file, None) or _open(file)
        self._open[file] = found
        while len(self._open) > 1 and (
            len(self._open) > _MOST_OPEN or sum(len(one.members) for one in self._open.values()) > _MOST_MEMBERS
        ):
            self._open.popitem(last=False)[1].close()
        return found


def _open(path: str) -> _Open:
    """Open a zip; its directory is all that is read."""
    file = open_file(path)
    try:
        archive = zipfile.ZipFile(file)
    except (*_DAMAGE, OSError) as error:
        file.close()
        raise_if_unreachable(error, path)
        return _Open(
            members={}, damage=f"{base_name(path)}: {first_line(error)}; it may still be written: download it anew"
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename.startswith(_FOLDER):
            members.setdefault(info.filename.rpartition("/")[2].partition(".")[0], info)
    return _Open(members, file, archive)


def _read_member(opened: _Open, info: zipfile.ZipInfo, name: str) -> tuple[bytes | str, str]:
    if info.file_size > Limits.max_bytes:
        return "too_many_bytes", ""
    if not info.file_size:
        return "empty_file", ""
    assert opened.archive is not None
    try:
        return opened.archive.read(info), ""
    except _DAMAGE as error:
        return "unreadable_file", f"{name}: {info.filename}: {first_line(error)}"
