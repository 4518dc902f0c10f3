"""Pool `clip_retrieval`: embeddings and metadata as `clip-retrieval inference` writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pydantic import Field, PrivateAttr, field_serializer

from poolwright.core.columns import TEXT, UID
from poolwright.core.errors import RecipeError
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.remote.listing import is_folder
from poolwright.core.remote.schemes import is_url
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.mapping import ROW, ColumnRequest, class_names, drifts
from poolwright.pools.columns.path_columns import folder_names
from poolwright.pools.columns.shards import Shard, find_arrays, read_shard, renamed, shard_parts, source_names
from poolwright.pools.columns.sidecar_vectors import VectorFiles
from poolwright.pools.columns.table_plan import ReadPlan, parquet_columns
from poolwright.pools.columns.vectors import MadeBy
from poolwright.pools.readers.parquet import read_footer
from poolwright.pools.readers.paths import PathsOrUrls, base_name, files_below, join, map_files

IMAGES, TEXTS, METADATA = "img_emb", "text_emb", "metadata"
_FILE = re.compile(r"(img_emb|text_emb|metadata)/\1_([0-9]+)\.(npy|parquet)")

Partition = Mapping[str, str]
"""File by kind: `img_emb`, `text_emb`, `metadata`."""


@dataclass(frozen=True)
class _Found:
    """The partitions by number, in order, and the kinds of embeddings that any of them has."""

    partitions: Mapping[str, Partition]
    kinds: tuple[str, ...]

    def lost(self, number: str) -> str:
        """Name the files that a partition lacks and others have; empty if nothing is missing."""
        there = self.partitions[number]
        lost = [f"{kind}_{number.rpartition('/')[2]}" for kind in (METADATA, *self.kinds) if kind not in there]
        return " and ".join(lost)


class ClipRetrieval(Pool):
    """Output of `clip-retrieval inference`: arrays of embeddings and Parquet files of metadata.

    The folder holds `img_emb/img_emb_N.npy`, `text_emb/text_emb_N.npy` if texts were embedded, and
    `metadata/metadata_N.parquet`, in one row order. Gives `caption` as `text`, the other columns of the metadata as
    they are, and `img_emb` and `text_emb` as vectors of unit length. Partitions are parts, in the order of their
    numbers. A partition whose files differ in their number of rows, or that lacks a file that others have, is
    quarantined.
    """

    kind: ClassVar[str] = "clip_retrieval"
    example: ClassVar[str] = "photos: {read: clip_retrieval, path: data/embeddings, model: ViT-B-32/openai}"

    path: PathsOrUrls = Field(
        description="the output folder, or fsspec URL of it, or a list of these; each holds img_emb/ and metadata/"
    )
    model: str | None = Field(
        default=None,
        description="name of the encoder that made the vectors, such as ViT-B-32/openai; columns that name different "
        "encoders are never compared",
    )
    weights: str = Field(default="", description="digest or name of the encoder's weights")
    uid: str | None = Field(
        default=None,
        description="metadata column with the id of each row; 'row' numbers the rows as '<N>:<row>', after what tells "
        "the folder from others if there are several, as 'run1/<N>:<row>'; default: the column 'uid' if there is one, "
        "else 'row'",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give, by the names they have in this pool; 'uid' is always given"
    )
    images: PathOrUrl | None = Field(default=None, description="folder or URL that 'image_path' is relative to")

    _plan: Once[ReadPlan] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _files: Once[_Found] = PrivateAttr(default_factory=Once)
    _shards: Once[dict[str, Shard]] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool; reads all Parquet footers, and the header of one array of each kind.

        Raises:
            RecipeError: there is no such output, a column is missing, or two partitions differ in a column.
            InputError: no partition can be read.
        """
        return pa.schema(self._planned().fields())

    def parts(self) -> list[Part]:
        """Return one part per partition; large ones are cut into runs of row groups of about 131,072 rows."""
        return list(self._parts.get(self._make_parts))

    def class_names(self) -> dict[str, tuple[str, ...]]:
        return class_names(self._planned().given)

    def remarks(self) -> list[str]:
        return drifts(self._planned().given)

    def image_root(self) -> str | None:
        return self.images

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        yield from read_shard(self._planned(), part, columns, batch_rows)

    def _planned(self) -> ReadPlan:
        return self._plan.get(self._make_plan)

    def _listed(self) -> _Found:
        return self._files.get(lambda: _find_all(self.path))

    @field_serializer("path")
    def _one_or_several(self, path: tuple[str, ...]) -> str | tuple[str, ...]:
        return path if len(path) > 1 else path[0]

    def _whole(self) -> dict[str, Shard]:
        """Return the partitions that have all their files."""
        return self._shards.get(self._read_footers)

    def _read_footers(self) -> dict[str, Shard]:
        found = self._listed()
        numbers = [number for number in found.partitions if not found.lost(number)]
        tables = [found.partitions[number][METADATA] for number in numbers]
        footers = map_files(read_footer, tables, self.path[0])
        return {
            number: Shard(table, footer, found.partitions[number], number)
            for number, table, footer in zip(numbers, tables, footers, strict=True)
        }

    def _make_plan(self) -> ReadPlan:
        if self.images is not None and not is_url(self.images) and not os.path.isdir(self.images):
            raise RecipeError(f"{self.images}: no such folder of images")
        shards = list(self._whole().values())
        if not shards:
            first = next(iter(self._listed().partitions))
            raise RecipeError(f"{self.path[0]}: no partition is whole; {self._listed().lost(first)} is missing")
        tables, footers = [shard.table for shard in shards], [shard.footer for shard in shards]
        names, kinds = source_names(footers), self._listed().kinds
        uid = self.uid or (None if UID in names else ROW)
        given = parquet_columns(
            tables, footers, ColumnRequest(renamed(names, {TEXT: "caption"}), uid, self.keep, {}, tuple(kinds))
        )
        kept = {kind: kind for kind in kinds if self.keep is None or kind in self.keep}
        made_by = MadeBy(model=self.model, weights=self.weights)
        sidecars = find_arrays(shards, kept, dict.fromkeys(kept, made_by)) if kept else {}
        return ReadPlan("parquet", tuple(given), sidecars)

    def _make_parts(self) -> list[Part]:
        sidecars, found, whole = self._planned().sidecars, self._listed(), self._whole()

        def make(number: str) -> list[Part]:
            return _parts_of(found, number, whole.get(number), sidecars)

        made = map_files(make, list(found.partitions), self.path[0])
        parts = [part for some in made for part in some]
        return [part.model_copy(update={"index": index}) for index, part in enumerate(parts)]


