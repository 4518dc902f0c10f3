"""Pool `geoyfcc`: YFCC100M photos by country, from the public pickle or from Parquet made from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from poolwright.core.class_labels import class_labels, named_type, names_of_labels
from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, wider_type
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.remote.schemes import is_url
from poolwright.core.rows import one_array
from poolwright.pools.columns import image_paths
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import plain_type, table_of
from poolwright.pools.columns.image_paths import ImagePath
from poolwright.pools.columns.mapping import TWO_POOLS
from poolwright.pools.columns.table_plan import drift_of, widest_type
from poolwright.pools.geoyfcc.columns import check_source, is_free, is_named, make_columns, own_columns, sources_of
from poolwright.pools.geoyfcc.frame import PART_ROWS, pickled_columns
from poolwright.pools.readers.parquet import Footer, read_footer, read_parquet, runs
from poolwright.pools.readers.paths import PathsOrUrls, base_name, find_files, map_files, reading, suffix
from poolwright.pools.readers.pickle_files import SUFFIXES
from poolwright.pools.yfcc.zips import IMAGE_ROWS, ZipImages, find_zips, with_zips

_PARQUET = ("parquet", "pq")
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class _Plan:
    """What to read and make.

    Attributes:
        source: columns of the source, those of indices of classes as the names.
        classes: their names by index.
        given: columns made from these.
        zips: zip files of images, if they are in such.
        drifts: a sentence on each column whose type differs between files.
    """

    source: pa.Schema
    classes: Mapping[str, tuple[str, ...]]
    given: pa.Schema
    zips: Mapping[str, Sequence[str]]
    drifts: tuple[str, ...] = ()


class GeoYfccPool(Pool):
    """Rows of GeoYFCC: photos of YFCC100M with a country, labels and the split.

    `uid` is `yfcc_row_id`. The labels stay lists. `yfcc_metadata` becomes the columns of pool `yfcc100m`; if a
    line cannot be read, these are null, `metadata_error` has the reason, and the row is kept. Only a row without a
    whole number as `yfcc_row_id` cannot be used. Other columns of the source are given as they are; one whose type
    differs between Parquet files has the widest of these types, and `check` names it.

    The pickle is read without running anything in it, and without pandas; nothing but plain columns is accepted.
    It is held in memory while it is read, so convert it to Parquet once: `poolwright convert geoyfcc GeoYFCC.pkl
    GeoYFCC.parquet`.

    With `images:` and no `image_path`, images come out of the zip files of the package `yfcc100m`, as in that pool.
    """

    kind: ClassVar[str] = "geoyfcc"
    example: ClassVar[str] = """\
