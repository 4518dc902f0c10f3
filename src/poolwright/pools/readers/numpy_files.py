"""Read NumPy files (.npy, .npz) by rows: only what is needed is loaded, and nothing is unpickled.

Formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np

from poolwright.core.errors import did_you_mean
from poolwright.core.remote.files import open_file
from poolwright.pools.readers.paths import DAMAGE, Unreadable, first_line, raise_if_unreachable, suffix

SUFFIXES = ("npy", "npz")


class NoArray(Unreadable):
    """An .npz has no array of that name."""


@dataclass(frozen=True)
class ArrayHeader:
    """Position and type of an array in a file.

    Attributes:
        name: its name in an .npz; '' in an .npy.
        shape: as saved.
        dtype: as saved.
        fortran: whether the array is in column-major (Fortran) order.
        start: offset of its values in the file, or in the unpacked member if that is compressed.
        packed: whether it is a compressed member of an .npz.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int
    packed: bool

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 0

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


def read_headers(path: str, names: Collection[str] | None = None) -> dict[str, ArrayHeader]:
    """Read the headers of the arrays in an .npz, or of the one in an .npy under the name ''.

    Args:
        path: path or URL.
        names: only these arrays of an .npz; default all.

    Raises:
        NoArray: an array does not exist.
        Unreadable: the file is damaged or cut off.
        InputError: the file cannot be opened.
    """
    try:
        with open_file(path) as file:
            if suffix(path) == "npz":
                return _npz_headers(path, file, names)
            end = file.seek(0, 2)
            file.seek(0)
            return {"": _header(path, "", file, end, False)}
    except Unreadable:
        raise
    except DAMAGE as error:
        raise_if_unreachable(error, path)
        raise Unreadable(path, f"is no .{suffix(path)} file: {first_line(error)}") from None


def _npz_headers(path: str, file: BinaryIO, names: Collection[str] | None) -> dict[str, ArrayHeader]:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name in names or ():
            if name not in members:
                raise NoArray(path, f"holds no array '{name}'; {did_you_mean(name, members)}")
        found = {}
        for name in members if names is None else names:
            info = members[name]
            if info.compress_type == zipfile.ZIP_STORED:
                begin = _member_start(file, info)
                file.seek(begin)
                found[name] = _header(path, name, file, begin + info.file_size, False)
            else:
                with archive.open(info) as member:
                    found[name] = _header(path, name, cast(BinaryIO, member), info.file_size, True)
    return found


def _member_start(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return the offset of a stored member: after its local header, whose last two numbers are lengths."""
    file.seek(info.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))
    return info.header_offset + 30 + int(name) + int(extra)


def _header(path: str, name: str, file: BinaryIO, end: int, packed: bool) -> ArrayHeader:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise Unreadable(path, f"has NumPy format {version[0]}.{version[1]}, which is not read; save plain arrays")
    header = ArrayHeader(name, tuple(shape), dtype, bool(fortran), file.tell(), packed)
    if not dtype.hasobject and header.start + header.rows * header.row_bytes > end:
        of = f" of '{name}'" if name else ""
        held = max(end - header.start, 0) // max(header.row_bytes, 1)
        raise Unreadable(path, f"is cut off: {header.rows} rows{of} announced, {held} there")
    return header


class ArrayReader:
    """Reads the rows of one array of a file from front to back. A context manager.

    Args:
        path: path or URL.
        header: from `read_headers` of the same file.

    Raises:
        Unreadable: the array holds pickled objects, which are never loaded.
    """

    def __init__(self, path: str, header: ArrayHeader) -> None:
        if header.dtype.hasobject:
            raise Unreadable(
                path,
                f"{_named(header)} holds pickled Python objects, which are never loaded; save it as a plain array",
            )
        self.path, self.header = path, header
        self._opened: list[Any] = []
        self._file: BinaryIO | None = None
        self._at = 0  # next row, if the member is compressed

    def __enter__(self) -> ArrayReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def rows(self, start: int, count: int) -> np.ndarray:
        """Return rows `start` to `start + count`, in native byte order.

        Raises:
            Unreadable: the file is damaged or ends too early.
        """
        header = self.header
        if header.fortran and len(header.shape) > 1:
            whole = self._take(0, int(np.prod(header.shape)), (int(np.prod(header.shape)),))
            return whole.reshape(header.shape, order="F")[start : start + count]
        return self._take(start, count, (count, *header.shape[1:]))

    def _take(self, start: int, count: int, shape: tuple[int, ...]) -> np.ndarray:
        values = np.empty(shape, self.header.dtype)
        if values.nbytes:
            row_bytes = values.nbytes // count
            try:
                file = self._file_at(start, row_bytes)
                _fill(file, memoryview(cast(Any, values.reshape(-1).view(np.uint8))))
            except DAMAGE as error:
                raise_if_unreachable(error, self.path)
                raise Unreadable(self.path, f"{_named(self.header)} cannot be read: {first_line(error)}") from None
            self._at = start + count
        return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))

    def _file_at(self, row: int, row_bytes: int) -> BinaryIO:
        if self._file is None:
            self._open()
        elif self.header.packed and row < self._at:
            self._close()
            self._open()
        file = cast(BinaryIO, self._file)
        if not self.header.packed:
            file.seek(self.header.start + row * row_bytes)
        else:
            skip = self.header.start + row * row_bytes - file.tell()
            while skip > 0:
                got = len(file.read(min(skip, 1 << 20)))
                if not got:
                    raise EOFError("the file ends before its last row")
                skip -= got
        return file

    def _open(self) -> None:
        file = open_file(self.path)
        self._opened.append(file)
        if self.header.packed:
            archive = zipfile.ZipFile(file)
            self._opened.append(archive)
            names = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            file = cast(BinaryIO, archive.open(names[self.header.name]))
            self._opened.append(file)
        self._file, self._at = file, 0

    def _close(self) -> None:
        while self._opened:
            self._opened.pop().close()
        self._file = None


def _fill(file: BinaryIO, space: memoryview) -> None:
    at = 0
    while at < len(space):
        count = file.readinto(space[at:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the file ends before its last row")
        at += count


def _named(header: ArrayHeader) -> str:
    return f"array '{header.name}'" if header.name else "the array"
