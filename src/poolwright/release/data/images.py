"""Read the images of released rows again, check them, and determine their format from their bytes."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from poolwright.core.columns import ASPECT, BYTES, HEIGHT, IMAGE, IMAGE_PATH, SHA256, UID, WIDTH, is_text
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.files import ImageRoot
from poolwright.core.images.formats import IMAGE_EXTENSIONS, extension_of_name
from poolwright.core.images.image import REASONS
from poolwright.core.images.image_files import Limits, read_bytes
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.core.wording import some
from poolwright.release.data.image_changes import ORIGINAL, ChangedImage, ImageChanges, changed_schema, measured
from poolwright.release.data.image_counts import ImageCounts, extension

BATCH_ROWS = 64
_AHEAD = 1
"""Batches that are read and digested while one is written."""
_READERS = 8
_AT_ONCE = 16
Given = TypeVar("Given")
Made = TypeVar("Made")
Found = TypeVar("Found", bytes, ChangedImage)
RowSource = Callable[[Sequence[str], int], Iterator[Rows]]
"""Gives rows with some columns, in batches of so many."""
_WORDS = {reason.name: reason.words for reason in REASONS}
# The rows passed the limits of their recipe; this one only keeps a single Parquet value readable.
_LARGE = Limits(max_bytes=1_000_000_000)


def image_columns(schema: pa.Schema, layout: str) -> tuple[str, ...]:
    """Return the column that the images of a table are read from: bytes in the table, or paths.

    Raises:
        StepError: there is no such column, or `sha256` cannot be compared.
    """
    if SHA256 in schema.names and not is_text(schema.field(SHA256).type):
        raise StepError(
            f"layout '{layout}' writes 'sha256' as hex strings, but the column has type {schema.field(SHA256).type}; "
            "rename it in a step"
        )
    for name in (IMAGE, IMAGE_PATH):
        if name in schema.names:
            return (name,)
    raise StepError(
        f"layout '{layout}' needs the images, and the table has neither 'image' nor 'image_path'; "
        f"its columns are: {some(schema.names, 30)}"
    )


@dataclass(frozen=True)
class ImageBatch:
    """Some rows with their images.

    Attributes:
        rows: the rows; if images are changed, they describe the changed ones.
        found: image files as they were found.
        made: the images with their sizes, if they were changed or measured.
        digests: SHA-256 of the released files, hex.
    """

    rows: Rows
    found: list[bytes]
    made: list[ChangedImage] | None
    digests: list[str]

    @property
    def images(self) -> list[bytes]:
        """Image files as they are released."""
        return self.found if self.made is None else [image.data for image in self.made]


@dataclass
class ImageReader:
    """Reads the images of a table's rows, in order, changes them if asked to, and counts them.

    Attributes:
        table: the table.
        column: with the images, or the paths that they are read from.
        root: folder or URL that paths are relative to.
        changes: what is done to images.
        counts: of the images so far.
    """

    table: Table
    column: str
    root: ImageRoot
    changes: ImageChanges | None = None
    counts: ImageCounts = field(default_factory=ImageCounts)

    @classmethod
    def of(cls, table: Table, layout: str, changes: ImageChanges | None = None) -> ImageReader:
        """Read from the image column of a table; raises StepError if there is none."""
        return cls(table, image_columns(table.schema, layout)[0], table.image_root, changes)

    @property
    def schema(self) -> pa.Schema:
        """The columns that rows can be read with: those of the table, and those of changed images."""
        return changed_schema(self.table.schema, self.changes)

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[Rows, list[bytes], list[str]]]:
        """Yield rows in small batches, with the bytes of their images and the SHA-256 of those, hex.

        Args:
            columns: of `schema`; if images are changed, the rows describe the changed ones.

        Raises:
            ReleaseError: an image cannot be read, or has changed since the table was made.
        """
        for batch in self.uncounted(columns):
            self.note(batch, len(batch.rows))
            yield batch.rows, batch.images, batch.digests

    def measured_batches(self, columns: Sequence[str]) -> Iterator[tuple[Rows, list[ChangedImage], list[str]]]:
        """Yield rows as `batches` does, with their images and the sizes of these.

        Raises:
            ReleaseError: an image cannot be read, or has changed since the table was made.
        """
        with ThreadPoolExecutor(_READERS) as threads:
            for batch in self._batches(columns, None, threads):
                made = batch.made
                if made is None:
                    made = self._all(batch.rows, list(threads.map(measured, batch.found)))
                self.note(batch, len(batch.rows))
                yield batch.rows, made, batch.digests

    def uncounted(self, columns: Sequence[str], source: RowSource | None = None) -> Generator[ImageBatch, None, None]:
        """Yield batches of rows with their images, to be counted by `note` as far as they are released.

        Args:
            columns: as for `batches`.
            source: gives the rows of the table to read; default all.

        Raises:
            ReleaseError: an image cannot be read, or has changed since the table was made.
        """
        with ThreadPoolExecutor(_READERS) as threads:
            yield from self._batches(columns, source, threads)

    def note(self, batch: ImageBatch, rows: int) -> None:
        """Count the images of the first rows of a batch."""
        self.counts.note(batch.images[:rows])
        if batch.made is not None:
            self.counts.note_changes(batch.found[:rows], batch.made[:rows])

    def _batches(
        self, columns: Sequence[str], source: RowSource | None, threads: ThreadPoolExecutor
    ) -> Iterator[ImageBatch]:
        for rows, found, digests in self._found(columns, source or self.table.batches, threads):
            if self.changes is None:
                yield ImageBatch(rows, found, None, digests)
            else:
                changed, made, new = self._change(self.changes, rows, found, digests, threads)
                yield ImageBatch(changed, found, made, new)

    def _found(
        self, columns: Sequence[str], source: RowSource, threads: ThreadPoolExecutor
    ) -> Iterator[tuple[Rows, list[bytes], list[str]]]:
        """Yield rows with the bytes of their image files as they are found, and the SHA-256 of those."""
        known = [name for name in columns if name in self.table.schema.names]
        wanted = tuple(dict.fromkeys([*known, UID, self.column, *self._hashed()]))
        batches = ((rows, self._reading(rows, threads)) for rows in source(wanted, BATCH_ROWS))
        for rows, reading in _ahead(batches, _AHEAD):
            found = [one for some in reading for one in some]
            images = self._all(rows, [data for data, _ in found])
            digests = [digest for _, digest in found]
            self._same(rows, digests)
            yield rows, images, digests

    def _hashed(self) -> list[str]:
        """Return the column of digests to read: changed images are compared with it, though another replaces it."""
        return [SHA256] if self.changes and SHA256 in self.table.schema.names else []

    def _change(
        self,
        changes: ImageChanges,
        rows: Rows,
        images: Sequence[bytes],
        digests: Sequence[str],
        threads: ThreadPoolExecutor,
    ) -> tuple[Rows, list[ChangedImage], list[str]]:
        """Return rows that describe the changed images, the images, and the SHA-256 of those."""
        made = self._all(rows, list(threads.map(changes.apply, images)))
        new = list(threads.map(_sha256, (image.data for image in made)))
        fields = {column.name: column for column in self.schema}
        originals = [image.original for image in made]
        values = {
            WIDTH: [image.width for image in made],
            HEIGHT: [image.height for image in made],
            SHA256: new,
            BYTES: [len(image.data) for image in made],
            ASPECT: [max(image.width, image.height) / min(image.width, image.height) for image in made],
            f"{ORIGINAL}{WIDTH}": [probe.width for probe in originals],
            f"{ORIGINAL}{HEIGHT}": [probe.height for probe in originals],
            f"{ORIGINAL}{SHA256}": digests,
            f"{ORIGINAL}{BYTES}": [len(data) for data in images],
        }
        kept = {name for name in self.table.schema.names if name.startswith(ORIGINAL)}
        given = [name for name in values if name in fields and name not in kept]
        return rows.give({name: pa.array(values[name], fields[name].type) for name in given}, fields), made, new

    def _stored(self, rows: Rows) -> list[bytes | str]:
        values = rows.column(IMAGE).to_pylist()
        inner = [value.get("bytes") if isinstance(value, dict) else value for value in values]
        return [value or "missing_file" for value in inner]

    def _reading(self, rows: Rows, threads: ThreadPoolExecutor) -> Iterator[list[tuple[bytes | str, str]]]:
        """Begin to read images; the iterator gives them, or reasons why there is none, and their SHA-256."""
        root = self.root
        if self.column == IMAGE:
            return _begun(threads, _digested, self._stored(rows))
        return _begun(threads, lambda path: _digested(_read_one(root, path)), rows.strings(IMAGE_PATH))

    def _all(self, rows: Rows, found: Sequence[Found | str]) -> list[Found]:
        images = [data for data in found if not isinstance(data, str)]
        if len(images) == len(found):
            return images
        at = next(row for row, data in enumerate(found) if isinstance(data, str))
        reason = str(found[at])
        raise ReleaseError(
            f"table '{self.table.name}': the image of uid {rows.strings(UID)[at]!r}{self._location(rows, at)} cannot "
            f"be released: {_WORDS.get(reason, reason)}. Every row of a release has its image: bring the file back, "
            "or drop the row in a step"
        )

    def _same(self, rows: Rows, digests: Sequence[str]) -> None:
        """Check the bytes against the SHA-256 in the table."""
        if SHA256 not in rows.schema.names:
            return
        for at, (was, now) in enumerate(zip(rows.strings(SHA256), digests, strict=True)):
            if was is not None and was.lower() != now:
                raise ReleaseError(
                    f"table '{self.table.name}': the image of uid {rows.strings(UID)[at]!r}{self._location(rows, at)} "
                    f"is not the one the table knows: its SHA-256 is {now[:12]}..., 'sha256' says {was[:12]}... "
                    "Bring the file back, or rename the column if it means other bytes"
                )

    def _location(self, rows: Rows, at: int) -> str:
        return f" ({rows.strings(IMAGE_PATH)[at]})" if self.column == IMAGE_PATH else ""


def _read_one(root: ImageRoot, path: str | None) -> bytes | str:
    if path is None:
        return "missing_file"
    found = read_bytes(root, path)
    return read_bytes(root, path, _LARGE) if found == "too_many_bytes" else found


def _begun(
    threads: ThreadPoolExecutor, function: Callable[[Given], Made], items: Sequence[Given]
) -> Iterator[list[Made]]:
    """Begin to call a function with each item, a few in each task: a task costs more than to read a small file."""
    tasks = [items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE)]
    return threads.map(lambda task: [function(item) for item in task], tasks)


def _ahead(items: Iterator[Given], number: int) -> Iterator[Given]:
    """Yield items after `number` more of them were made."""
    made: deque[Given] = deque()
    for item in items:
        made.append(item)
        if len(made) > number:
            yield made.popleft()
    yield from made


def _digested(found: bytes | str) -> tuple[bytes | str, str]:
    return found, "" if isinstance(found, str) else _sha256(found)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def original_name(path: str | None, uid: str, data: bytes, changed: bool = False) -> str:
    """Return the name of an embedded image file: its relative path, or a name made from the uid.

    Args:
        changed: the image was changed, so that the extension of its path may be that of another format.
    """
    if path and changed and extension_of_name(path) in IMAGE_EXTENSIONS:
        path = f"{path.rpartition('.')[0]}.{extension(data)}"
    if path and "://" not in path and not path.startswith(("/", "\\")) and path[1:3] not in (":\\", ":/"):
        return path
    return f"{uid}.{extension(data, path)}"
