"""Pool `img2dataset`: images downloaded by img2dataset, as WebDataset tars, image files or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, SHA256, TEXT, UID, WELL_KNOWN
from poolwright.core.errors import RecipeError
from poolwright.core.pool import Part, Pool
from poolwright.core.rows import one_array
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import plain, plain_type, table_of
from poolwright.pools.columns.mapping import ColumnRequest, Given, class_names, drifts
from poolwright.pools.columns.shards import renamed, source_names
from poolwright.pools.columns.table_plan import parquet_columns
from poolwright.pools.img2dataset_digests import REMARK, SOURCE_SHA256, stores_other_bytes
from poolwright.pools.img2dataset_shards import Download, find_downloads, is_image
from poolwright.pools.readers.parquet import read_parquet
from poolwright.pools.readers.paths import PathsOrUrls, base_name, map_files, reading, stem
from poolwright.pools.readers.tar_images import TarImages

KEY, STATUS, SUCCESS = "key", "status", "success"
IMAGE_ROWS = 256
"""Rows per batch when image bytes are read."""

Form = Literal["webdataset", "files", "parquet", "none"]
"""img2dataset's `output_format`; 'none' if no images were written."""

_IMAGE_COLUMNS: Mapping[Form, tuple[str, ...]] = {"webdataset": (IMAGE, IMAGE_ERROR), "files": (IMAGE_PATH,)}
_ENCODED = ("jpg", "png", "webp")


@dataclass(frozen=True)
class _Plan:
    """All that reading needs besides a part: columns of the Parquet files, columns of images, and their storage."""

    given: tuple[Given, ...]
    image_columns: tuple[str, ...]
    form: Form
    has_status: bool
    reencoded: bool = False

    def fields(self) -> list[pa.Field]:
        return [given.field for given in self.given] + [
            pa.field(name, WELL_KNOWN[name].type) for name in self.image_columns
        ]


