"""Read files of a table that belong to splits, configs and the like, which are columns of their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import pyarrow as pa
from pydantic import PrivateAttr

from poolwright.core.pool import Part
from poolwright.pools.columns.mapping import ColumnRequest
from poolwright.pools.columns.path_columns import FolderColumns
from poolwright.pools.columns.table_plan import ReadPlan
from poolwright.pools.readers.paths import stem
from poolwright.pools.table import TablePool


@dataclass(frozen=True)
class FileOrigin:
    """What is known of the files of a dataset besides their content.

    Attributes:
        root: folder or URL of the dataset.
        labels: values of further columns, such as `config` and `split`, by file.
        classes: names of classes by index, by column; none for a column that keeps its indices.
        images: columns of images that the files themselves do not describe.
        without: columns that are not given.
        below: folder below 'images' that `file_name` is relative to, by file; others are as in `table`.
    """

    root: str = ""
    labels: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    below: Mapping[str, str] = field(default_factory=dict)


class LabelledRows(TablePool):
    """Rows of the files of a dataset, with columns for the split and the like that a file belongs to.

    Rows without a column `uid` are numbered, after the path of their file in the dataset.
    """

    _origin: FileOrigin = PrivateAttr(default=FileOrigin())

    def of(self, origin: FileOrigin) -> Self:
        """Return this pool for files of that origin."""
        self._origin = origin
        return self

    def _wanted(self) -> ColumnRequest:
        origin = self._origin
        return replace(super()._wanted(), numbered=True, classes=origin.classes, without=origin.without)

    def _folders(self) -> FolderColumns:
        found, labels = super()._folders(), self._origin.labels
        names = list(dict.fromkeys(name for values in labels.values() for name in values))
        fields = [known for known in found.fields if known.name not in names]
        fields += [pa.field(name, pa.string()) for name in names]
        texts = {file: {**values, **labels.get(file, {})} for file, values in found.texts.items()}
        return FolderColumns(tuple(fields), texts, False)

    def _make_parts(self) -> list[Part]:
        """Return the parts, named by the paths of their files in the dataset: their names alone are often equal."""
        return [
            part.model_copy(update={"name": f"{folder_in(part.files[0], self._origin.root)}{part.name}"})
            for part in super()._make_parts()
        ]

    def _details(self, plan: ReadPlan, files: Sequence[str]) -> Iterator[dict[str, object]]:
        for file, found in zip(files, super()._details(plan, files), strict=True):
            below = self._origin.below.get(file, found.get("below", ""))
            yield {**found, "prefix": folder_in(file, self._origin.root) + stem(file), "below": below}


def folder_in(file: str, root: str) -> str:
    """Return the folder of a file in a dataset, with a slash at its end; '' if it is that of the dataset."""
    folder, slash, _ = file[len(root) :].lstrip("/").rpartition("/")
    return folder + slash
