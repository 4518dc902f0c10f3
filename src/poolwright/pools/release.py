"""Pool `release`: the rows of a release of poolwright, with its splits, images, classes and encoders."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, PrivateAttr

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, SPLIT, UID, WELL_KNOWN
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.wording import some, unguarded
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.path_columns import FILE_NAME
from poolwright.pools.labelled import FileOrigin, LabelledRows
from poolwright.pools.readers.paths import join, reading
from poolwright.pools.readers.tar_images import TarImages
from poolwright.pools.release_files import KEY, RECORD, SUMS, ReleaseFolder, check_files, open_release

CLASS_ID = "class_id"
"""Column of class indices that layouts with lists of images add."""

_TAR_ROWS = 256


class ReleasePool(Pool):
    """Rows of a release of poolwright, of any layout, with all that its record knows.

    Columns have their types, vectors their encoder, indices of classes their names, rows their `split` and `uid`;
    `image` or `image_path` give the images, if the release holds them. Where a layout renames or leaves out columns,
    as published datasets ask for, the rows have what it keeps. Classes keep their numbers if they are released again.

    The data files are compared with `SHA256SUMS` before anything is read; a file that differs or is missing is an
    error. Record and checksums are part of what a table is made from.
    """

    kind: ClassVar[str] = "release"
    example: ClassVar[str] = "first: {read: release, path: out/first}"

    path: PathOrUrl = Field(description="folder or fsspec URL of the release")
    uid: str | None = Field(
        default=None, description="column with the id of each row, if the layout keeps no 'uid'; 'row' numbers the rows"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="released column by its name in this pool, such as {width: original_width}; others keep theirs",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give, by the names they have in this pool; 'uid' is always given"
    )
    images: PathOrUrl | None = Field(
        default=None, description="folder or URL of the images, for a release that lists files it does not hold"
    )
    check: bool = Field(default=True, description="compare the data files with their SHA-256 first; false trusts them")

    _found: Once[ReleaseFolder] = PrivateAttr(default_factory=Once)
    _inner: Once[Pool] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    @classmethod
    def recognises(cls, path: Path) -> int:
        return 4 * (path / RECORD).is_file()

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool.

        Raises:
            RecipeError: there is no release, its record cannot be read, or a column is missing.
            InputError: a data file is missing.
        """
        schema = self._rows().arrow_schema()
        known = (IMAGE, IMAGE_ERROR) if self._released().tars else ()
        more = [name for name in known if self.keep is None or IMAGE in self.keep]
        return pa.schema([*schema, *(pa.field(name, WELL_KNOWN[name].type) for name in more)])

    def parts(self) -> list[Part]:
        """Return the parts of the data files, after a comparison of these with the checksums.

        Raises:
            InputError: a data file is missing or not as it was released.
        """
        return list(self._parts.get(self._make_parts))

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        tar = next((file for file in part.files if file.endswith(".tar")), None)
        if tar is None or not {IMAGE, IMAGE_ERROR} & set(columns):
            for table in self._rows().read(part, columns, batch_rows):
                yield _unguarded(table) if part.files[0].endswith(".csv") else table
            return
        names = [*(name for name in columns if name not in (IMAGE, IMAGE_ERROR, KEY)), KEY]
        with reading(part), TarImages(tar) as images:
            for table in self._rows().read(part, names, min(batch_rows, _TAR_ROWS)):
                found = [images.read(str(key)) for key in table.column(KEY).to_pylist()]
                for name, kind in ((IMAGE, bytes), (IMAGE_ERROR, str)):
                    values = [item if isinstance(item, kind) else None for item in found]
                    table = table.append_column(name, pa.array(values, WELL_KNOWN[name].type))
                yield table.select(list(columns))

    def class_names(self) -> Mapping[str, Any]:
        return self._rows().class_names()

    def remarks(self) -> list[str]:
        found, schema = self._released(), self.arrow_schema()
        words = list(self._rows().remarks())
        is_held = IMAGE in schema.names or (IMAGE_PATH in schema.names and bool(found.record["images"]))
        if not is_held and not self.images and self.keep is None:
            held = "in files that this pool does not read" if found.record["images"] else "not in the release"
            path = next((name for name in (FILE_NAME, IMAGE_PATH) if name in schema.names), None)
            more = f"; 'images' names the folder that '{path}' is relative to" if path else ""
            words.append(f"the images of layout '{found.record['layout']}' are {held}{more}")
        return words

    def image_root(self) -> str | None:
        return self.images or self._released().root

    def known_images(self) -> bool:
        return IMAGE in self.arrow_schema().names

    def _released(self) -> ReleaseFolder:
        return self._found.get(lambda: open_release(self.path))

    def _rows(self) -> Pool:
        return self._inner.get(self._make_rows)

    def _make_rows(self) -> Pool:
        found = self._released()
        names = list(found.columns)
        if self.uid is None and UID not in (*names, *self.columns):
            raise RecipeError(
                f"{self.path}: layout '{found.record['layout']}' keeps no 'uid'; name a column with 'uid: COLUMN', or "
                f"number the rows with 'uid: row' (there are: {some(names, 30)})"
            )
        below = _below(found) if FILE_NAME in names and not self.images else {}
        columns, csv = dict(self.columns), any(name.endswith(".csv") for name in found.files)
        if FILE_NAME in names and (below or self.images):
            columns.setdefault(IMAGE_PATH, FILE_NAME)
        pool = LabelledRows(
            path=tuple(join(found.root, name) for name in found.files),
            columns=columns,
            keep=self._kept(found),
            uid=self.uid,
            images=self.images or (found.root if IMAGE_PATH in columns else None),
            types=found.types if csv else {},
            outside=self.outside,
        )
        splits = {join(found.root, name): {SPLIT: value} for name, value in found.files.items()}
        labels = splits if any(value is not None for value in found.files.values()) else {}
        whole = {join(found.root, name): folder for name, folder in below.items()}
        without = tuple(name for name in found.classes if name == CLASS_ID and not found.classes[name])
        return pool.of(FileOrigin(found.root, labels, found.classes, without=without, below=whole))

    def _kept(self, found: ReleaseFolder) -> list[str] | None:
        """Return the columns of the data files to give; images in tars need the keys."""
        if self.keep is None or not found.tars:
            return self.keep
        return list(dict.fromkeys([*(name for name in self.keep if name not in (IMAGE, IMAGE_ERROR)), KEY]))

    def _make_parts(self) -> list[Part]:
        found = self._released()
        if self.check:
            check_files(found)
        known = tuple(join(found.root, name) for name in (RECORD, SUMS))
        tars = {join(found.root, name): (join(found.root, tar),) for name, tar in found.tars.items()}
        return [
            part.model_copy(update={"files": (*part.files, *tars.get(part.files[0], ()), *known)})
            for part in self._rows().parts()
        ]


