"""Find images in a WebDataset tar by key."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from types import TracebackType

from poolwright.core.images.formats import IMAGE_EXTENSIONS
from poolwright.core.images.image_files import Limits
from poolwright.pools.readers.paths import Unreadable, base_name
from poolwright.pools.readers.tar_members import TarScan, key_of, open_tar


class TarImages:
    """Reads the images of one tar. A context manager.

    The tar is scanned once, no further than needed, and the offsets of its members are kept: rows in any order are
    read in one pass. A tar that was packed again from a folder has its name before every key; it is not needed.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._members: dict[str, tuple[int, int]] = {}  # offset and size by key
        self._stack = ExitStack()
        self._file = self._stack.enter_context(open_tar(path))
        self._scan = TarScan(path, self._file)
        self._at_end = False
        self._bare: dict[str, tuple[int, int]] | None = None

    def __enter__(self) -> TarImages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, key: str) -> bytes | str:
        """Return the bytes of the image of a key, or the name of the reason why there are none.

        Raises:
            Unreadable: the tar is damaged or cut off.
        """
        while key not in self._members and not self._at_end:
            self._next()
        found = self._members.get(key) or self._below_folders().get(key)
        if found is None:
            return "missing_file"
        offset, size = found
        if size > Limits.max_bytes:
            return "too_many_bytes"
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) < size:
            raise Unreadable(self._path, f"{base_name(self._path)} is cut off within the image of '{key}'")
        return data

    def _below_folders(self) -> dict[str, tuple[int, int]]:
        """Return the members of a whole tar by key without its folder, if that is the key of one member alone."""
        if self._bare is None:
            bare = Counter(key.rpartition("/")[2] for key in self._members)
            self._bare = {
                name: place for key, place in self._members.items() if bare[name := key.rpartition("/")[2]] == 1
            }
        return self._bare

    def _next(self) -> None:
        member = next(self._scan, None)
        if member is None:
            self._at_end = True
            return
        key, extension = key_of(member.name)
        if extension in IMAGE_EXTENSIONS:
            self._members.setdefault(key, (member.offset, member.size))
