"""Pool `webdataset`: samples of WebDataset tars, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr, field_validator

from poolwright.core.columns import IMAGE, IMAGE_ERROR, ROW_ERROR, UID
from poolwright.core.pool import Part, Pool
from poolwright.core.rows import one_array
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import DeclaredTypes, table_of
from poolwright.pools.columns.mapping import Given
from poolwright.pools.columns.path_columns import FolderColumns, folder_values, row_prefixes
from poolwright.pools.columns.path_pattern import PatternText
from poolwright.pools.readers.paths import PathsOrUrls, base_name, reading
from poolwright.pools.readers.tar_index import count_samples, files_of_none, read_index, seek_points
from poolwright.pools.readers.tar_members import open_tar
from poolwright.pools.text.json_lines import read_objects
from poolwright.pools.webdataset.batches import SampleBatch
from poolwright.pools.webdataset.plan import (
    Head,
    SamplePlan,
    SampleRequest,
    has_tar_in_uid,
    plan_samples,
    read_heads,
)
from poolwright.pools.webdataset.samples import KEY, Wanted
from poolwright.pools.webdataset.tars import expand_braces, find_tars

_IMAGE_ROWS = 256
_VALUE_ROWS = 8_192
_SAMPLED = "file of the first samples"


class WebDatasetPool(Pool):
    """Samples of WebDataset tars, plain or packed by gzip, by any writer.

    A sample is the files of one key: the name up to the first dot of its last part, with the folders before it, as in
    the library `webdataset`. Its files need not follow each other. Extensions are read in lower case.

    - The picture is `image`, read only when a step asks for it, with `image_error`. Its file has the extension of an
      image format; a sample with two of these is bad unless `image` names one, and one without any has no image.
    - The values of the JSON object `.json` are columns, with the types that `table` infers for JSON Lines. An empty
      text is null.
    - `.txt` is `text`; without it `caption` of the JSON is. `.cls` and the like are whole numbers, if all are.
      Other texts, `.npy` arrays of numbers and JSON such as `.boxes.json` have the extension as their name.
    - All other files, pickles among them, are not read, and counted.

    Columns and types are those of the first samples of every tar. A sample with a value that does not fit later, or
    with a file or key that none of the first has, is dropped at admission, counted as bad, with the reason in
    `row_error`. A tar that is cut off or damaged is quarantined.

    The places of all files are found once and kept in the folder `pools` of the run.
    """

    kind: ClassVar[str] = "webdataset"
    example: ClassVar[str] = 'cc3m: {read: webdataset, path: "data/cc3m-train-{0000..0575}.tar"}'

    path: PathsOrUrls = Field(
        description="tar, brace pattern such as 'train-{000..099}.tar', glob, folder (all .tar, .tar.gz and .tgz "
        "files in it, at any depth), fsspec URL, or a list of these; shard 2 comes before shard 10"
    )
    image: str = Field(
        default="", description="extension of the picture, such as 'png' or 'rgb.png'; default: the one of an image"
    )
    dot: Literal["first", "last"] = Field(
        default="first", description="the dot of a file name that ends the key; 'last' for keys that have dots"
    )
    uid: str | None = Field(
        default=None,
        description="column with the id of each row; 'key' is the key, 'tar/key' has the name of the tar before it; "
        "default: the column 'uid', else the key, else 'tar/key' if the first samples of two tars have one key",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="value by its name in this pool, such as {url: image_url, label_index: cls}; others keep their "
        "names",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give, by the names they have in this pool; 'uid' is always given"
    )
    types: DeclaredTypes = Field(
        default_factory=dict, description="Arrow type by value, such as {score: float32}, instead of the inferred one"
    )
    pattern: PatternText | None = Field(
        default=None,
        description="columns from the path of each tar, such as '{split}/*', matched against its path below 'path' "
        "without the extension",
    )

    _plan: Once[SamplePlan] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _tars: Once[list[str]] = PrivateAttr(default_factory=Once)
    _heads: Once[list[Head]] = PrivateAttr(default_factory=Once)
    _folder: Once[Path | None] = PrivateAttr(default_factory=lambda: Once(travels=True))

    @field_validator("image")
    @classmethod
    def _check_image(cls, image: str) -> str:
        return image.removeprefix(".").lower()

    def keep_in(self, folder: Path) -> Self:
        kept = self.model_copy()
        kept._folder = Once(travels=True)
        kept._folder.get(lambda: folder)
        return kept

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool; reads the first samples of every tar.

        Raises:
            RecipeError: a path or column is missing, or a column cannot be what its name says.
            InputError: no tar can be read.
        """
        return pa.schema(self._planned().fields())

    def parts(self) -> list[Part]:
        """Return one part per tar, of unknown length."""
        plan, tars = self._planned(), self._found()
        prefixes = row_prefixes(tars) if has_tar_in_uid(self.uid, plan, self._read_heads()) else []
        folders = FolderColumns.of(self._paths(), tars, self.pattern).texts if plan.folders else {}
        parts = []
        for index, tar in enumerate(tars):
            detail: dict[str, Any] = {"folders": folders[tar]} if folders else {}
            if prefixes:
                detail["prefix"] = prefixes[index]
            parts.append(Part(index=index, name=base_name(tar), files=(tar,), detail=detail))
        return parts

    def remarks(self) -> Sequence[str]:
        return self._planned().remarks

    def known_images(self) -> bool:
        return IMAGE in self._planned().images

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        plan, tar, folder = self._planned(), part.files[0], self._folder.get(lambda: None)
        fields = {field.name: field for field in plan.fields()}
        most = min(batch_rows, _IMAGE_ROWS if IMAGE in columns else _VALUE_ROWS)
        with reading(part):
            if not columns:
                count = count_samples(tar, folder, plan.wanted.last)
                yield from (table_of([], [], min(batch_rows, count - at)) for at in range(0, count, batch_rows))
                return
            index = read_index(tar, folder, plan.wanted.last)
            others = files_of_none(index)
            with open_tar(tar, seek_points(tar, folder)) as file:
                for at in range(0, len(index), most):
                    batch = SampleBatch(part.name, file, plan.wanted, index.slice(at, most).to_pylist())
                    batch.note_unread(others)
                    found = self._columns(plan, batch, set(columns), part)
                    yield table_of([found[name] for name in columns], [fields[name] for name in columns], len(batch))

    def _columns(self, plan: SamplePlan, batch: SampleBatch, names: set[str], part: Part) -> dict[str, pa.Array]:
        given = {column.field.name: column for column in plan.given if column.field.name in names}
        sources = {str(column.source) for column in given.values()}
        checks = ROW_ERROR in names
        found: dict[str, pa.Array] = {}
        if sources or checks:
            lines = batch.lines(None if checks else sources, plan.documents)
            checked = set(plan.layout.checked) - {KEY} if checks else None
            types = {name: dtype for name, dtype in plan.layout.types.items() if name != KEY}
            values = read_objects(
                lines, batch.place, types, sorted(sources - {KEY}), checked, plan.layout.closed, _SAMPLED
            ).append_column(KEY, batch.keys)
            found = {name: _column(column, values, part) for name, column in given.items()}
            if checks:
                found[ROW_ERROR] = pc.coalesce(one_array(values.column(ROW_ERROR)), batch.problems())
        if names & {IMAGE, IMAGE_ERROR}:
            found |= batch.images()
        for folder in plan.folders:
            if folder.name in names:
                found[folder.name] = folder_values(folder, part.detail["folders"][folder.name], len(batch))
        return found

    def _wanted(self) -> Wanted:
        return Wanted(self.image, self.dot == "last")

    def _paths(self) -> list[str]:
        return [one for path in self.path for one in expand_braces(path)]

    def _found(self) -> list[str]:
        return self._tars.get(lambda: find_tars(self.path))

    def _read_heads(self) -> list[Head]:
        return self._heads.get(lambda: read_heads(self._found(), self._wanted()))

    def _planned(self) -> SamplePlan:
        return self._plan.get(self._make_plan)

    def _make_plan(self) -> SamplePlan:
        types = {name: pa.type_for_alias(dtype) for name, dtype in self.types.items()}
        asked = SampleRequest(self._wanted(), self.uid, self.columns, self.keep, types, self.pattern)
        return plan_samples(self._paths(), self._found(), self._read_heads(), asked)


def _column(given: Given, values: pa.Table, part: Part) -> pa.Array:
    found = given.values(values.column(given.source))
    if pa.types.is_string(found.type):
        found = pc.if_else(pc.equal(found, ""), None, found)
    if given.field.name == UID and "prefix" in part.detail:
        return pc.binary_join_element_wise(part.detail["prefix"], found, "/")
    return found