def _below(found: ReleaseFolder) -> dict[str, str]:
    """Return the folder that the column `file_name` of each data file is relative to; empty if no image is there."""
    folders: dict[str, str] = {}
    for name in found.files:
        first = next(iter(_first_names(join(found.root, name))), None)
        inside = [known.removesuffix(f"/{first}") for known in found.sums if known.endswith(f"/{first}")]
        inside += [""] if first in found.sums else []
        if first is None or not inside:
            continue
        own = posixpath.dirname(name)
        folders[name] = own if own in inside else min(inside, key=len)
    return folders


def _first_names(file: str) -> list[str]:
    """Return the first image files that a data file names; none if it is damaged, which the checksums show."""
    rows = LabelledRows(path=(file,), keep=[FILE_NAME], uid="row")
    try:
        for part in rows.parts():
            for table in rows.read(part, [FILE_NAME], 1):
                return [name for name in table.column(0).to_pylist() if name]
    except InputError:
        pass
    return []


def _unguarded(table: pa.Table) -> pa.Table:
    """Return the rows of a CSV file with texts as they were before they were guarded against spreadsheets."""
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            texts = [None if cell is None else unguarded(cell) for cell in table.column(at).to_pylist()]
            table = table.set_column(at, field, pa.array(texts, field.type))
    return table