geoyfcc:
  read: geoyfcc
  path: data/GeoYFCC.parquet # made by `poolwright convert geoyfcc GeoYFCC.pkl data/GeoYFCC.parquet`
  images: data/images
  image_path: "{photo_id}.jpg\""""

    path: PathsOrUrls = Field(
        description="the pickle, which may be packed (gz, bz2, xz, tar, zip), or Parquet made from it: file, glob, "
        "folder or a list of these"
    )
    images: PathOrUrl | None = Field(
        default=None,
        description="folder or URL that 'image_path' is relative to; without 'image_path', the folder of zip files "
        "that the package yfcc100m wrote",
    )
    image_path: ImagePath | None = Field(
        default=None, description="image file of a row below 'images', such as '{photo_id}.jpg'; names columns"
    )

    _plan: Once[_Plan] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _files: Once[list[str]] = PrivateAttr(default_factory=Once)
    _footers: Once[list[Footer]] = PrivateAttr(default_factory=Once)

    @model_validator(mode="after")
    def _check(self) -> GeoYfccPool:
        if self.image_path is not None and self.images is None:
            raise ValueError("'image_path' needs 'images', the folder or URL that it is relative to")
        return self

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool. Reads the footers of Parquet; a pickle is read whole, once per process.

        Raises:
            RecipeError: a file does not exist, or has no `yfcc_row_id`.
            InputError: no file can be read, or the pickle holds something that is not allowed.
        """
        return self._planned().given

    def parts(self) -> list[Part]:
        """Return runs of row groups of about 131,072 rows for Parquet; parts of 65,536 rows for a pickle."""
        files = self._listed()
        parts = self._parquet_parts(files) if _is_parquet(files) else _pickle_parts(files[0])
        return with_zips(parts, self._planned().zips)

    def image_root(self) -> str | None:
        return None if self._planned().zips else self.images

    def known_images(self) -> bool:
        return bool(self._planned().zips)

    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        return self._planned().classes

    def remarks(self) -> list[str]:
        return list(self._planned().drifts)

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        plan = self._planned()
        fields = [plan.given.field(name) for name in columns]
        zips = plan.zips
        own = own_columns(columns, self.image_path, plan.given.names, bool(zips))
        sources = sources_of(own, plan.source)
        row = part.start
        batch_rows = min(batch_rows, IMAGE_ROWS) if zips and IMAGE in columns else batch_rows
        with reading(part), ZipImages(zips) as images:
            for table in self._source_rows(part, sources, batch_rows):
                arrays = {name: one_array(table.column(name)) for name in sources}
                arrays |= {
                    name: names_of_labels(arrays[name], names)
                    for name, names in plan.classes.items()
                    if name in arrays and named_type(arrays[name].type) != plain_type(arrays[name].type)
                }
                found = make_columns(own, arrays, plan.given, row, len(table))
                if IMAGE_PATH in columns and self.image_path is not None:
                    found[IMAGE_PATH] = image_paths.fill(self.image_path, found, len(table))
                if zips and (IMAGE in columns or IMAGE_ERROR in columns):
                    nothing = pa.nulls(len(table), pa.string())
                    found.update(images.of(found.get("hash", nothing), found.get("url", nothing)))
                yield table_of([found[name] for name in columns], fields, len(table))
                row += len(table)

    def _source_rows(self, part: Part, sources: list[str], batch_rows: int) -> Iterator[pa.Table]:
        if "groups" in part.detail:
            yield from read_parquet(part.files[0], part.detail["groups"], sources, batch_rows)
            return
        columns, stop = pickled_columns(part.files[0]), part.start + (part.rows or 0)
        for start in range(part.start, stop, batch_rows):
            count = min(batch_rows, stop - start)
            found = [columns[name].slice(start, count) for name in sources]
            yield table_of(found, [pa.field(name, columns[name].type) for name in sources], count)

    def _listed(self) -> list[str]:
        return self._files.get(self._find)

    def _find(self) -> list[str]:
        files = find_files(self.path, (*_PARQUET, *SUFFIXES))
        if not _is_parquet(files) and len(files) > 1:
            raise RecipeError(
                f"{self.path[0]}: {len(files)} files, but one pickle or only Parquet files are expected; "
                f"name the pickle, such as {base_name(files[0])}"
            )
        return files

    def _read_footers(self) -> list[Footer]:
        return self._footers.get(lambda: map_files(read_footer, self._listed(), self._listed()[0]))

    def _planned(self) -> _Plan:
        return self._plan.get(self._make_plan)

    def _make_plan(self) -> _Plan:
        if self.images is not None and not is_url(self.images) and not os.path.isdir(self.images):
            raise RecipeError(f"{self.images}: no such folder of images")
        files, drifts = self._listed(), tuple[str, ...]()
        if _is_parquet(files):
            source, classes, drifts = _united(files, self._read_footers())
        else:
            classes = {}
            source = pa.schema({name: column.type for name, column in pickled_columns(files[0]).items()})
        in_zips = self.images is not None and self.image_path is None and IMAGE_PATH not in source.names
        zips = find_zips(str(self.images)) if in_zips else {}
        given = check_source(source, files[0], self.images, self.image_path, in_zips)
        return _Plan(source, classes, given, zips, drifts)

    def _parquet_parts(self, files: Sequence[str]) -> list[Part]:
        parts: list[Part] = []
        for file, footer in zip(files, self._read_footers(), strict=True):
            if footer.schema is None:
                damaged = {"damage": footer.damage}
                parts.append(Part(index=len(parts), name=base_name(file), files=(file,), detail=damaged))
                continue
            start = 0
            for groups in runs(footer.groups):
                rows = sum(footer.groups[group] for group in groups)
                parts.append(_part(len(parts), file, start, rows, {"groups": list(groups)}))
                start += rows
        return parts


def _is_parquet(files: Sequence[str]) -> bool:
    return all(suffix(file) in _PARQUET for file in files)


def _united(
    files: Sequence[str], footers: Sequence[Footer]
) -> tuple[pa.Schema, dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the columns of Parquet files in their widest types, names of classes, and what was widened.

    Raises:
        InputError: no footer can be read.
        RecipeError: two files have other columns, names of classes, or types that cannot become one.
    """
    good = [(file, footer.schema) for file, footer in zip(files, footers, strict=True) if footer.schema is not None]
    if not good:
        raise InputError(f"{files[0]}: {footers[0].damage}; no file of the pool can be read")
    plain = [(file, *_plain_schema(schema)) for file, schema in good]
    first, classes = plain[0][1], {name: names for _, _, known in reversed(plain) for name, names in known.items()}
    united = {}
    for name in first.names:
        types = {schema.field(name).type for _, schema, _ in plain if name in schema.names}
        united[name] = widest_type(first.field(name).type, types)
    for file, schema, known in plain[1:]:
        if wrong := _disagreement(united, classes, schema, known):
            raise RecipeError(f"{files[0]} and {base_name(file)} differ: {wrong}; {TWO_POOLS}")
    named = [(file, schema) for file, schema, _ in plain]
    drifts = (drift_of(name, dtype, named) for name, dtype in united.items() if is_free(name))
    return pa.schema(united), classes, tuple(filter(None, drifts))