def _parts_of(found: _Found, number: str, shard: Shard | None, sidecars: Mapping[str, VectorFiles]) -> list[Part]:
    if shard is not None:
        arrays = {kind: shard.arrays[kind] for kind in sidecars}
        return shard_parts(Shard(shard.table, shard.footer, arrays, shard.name), sidecars, 0)
    files = tuple(found.partitions[number].values())
    damage = f"has no {found.lost(number)}, which other partitions have; it is still being written, or was lost"
    return [Part(index=0, name=base_name(files[0]), files=files, detail={"damage": damage})]


def _find_all(roots: Sequence[str]) -> _Found:
    """Find the partitions of all folders; those of several are named after what the folders differ in."""
    each = (
        {f"{name}/": _find(root) for name, root in folder_names(roots).items()}
        if len(roots) > 1
        else {"": _find(roots[0])}
    )
    partitions = {name + number: files for name, found in each.items() for number, files in found.partitions.items()}
    return _Found(
        partitions, tuple(kind for kind in (IMAGES, TEXTS) if any(kind in one.kinds for one in each.values()))
    )


def _find(root: str) -> _Found:
    """Find the files of the partitions.

    Raises:
        RecipeError: there are none, or two of one number.
    """
    if not is_folder(root):
        raise RecipeError(f"{root}: no such folder")
    partitions: dict[int, dict[str, str]] = {}
    for name in sorted(files_below(root, lambda name: name.endswith((".npy", ".parquet")))):
        match = _FILE.fullmatch(name)
        if match is None or (match[3] == "parquet") != (match[1] == METADATA):
            continue
        files = partitions.setdefault(int(match[2]), {})
        if match[1] in files:
            raise RecipeError(f"{files[match[1]]} and {join(root, name)} are both partition {int(match[2])}; keep one")
        files[match[1]] = join(root, name)
    kinds = tuple(kind for kind in (IMAGES, TEXTS) if any(kind in files for files in partitions.values()))
    if not any(METADATA in files for files in partitions.values()):
        raise RecipeError(
            f"{root}: no metadata/metadata_N.parquet here; name the output folder of `clip-retrieval inference`, "
            "which holds metadata/ and img_emb/"
        )
    return _Found({str(number): files for number, files in sorted(partitions.items())}, kinds)
