"""Pool `release`: the rows of a release of poolwright, with its splits, images, classes and encoders."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, PrivateAttr

from poolwright.core.columns import IMAGE, IMAGE_PATH, LABEL, SPLIT, UID
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.files import known_digest
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.runtime.remote import reaching
from poolwright.core.wording import some, unguarded
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.path_columns import FILE_NAME
from poolwright.pools.labelled import FileOrigin, LabelledRows
from poolwright.pools.readers.paths import file_system, is_url, join, open_file

RECORD, SUMS = "release.json", "SHA256SUMS"
CLASS_ID = "class_id"
"""Column of class indices that layouts with lists of images add."""

_FORMAT = 1
_TYPES = (
    "string",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "float32",
    "float64",
    "date32",
)


@dataclass(frozen=True)
class _Released:
    """What the record and the checksums of a release say.

    Attributes:
        root: folder or URL.
        record: the content of release.json.
        sums: SHA-256 by file.
    """

    root: str
    record: Mapping[str, Any]
    sums: Mapping[str, str]

    @property
    def files(self) -> dict[str, str]:
        """The data files, with the value of the column `split` that they stand for."""
        names = self.record["split_names"]
        return {file["path"]: names.get(file["split"], file["split"]) for file in self.record["files"]}

    @property
    def columns(self) -> dict[str, str]:
        """The types of the columns, as text."""
        return {column["name"]: column["type"] for column in self.record["columns"]}

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Names of the classes by column: of the column of names if there is one, which then keeps their order."""
        column, names = self.record.get("class_column"), tuple(self.record.get("classes") or ())
        named = self.record["parameters"].get("by") or LABEL
        if not column or not names:
            return {}
        return (
            {column: (), named: names} if named != column and self.columns.get(named) == "string" else {column: names}
        )

    @property
    def types(self) -> dict[str, str]:
        """The types of the columns as Arrow spells them, as far as CSV files can have them."""
        spelled = {"date32[day]": "date32"}
        return {
            name: spelled.get(kind, kind) for name, kind in self.columns.items() if spelled.get(kind, kind) in _TYPES
        }


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

    _found: Once[_Released] = PrivateAttr(default_factory=Once)
    _inner: Once[Pool] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool.

        Raises:
            RecipeError: there is no release, its record cannot be read, or a column is missing.
            InputError: a data file is missing.
        """
        return self._rows().arrow_schema()

    def parts(self) -> list[Part]:
        """Return the parts of the data files, after a comparison of these with the checksums.

        Raises:
            InputError: a data file is missing or not as it was released.
        """
        return list(self._parts.get(self._make_parts))

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        for table in self._rows().read(part, columns, batch_rows):
            yield _unguarded(table) if part.files[0].endswith(".csv") else table

    def class_names(self) -> Mapping[str, Any]:
        return self._rows().class_names()

    def remarks(self) -> list[str]:
        found, schema = self._released(), self.arrow_schema()
        words = list(self._rows().remarks())
        layout = found.record["layout"]
        if not {IMAGE, IMAGE_PATH} & set(schema.names) and self.keep is None:
            held = "in files that this pool does not read" if found.record["images"] else "not in the release"
            more = "; 'images' names the folder that 'file_name' is relative to" if FILE_NAME in schema.names else ""
            words.append(f"the images of layout '{layout}' are {held}{more}")
        return words

    def image_root(self) -> str | None:
        return self.images or self._released().root

    def known_images(self) -> bool:
        return IMAGE in self.arrow_schema().names

    def _released(self) -> _Released:
        return self._found.get(lambda: _open(self.path))

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
            keep=self.keep,
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

    def _make_parts(self) -> list[Part]:
        found = self._released()
        if self.check:
            _check(found)
        known = tuple(join(found.root, name) for name in (RECORD, SUMS))
        return [part.model_copy(update={"files": (*part.files, *known)}) for part in self._rows().parts()]


def _open(path: str) -> _Released:
    root = path.rstrip("/")
    record, sums = (_text(root, name) for name in (RECORD, SUMS))
    try:
        data = json.loads(record)
        if data["format"] != _FORMAT:
            raise RecipeError(f"{join(root, RECORD)}: is of another version of poolwright; release the table again")
        found = _Released(root, data, _sums(sums))
        missing = next((name for name in found.files if name not in found.sums), None)
        _ = found.types, found.classes, data["layout"], data["images"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecipeError(f"{path}: {RECORD} or {SUMS} is damaged; check the release with: poolwright verify") from None
    if missing:
        raise RecipeError(f"{path}: '{missing}' is not in {SUMS}; check the release with: poolwright verify")
    return found


def _text(root: str, name: str) -> str:
    try:
        with reaching(root), open_file(join(root, name)) as file:
            return file.read().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise RecipeError(f"{root}: no release here ({name} is missing); {RECORD} marks one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{join(root, name)}: cannot be read: {error}") from None


def _sums(text: str) -> dict[str, str]:
    """Return the SHA-256 of each file; names with a backslash or line end have it escaped, as in `sha256sum`."""
    found = {}
    for line in text.split("\n"):
        digest, mark, name = line.removeprefix("\\").partition("  ")
        if line.startswith("\\"):
            name = name.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")
        if line and (not mark or len(digest) != 64):
            raise ValueError(line)
        found[name] = digest
    return found


def _below(found: _Released) -> dict[str, str]:
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


def _check(found: _Released) -> None:
    """Compare the data files with their checksums.

    Raises:
        InputError: one is missing or differs.
    """
    with ThreadPoolExecutor(4) as threads:
        digests = list(threads.map(lambda name: _digest(join(found.root, name)), found.files))
    wrong = [name for name, digest in zip(found.files, digests, strict=True) if digest != found.sums[name]]
    if wrong:
        more = f" (and {len(wrong) - 1} more files)" if len(wrong) > 1 else ""
        what = "is missing" if digests[list(found.files).index(wrong[0])] is None else "is not as it was released"
        raise InputError(
            f"{join(found.root, wrong[0])}{more}: the release is damaged: the file {what}, by its SHA-256 in {SUMS}; "
            "bring back the file, or the whole release"
        )


def _digest(file: str) -> str | None:
    """Return the SHA-256 of a file, of large files of the Hub without reading them; None if there is none."""
    try:
        if is_url(file):
            system, path = file_system(file)
            known = known_digest(system.info(path)) or ""
            if known.startswith("sha256:"):
                return known.removeprefix("sha256:")
        with reaching(file), open_file(file) as source:
            return hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]
    except FileNotFoundError:
        return None


def _unguarded(table: pa.Table) -> pa.Table:
    """Return the rows of a CSV file with texts as they were before they were guarded against spreadsheets."""
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            texts = [None if cell is None else unguarded(cell) for cell in table.column(at).to_pylist()]
            table = table.set_column(at, field, pa.array(texts, field.type))
    return table