def _disagreement(
    united: Mapping[str, pa.DataType],
    classes: Mapping[str, tuple[str, ...]],
    other: pa.Schema,
    known: Mapping[str, tuple[str, ...]],
) -> str:
    """Say how another file cannot be united with the first; '' if it can."""
    for name in united:
        if name not in other.names:
            return f"the second has no column '{name}'"
        wider = wider_type(united[name], other.field(name).type)
        if is_free(name) and wider != united[name]:
            return f"column '{name}' is {united[name]} in the first and {other.field(name).type} in the second"
        if name in known and known[name] != classes[name]:
            return f"the classes of '{name}' have other names in the second"
    more = [name for name in other.names if name not in united]
    return f"only the second has the column '{more[0]}'" if more else ""


def _plain_schema(schema: pa.Schema) -> tuple[pa.Schema, dict[str, tuple[str, ...]]]:
    classes = {name: names for name, names in class_labels(schema).items() if is_named(name)}
    types = {field.name: plain_type(field.type) for field in schema if not _PANDAS_INDEX.fullmatch(field.name)}
    return pa.schema(types | {name: named_type(types[name]) for name in classes}), classes


def _pickle_parts(file: str) -> list[Part]:
    columns = pickled_columns(file)
    rows = len(next(iter(columns.values()))) if columns else 0
    starts = range(0, max(rows, 1), PART_ROWS)
    return [_part(index, file, start, min(PART_ROWS, rows - start), {}) for index, start in enumerate(starts)]


def _part(index: int, file: str, start: int, rows: int, detail: dict[str, object]) -> Part:
    name = f"{base_name(file)} rows {start}-{start + rows - 1}" if rows else base_name(file)
    return Part(index=index, name=name, files=(file,), start=start, rows=rows, detail=detail)