class Img2dataset(Pool):
    """Output of img2dataset: shards of downloaded images, with a row for every URL.

    A shard is `00000.parquet` and `00000_stats.json`, with the images in `00000.tar` (`output_format` webdataset), in
    a folder `00000/` (files), or in the Parquet itself. Rows are in the order of the Parquet files, with all columns;
    `caption` becomes `text`. Rows that could not be downloaded have no image: `status` and `error_message` say
    why, and a step that needs the image drops them as missing files, which count towards `max_bad`: drop them before
    it with `where: status = 'success'`. Tars give `image`, read only when a step asks
    for it, and `image_error`; files give `image_path`. Images are found by the `key` of their row. A shard without
    its stats is not finished, and one whose tar is cut off, or whose number of rows differs from the stats, is
    damaged: they are quarantined.

    img2dataset re-encodes images by default, and its `sha256` is then not that of the stored image: it is given as
    `source_sha256`. Pictures that EXIF says to turn are then stored as they lie, without the tag, which the column
    `exif` alone has. To have the bytes that were served, run img2dataset with `--disable_all_reencoding`; to have the
    digest of what is stored, use the step `hash`.
    """

    kind: ClassVar[str] = "img2dataset"
    example: ClassVar[str] = "downloaded: {read: img2dataset, path: data/shards, keep: [url, text, sha256, image]}"

    path: PathsOrUrls = Field(
        description="output folder (all shards in it, at any depth), glob of .parquet or .tar files, fsspec URL, or a "
        "list of these; shard 2 comes before shard 10"
    )
    uid: str | None = Field(
        default=None,
        description="column with the id of each row, such as one that came with the URLs; default: the column 'uid' "
        "if there is one, else 'key'",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give, by the names they have in this pool; 'uid' is always given"
    )
    stats: bool = Field(
        default=True, description="every shard must have its _stats.json; false also reads shards without it"
    )

    _plan: Once[_Plan] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _root: Once[str] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _shards: Once[list[Download]] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool; reads all Parquet footers and stats.

        Raises:
            RecipeError: a path or column is missing, or two shards differ in a column.
            InputError: no shard can be read.
        """
        return pa.schema(self._planned().fields())

    def parts(self) -> list[Part]:
        """Return one part per shard. Image files are listed, and the ends of tars are checked."""
        return list(self._parts.get(self._make_parts))

    def class_names(self) -> dict[str, tuple[str, ...]]:
        return class_names(self._planned().given)

    def image_root(self) -> str | None:
        if self._planned().form != "files":
            return None
        return self._root.get(self._find_root)

    def remarks(self) -> list[str]:
        plan = self._planned()
        return [*drifts(plan.given), *([REMARK] if plan.reencoded else [])]

    def known_images(self) -> bool:
        return IMAGE in self.arrow_schema().names

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        plan = self._planned()
        fields = {field.name: field for field in plan.fields()}
        given = {column.field.name: column for column in plan.given if column.field.name in columns}
        sources = {str(column.source) for column in given.values()}
        if set(columns) & set(plan.image_columns):
            sources |= {KEY, STATUS} if plan.has_status else {KEY}
        batch_rows = min(batch_rows, IMAGE_ROWS) if IMAGE in columns else batch_rows
        with reading(part), _Images(part, plan, columns) as images:
            for table in read_parquet(part.files[0], None, sorted(sources), batch_rows):
                found = {name: column.values(table.column(column.source)) for name, column in given.items()}
                found.update(images.of(table))
                yield table_of([found[name] for name in columns], [fields[name] for name in columns], len(table))

    def _planned(self) -> _Plan:
        return self._plan.get(self._make_plan)

    def _found(self) -> list[Download]:
        return self._shards.get(lambda: find_downloads(self.path))

    def _make_plan(self) -> _Plan:
        shards = [shard for shard in self._found() if shard.has_table]
        if not shards:
            first = self._found()[0]
            raise RecipeError(
                f"{first.tar}: has no {base_name(first.table)} with its rows: if img2dataset wrote it, it was copied "
                "in part; tars of other writers, and these without their rows, are read with 'read: webdataset'"
            )
        footers = [shard.footer for shard in shards]
        names = source_names(footers)
        form = _form(self._found(), footers)
        if names and KEY not in names and form in _IMAGE_COLUMNS:
            raise RecipeError(f"{shards[0].table}: no column '{KEY}', by which img2dataset names its images")
        encoded = next((name for name in _ENCODED if name in names), "") if form == "parquet" else ""
        reencoded = SOURCE_SHA256 not in names and stores_other_bytes(shards, names, encoded)
        wanted = ColumnRequest(
            columns=renamed(names, {TEXT: "caption", IMAGE: encoded}) | ({SOURCE_SHA256: SHA256} if reencoded else {}),
            uid=self.uid or (UID if UID in names else KEY),
            keep=self.keep,
            vectors={},
            sidecars=_IMAGE_COLUMNS.get(form, ()),
        )
        given = parquet_columns([shard.table for shard in shards], footers, wanted)
        image_columns = [name for name in wanted.sidecars if self.keep is None or name in self.keep]
        if IMAGE in image_columns and IMAGE_ERROR not in image_columns:
            image_columns.append(IMAGE_ERROR)
        return _Plan(tuple(given), tuple(image_columns), form, STATUS in names, reencoded)

    def _make_parts(self) -> list[Part]:
        form, root, shards = self._planned().form, self._root.get(self._find_root), self._found()
        by_base = {shard.base: shard for shard in shards}

        def make(base: str) -> Part:
            return _part(by_base[base], form, root, self.stats)

        parts = map_files(make, list(by_base), self.path[0])
        return [part.model_copy(update={"index": index}) for index, part in enumerate(parts)]

    def _find_root(self) -> str:
        """Return the folder of all shards: the one that the recipe names, if it is a single folder."""
        bases = [shard.base for shard in self._found()]
        if len(self.path) == 1 and all(base.startswith(self.path[0].rstrip("/") + "/") for base in bases):
            return self.path[0]
        shared = bases[0].split("/")[:-1]
        while not all(base.split("/")[: len(shared)] == shared for base in bases):
            shared.pop()
        return "/".join(shared) or ("/" if bases[0].startswith("/") else ".")


def _form(shards: Sequence[Download], footers: Sequence[object]) -> Form:
    if any(shard.has_tar for shard in shards):
        return "webdataset"
    schema = next((shard.footer.schema for shard in shards if shard.footer.schema is not None), None)
    if schema is not None and any(
        name in schema.names and plain_type(schema.field(name).type) == pa.binary() for name in _ENCODED
    ):
        return "parquet"
    return "files" if any(shard.has_folder for shard in shards) else "none"


def _part(shard: Download, form: Form, root: str, stats: bool) -> Part:
    """Return the part of a shard. If images are files, their content is part of its identity too."""
    damage = shard.damage(stats, needs_tar=form == "webdataset")
    if damage:
        return Part(index=0, name=shard.name, files=shard.files(), detail={"damage": damage})
    if form != "files":
        return Part(index=0, name=shard.name, files=shard.files(), rows=shard.footer.rows)
    folder = shard.base[len(root.rstrip("/")) :].lstrip("/") if root != "." else shard.base
    files = (*shard.files(), *shard.images())
    return Part(index=0, name=shard.name, files=files, rows=shard.footer.rows, detail={"folder": folder})


class _Images:
    """Reads the image columns of one part, for the rows of a batch. A context manager."""

    def __init__(self, part: Part, plan: _Plan, columns: Sequence[str]) -> None:
        self._part, self._plan = part, plan
        self._wanted = [name for name in plan.image_columns if name in columns]
        self._stack = ExitStack()
        self._tar: TarImages | None = None
        self._names: dict[str, str] = {}  # file name by key
        if plan.form == "files" and self._wanted:
            for name in map(base_name, part.files):
                if is_image(name):
                    self._names.setdefault(stem(name), name)
        if plan.form == "webdataset" and self._wanted:
            tar = next(file for file in part.files if file.endswith(".tar"))
            self._tar = self._stack.enter_context(TarImages(tar))

    def __enter__(self) -> _Images:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def of(self, table: pa.Table) -> dict[str, pa.Array]:
        """Return the wanted columns of rows, which have their key and status."""
        if not self._wanted:
            return {}
        keys = _keys(table, self._plan.has_status)
        if self._tar is None:
            return {IMAGE_PATH: pa.array([self._path(key) for key in keys], pa.string())}
        found = ["missing_file" if key is None else self._tar.read(key) for key in keys]
        images = [item if isinstance(item, bytes) else None for item in found]
        errors = [item if isinstance(item, str) else None for item in found]
        return {IMAGE: pa.array(images, pa.binary()), IMAGE_ERROR: pa.array(errors, pa.string())}

    def _path(self, key: str | None) -> str | None:
        if key is None:
            return None
        name = self._names.get(key, f"{key}.jpg")  # a missing file keeps the name it was written under
        return f"{self._part.detail['folder']}/{name}"


def _keys(table: pa.Table, has_status: bool) -> list[str | None]:
    """Return the keys of the rows that have an image; None for others."""
    keys = plain(one_array(table.column(KEY))).cast(pa.string())
    if has_status:
        keys = pc.if_else(pc.equal(plain(one_array(table.column(STATUS))), SUCCESS), keys, None)
    found: list[str | None] = keys.to_pylist()
    return found
