"""Define the record that every release carries as `release.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, PrivateAttr, field_validator

from poolwright.core.errors import ReleaseError
from poolwright.core.results.leaks import Leak

RELEASE = "release.json"
RELEASE_FORMAT = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ReleasedColumn(_Record):
    """One column: its Arrow type and what it means."""

    name: str
    type: str
    meaning: str


class ReleasedFile(_Record):
    """One data file, Parquet or CSV, with rows of one split."""

    path: str
    split: str
    rows: int

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path or ":" in path:
            raise ValueError(f"'{path}' leads out of the release")
        return path


class ChangedImages(_Record):
    """What was done to the images of a release.

    Attributes:
        words: what was asked for, in a sentence.
        library: what encoded them, with versions.
        kept: images whose files are as they were found.
        stripped: images whose metadata was removed, and whose pixels are coded as they were found.
        encoded: images that were encoded anew; `turned`, `flattened` (transparency laid on white) and `first` (the
            first of several pictures in a file) are among them.
    """

    words: str
    library: str
    kept: int = 0
    stripped: int = 0
    encoded: int = 0
    turned: int = 0
    flattened: int = 0
    first: int = 0


class ReleasedImages(_Record):
    """The images in a release.

    Attributes:
        count: number of images.
        bytes: total size of their files.
        formats: number of images by file format.
        turned: number of images that EXIF says to turn or flip before they are shown.
        changes: what was done to them; None if they are released as they were found.
    """

    count: int
    bytes: int
    formats: dict[str, int]
    turned: int = 0
    changes: ChangedImages | None = None


class OtherFile(_Record):
    """A further file that a layout writes: a list, an index array, an archive of images. `type` is its media type."""

    path: str
    type: str
    words: str


class ReleasedSubset(_Record):
    """Rows of the release that another table of the same run also has; the names of its files start with `name`."""

    name: str
    table: str
    rows: int
    classes: int


class ParentRelease(_Record):
    """The release that another one comes after.

    Attributes:
        name: name of its folder.
        url: where it is, if the recipe names a URL; '' for a local folder.
        table, version, rows: the released table, the version on its card, and the number of its rows.
        digest: SHA-256 of its checksums, hex.
    """

    name: str
    url: str = ""
    table: str
    version: str
    rows: int
    digest: str


class ReleasedLeaks(_Record):
    """The rows that several parts of a release have in common: its splits, buckets, subsets and the like.

    Attributes:
        sources: what was compared, 'sha256', 'phash' and a column of vectors; and where it comes from: 'column' of the
            release, 'table' for one that only the released table has, or 'images'.
        left_out: hashes that were not compared, and why.
        above: least cosine of near vectors; None if there are none.
        found: the counts, by what makes the parts and by what was compared.
    """

    sources: dict[str, str]
    left_out: dict[str, str] = {}
    above: float | None = None
    found: tuple[Leak, ...]

    @property
    def some(self) -> tuple[Leak, ...]:
        """The counts that are not zero."""
        return tuple(leak for leak in self.found if leak.rows)


class ReleaseRecord(_Record):
    """The content of `release.json`.

    Attributes:
        format: version of this record.
        layout: name of the layout.
        parameters: parameters of the layout, as JSON; the release is read back with them.
        table: name of the released table.
        rows: rows in all data files.
        columns: columns of the data files, in order.
        files: the data files, split by split.
        images: the images in the release; None if it has none.
        made_from: digest of the table's record, the layout's parameters and the card data.
        splits: rows by split, in order of name.
        split_names: the value of the column `split` that each split stands for.
        classes: class names by index, if the column `class_column` holds indices.
        domains: value of each domain by its folder, in layouts with such folders.
        configs: value of each config by its name, which is its folder in `data/`, in releases with several configs.
        subsets: subsets that are given by row numbers.
        others: further files of the layout.
        versions: version of the installed package that provides the layout, by package name; empty for our own.
        parent: the release that it comes after; None if the recipe names none.
        leaks: the rows that several of its parts have in common; None if it has one part.
    """

    format: int
    layout: str
    parameters: dict[str, Any]
    table: str
    made_from: str
    rows: int
    columns: tuple[ReleasedColumn, ...]
    splits: dict[str, int]
    split_names: dict[str, str | None]
    files: tuple[ReleasedFile, ...]
    images: ReleasedImages | None
    class_column: str | None
    classes: tuple[str, ...]
    domains: dict[str, str] = {}
    configs: dict[str, str | None] = {}
    subsets: tuple[ReleasedSubset, ...] = ()
    others: tuple[OtherFile, ...] = ()
    versions: dict[str, str] = {}
    parent: ParentRelease | None = None
    leaks: ReleasedLeaks | None = None
    _digests: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of files, hex, that were digested while they were written; not part of `release.json`."""
        return self._digests

    def with_digests(self, digests: Mapping[str, str]) -> Self:
        """Return the record with digests of files that were written."""
        made = self.model_copy()
        made._digests = dict(digests)
        return made

    def has(self, column: str) -> bool:
        """Whether the release has the column."""
        return any(known.name == column for known in self.columns)

    def files_of(self, config: str) -> tuple[ReleasedFile, ...]:
        """Return the data files of one config."""
        return tuple(file for file in self.files if PurePosixPath(file.path).parts[1] == config)

    def check_files(self, kept: int) -> None:
        """Check the files that a layout claims to have written.

        Args:
            kept: number of rows of the table.

        Raises:
            ReleaseError: rows are lost or gained, or a data file is neither Parquet nor CSV.
        """
        files = sum(file.rows for file in self.files)
        if not kept == self.rows == sum(self.splits.values()) == files:
            raise ReleaseError(
                f"table '{self.table}' has {kept:,} rows and the release {self.rows:,}, its files {files:,}: "
                "the counts do not reconcile; this is a bug in the layout or the table was changed meanwhile"
            )
        for file in self.files:
            if not file.path.endswith((".parquet", ".csv")):
                raise ReleaseError(
                    f"layout '{self.layout}' lists '{file.path}' among the files with rows, which are Parquet or CSV; "
                    "this is a bug in the layout: other files belong to `others` of its record"
                )

    def save(self, folder: Path) -> None:
        """Write `release.json` into the folder of a release."""
        # Fields that only some layouts use are left out of the records of the others.
        empty = {
            name
            for name in ("domains", "configs", "subsets", "others", "versions", "parent", "leaks")
            if not getattr(self, name)
        }
        text = self.model_dump_json(indent=1, exclude=empty)
        (folder / RELEASE).write_text(text + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: Path) -> ReleaseRecord:
        """Read the record of a release.

        Raises:
            FileNotFoundError: there is no record.
            ValueError: the record is damaged.
        """
        return cls.model_validate_json((folder / RELEASE).read_text(encoding="utf-8"))


def digest_of(*values: Any) -> str:
    """Return the SHA-256 of JSON values, independent of the order of their keys."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def type_words(dtype: pa.DataType) -> str:
    """Return an Arrow type as text, without the names of list items, which Parquet writers change."""
    if pa.types.is_fixed_size_list(dtype):
        return f"{type_words(dtype.value_type)}[{dtype.list_size}]"
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return f"{type_words(dtype.value_type)}[]"
    if pa.types.is_struct(dtype):
        return "{" + ", ".join(f"{field.name}: {type_words(field.type)}" for field in dtype) + "}"
    if pa.types.is_dictionary(dtype):
        return type_words(dtype.value_type)
    return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(dtype), str(dtype))
