"""Release record: what a release says of itself, in `release.json`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, field_validator

from poolwright.core.errors import ReleaseError

RELEASE = "release.json"
RELEASE_FORMAT = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReleasedColumn(_Record):
    """One column: its Arrow type and what it means."""

    name: str
    type: str
    meaning: str


class ReleasedFile(_Record):
    """One data file, Parquet or CSV: its rows are rows of the release, those of one split."""

    path: str
    split: str
    rows: int

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path or ":" in path:
            raise ValueError(f"'{path}' leads out of the release")
        return path


class ReleasedImages(_Record):
    """The images that lie in a release. `formats` counts them by file format."""

    count: int
    bytes: int
    formats: dict[str, int]


class OtherFile(_Record):
    """A further file that a layout writes: a list, an index array, an archive of images. `type` is its media type."""

    path: str
    type: str
    words: str


class ReleasedSubset(_Record):
    """Rows of the release that another table of the same run has too; `name` starts the names of its files."""

    name: str
    table: str
    rows: int
    classes: int


class ReleaseRecord(_Record):
    """What `release.json` says.

    Attributes:
        format: version of this record.
        layout: name of the layout.
        parameters: of the layout, as JSON; the release is read back with them.
        table: name of the released table.
        rows: rows in all data files.
        columns: of the data files, in order.
        files: the data files, split by split.
        images: the images in the release; None if it has none.
        made_from: digest of the table's record, the layout's parameters and the card data.
        splits: rows by split, in order of name.
        split_names: the value of the column `split` that each split stands for.
        classes: class names by index, where the column `class_column` holds indices.
        domains: value of each domain by the folder it has, in layouts that have such folders.
        configs: value of each config by its name, which is its folder in `data/`, in releases that have several.
        subsets: subsets that are told by row numbers.
        others: further files of the layout.
        versions: of the installed package that provides the layout, by its name, if it is not poolwright's own.
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

    def has(self, column: str) -> bool:
        """Whether the release has a column of that name."""
        return any(known.name == column for known in self.columns)

    def files_of(self, config: str) -> tuple[ReleasedFile, ...]:
        """The files of one config."""
        return tuple(file for file in self.files if PurePosixPath(file.path).parts[1] == config)

    def check_files(self, kept: int) -> None:
        """Check what a layout says of the files that it wrote.

        Args:
            kept: rows of the table.

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
        # What only some layouts have is in the records of those alone.
        empty = {name for name in ("domains", "configs", "subsets", "others", "versions") if not getattr(self, name)}
        text = self.model_dump_json(indent=1, exclude=empty)
        (folder / RELEASE).write_text(text + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: Path) -> ReleaseRecord:
        """Read the record of a release.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged.
        """
        return cls.model_validate_json((folder / RELEASE).read_text(encoding="utf-8"))


def digest_of(*values: Any) -> str:
    """SHA-256 of JSON values, whatever the order of their keys."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def type_words(dtype: pa.DataType) -> str:
    """An Arrow type as text, without the names of list items, which parquet writers change."""
    if pa.types.is_fixed_size_list(dtype):
        return f"{type_words(dtype.value_type)}[{dtype.list_size}]"
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return f"{type_words(dtype.value_type)}[]"
    if pa.types.is_struct(dtype):
        return "{" + ", ".join(f"{field.name}: {type_words(field.type)}" for field in dtype) + "}"
    if pa.types.is_dictionary(dtype):
        return type_words(dtype.value_type)
    return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(dtype), str(dtype))
